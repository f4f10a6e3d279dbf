//! Intake: from received bytes to a request that is complete, and runs here or is queued.

use std::sync::Arc;

use oxicorn_http::h2::PREFACE;
use oxicorn_http::proxy::line::{Line, LineFault};
use oxicorn_http::{Head, Reject};
use oxicorn_os::scoreboard::{Count, Phase};
use oxicorn_os::stream::Moved;

use crate::channel::{Channel, Complete, IntakeError, Stage, Then, millis};
use crate::exchange::Beside;
use crate::outbox::Flushed;
use crate::poller::{Poller, plain};
use crate::queue::{is_abandoned, waited_before};
use crate::reactor::Shared;
use crate::turn::Turn;
use crate::{Link, error_log};

/// Pipelined requests of one connection that run before the others get their turn.
const PIPELINED: usize = 16;

/// What a TLS client begins with: a handshake record of any version (RFC 8446, section 5.1).
const TLS_HANDSHAKE: [u8; 2] = [22, 3];

/// Logged for a request whose client has gone before it began; never sent.
const CLIENT_GONE: u16 = 499;

impl Shared {
    /// Does what a connection's stage asks for; returns it to be put back.
    pub(crate) fn work(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        match channel.stage {
            Stage::Handshake => self.shake_hands(poller, channel),
            Stage::Flushing(then) => self.flush(poller.now, channel, then),
            Stage::Lingering if channel.discard(&mut poller.scratch) => Some(channel),
            Stage::Lingering => self.end(channel),
            Stage::Http2 => self.work_http2(poller, channel),
            Stage::Relay => self.work_relay(poller, channel),
            // Pipelined requests come first: no more is read while there are any.
            Stage::Idle if !channel.carry.is_empty() => self.received(poller, channel, 0),
            Stage::Idle | Stage::Head | Stage::Body => {
                let in_place = match channel.stage {
                    Stage::Body => channel.read_in_place(&self.config),
                    _ => None,
                };
                let moved = match in_place {
                    Some(moved) => moved,
                    None => channel.stream.read(&mut poller.scratch),
                };
                match moved {
                    Moved::Bytes(0) | Moved::Broken => self.end(channel),
                    Moved::Bytes(_) if in_place.is_some() => self.received(poller, channel, 0),
                    Moved::Bytes(count) => self.received(poller, channel, count),
                    Moved::NotNow => Some(channel),
                }
            }
        }
    }

    /// Closes a connection.
    pub(crate) fn end(&self, channel: Box<Channel>) -> Option<Box<Channel>> {
        self.close(channel);
        None
    }

