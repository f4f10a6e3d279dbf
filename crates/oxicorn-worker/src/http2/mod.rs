//! Connections that speak HTTP/2.
//!
//! Such a connection is a channel like the others, at home in the slab and worked on by whoever
//! polls. What it reads goes into the machine of `oxicorn_http::h2`, which gives a stream for each
//! request. A request on its way is a channel of its own, without a place in the slab: it is queued
//! for the application threads like one of HTTP/1, and whoever answers it finds the stream's
//! [`Tie`] where the socket would be.
//!
//! ```text
//!   socket ─ machine ─ Lane ──(request)──► queue ─► application thread
//!                        ▲                                  │
//!                        └──────────────── Tie ◄────────────┘
//! ```
//!
//! A tie that has something for its connection asks whoever polls to look at it
//! ([`Bundle::notify`]). Streams stay in their worker; a request that waits for one of its threads may
//! be answered by another worker ([`relay`](crate::relay)).

mod exchange;
mod lane;
mod tie;

use std::collections::BTreeMap;
use std::sync::Arc;

use oxicorn_http::h2::{Arrived, Code, Connection, Malformed, PREFACE, Progress, Stream};
use oxicorn_http::{Framing, Head, Reject};
use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::Moved;
use slotmap::{DefaultKey as Key, Key as _};

use self::lane::Lane;
pub(crate) use self::lane::is_interim;
pub(crate) use self::tie::{Bundle, End, StreamEnd, Tie};
use crate::answer::warn_of_reject;
use crate::body::BodyStore;
use crate::channel::{Channel, NEVER, Pending, Stage, Then, millis};
use crate::exchange::BodyError;
use crate::poller::Poller;
use crate::queue::waited_before;
use crate::reactor::{Phase, Shared};
use crate::{Config, error_log};

/// Reads of one connection in a row, so that a fast one does not keep the others waiting.
const READS: usize = 4;
/// Rounds of work on one connection in a row.
const ROUNDS: usize = 16;
/// Milliseconds that a client has to go when it was told that the connection ends.
const LEAVE: u64 = 1000;

/// The protocol of a connection, and its streams.
#[derive(Debug)]
pub(crate) struct Http2 {
    machine: Connection,
    lanes: BTreeMap<u32, Lane>,
    bundle: Arc<Bundle>,
    /// Nothing is received any more.
    is_closed: bool,
    /// Whether there was a request.
    is_used: bool,
    /// Since when there is no request, and when the client was told to go.
    idle_since: u64,
    left_at: u64,
    /// When the client last took a byte that waited for it.
    progress: u64,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.bundle.cut();
        self.lanes.values().for_each(|lane| lane.tie.lose());
    }
}

impl Http2 {
    /// Whether no request is there.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether a stream has something for it.
    pub(crate) fn has_news(&self) -> bool {
        self.bundle.has_news()
    }

    /// Whether the client was told to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.machine.is_leaving() || self.is_closed
    }

    /// What its socket is to be watched for.
    pub(crate) fn interest(&self) -> Interest {
        match (self.machine.wants_input() && !self.is_closed, self.machine.has_output()) {
            (_, false) => Interest::Read,
            (true, true) => Interest::Both,
            (false, true) => Interest::Write,
        }
    }

    /// When to look at it without an event.
    fn deadline(&self, config: &Config) -> u64 {
        let mut at = self.send_deadline(config);
        if self.is_closed {
            return at;
        }
        let lanes = self.lanes.values().map(|lane| lane.deadline(config)).min();
        at = at.min(lanes.unwrap_or(NEVER));
        if let Some(since) = self.machine.unfinished_since() {
            at = at.min(since.saturating_add(millis(config.head_timeout)));
        }
        if self.is_idle() {
            let patience = if self.is_used { config.keepalive } else { config.head_timeout };
            at = at.min(self.idle_since.saturating_add(millis(patience)));
            if self.machine.is_leaving() {
                at = at.min(self.idle_since.max(self.left_at) + LEAVE);
            }
        }
        at
    }

    /// When the client must have taken something that is its own, and no stream's.
    fn send_deadline(&self, config: &Config) -> u64 {
        let patience = millis(config.send_timeout);
        if self.machine.has_output() { self.progress.saturating_add(patience) } else { NEVER }
    }

    fn leave(&mut self, now: u64) {
        if !self.machine.is_leaving() {
            self.left_at = now;
            self.machine.leave();
        }
    }

    /// Ends it; what is open is lost.
    fn end(&mut self, code: Code) {
        self.machine.end(code);
        self.is_closed = true;
        self.lanes.values_mut().for_each(|lane| lane.lose(None));
    }
}

