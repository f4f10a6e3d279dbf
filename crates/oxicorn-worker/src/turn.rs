//! The application's turn with a complete request, and what comes after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oxicorn_http::h1::encode::RequestFacts;
use oxicorn_http::{Framing, Head};
use oxicorn_os::scoreboard::{Phase, Ticket};
use oxicorn_os::stream::Moved;

use crate::access_log::AccessRecord;
use crate::answer::{log_exchange, request_record, warn_of_reject};
use crate::channel::{Channel, Complete, Stage, Then, millis};
use crate::deadline::{Begun, Deadline};
use crate::exchange::{Beside, Ended};
use crate::poller::plain;
use crate::reactor::Shared;
use crate::token::has_waited;
use crate::{Body, Exchange, Request};

/// Milliseconds a peer gets to read the last response before the connection is closed for good.
const LINGER: u64 = 2000;
/// Unread body bytes that are read and forgotten to keep a connection.
const DRAIN_BODY: usize = 64 * 1024;

/// Where and when a request runs.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) thread: usize,
    pub(crate) now: u64,
    pub(crate) date: [u8; 29],
    /// Whether the response may wait for those of others.
    pub(crate) holds: bool,
}

impl Shared {
    /// The application's turn.
    ///
    /// `input` and `head` hold the request, unless it is in the channel's `pending`.
    pub(crate) fn run(
        self: &Arc<Self>,
        mut channel: Box<Channel>,
        turn: Turn,
        input: &[u8],
        head: &Head,
        complete: Complete,
        beside: Option<Beside>,
    ) -> Option<Box<Channel>> {
        if channel.queued_at != 0 {
            self.spent(Phase::Queue, turn.now.saturating_sub(channel.queued_at));
            channel.queued_at = 0;
        }
        let mut pending = channel.pending.take();
        let (bytes, head, body) = match &mut pending {
            Some(pending) => match pending.request() {
                Ok(request) => request,
                Err(error) => {
                    log::error!(target: "oxicorn.error", "cannot read a kept request body: {error}");
                    return self.end(channel);
                }
            },
            None => (input, head, body_in(input, complete)),
        };
        let body_length = length_of(&body, head);
        let effective = match self.config.proxy.evaluate(channel.link.trusted, head, bytes) {
            Ok(effective) => effective,
            Err(reject) => {
                let is_head = head.is_head(bytes);
                let about = self.name(&channel.link, Some((head, bytes)));
                warn_of_reject(&channel.link, reject, about.as_deref());
                // With it, the access log knows the request.
                channel.pending = pending;
                let answer = (reject.status(), is_head);
                return self.answer_named(turn.now, &turn.date, channel, answer, about);
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
        let ids = self.config.request_ids.as_deref();
        let about = ids.map(|ids| ids.name(Some((head, bytes)), link.trusted));
        let about = about.as_deref();
        let request = Request { head, bytes, link: &link, effective, about, body, body_length };
        let is_conversation = matches!(beside, Some(Beside::Upgrade(_)));
        let log = self.control.access_log.as_deref();
        let started = log.filter(|log| log.needs().duration).map(|_| Instant::now());
        let before = self.clock.coarse();
        let worked = self.worked.load(Ordering::Relaxed);
        // A conversation takes as long as its ends want.
        let watch = self.watch.as_ref().filter(|_| !is_conversation);
        let deadline = watch.map(|watch| {
            let (now, zero) = (before.max(turn.now), self.clock.zero());
            let tie = channel.tie.as_ref().map(|end| &end.0);
            let begun = Begun { key: channel.key, tie, head, bytes, client, about, zero, now };
            self.begin_limited(watch, &begun)
        });
        let shared = Arc::clone(self);
        let mut exchange =
            Exchange::new(channel, shared, facts, turn.date, expect_continue, beside);
        exchange.deadline.clone_from(&deadline);
        // What was sent with this request is answered before others are looked at.
        exchange.holds =
            turn.holds && exchange.beside.is_none() && exchange.channel.carry.is_empty();
        if let (Some(about), true) = (about, ids.is_some_and(|ids| ids.response_field().is_some()))
        {
            exchange.response_id = Some(about.id.as_str().into());
        }
        let ticket = self.list(&request, client, before.max(turn.now));
        let mut inside = Inside::enter(self, turn.thread, ticket);
        inside.deadline = deadline.as_deref();
        if is_conversation {
            // Nobody waits for its end, and it would keep others off the list.
            inside.leave_list();
        }
        let exchange = self.app.call(request, exchange);
        drop(inside);
        let over = self.call_is_over(before, worked, turn.now, is_conversation);
        let ended = exchange.end();
        let is_lost = deadline.as_ref().is_some_and(|deadline| deadline.is_given_up());
        let is_told = deadline.is_some_and(|deadline| deadline.is_answered_for());
        if let Some(log) = log.filter(|_| !is_told) {
            let duration = started.map_or(Duration::ZERO, |started| started.elapsed());
            let mut write = || {
                let record = AccessRecord { about, ..request_record(head, bytes, client) };
                log_exchange(log, record, &ended, duration);
            };
            // A reader that does not keep up must not stop the other threads.
            if log.may_block() {
                self.app.released(&mut write);
            } else {
                write();
            }
        }
        if is_lost {
            return self.end(ended.channel);
        }
        self.after(ended, asked_to_close, turn.now.max(over))
    }

    /// Shows a request on the scoreboard's list from now on.
    #[inline]
    fn list(&self, request: &Request<'_>, client: &[u8], now: u64) -> Option<Ticket> {
        let slot = self.control.slot.as_ref()?;
        let id = request.about.map_or(&b""[..], |about| about.id.as_bytes());
        let [method, target] = [request.head.method, request.head.target];
        let [method, target] = [method.of(request.bytes), target.of(request.bytes)];
        Some(slot.begin(self.clock.absolute(now), method, target, client, id))
    }

    /// The application has done with a request that it got at `before`, when the process had `worked`
    /// for so long; gives the time.
    #[inline]
    fn call_is_over(&self, before: u64, worked: u64, now: u64, is_conversation: bool) -> u64 {
        if self.hosted {
            self.clock.now();
        }
        let over = self.clock.coarse();
        let took = over.saturating_sub(before);
        self.spent(Phase::Application, took);
        if !is_conversation {
            // Between two requests nothing is stuck, however long the queue is.
            self.beat(now.max(over));
            if self.config.threads > 1 {
                let worked = self.worked.load(Ordering::Relaxed).saturating_sub(worked);
                self.lock().token.call_done(has_waited(took, worked));
            }
        }
        self.count_request();
        over
    }

    /// Notes on the scoreboard how long a request was in a phase.
    #[inline]
    pub(crate) fn spent(&self, phase: Phase, ms: u64) {
        if let Some(slot) = &self.control.slot {
            slot.spent(phase, ms);
        }
    }

    /// Whether the server wants to keep a connection after this request.
    pub(crate) fn keeps(&self, channel: &Channel) -> bool {
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
    pub(crate) fn after(
        &self,
        ended: Ended,
        asked_to_close: bool,
        now: u64,
    ) -> Option<Box<Channel>> {
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
            if ended.is_held {
                self.held.keep(channel);
                return None;
            }
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
    pub(crate) fn responded(
        &self,
        mut channel: Box<Channel>,
        then: Then,
        now: u64,
    ) -> Option<Box<Channel>> {
        match then {
            Then::Keep => {
                channel.machine.next_request();
                channel.enter(Stage::Idle, now, now + millis(self.config.keepalive));
                Some(channel)
            }
            Then::Close | Then::Linger if self.owes_goodbye(&channel) => {
                if !matches!(channel.stage, Stage::Flushing(_)) {
                    let until = now + millis(self.config.send_timeout);
                    channel.enter(Stage::Flushing(then), now, until);
                }
                Some(channel)
            }
            Then::Close => self.end(channel),
            Then::Linger => {
                // Nothing of it waits for room: that was seen to before.
                let _ = channel.stream.finish_writing();
                channel.carry = Vec::new();
                channel.enter(Stage::Lingering, now, now + LINGER);
                Some(channel)
            }
        }
    }

    /// Ends TLS on a connection, and says whether that waits for room as the rest of a response does.
    /// Without it the whole response would look cut.
    fn owes_goodbye(&self, channel: &Channel) -> bool {
        // A stream's end is not that of its connection.
        channel.tie.is_none() && channel.stream.say_goodbye()
    }
}

/// The body of a request that was offered in `input`.
#[inline]
fn body_in(input: &[u8], complete: Complete) -> Body<'_> {
    match complete {
        Complete::Inline(range) => match input.get(range) {
            Some(bytes) if !bytes.is_empty() => Body::Memory(bytes),
            _ => Body::Empty,
        },
        Complete::Streaming => Body::Streaming,
        Complete::Empty | Complete::Stored => Body::Empty,
    }
}

/// How long a body is, if that is known.
#[inline]
fn length_of(body: &Body<'_>, head: &Head) -> Option<u64> {
    match (body, head.framing) {
        (Body::Empty, _) => Some(0),
        (Body::Memory(bytes), _) => Some(bytes.len() as u64),
        (Body::File(_, length), _) => Some(*length),
        (Body::Streaming, Framing::Length(length)) => Some(length),
        (Body::Streaming, _) => None,
    }
}

/// Shows the monitor and the master that a thread is inside the application, until it is dropped:
/// also when a panic of ours takes the short way out.
pub(crate) struct Inside<'a> {
    shared: &'a Shared,
    thread: usize,
    ticket: Option<Ticket>,
    deadline: Option<&'a Deadline>,
}

impl<'a> Inside<'a> {
    pub(crate) fn enter(shared: &'a Shared, thread: usize, ticket: Option<Ticket>) -> Self {
        let inside = Self { shared, thread, ticket, deadline: None };
        inside.step();
        inside
    }

    /// Takes it off the scoreboard's list of requests.
    fn leave_list(&mut self) {
        if let (Some(slot), Some(ticket)) = (&self.shared.control.slot, self.ticket.take()) {
            slot.end(ticket);
        }
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
        self.leave_list();
        if let (Some(watch), Some(deadline)) = (&self.shared.watch, self.deadline) {
            watch.end(deadline);
        }
    }
}
