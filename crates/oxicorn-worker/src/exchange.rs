//! One request with its response, as the thread that runs the application sees it.
//!
//! The exchange owns the connection while the application runs: nobody else reads from it.
//! Whatever is sent is taken at once: what the socket does not take is kept and flushed by
//! whoever polls, so a slow client never holds the thread that runs the application.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_http::h1::encode::{CONTINUE, RequestFacts};
use oxicorn_http::{Event, Head, Reject};
use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::Moved;

use crate::access_log::AccessNeeds;
use crate::channel::{Channel, body_patience, millis};
use crate::deadline::Deadline;
use crate::flusher::Flusher;
use crate::http2::Tie;
use crate::outbox::Outbox;
use crate::reactor::Shared;
use crate::upgrade::Upgrade;
use crate::wire::MOST_PARTS;

/// The client is gone (or was cut off for being too slow); the response cannot be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Where sent bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// Taken by the socket, or kept within the limits: go on.
    Taken,
    /// Kept, but the limit is reached: call [`Exchange::wait_room`] before sending more.
    Full,
}

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The client closed or reset the connection inside the body.
    Disconnected,
    /// The framing is broken; what follows is never parsed.
    Malformed(&'static str),
    /// The body is larger than the limit.
    TooLarge,
    /// The client was too slow.
    TooSlow,
    /// The request was interrupted, or a foreign loop wanted the wait given up; reading may go on.
    Interrupted,
}

/// Bytes read at a time while a body streams.
const STREAM_READ: usize = 64 * 1024;

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
    /// The request came on a stream of HTTP/2, which the response goes to.
    Stream(Arc<Tie>),
}

