//! The state of one request, and its response on the way out: head, items, end or failure.

use oxicorn_http::Version;
use oxicorn_http::h1::encode::{BodyFraming, BodyWriter, RequestFacts, ResponseHead, error_page};
use oxicorn_worker::{BodyError, Exchange, Gone, Sent};
use pyo3::prelude::*;

use crate::wsgi::body::Failure;
use crate::wsgi::overdue::interruption;

/// Up to this many bytes an item is copied behind what precedes it and sent in one piece.
pub(in crate::wsgi) const JOIN: usize = 32 * 1024;

/// How far the response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `start_response` was not called yet.
    #[default]
    Silent,
    /// The head is written and may still be replaced.
    Begun,
    /// The head is decided, or out.
    Open,
}

/// The state of one request; its buffers serve many.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(super) exchange: Option<Exchange>,
    facts: RequestFacts,
    phase: Phase,
    head: ResponseHead,
    writer: BodyWriter,
    framing: BodyFraming,
    /// Whether the connection may stay when the response is complete.
    persistent: bool,
    /// Whether the head is decided but still in its buffer.
    head_unsent: bool,
    /// Whether an error page took the place of what the application had begun.
    replaced: bool,
    /// Framing around one item.
    frame: Vec<u8>,
    /// Whether the client was found gone.
    gone: bool,
    /// Body bytes that the application produced beyond its Content-Length.
    excess: bool,
    /// Body bytes of a streaming request that were received and not read yet.
    pub(crate) unread: Vec<u8>,
    /// How many bytes of `unread` were read.
    pub(crate) consumed: usize,
    /// Whether `unread` ends with the body.
    pub(crate) body_ended: bool,
    /// Why the body cannot be read to its end; stays.
    pub(crate) body_error: Option<BodyError>,
}

impl Live {
    pub(super) fn reset(&mut self, exchange: Exchange) {
        self.facts = exchange.facts();
        self.exchange = Some(exchange);
        self.phase = Phase::Silent;
        self.framing = BodyFraming::None;
        self.writer = BodyWriter::default();
        self.persistent = false;
        self.head_unsent = false;
        self.replaced = false;
        self.gone = false;
        self.excess = false;
        self.unread.clear();
        self.consumed = 0;
        self.body_ended = false;
        self.body_error = None;
    }

    /// The exchange.
    pub(crate) fn exchange(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("an open request has its exchange")
    }

    /// Whether the request was interrupted, as it is over its time limit.
    pub(in crate::wsgi) fn is_interrupted(&self) -> bool {
        let deadline = self.exchange.as_ref().and_then(Exchange::deadline);
        deadline.is_some_and(|deadline| deadline.is_interrupted())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn facts(&self) -> RequestFacts {
        self.facts
    }

    /// The head to be written by `start_response`; [`begun`](Self::begun) when it is whole.
    pub(crate) fn head(&mut self) -> &mut ResponseHead {
        self.phase = Phase::Silent;
        &mut self.head
    }

    /// The head is written.
    pub(crate) fn begun(&mut self) {
        self.phase = Phase::Begun;
    }

    /// How many bytes are missing to the application's Content-Length, if it gave one.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.head.content_length().map(|length| length.saturating_sub(self.writer.sent()))
    }

