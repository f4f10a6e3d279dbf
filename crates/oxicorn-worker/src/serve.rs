//! From received bytes to a finished response: intake, the application's turn, what comes after.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxicorn_http::h1::encode::{RequestFacts, error_page};
use oxicorn_http::proxy::line::{Line, LineFault};
use oxicorn_http::{Framing, Head, Reject};
use oxicorn_os::scoreboard::Ticket;
use oxicorn_os::stream::Moved;

use crate::access_log::{AccessLog, AccessRecord};
use crate::channel::{Channel, Complete, IntakeError, Stage, Then, millis};
use crate::exchange::Ended;
use crate::outbox::{Flushed, Outbox};
use crate::poller::{Poller, plain};
use crate::queue::is_abandoned;
use crate::reactor::Shared;
use crate::{Body, Exchange, Link, Request, error_log};

/// Pipelined requests of one connection that run before the others get their turn.
const PIPELINED: usize = 16;
/// Milliseconds a peer gets to read the last response before the connection is closed for good.
const LINGER: u64 = 2000;
/// Unread body bytes that are read and forgotten to keep a connection.
const DRAIN_BODY: usize = 64 * 1024;

/// Logged for a request whose client has gone before it began; never sent.
const CLIENT_GONE: u16 = 499;

/// Where and when a request runs.
#[derive(Clone, Copy)]
struct Turn {
    thread: usize,
    now: u64,
    date: [u8; 29],
}

impl Shared {
    /// Does what a connection's stage asks for; returns it to be put back.
    pub(crate) fn work(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        match channel.stage {
            Stage::Flushing(then) => self.flush(poller.now, channel, then),
            Stage::Lingering if channel.discard(&mut poller.scratch) => Some(channel),
            Stage::Lingering => self.end(channel),
            // Pipelined requests come first: no more is read while there are any.
            Stage::Idle if !channel.carry.is_empty() => self.received(poller, channel, 0),
            Stage::Idle | Stage::Head | Stage::Body => {
                match channel.stream.read(&mut poller.scratch) {
                    Moved::Bytes(0) | Moved::Broken => self.end(channel),
                    Moved::Bytes(count) => self.received(poller, channel, count),
                    Moved::NotNow => Some(channel),
                }
            }
        }
    }

    /// Closes a connection.
    fn end(&self, channel: Box<Channel>) -> Option<Box<Channel>> {
        self.close(channel);
        None
    }

    /// Sends more of a response whose application is done.
    fn flush(&self, now: u64, mut channel: Box<Channel>, then: Then) -> Option<Box<Channel>> {
        let flushed = match &mut channel.outbox {
            Some(outbox) => outbox.flush(&channel.stream),
            None => Flushed::All,
        };
        match flushed {
            Flushed::All => {
                channel.outbox = None;
                self.responded(channel, then, now)
            }
            Flushed::Some { progress } => {
                if progress {
                    channel.deadline = now + millis(self.config.send_timeout);
                }
                Some(channel)
            }
            Flushed::Broken => self.end(channel),
        }
    }

