//! One request and its response on a connection.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::Request;

use super::response::{self, Fields};
use super::{Code, Malformed, request_head};
use crate::{Head, Rules};

/// The stream is not there any more: the client reset it, or the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Bytes; say when their place is free again ([`Stream::release`]).
    Bytes(Bytes),
    /// The body is whole.
    End,
    /// More is to come.
    Nothing,
    /// It will never be whole.
    Broken,
}

enum Sender {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
}

/// A request that has begun; dropped, it is reset unless it is complete.
pub struct Stream {
    id: u32,
    request: Request<()>,
    body: RecvStream,
    sender: Sender,
    waker: Waker,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        waker: Waker,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let id = respond.stream_id().as_u32();
        let request = Request::from_parts(parts, ());
        Self { id, request, body, sender: Sender::Head(respond), waker }
    }

    /// Its number on the connection.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The head of the request, with the bytes that it points into; asked for once.
    ///
    /// # Errors
    ///
    /// See [`Malformed`].
    pub fn head(&self, rules: &Rules) -> Result<(Head, Vec<u8>), Malformed> {
        request_head(&self.request, self.has_body(), rules)
    }

    /// Whether the method is HEAD, whose response has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.request.method() == http::Method::HEAD
    }

    /// Whether a body may follow the head.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.body.is_end_stream()
    }

    /// Whether the client does not want it any more.
    pub fn is_reset(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        let reset = match &mut self.sender {
            Sender::Head(respond) => respond.poll_reset(&mut context),
            Sender::Body(body) => body.poll_reset(&mut context),
        };
        reset.is_ready()
    }

    /// Takes what came of the body.
    pub fn receive(&mut self) -> Arrived {
        let mut context = Context::from_waker(&self.waker);
        match self.body.poll_data(&mut context) {
            Poll::Ready(Some(Ok(bytes))) => Arrived::Bytes(bytes),
            // Trailers may follow, which nobody here wants to know.
            Poll::Ready(None) => Arrived::End,
            Poll::Ready(Some(Err(_))) => Arrived::Broken,
            Poll::Pending => Arrived::Nothing,
        }
    }

    /// Lets the client send so many bytes more.
    pub fn release(&mut self, bytes: usize) {
        // Fails only for more than came.
        let _ = self.body.flow_control().release_capacity(bytes);
    }

    /// Sends a head that is in the text form of HTTP/1: an interim one, or the final one, with which
    /// the response is over if it `ends`.
    ///
    /// # Errors
    ///
    /// [`Lost`], or the text is no head.
    pub fn respond(&mut self, head: &[u8], ends: bool) -> Result<(), Lost> {
        let Sender::Head(respond) = &mut self.sender else { return Err(Lost) };
        match response::parse(head).ok_or(Lost)? {
            Fields::Interim(response) => respond.send_informational(response).map_err(|_| Lost),
            Fields::Final(response) => {
                let body = respond.send_response(response, ends).map_err(|_| Lost)?;
                self.sender = Sender::Body(body);
                Ok(())
            }
        }
    }

    /// How many of `wanted` bytes of body may be sent now.
    pub fn room(&mut self, wanted: usize) -> usize {
        let Sender::Body(body) = &mut self.sender else { return 0 };
        body.reserve_capacity(wanted);
        // So that `h2` says when there is more; what there is already is asked for below.
        let _ = body.poll_capacity(&mut Context::from_waker(&self.waker));
        body.capacity().min(wanted)
    }

    /// Sends a part of the body for which there is [room](Self::room), and its end if it `ends`.
    ///
    /// # Errors
    ///
    /// [`Lost`].
    pub fn send(&mut self, bytes: Vec<u8>, ends: bool) -> Result<(), Lost> {
        let Sender::Body(body) = &mut self.sender else { return Err(Lost) };
        body.send_data(Bytes::from(bytes), ends).map_err(|_| Lost)
    }

    /// Ends it.
    pub fn reset(&mut self, code: Code) {
        match &mut self.sender {
            Sender::Head(respond) => respond.send_reset(code.into()),
            Sender::Body(body) => body.send_reset(code.into()),
        }
    }
}