/// How far the reading of a body is that streams.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Bytes that were taken out of their framing, and not read yet.
    decoded: Vec<u8>,
    /// Bytes of the body that came, and the milliseconds they were waited for.
    pub(crate) received: u64,
    pub(crate) waited: u64,
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

    /// Sends bytes that are framed already.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        if self.beside.is_some() && self.answers()? {
            return self.put(&[bytes]);
        }
        self.begin();
        if self.flusher.is_none() && !self.broken {
            match self.channel.stream.write(bytes) {
                Moved::Bytes(count) if count == bytes.len() => return Ok(Sent::Taken),
                Moved::Bytes(count) => return self.keep(&[bytes.get(count..).unwrap_or(&[])]),
                Moved::NotNow => {}
                Moved::Broken => self.broken = true,
            }
        }
        self.keep(&[bytes])
    }

    /// Notes that something is sent. Every piece after the first is a sign of life of a call.
    pub(crate) fn begin(&mut self) {
        if std::mem::replace(&mut self.began, true) {
            self.shared.beat_in_call();
        } else if self.deadline.as_ref().is_some_and(|deadline| !deadline.may_answer()) {
            self.broken = true;
        }
    }

    /// An answer of its own begins, if the application has not taken the connection over; says
    /// whether it goes to a stream.
    fn answers(&mut self) -> Result<bool, Gone> {
        match &self.beside {
            None => Ok(false),
            Some(Beside::Stream(_)) => Ok(true),
            Some(Beside::Upgrade(_)) => self.decline_upgrade().map(|()| false),
        }
    }

    /// Sends an interim response, but not on a connection that may still become the application's.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_interim(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        match &self.beside {
            Some(Beside::Upgrade(_)) => return Ok(Sent::Taken),
            Some(Beside::Stream(tie)) => {
                tie.inform(bytes);
                return Ok(Sent::Taken);
            }
            None => {}
        }
        let began = self.began;
        let sent = self.send(bytes);
        self.began = began;
        sent
    }

    /// Whether the client has closed its side, or the connection is broken. Never waits.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.broken || self.tie().map_or_else(|| self.channel.stream.is_over(), |tie| tie.is_lost())
    }

    /// Whether the client holds its body back until it is asked for it, which it was not yet.
    ///
    /// After a final response it may send the body or not, so the connection has to close.
    #[must_use]
    pub fn holds_body_back(&self) -> bool {
        self.expect_continue
    }

    /// Sends several pieces in order with one call, without joining them first.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_parts(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        if self.answers()? {
            return self.put(parts);
        }
        let mut skip = 0;
        self.begin();
        if self.flusher.is_none() && !self.broken {
            if parts.len() > MOST_PARTS {
                return self.send(&parts.concat());
            }
            match self.channel.stream.write_parts(parts) {
                Moved::Bytes(count) => skip = count,
                Moved::NotNow => {}
                Moved::Broken => self.broken = true,
            }
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if skip == total && !self.broken && self.flusher.is_none() {
            return Ok(Sent::Taken);
        }
        let mut left = [&[][..]; MOST_PARTS];
        for (slot, part) in left.iter_mut().zip(parts) {
            let cut = skip.min(part.len());
            skip -= cut;
            *slot = part.get(cut..).unwrap_or(&[]);
        }
        if parts.len() > left.len() {
            return self.keep(&[&parts.concat()]);
        }
        self.keep(&left)
    }

    /// Sends `length` bytes of a file from `offset` by the kernel.
    ///
    /// The file is kept open until they are out; its own position is not moved.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_file(&mut self, file: File, offset: u64, length: u64) -> Result<Sent, Gone> {
        if self.answers()? {
            return self.put_file(file, offset, length);
        }
        self.begin();
        if self.broken {
            return Err(Gone);
        }
        let now = self.shared.clock.now();
        let flusher = self.flusher(now);
        let mut state = flusher.lock();
        state.outbox.push_file(file, offset, length);
        state.flush(&flusher.stream, now);
        // The budget of one flush is meant for a polling thread; this thread has nothing to poll.
        while !state.broken && !state.outbox.is_empty() && state.progress == now {
            state.progress = now.wrapping_sub(1);
            state.flush(&flusher.stream, now);
        }
        state.progress = now;
        drop(state);
        self.settle(&flusher)
    }

    /// Blocks until there is room again after [`Sent::Full`]. Release the interpreter before.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is, or took nothing for the time limit; when the request was
    /// interrupted; or when a foreign loop wanted the wait given up.
    pub fn wait_room(&mut self) -> Result<(), Gone> {
        if self.tie().is_some() {
            return self.wait_room_on_stream();
        }
        let Some(flusher) = self.flusher.clone() else { return Ok(()) };
        let patience = millis(self.shared.config.send_timeout);
        loop {
            let now = self.shared.clock.now();
            let mut state = flusher.lock();
            state.flush(&flusher.stream, now);
            let over = now.saturating_sub(state.progress) > patience;
            if state.broken || over {
                self.broken = true;
                return Err(Gone);
            }
            if state.outbox.queued() <= self.shared.output.total / 2 {
                return Ok(());
            }
            drop(state);
            if self.is_interrupted()
                || !self.shared.await_socket(flusher.stream.as_fd(), Interest::Write)
            {
                return Err(Gone);
            }
        }
    }

    /// The write side that is shared with whoever polls.
    fn flusher(&mut self, now: u64) -> Arc<Flusher> {
        let stream = &self.channel.stream;
        let make = || Arc::new(Flusher::new(Arc::clone(stream), now));
        Arc::clone(self.flusher.get_or_insert_with(make))
    }

    /// Keeps bytes for the client and has the socket watched for room.
    fn keep(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        if self.broken {
            return Err(Gone);
        }
        let now = self.shared.clock.now();
        let flusher = self.flusher(now);
        let shared = Arc::clone(&self.shared);
        let output = &shared.output;
        let mut state = flusher.lock();
        if !state.outbox.is_empty() {
            state.flush(&flusher.stream, now);
        }
        for part in parts {
            if let Err(error) = state.outbox.push(part, output.memory, &output.directory) {
                log::error!(target: "oxicorn.error", "cannot keep a response for a slow client in `{}`: {error} (tmp_upload_dir)", output.directory.display());
                state.broken = true;
            }
        }
        if !state.broken {
            state.flush(&flusher.stream, now);
        }
        drop(state);
        self.settle(&flusher)
    }

    /// Looks at the outcome of a flush, and has the socket watched if something is left.
    fn settle(&mut self, flusher: &Arc<Flusher>) -> Result<Sent, Gone> {
        let mut state = flusher.lock();
        if state.broken {
            self.broken = true;
            return Err(Gone);
        }
        let full = state.outbox.queued() > self.shared.output.total;
        let watch = !state.outbox.is_empty() && !state.watching;
        state.watching |= watch;
        drop(state);
        if watch {
            self.shared.watch_flusher(&mut self.channel, flusher);
        }
        Ok(if full { Sent::Full } else { Sent::Taken })
    }

    /// Appends up to `max` body bytes to `into` and says how many; 0 at the end of the body.
    ///
    /// Only for a streaming body. Blocks until there is at least one byte: release the interpreter
    /// before. Sends `100 Continue` first when the client waits for it and no response was begun.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; the body is never presented as complete then.
    pub fn read_body(&mut self, into: &mut Vec<u8>, max: usize) -> Result<usize, BodyError> {
        if self.tie().is_some() {
            return self.read_stream(into, max);
        }
        let mut head = Head::default();
        loop {
            let reading = self.reading.get_or_insert_default();
            if !reading.decoded.is_empty() {
                let count = max.min(reading.decoded.len());
                into.extend(reading.decoded.drain(..count));
                return Ok(count);
            }
            let channel = &mut *self.channel;
            let rules = &self.shared.config.rules;
            let received = channel.machine.receive(&channel.carry, &mut head, rules);
            let received = received.map_err(body_error)?;
            let used = received.used;
            match received.event {
                Event::Body(bytes) => reading.decoded.extend_from_slice(bytes),
                Event::End => {
                    channel.carry.drain(..used);
                    return Ok(0);
                }
                Event::NeedMore | Event::Head if channel.machine.is_complete() => return Ok(0),
                Event::NeedMore | Event::Head => {
                    channel.carry.drain(..used);
                    self.receive_more()?;
                    continue;
                }
            }
            channel.carry.drain(..used);
        }
    }

    /// Waits for bytes from the client and adds them to what was read ahead.
    fn receive_more(&mut self) -> Result<(), BodyError> {
        if self.expect_continue && !self.began {
            self.expect_continue = false;
            self.channel.stream.say(CONTINUE);
        }
        let channel = &mut *self.channel;
        let reading = self.reading.get_or_insert_default();
        let start = channel.carry.len();
        let config = &self.shared.config;
        let left = body_patience(reading.received, config).saturating_sub(reading.waited);
        let patience = left.min(millis(config.send_timeout));
        let began = self.shared.clock.now();
        loop {
            channel.carry.resize(start + STREAM_READ, 0);
            let moved = channel.stream.read(channel.carry.get_mut(start..).unwrap_or_default());
            let count = if let Moved::Bytes(count) = moved { count } else { 0 };
            channel.carry.truncate(start + count);
            match moved {
                Moved::Bytes(0) | Moved::Broken => {
                    self.broken = true;
                    return Err(BodyError::Disconnected);
                }
                Moved::Bytes(_) => {
                    reading.received += count as u64;
                    reading.waited += self.shared.clock.now().saturating_sub(began);
                    return Ok(());
                }
                Moved::NotNow => {}
            }
            if self.shared.clock.now().saturating_sub(began) > patience {
                return Err(BodyError::TooSlow);
            }
            let interrupted = self.deadline.as_ref().is_some_and(|limit| limit.is_interrupted());
            if interrupted || !self.shared.await_socket(channel.stream.as_fd(), Interest::Read) {
                return Err(BodyError::Interrupted);
            }
        }
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
            persistent: self.persistent,
            status: self.status,
            body_bytes: self.body_bytes,
            noted: self.noted,
        };
        match self.beside {
            Some(Beside::Upgrade(upgrade)) => upgrade.end(&self.shared, &mut ended),
            Some(Beside::Stream(tie)) => {
                tie.finish(ended.persistent && !broken);
                // Nothing follows on a stream.
                ended.broken = true;
            }
            None => {}
        }
        ended
    }
}

/// A refused body as the application's read sees it.
fn body_error(reject: Reject) -> BodyError {
    match reject {
        Reject::BodyTooLarge => BodyError::TooLarge,
        Reject::BadRequest(what) => BodyError::Malformed(what),
        _ => BodyError::Malformed("bad trailers"),
    }
}