    /// Offers received bytes to the machine, and runs or queues what is complete.
    pub(crate) fn received(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        count: usize,
    ) -> Option<Box<Channel>> {
        let mut fresh = count;
        if channel.expects_line {
            channel.carry.extend_from_slice(poller.scratch.get(..count).unwrap_or(&[]));
            fresh = 0;
            match self.take_line(poller.now, &mut channel) {
                Some(true) => {}
                Some(false) => return Some(channel),
                None => return self.end(channel),
            }
        }
        for _ in 0..PIPELINED {
            let mut own = std::mem::take(&mut channel.carry);
            let bytes = poller.scratch.get(..fresh).unwrap_or(&[]);
            fresh = 0;
            let input = if own.is_empty() {
                bytes
            } else {
                own.extend_from_slice(bytes);
                &own
            };
            let head = &mut poller.head;
            let intake = match channel.intake(input, head, &self.config, &self.output.directory) {
                Ok(intake) => intake,
                Err(IntakeError::Reject(reject)) => {
                    let is_head = channel.is_head(input);
                    return self.refuse(poller, channel, reject, is_head);
                }
                Err(IntakeError::Spool(error)) => {
                    let directory = self.output.directory.display();
                    log::error!(
                        target: "oxicorn.error",
                        "cannot keep a request body in `{directory}`: {error} (tmp_upload_dir)"
                    );
                    let is_head = channel.is_head(input);
                    return self.answer(poller, channel, 503, is_head);
                }
            };
            let rest = input.get(intake.used..).unwrap_or(&[]);
            let Some(complete) = intake.complete else {
                if own.is_empty() {
                    channel.carry.extend_from_slice(rest);
                } else {
                    own.drain(..intake.used);
                    channel.carry = own;
                }
                self.wait_for_more(&mut channel, poller.now);
                return Some(channel);
            };
            channel.carry.extend_from_slice(rest);
            if poller.queueing {
                return self.queue_request(poller, channel, &own, count, complete);
            }
            let turn = Turn {
                thread: poller.thread.unwrap_or(0),
                now: poller.now,
                date: poller.date.at(poller.now),
            };
            let input = if own.is_empty() { poller.scratch.as_slice() } else { &own };
            let back = self.run(channel, turn, input, &poller.head, complete);
            // It may have taken long: the limits of what comes next begin now.
            poller.now = poller.now.max(self.clock.coarse());
            channel = back?;
            if channel.stage != Stage::Idle || channel.carry.is_empty() {
                return Some(channel);
            }
        }
        Some(channel)
    }

    /// Takes a PROXY header from the bytes of a new connection: whether requests follow now, or
    /// more bytes are needed; `None` ends the connection.
    #[cold]
    fn take_line(&self, now: u64, channel: &mut Channel) -> Option<bool> {
        let Some(gate) = &self.config.gate else { return Some(true) };
        let socket = channel.link.peer;
        let (used, announced) = match gate.read(&socket, &channel.carry) {
            Ok(Line::NeedMore) => {
                channel.enter(Stage::Head, channel.since, channel.deadline);
                return Some(false);
            }
            Ok(Line::Absent) => (0, None),
            Ok(Line::Whole { used, announced }) => (used, announced),
            Err(LineFault(what)) => {
                let ip = &channel.link.remote_addr;
                error_log::warn_of_client(format_args!("Invalid connection from ip={ip}: {what}"));
                return None;
            }
        };
        channel.carry.drain(..used);
        channel.expects_line = false;
        if let Some(said) = &announced {
            let mut link = Link::clone(&channel.link);
            link.remote_addr = plain(said.source);
            link.remote_port = Some(said.source_port);
            link.trusted = self.config.proxy.trusts(&gate.peer(socket, Some(said)));
            link.announced = announced;
            channel.link = Arc::new(link);
        }
        let limit = channel.since + millis(self.config.head_timeout);
        let stage = if channel.carry.is_empty() { Stage::Idle } else { Stage::Head };
        channel.enter(stage, channel.since, limit.max(now));
        Some(!channel.carry.is_empty())
    }

    /// Notes what an incomplete request waits for, and until when.
    fn wait_for_more(&self, channel: &mut Channel, now: u64) {
        if channel.pending.is_some() {
            if channel.stage != Stage::Body {
                channel.enter(Stage::Body, now, 0);
            }
            channel.deadline = channel.body_deadline(&self.config);
        } else if !channel.carry.is_empty() && channel.stage != Stage::Head {
            // A new connection's limit runs from its beginning, silent or not.
            let limit = millis(self.config.head_timeout);
            let since = if channel.requests == 0 { channel.since } else { now };
            channel.enter(Stage::Head, since, since + limit);
        }
    }

