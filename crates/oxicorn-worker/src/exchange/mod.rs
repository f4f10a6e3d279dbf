//! One request with its response, as the thread that runs the application sees it.
//!
//! The exchange owns the connection while the application runs: nobody else reads from it.
//! [`send`] is the response on its way out, [`read`] a body on its way in.

mod read;
mod send;

use std::sync::Arc;

use oxicorn_http::Version;
use oxicorn_http::h1::encode::RequestFacts;

pub use self::read::BodyError;
pub(crate) use self::read::Reading;
pub use self::send::Sent;
use crate::access_log::AccessNeeds;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::flusher::Flusher;
use crate::http2::{End, Tie};
use crate::outbox::Outbox;
use crate::reactor::Shared;
use crate::upgrade::Upgrade;

/// The client is gone (or was cut off for being too slow); the response cannot be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// One request with its response.
///
/// It is moved from hand to hand several times a request, so what most do without is behind a
/// pointer.
#[derive(Debug)]
pub struct Exchange {
    pub(crate) channel: Box<Channel>,
    pub(crate) shared: Arc<Shared>,
    facts: RequestFacts,
    date: [u8; 29],
    /// Whether the client waits to be asked for its body.
    pub(crate) expect_continue: bool,
    pub(crate) began: bool,
    /// The response may wait for those of others.
    pub(crate) holds: bool,
    /// It does.
    is_held: bool,
    pub(crate) broken: bool,
    persistent: bool,
    /// The response is whole.
    finished: bool,
    status: u16,
    body_bytes: u64,
    flusher: Option<Arc<Flusher>>,
    pub(crate) deadline: Option<Arc<Deadline>>,
    pub(crate) reading: Option<Box<Reading>>,
    noted: Option<Box<Noted>>,
    /// The id for the response, if it is to say it.
    pub(crate) response_id: Option<Box<str>>,
    /// What it has that the usual one has not.
    pub(crate) beside: Option<Beside>,
}

/// Why an exchange is not a usual one.
#[derive(Debug)]
pub(crate) enum Beside {
    /// The connection may become the application's.
    Upgrade(Box<Upgrade>),
    /// The request came on a stream of HTTP/2, or from another worker: the response goes there.
    Stream(Arc<Tie>),
}

/// What only the access log wants, if its format asks for it.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The field lines of the response.
    pub(crate) response_fields: Vec<u8>,
    /// Values of environ, by the place of their key among those that are asked for.
    pub(crate) environ: Vec<Option<Vec<u8>>>,
}

/// What is left when the application is done with an exchange.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) channel: Box<Channel>,
    pub(crate) broken: bool,
    /// What its client has still to take goes out with other responses.
    pub(crate) is_held: bool,
    pub(crate) persistent: bool,
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    pub(crate) noted: Option<Box<Noted>>,
}

impl Exchange {
    pub(crate) fn new(
        channel: Box<Channel>,
        shared: Arc<Shared>,
        facts: RequestFacts,
        date: [u8; 29],
        expect_continue: bool,
        beside: Option<Beside>,
    ) -> Self {
        Self {
            channel,
            shared,
            deadline: None,
            facts,
            date,
            expect_continue,
            began: false,
            holds: false,
            is_held: false,
            broken: false,
            persistent: false,
            finished: false,
            status: 0,
            body_bytes: 0,
            flusher: None,
            reading: None,
            noted: None,
            response_id: None,
            beside,
        }
    }

    /// The field in which the response says the request's id, if it does.
    #[must_use]
    pub fn response_id(&self) -> Option<(&str, &str)> {
        let id = self.response_id.as_deref()?;
        let field = self.shared.config.request_ids.as_ref()?.response_field()?;
        Some((field, id))
    }

    /// What the response must know of its request.
    #[must_use]
    pub fn facts(&self) -> RequestFacts {
        self.facts
    }