impl Shared {
    /// Whether the first bytes of a connection are, or may become, the preface of HTTP/2, and the
    /// peer may speak it without TLS.
    pub(crate) fn may_be_http2(&self, channel: &Channel, input: &[u8]) -> bool {
        let count = input.len().min(PREFACE.len());
        self.config.http2_cleartext
            && channel.link.trusted
            && !channel.link.is_https
            && channel.requests == 0
            && count > 0
            && input.get(..count) == PREFACE.get(..count)
    }

    /// Begins HTTP/2 on a connection of which this has been read.
    pub(crate) fn begin_http2(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        input: &[u8],
    ) -> Option<Box<Channel>> {
        let bundle = Arc::new(Bundle::new(channel.key, Arc::downgrade(self)));
        if let Some(slot) = self.lock().slots.get_mut(channel.key) {
            slot.bundle = Some(Arc::clone(&bundle));
        }
        let now = poller.now;
        let mut http2 = Http2 {
            machine: Connection::new(self.config.http2, now),
            lanes: BTreeMap::new(),
            bundle,
            is_closed: false,
            is_used: false,
            idle_since: now,
            left_at: 0,
            progress: now,
        };
        receive(&channel, &mut http2, input, now);
        channel.http2 = Some(Box::new(http2));
        channel.enter(Stage::Http2, now, now);
        self.work_http2(poller, channel)
    }

    /// Does what can be done on a connection.
    pub(crate) fn work_http2(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let Some(mut http2) = channel.http2.take() else { return self.end(channel) };
        http2.bundle.take_news();
        if self.lock().phase != Phase::Serving {
            http2.leave(poller.now);
        }
        let mut is_there = self.read_http2(poller, &channel, &mut http2)
            && self.advance_http2(poller, &mut channel, &mut http2);
        if is_there && http2.deadline(&self.config) <= poller.now {
            is_there = self.limit_http2(poller, &channel, &mut http2)
                && self.advance_http2(poller, &mut channel, &mut http2);
        }
        if !is_there {
            // With it the streams end.
            drop(http2);
            return self.end(channel);
        }
        if http2.is_closed && !http2.machine.has_output() {
            drop(http2);
            return self.responded(channel, Then::Linger, poller.now);
        }
        // What is due now was done.
        channel.deadline = http2.deadline(&self.config).max(poller.now + 1);
        channel.since = http2.idle_since;
        channel.http2 = Some(http2);
        Some(channel)
    }

    /// Reads what the client has sent; `false` when it is gone.
    fn read_http2(&self, poller: &mut Poller, channel: &Channel, http2: &mut Http2) -> bool {
        for _ in 0..READS {
            if http2.is_closed || !http2.machine.wants_input() {
                break;
            }
            let count = match channel.stream.read(&mut poller.scratch) {
                Moved::Bytes(0) | Moved::Broken => return false,
                Moved::Bytes(count) => count,
                Moved::NotNow => break,
            };
            let bytes = poller.scratch.get(..count).unwrap_or(&[]);
            receive(channel, http2, bytes, poller.now);
            if count < poller.scratch.len() {
                break;
            }
        }
        true
    }