    /// Queues a complete request, with bytes of its own.
    fn queue_request(
        &self,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        own: &[u8],
        count: usize,
        complete: Complete,
    ) -> Option<Box<Channel>> {
        let scratch = poller.scratch.get(..count).unwrap_or(&[]);
        let input = if own.is_empty() { scratch } else { own };
        if complete != Complete::Stored {
            channel.keep_head(input, &poller.head, complete == Complete::Streaming);
        }
        if let (Complete::Inline(range), Some(pending)) = (complete, &mut channel.pending) {
            let bytes = input.get(range).unwrap_or(&[]);
            let (limit, directory) = (self.config.body_memory, &self.output.directory);
            if let Err(error) = pending.body.append(bytes, limit, directory) {
                let directory = directory.display();
                log::error!(
                    target: "oxicorn.error",
                    "cannot keep a request body in `{directory}`: {error} (tmp_upload_dir)"
                );
                let is_head = channel.is_head(input);
                return self.answer(poller, channel, 503, is_head);
            }
        }
        let channel = self.queue(channel, poller.holder())?;
        self.refuse_queued(poller, channel)
    }

    /// Runs a queued request, unless its client has gone.
    pub(crate) fn run_queued(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        if is_abandoned(&channel, poller.now) {
            self.log_unanswered(&channel, CLIENT_GONE, 0);
            return self.end(channel);
        }
        let date = poller.date.at(poller.now);
        self.run_stored(poller.thread.unwrap_or(0), poller.now, date, channel)
    }

    /// Runs a request that is kept in its channel.
    pub(crate) fn run_stored(
        self: &Arc<Self>,
        thread: usize,
        now: u64,
        date: [u8; 29],
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let streaming = channel.pending.as_ref().is_some_and(|pending| pending.streaming);
        let complete = if streaming { Complete::Streaming } else { Complete::Stored };
        self.run(channel, Turn { thread, now, date }, &[], &Head::default(), complete)
    }

    /// The application's turn.
    ///
    /// `input` and `head` hold the request, unless it is in the channel's `pending`.
    fn run(
        self: &Arc<Self>,
        mut channel: Box<Channel>,
        turn: Turn,
        input: &[u8],
        head: &Head,
        complete: Complete,
    ) -> Option<Box<Channel>> {
        channel.queued_at = 0;
        let mut pending = channel.pending.take();
        let (bytes, head, body) = match &mut pending {
            Some(pending) => {
                let body = if pending.streaming {
                    Body::Streaming
                } else {
                    match pending.body.body() {
                        Ok(body) => body,
                        Err(error) => {
                            log::error!(target: "oxicorn.error", "cannot read a kept request body: {error}");
                            return self.end(channel);
                        }
                    }
                };
                (pending.bytes.as_slice(), &pending.head, body)
            }
            None => {
                let body = match complete {
                    Complete::Inline(range) => match input.get(range) {
                        Some(bytes) if !bytes.is_empty() => Body::Memory(bytes),
                        _ => Body::Empty,
                    },
                    Complete::Streaming => Body::Streaming,
                    Complete::Empty | Complete::Stored => Body::Empty,
                };
                (input, head, body)
            }
        };
        let body_length = match (&body, head.framing) {
            (Body::Empty, _) => Some(0),
            (Body::Memory(bytes), _) => Some(bytes.len() as u64),
            (Body::File(_, length), _) => Some(*length),
            (Body::Streaming, Framing::Length(length)) => Some(length),
            (Body::Streaming, _) => None,
        };
        let effective = match self.config.proxy.evaluate(channel.link.trusted, head, bytes) {
            Ok(effective) => effective,
            Err(reject) => {
                let is_head = head.is_head(bytes);
                warn_of_reject(&channel.link, reject);
                return self.answer_at(turn.now, &turn.date, channel, reject.status(), is_head);
            }
        };
        let stripped = effective.as_ref().and_then(|effective| effective.strip(head));
        let head = stripped.as_ref().unwrap_or(head);
        channel.requests = channel.requests.saturating_add(1);
        let facts = RequestFacts {
            version: head.version,
            is_head: head.is_head(bytes),
            persistent: head.persistent && self.keeps(&channel),
        };
        let expect_continue = head.expect_continue && matches!(body, Body::Streaming);
        let asked_to_close = !head.persistent;
        let link = Arc::clone(&channel.link);
        let client = effective.as_ref().and_then(|effective| effective.client);
        let client = client.map(|(address, _)| plain(address));
        let client = client.as_ref().unwrap_or(&link.remote_addr).as_bytes();
        let effective = effective.as_ref();
        let request = Request { head, bytes, link: &link, effective, body, body_length };
        let exchange = Exchange::new(channel, Arc::clone(self), facts, turn.date, expect_continue);
        let log = self.control.access_log.as_deref();
        let started = log.filter(|log| log.needs().duration).map(|_| Instant::now());
        let before = self.clock.coarse();
        let ticket = self.control.slot.as_ref().map(|slot| {
            let start = self.clock.absolute(before.max(turn.now));
            slot.begin(start, request.head.method.of(bytes), request.head.target.of(bytes), client)
        });
        let inside = Inside::enter(self, turn.thread, ticket);
        let exchange = self.app.call(request, exchange);
        drop(inside);
        if self.control.park.is_some() {
            // There is no monitor that would keep the coarse clock going.
            self.clock.now();
        }
        let over = self.clock.coarse();
        let slow = over > before + 1;
        // Between two requests nothing is stuck, however long the queue is.
        self.beat(turn.now.max(over));
        if self.config.threads > 1 {
            self.lock().token.call_done(slow);
        }
        self.count_request();
        let ended = exchange.end();
        if let Some(log) = log {
            let duration = started.map_or(Duration::ZERO, |started| started.elapsed());
            let mut write = || {
                log_exchange(log, request_record(head, bytes, client), &ended, duration);
            };
            // A reader that does not keep up must not stop the other threads.
            if log.may_block() {
                self.app.released(&mut write);
            } else {
                write();
            }
        }
        self.after(ended, asked_to_close, turn.now.max(over))
    }