    /// The time limits of the request, if it has any.
    #[must_use]
    pub fn deadline(&self) -> Option<&Arc<Deadline>> {
        self.deadline.as_ref()
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.is_interrupted())
    }

    /// Whether waits are a foreign loop's: the interpreter must be held then, not released.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.shared.control.park.is_some()
    }

    /// The Date field's value when the request began.
    #[must_use]
    pub fn date(&self) -> &[u8] {
        &self.date
    }

    /// The value of the Server field, if one is sent.
    #[must_use]
    pub fn server_header(&self) -> Option<&[u8]> {
        self.shared.config.server_header.as_deref().map(str::as_bytes)
    }

    /// Whether files may be sent by the kernel (the `sendfile` setting).
    #[must_use]
    pub fn sendfile(&self) -> bool {
        self.shared.config.sendfile
    }

    /// Whether the client has closed its side, or the connection is broken. Never waits.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.broken || self.is_stream_abandoned().unwrap_or_else(|| self.channel.stream.is_over())
    }

    /// Whether the client holds its body back until it is asked for it, which it was not yet.
    ///
    /// After a final response it may send the body or not, so the connection has to close.
    #[must_use]
    pub fn holds_body_back(&self) -> bool {
        self.expect_continue
    }

    /// Notes the response's status for the access log and the counters.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// The response's status, once it is known.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of the response's body, once it has ended.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// What the access log wants to know beside the request; `None` when there is no access log.
    #[must_use]
    pub fn log_needs(&self) -> Option<&AccessNeeds> {
        self.shared.control.access_log.as_ref().map(|log| log.needs())
    }

    /// Keeps the field lines of the response for the access log, if it
    /// [wants](Self::log_needs) them.
    pub fn keep_response_fields(&mut self, fields: &[u8]) {
        self.noted.get_or_insert_default().response_fields = fields.to_vec();
    }

    /// Keeps the values of the environ keys that the access log [wants](Self::log_needs).
    pub fn keep_environ(&mut self, values: Vec<Option<Vec<u8>>>) {
        self.noted.get_or_insert_default().environ = values;
    }

    /// Ends the response: `body_bytes` of body went out, and the connection stays if `persistent`.
    ///
    /// Not calling it (or `persistent == false`) closes the connection; an incomplete response
    /// must always be closed so that the client sees the cut.
    pub fn finish(&mut self, body_bytes: u64, persistent: bool) {
        self.body_bytes = body_bytes;
        self.persistent = persistent;
        self.finished = true;
    }

    /// Ends a response that is not whole: the connection closes, and its client sees the cut.
    pub fn cut_short(&mut self, body_bytes: u64) {
        self.finish(body_bytes, false);
        self.finished = false;
    }

    /// Gives the connection back, with what its client has still to take.
    pub(crate) fn end(self) -> Ended {
        let mut channel = self.channel;
        let mut broken = self.broken;
        if let Some(flusher) = self.flusher {
            let mut state = flusher.lock();
            broken |= state.broken;
            let outbox: Outbox = std::mem::take(&mut state.outbox);
            if !outbox.is_empty() {
                channel.outbox = Some(Box::new(outbox));
            }
        }
        if !self.finished && channel.tie.is_none() {
            channel.stream.spoil();
        }
        let mut ended = Ended {
            channel,
            broken,
            is_held: self.is_held,
            persistent: self.persistent,
            status: self.status,
            body_bytes: self.body_bytes,
            noted: self.noted,
        };
        match self.beside {
            Some(Beside::Upgrade(upgrade)) => upgrade.end(&self.shared, &mut ended),
            Some(Beside::Stream(tie)) => {
                let end = match (self.finished && !broken, ended.persistent) {
                    (true, true) => End::Kept,
                    (true, false) if self.facts.version != Version::Http2 => End::Closed,
                    (true, false) | (false, _) => End::Cut,
                };
                self.shared.finish_stream(&tie, end);
                // Nothing follows on a stream.
                ended.broken = true;
            }
            None => {}
        }
        ended
    }
}