    /// Moves requests in and responses out; `false` when the connection is broken.
    fn advance_http2(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: &mut Channel,
        http2: &mut Http2,
    ) -> bool {
        for _ in 0..ROUNDS {
            self.take_streams(poller, channel, http2);
            let moved = self.move_lanes(poller, http2);
            if moved {
                // Makes frames of it.
                self.take_streams(poller, channel, http2);
            }
            let mut result = Moved::NotNow;
            let mut is_all = true;
            if http2.machine.has_output() {
                http2.machine.transmit(|bytes| {
                    result = channel.stream.write(bytes);
                    let count = if let Moved::Bytes(count) = result { count } else { 0 };
                    is_all = count == bytes.len();
                    count
                });
                match result {
                    Moved::Broken => return false,
                    Moved::Bytes(_) => http2.progress = poller.now,
                    Moved::NotNow => {}
                }
            } else {
                http2.progress = poller.now;
            }
            if !is_all || (!moved && result == Moved::NotNow) {
                return true;
            }
        }
        // The others have their turn; this one is looked at again.
        http2.bundle.notify();
        true
    }

    /// Takes the requests that have begun.
    fn take_streams(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: &mut Channel,
        http2: &mut Http2,
    ) {
        while !http2.is_closed {
            match http2.machine.advance() {
                Progress::Waiting => return,
                Progress::Stream(stream) => self.take_stream(poller, channel, http2, stream),
                Progress::Closed => {
                    http2.is_closed = true;
                    http2.lanes.values_mut().for_each(|lane| lane.lose(None));
                }
            }
        }
    }

    fn take_stream(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: &mut Channel,
        http2: &mut Http2,
        mut stream: Box<Stream>,
    ) {
        // A stream that was reset keeps its place as long as the application works for it.
        if http2.lanes.len() >= self.config.http2.streams as usize {
            return stream.reset(Code::RefusedStream);
        }
        http2.is_used = true;
        channel.requests = channel.requests.saturating_add(1);
        let limit = self.config.keepalive_requests;
        if limit > 0 && channel.requests >= limit {
            http2.leave(poller.now);
        }
        let link = Arc::clone(&channel.link);
        let made = stream.head(self.config.rules_for(link.trusted));
        let tie = Arc::new(Tie::new(Arc::clone(&http2.bundle)));
        let id = stream.id();
        let is_head = stream.is_head();
        let has_body = stream.has_body();
        let mut lane = Lane::new(stream, Arc::clone(&tie), poller.now);
        let mut request = Box::new(Channel::new(
            Key::null(),
            Arc::clone(&channel.stream),
            link,
            poller.now,
            NEVER,
        ));
        request.tie = Some(StreamEnd(tie));
        match made {
            Ok((head, bytes)) => {
                let body = match head.framing {
                    Framing::Length(bytes) => BodyStore::announced(bytes),
                    Framing::None | Framing::Chunked => BodyStore::default(),
                };
                let streaming = has_body && !self.config.request_buffering;
                if head.expect_continue && !streaming {
                    lane.tie.inform(oxicorn_http::h1::encode::CONTINUE);
                }
                request.pending = Some(Box::new(Pending { head, bytes, body, streaming }));
                lane.is_receiving = has_body;
                if has_body && !streaming {
                    lane.request = Some(request);
                } else {
                    self.take_request(poller, request);
                }
            }
            Err(Malformed::Reject(reject)) => {
                self.refuse(poller, request, reject, is_head);
            }
            Err(Malformed::Stream(what)) => {
                warn_of_reject(&channel.link, Reject::BadRequest(what), None);
                lane.lose(Some(Code::ProtocolError));
            }
        }
        http2.lanes.insert(id, lane);
    }

    /// A request is complete: answers it, or queues it for the application.
    fn take_request(&self, poller: &mut Poller, mut request: Box<Channel>) {
        if self.is_health_check(&request, &[], &Head::default()) {
            let date = poller.date.at(poller.now);
            self.answer_health_check(poller.now, &date, request, &[], &Head::default());
            return;
        }
        if request.link.trusted {
            request.waited_before = waited_before(&request);
        }
        if let Some(request) = self.queue(request, poller.holder()) {
            self.refuse_queued(poller, request);
        }
    }