    /// Whether the server wants to keep a connection after this request.
    fn keeps(&self, channel: &Channel) -> bool {
        let limit = self.config.keepalive_requests;
        !self.config.keepalive.is_zero()
            && (limit == 0 || channel.requests < limit)
            && !self.draining.load(Ordering::Relaxed)
    }

    /// Counts a request, and asks for a replacement when the worker has served its share.
    fn count_request(&self) {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.config.max_requests {
            (self.control.on_max_requests)();
        }
    }

    /// What comes after the application's turn: the rest of the response, then the next request.
    fn after(&self, ended: Ended, asked_to_close: bool, now: u64) -> Option<Box<Channel>> {
        let mut channel = ended.channel;
        if ended.broken {
            return self.end(channel);
        }
        let read_whole = channel.machine.is_complete() || self.skip_body(&mut channel);
        // Who did not ask for the end may have sent more, and bytes that come to a closed socket
        // would cost the response.
        let nothing_comes = asked_to_close && read_whole && channel.carry.is_empty();
        let then = match (ended.persistent && read_whole, nothing_comes) {
            (true, _) => Then::Keep,
            (false, true) => Then::Close,
            (false, false) => Then::Linger,
        };
        if channel.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty()) {
            let until = now + millis(self.config.send_timeout);
            channel.enter(Stage::Flushing(then), now, until);
            return Some(channel);
        }
        self.responded(channel, then, now)
    }

    /// Reads and forgets a body that the application left unread, if it is short and here already.
    fn skip_body(&self, channel: &mut Channel) -> bool {
        let mut head = Head::default();
        let mut scratch = vec![0; DRAIN_BODY];
        if let Moved::Bytes(count) = channel.stream.read(&mut scratch) {
            channel.carry.extend_from_slice(scratch.get(..count).unwrap_or(&[]));
        }
        let mut used = 0;
        loop {
            let offered = channel.carry.get(used..).unwrap_or(&[]);
            match channel.machine.receive(offered, &mut head, &self.config.rules) {
                Ok(received) => {
                    let progress = received.used > 0;
                    used += received.used;
                    if channel.machine.is_complete() {
                        channel.carry.drain(..used);
                        return true;
                    }
                    if !progress {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    /// A response is out: on to what follows it.
    fn responded(&self, mut channel: Box<Channel>, then: Then, now: u64) -> Option<Box<Channel>> {
        match then {
            Then::Keep => {
                channel.machine.next_request();
                channel.enter(Stage::Idle, now, now + millis(self.config.keepalive));
                Some(channel)
            }
            Then::Close => self.end(channel),
            Then::Linger => {
                channel.stream.finish_writing();
                channel.carry = Vec::new();
                channel.enter(Stage::Lingering, now, now + LINGER);
                Some(channel)
            }
        }
    }

    /// Answers a refused request and gets ready to close (RFC 9112, section 9.6).
    pub(crate) fn refuse(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        reject: Reject,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        warn_of_reject(&channel.link, reject);
        self.answer(poller, channel, reject.status(), is_head)
    }

    /// Answers with a page of ours and closes.
    pub(crate) fn answer(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        status: u16,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let date = poller.date.at(poller.now);
        self.answer_at(poller.now, &date, channel, status, is_head)
    }

    fn answer_at(
        &self,
        now: u64,
        date: &[u8; 29],
        mut channel: Box<Channel>,
        status: u16,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let mut page = Vec::new();
        let server = self.config.server_header.as_deref().map(str::as_bytes);
        error_page(status, is_head, date, server, &mut page);
        self.log_unanswered(&channel, status, body_length(&page));
        channel.queued_at = 0;
        channel.pending = None;
        channel.carry = Vec::new();
        let mut outbox = Outbox::default();
        if outbox.push(&page, usize::MAX, &self.output.directory).is_err() {
            return self.end(channel);
        }
        channel.outbox = Some(Box::new(outbox));
        let until = now + millis(self.config.send_timeout);
        channel.enter(Stage::Flushing(Then::Linger), now, until);
        self.flush(now, channel, Then::Linger)
    }

    /// Writes the line of a request that the application does not see.
    fn log_unanswered(&self, channel: &Channel, status: u16, body_bytes: u64) {
        let Some(log) = &self.control.access_log else { return };
        let remote_addr = channel.link.remote_addr.as_bytes();
        let record = match &channel.pending {
            Some(pending) => request_record(&pending.head, &pending.bytes, remote_addr),
            None => AccessRecord { remote_addr, ..AccessRecord::default() },
        };
        write_record(log, AccessRecord { status, body_bytes, ..record });
    }
}

/// Shows the monitor and the master that a thread is inside the application, until it is dropped:
/// also when a panic of ours takes the short way out.
struct Inside<'a> {
    shared: &'a Shared,
    thread: usize,
    ticket: Option<Ticket>,
}

impl<'a> Inside<'a> {
    fn enter(shared: &'a Shared, thread: usize, ticket: Option<Ticket>) -> Self {
        let inside = Self { shared, thread, ticket };
        inside.step();
        inside
    }

    fn step(&self) {
        if let Some(sequence) = self.shared.sequences.get(self.thread) {
            sequence.fetch_add(1, Ordering::Release);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.step();
        if let (Some(slot), Some(ticket)) = (&self.shared.control.slot, self.ticket.take()) {
            slot.end(ticket);
        }
    }
}

/// Bytes of a page of ours after its head.
fn body_length(page: &[u8]) -> u64 {
    let end = page.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    (page.len() - end) as u64
}

/// Says in the log why a request is refused.
fn warn_of_reject(link: &Link, reject: Reject) {
    let ip = &link.remote_addr;
    error_log::warn_of_client(format_args!("Invalid request from ip={ip}: {reject}"));
}

/// What the access log says of a request.
fn request_record<'a>(head: &'a Head, bytes: &'a [u8], remote_addr: &'a [u8]) -> AccessRecord<'a> {
    AccessRecord { remote_addr, ..AccessRecord::of_request(head, bytes) }
}

/// Writes the line of an exchange that the application ended.
fn log_exchange(log: &AccessLog, request: AccessRecord<'_>, ended: &Ended, duration: Duration) {
    let record = AccessRecord {
        status: ended.status,
        body_bytes: ended.body_bytes,
        duration,
        response_fields: &ended.response_fields,
        environ: &ended.environ,
        ..request
    };
    write_record(log, record);
}

/// Adds when and where it happened, and writes the line.
fn write_record(log: &AccessLog, record: AccessRecord<'_>) {
    let unix_secs = if log.needs().wall_clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(wall.as_secs()).unwrap_or(0)
    } else {
        0
    };
    log.record(&AccessRecord { pid: std::process::id(), unix_secs, ..record });
}