    /// Sends more of a response whose application is done.
    pub(crate) fn flush(
        &self,
        now: u64,
        mut channel: Box<Channel>,
        then: Then,
    ) -> Option<Box<Channel>> {
        let flushed = match &mut channel.outbox {
            Some(outbox) => outbox.flush(&channel.stream),
            None => Flushed::All,
        };
        match flushed {
            Flushed::All => {
                channel.outbox = None;
                self.spent(Phase::Send, now.saturating_sub(channel.since));
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
            let bytes = poller.scratch.get_mut(..fresh).unwrap_or(&mut []);
            fresh = 0;
            let is_carried = !own.is_empty();
            let input = if !is_carried {
                bytes
            } else {
                own.extend_from_slice(bytes);
                &mut own
            };
            let head = &mut poller.head;
            let intake = match channel.intake(input, head, &self.config, &self.shelf) {
                Ok(intake) => intake,
                Err(IntakeError::Reject(_)) if self.may_be_http2(&channel, input) => {
                    let input = input.to_vec();
                    if input.len() >= PREFACE.len() {
                        return self.begin_http2(poller, channel, &input);
                    }
                    // It is refused again unless it is the whole preface by then.
                    channel.carry = input;
                    self.wait_for_more(&mut channel, poller.now);
                    return Some(channel);
                }
                Err(IntakeError::Reject(mut reject)) => {
                    if channel.requests == 0 && input.starts_with(&TLS_HANDSHAKE) {
                        reject = Reject::BadRequest("TLS on a port that does not speak it");
                    }
                    let is_head = channel.is_head(input);
                    return self.refuse(poller, channel, reject, is_head);
                }
                Err(IntakeError::Spool(error)) => {
                    self.shelf.complain(&error);
                    let is_head = channel.is_head(input);
                    return self.answer(poller, channel, 503, is_head);
                }
            };
            if matches!(channel.stage, Stage::Head | Stage::Body) {
                self.note_arrival(&channel, intake.complete.is_some(), poller.now);
            }
            let rest = input.get(intake.used..).unwrap_or(&[]);
            let Some(complete) = intake.complete else {
                if !is_carried {
                    channel.carry.extend_from_slice(rest);
                } else {
                    own.drain(..intake.used);
                    channel.carry = own;
                }
                self.wait_for_more(&mut channel, poller.now);
                return Some(channel);
            };
            channel.carry.extend_from_slice(rest);
            if self.config.health_path.is_some() {
                let input = if own.is_empty() { poller.scratch.as_slice() } else { &own };
                if self.is_health_check(&channel, input, &poller.head) {
                    let date = poller.date.at(poller.now);
                    let head = &poller.head;
                    channel = self.answer_health_check(poller.now, &date, channel, input, head)?;
                    if channel.stage != Stage::Idle || channel.carry.is_empty() {
                        return Some(channel);
                    }
                    continue;
                }
            }
            if poller.queueing {
                return self.queue_request(poller, channel, &own, count, complete);
            }
            let turn = Turn {
                thread: poller.thread.unwrap_or(0),
                now: poller.now,
                date: poller.date.at(poller.now),
                holds: poller.pace.holds(),
            };
            let input = if own.is_empty() { poller.scratch.as_slice() } else { &own };
            let back = if poller.head.upgrade
                && channel.pending.is_none()
                && self.is_for_websocket(&poller.head, input)
            {
                channel.keep_head(input, &poller.head, false);
                self.run_websocket(channel, turn)
            } else {
                self.run(channel, turn, input, &poller.head, complete, None)
            };
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
    pub(crate) fn take_line(&self, now: u64, channel: &mut Channel) -> Option<bool> {
        let Some(gate) = &self.config.gate else { return Some(true) };
        let socket = channel.link.peer;
        let (used, announced) = match gate.read(&socket, &channel.carry) {
            Ok(Line::NeedMore) => {
                if !channel.stream.is_secured() {
                    channel.enter(Stage::Head, channel.since, channel.deadline);
                }
                return Some(false);
            }
            Ok(Line::Absent) => (0, None),
            Ok(Line::Whole { used, announced }) => (used, announced),
            Err(LineFault(what)) => {
                let ip = &channel.link.remote_addr;
                let text = format_args!("Invalid connection from ip={ip}: {what}");
                error_log::warn_of_client(text, None);
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
        if channel.stream.is_secured() {
            return Some(true);
        }
        let limit = channel.since + millis(self.config.head_timeout);
        let stage = if channel.carry.is_empty() { Stage::Idle } else { Stage::Head };
        channel.enter(stage, channel.since, limit.max(now));
        Some(!channel.carry.is_empty())
    }

    /// Counts how long the head or the body took, when it is there and did not come at once.
    fn note_arrival(&self, channel: &Channel, complete: bool, now: u64) {
        let phase = match channel.stage {
            Stage::Head if complete || channel.pending.is_some() => Phase::Head,
            Stage::Body if complete => Phase::Body,
            _ => return,
        };
        self.spent(phase, now.saturating_sub(channel.since));
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
            if let Err(error) = pending.body.append(bytes, &self.shelf) {
                self.shelf.complain(&error);
                let is_head = channel.is_head(input);
                return self.answer(poller, channel, 503, is_head);
            }
        }
        if channel.link.trusted && channel.queued_at == 0 {
            channel.waited_before = waited_before(&channel);
        }
        let channel = self.queue(channel, poller.holder())?;
        self.refuse_queued(poller, channel)
    }

    /// Runs a queued request, unless its client has gone.
    pub(crate) fn run_queued(
        self: &Arc<Self>,
        thread: usize,
        now: u64,
        date: [u8; 29],
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        if is_abandoned(&channel, now) {
            self.count(Count::Abandoned);
            let about = self.name_unanswered(&channel);
            self.log_unanswered(&channel, CLIENT_GONE, 0, about.as_deref());
            return self.end(channel);
        }
        let streaming = channel.pending.as_ref().is_some_and(|pending| pending.streaming);
        let complete = if streaming { Complete::Streaming } else { Complete::Stored };
        let turn = Turn { thread, now, date, holds: false };
        if let Some(pending) = &channel.pending
            && self.is_for_websocket(&pending.head, &pending.bytes)
        {
            return self.run_websocket(channel, turn);
        }
        let beside = channel.tie.as_ref().map(|end| Beside::Stream(Arc::clone(&end.0)));
        self.run(channel, turn, &[], &Head::default(), complete, beside)
    }
}