    /// Moves what can be moved on every stream; says whether that was anything.
    fn move_lanes(self: &Arc<Self>, poller: &mut Poller, http2: &mut Http2) -> bool {
        let mut moved = false;
        for lane in http2.lanes.values_mut() {
            moved |= self.receive_on(poller, lane);
            lane.look_for_reset();
            moved |= lane.release();
            if http2.machine.wants_output() {
                moved |= lane.send(poller.now);
                http2.machine.sent_items(std::mem::take(&mut lane.items));
            }
        }
        let before = http2.lanes.len();
        http2.lanes.retain(|_, lane| !lane.is_over());
        if before > 0 && http2.lanes.is_empty() {
            http2.idle_since = poller.now;
        }
        moved
    }

    /// Takes what came of a request's body.
    fn receive_on(self: &Arc<Self>, poller: &mut Poller, lane: &mut Lane) -> bool {
        let mut moved = false;
        while lane.is_receiving
            && let Some(stream) = &mut lane.stream
        {
            match stream.receive() {
                Arrived::Nothing => break,
                Arrived::Broken => lane.lose(None),
                Arrived::End => {
                    lane.is_receiving = false;
                    match lane.request.take() {
                        Some(request) => self.take_request(poller, request),
                        None => lane.tie.end_body(None),
                    }
                }
                Arrived::Bytes(bytes) => {
                    lane.received += bytes.len() as u64;
                    if lane.received > self.config.rules.limits.body {
                        self.refuse_body(poller, lane, Reject::BodyTooLarge);
                        return true;
                    }
                    let Some(pending) =
                        lane.request.as_mut().and_then(|request| request.pending.as_mut())
                    else {
                        lane.tie.deliver(&bytes);
                        continue;
                    };
                    let kept = pending.body.append(&bytes, &self.shelf);
                    stream.release(bytes.len());
                    if let Err(error) = kept {
                        self.shelf.complain(&error);
                        lane.is_receiving = false;
                        if let Some(request) = lane.request.take() {
                            let is_head = request.is_head(&[]);
                            self.answer(poller, request, 503, is_head);
                        }
                    }
                }
            }
            moved = true;
        }
        moved
    }

    /// Refuses a request inside its body.
    fn refuse_body(&self, poller: &mut Poller, lane: &mut Lane, reject: Reject) {
        lane.is_receiving = false;
        match lane.request.take() {
            Some(request) => {
                let is_head = request.is_head(&[]);
                self.refuse(poller, request, reject, is_head);
            }
            None => lane.tie.end_body(Some(BodyError::TooLarge)),
        }
    }

    /// Ends what takes too long; `false` when that is the connection itself.
    fn limit_http2(&self, poller: &mut Poller, channel: &Channel, http2: &mut Http2) -> bool {
        let (config, now) = (&self.config, poller.now);
        if http2.send_deadline(config) <= now {
            return false;
        }
        for lane in http2.lanes.values_mut() {
            if lane.send_deadline(config) <= now {
                lane.lose(Some(Code::Cancel));
            } else if lane.deadline(config) <= now {
                self.refuse_body(poller, lane, Reject::Timeout);
            }
        }
        if http2.is_closed || http2.deadline(config) > now {
            return true;
        }
        let is_slow = |since: u64| since.saturating_add(millis(config.head_timeout)) <= now;
        if http2.machine.unfinished_since().is_some_and(is_slow) {
            warn_of_reject(&channel.link, Reject::Timeout, None);
            http2.end(Code::EnhanceYourCalm);
        } else if http2.is_idle() {
            http2.end(Code::NoError);
        }
        true
    }
}

/// Takes in what the client has sent, unless it is too much of nothing.
fn receive(channel: &Channel, http2: &mut Http2, bytes: &[u8], now: u64) {
    if let Err(flood) = http2.machine.receive(bytes, now) {
        let ip = &channel.link.remote_addr;
        let what = format_args!("Connection from ip={ip} ended: {flood}");
        error_log::warn_of_client(what, None);
        http2.end(Code::EnhanceYourCalm);
    }
}