    /// Whether the response has no body, whatever the application yields; known once it is open.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.phase == Phase::Open && self.framing == BodyFraming::None
    }

    /// Whether the application produced more than its Content-Length.
    pub(crate) fn has_excess(&self) -> bool {
        self.excess
    }

    /// Whether the head leaves out fields that the application may not send.
    pub(crate) fn drops_fields(&self) -> bool {
        self.head.dropped_fields()
    }

    /// Whether the client was found gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Decides the head, if it is not decided yet.
    fn open(&mut self, known_length: Option<u64>) {
        if self.phase != Phase::Begun {
            return;
        }
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        if let Some((name, id)) = exchange.response_id() {
            self.head.field_unless_given(name.as_bytes(), id.as_bytes());
        }
        let date = exchange.date();
        let server = exchange.server_header();
        let persistent = self.facts.persistent && !exchange.holds_body_back();
        let facts = RequestFacts { persistent, ..self.facts };
        let (framing, persistent) = self.head.finish(facts, known_length, date, server);
        exchange.set_status(self.head.status());
        if exchange.log_needs().is_some_and(|needs| needs.response_fields) {
            let head = self.head.buffer();
            let fields = head.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            exchange.keep_response_fields(&head[fields..]);
        }
        self.framing = framing;
        self.writer = BodyWriter::new(framing);
        self.persistent = persistent;
        self.head_unsent = true;
        self.phase = Phase::Open;
    }

    /// Decides the head of a response whose whole length is known before its first item is sent.
    pub(in crate::wsgi) fn announce(&mut self, length: u64) {
        self.open(Some(length));
    }

    /// Sends one item of the body, with the head before it if that is still here, and with the
    /// end of the body behind it if it is the `last`.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is; the iteration should stop.
    pub(crate) fn send_item(&mut self, item: &[u8], last: bool) -> Result<Sent, Gone> {
        self.open(last.then_some(item.len() as u64));
        let item = self.clip(item);
        let out = outgoing(&mut self.head, &mut self.frame, &mut self.head_unsent);
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        if !item.is_empty() {
            self.writer.before(item.len() as u64, out);
        }
        let sent = if item.len() <= JOIN {
            out.extend_from_slice(item);
            if !item.is_empty() {
                self.writer.after(out);
            }
            if last {
                self.persistent &= self.writer.finish(out);
            }
            match (out.is_empty(), last || self.writer.is_whole()) {
                (true, _) => Ok(Sent::Taken),
                (false, false) => exchange.send(out),
                (false, true) => exchange.send_last(out),
            }
        } else {
            let mut tail = Vec::new();
            self.writer.after(&mut tail);
            if last {
                self.persistent &= self.writer.finish(&mut tail);
            }
            exchange.send_parts(&[out, item, &tail])
        };
        self.note(sent)
    }

    /// Sends what of the head and of the end of the body is not out yet: the iteration is over.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub(crate) fn send_end(&mut self) -> Result<(), Gone> {
        // An empty answer to HEAD says nothing about the length of the one to GET.
        self.open((!self.facts.is_head).then_some(0));
        let out = outgoing(&mut self.head, &mut self.frame, &mut self.head_unsent);
        self.persistent &= self.writer.finish(out);
        if out.is_empty() {
            return Ok(());
        }
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        let sent = exchange.send_last(out);
        self.note(sent).map(drop)
    }

    /// Sends `length` bytes of `file` from `offset` as the rest of the body, and its end.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub(crate) fn send_file(
        &mut self,
        file: std::fs::File,
        offset: u64,
        length: u64,
    ) -> Result<Sent, Gone> {
        self.open(Some(length));
        let allowed = self.writer.allowed(length);
        let length = if self.is_bodiless() { 0 } else { length.min(allowed) };
        if length == 0 {
            return self.send_end().map(|()| Sent::Taken);
        }
        let out = outgoing(&mut self.head, &mut self.frame, &mut self.head_unsent);
        self.writer.before(length, out);
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        if !out.is_empty() {
            let sent = exchange.send(out);
            let _ = self.note(sent)?;
        }
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        let sent = exchange.send_file(file, offset, length);
        let sent = self.note(sent)?;
        self.frame.clear();
        self.writer.after(&mut self.frame);
        self.persistent &= self.writer.finish(&mut self.frame);
        if self.frame.is_empty() {
            return Ok(sent);
        }
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        let sent = exchange.send(&self.frame);
        self.note(sent)
    }

    /// Waits until there is room after [`Sent::Full`].
    ///
    /// # Errors
    ///
    /// The client is gone, or a foreign loop wants something else of this call.
    pub(in crate::wsgi) fn wait_room(&mut self, py: Python<'_>) -> Result<(), Failure> {
        let exchange = self.exchange();
        let waited = if exchange.is_foreign() {
            let waited = exchange.wait_room();
            if let Some(error) = PyErr::take(py) {
                return Err(Failure::Application(error));
            }
            waited
        } else {
            py.detach(|| exchange.wait_room())
        };
        if waited.is_err() && self.is_interrupted() {
            return Err(Failure::Application(interruption(py)));
        }
        self.gone |= waited.is_err();
        Ok(waited?)
    }

    /// Sends an interim response of the application.
    pub(crate) fn send_interim(&mut self, bytes: &[u8]) {
        let sent = self.exchange().send_interim(bytes);
        // A client that is gone shows at the response itself.
        let _ = self.note(sent);
    }

    /// Ends a response that went well so far; `clean` is false when the connection must close.
    pub(crate) fn finish(&mut self, clean: bool) {
        let body_bytes = self.writer.sent();
        // A stream ends where the response does, so that more than was announced can do no harm.
        let is_exact = !self.excess || self.facts.version == Version::Http2;
        let persistent = clean && self.persistent && !self.gone && is_exact;
        self.exchange().finish(body_bytes, persistent);
    }

    /// Ends a failed response: a whole error page when nothing is out yet, else a visible cut.
    pub(crate) fn fail(&mut self, status: u16) {
        if self.phase == Phase::Open && !self.head_unsent {
            let body_bytes = self.writer.sent();
            self.exchange().cut_short(body_bytes);
            return;
        }
        let facts = self.facts;
        let exchange = self.exchange.as_mut().expect("an open request has its exchange");
        let sent = send_error_page(exchange, status, facts.is_head);
        self.phase = Phase::Open;
        self.head_unsent = false;
        self.replaced = true;
        self.gone |= sent.is_err();
    }

    /// The head that was sent for the application, if it was.
    pub(crate) fn sent_head(&mut self) -> Option<&[u8]> {
        if self.phase != Phase::Open || self.replaced {
            return None;
        }
        // The body, or its beginning, may stand behind it.
        let bytes = self.head.buffer();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some(&bytes[..end])
    }

    /// The part of `item` that may go out.
    fn clip<'i>(&mut self, item: &'i [u8]) -> &'i [u8] {
        if self.framing == BodyFraming::None {
            return &[];
        }
        let allowed = self.writer.allowed(item.len() as u64);
        if allowed < item.len() as u64 {
            self.excess = true;
            return &item[..allowed as usize];
        }
        item
    }

    fn note(&mut self, sent: Result<Sent, Gone>) -> Result<Sent, Gone> {
        self.gone |= sent.is_err();
        sent
    }
}

/// Where the next bytes are written: behind the head if that is still here, else on their own.
fn outgoing<'a>(
    head: &'a mut ResponseHead,
    frame: &'a mut Vec<u8>,
    head_unsent: &mut bool,
) -> &'a mut Vec<u8> {
    if std::mem::take(head_unsent) {
        return head.buffer();
    }
    frame.clear();
    frame
}

/// Answers with the fixed page of `status`, after which the connection closes.
pub(crate) fn send_error_page(
    exchange: &mut Exchange,
    status: u16,
    is_head: bool,
) -> Result<(), Gone> {
    let mut page = Vec::new();
    let date = exchange.date();
    let id = exchange.response_id().map(|(name, id)| (name.as_bytes(), id.as_bytes()));
    error_page(status, is_head, date, exchange.server_header(), id, &mut page);
    let head = page.windows(4).position(|four| four == b"\r\n\r\n").map_or(page.len(), |at| at + 4);
    exchange.set_status(status);
    let sent = exchange.send(&page);
    // A stream ends with its response, whole as it is.
    let persistent = exchange.facts().version == Version::Http2;
    exchange.finish((page.len() - head) as u64, persistent);
    sent.map(drop)
}
