//! The connection machine: offered bytes become events; it never sees a socket.

use crate::{Head, Reject, Rules};

/// What the offered bytes meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// More bytes are needed. Offer again what was not used, followed by what came since.
    NeedMore,
    /// A whole head; it is in the `Head` that was handed in, as offsets into the offered bytes.
    Head,
    /// Part of the body, chunk framing removed.
    Body(&'i [u8]),
    /// The request is complete (a request without a body says so right after its head).
    End,
}

/// How far the machine got with the offered bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<'i> {
    /// Number of offered bytes that are done with; the rest must be offered again.
    pub used: usize,
    /// What they meant.
    pub event: Event<'i>,
}

/// What the end of the peer's bytes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    /// Between two requests, or before the first byte of one: a normal end.
    Clean,
    /// Inside a head or a body: the request will never be complete.
    Truncated,
}

/// One client connection as the protocol sees it.
#[derive(Debug, Default)]
pub struct Connection {}

impl Connection {
    /// A connection on which nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what the peer sent: one event per call, call again with the rest.
    ///
    /// `input` is everything not yet used, oldest byte first. After [`Event::End`] nothing is used
    /// and every call says [`Event::NeedMore`] until [`next_request`](Self::next_request).
    ///
    /// # Errors
    ///
    /// A [`Reject`] is the client's fault; every later call repeats it.
    pub fn receive<'i>(
        &mut self,
        input: &'i [u8],
        head: &mut Head,
        rules: &Rules,
    ) -> Result<Received<'i>, Reject> {
        let _ = (input, head, rules);
        Ok(Received { used: 0, event: Event::NeedMore })
    }

    /// The peer will send no more; `left` are the bytes that were offered and not used.
    pub fn eof(&self, left: &[u8]) -> Eof {
        if left.is_empty() { Eof::Clean } else { Eof::Truncated }
    }

    /// The response is out: the bytes that follow begin the next request.
    pub fn next_request(&mut self) {}

    /// Whether the request that began was received whole, up to its [`Event::End`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        false
    }
}
