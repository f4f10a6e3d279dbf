//! Connections that change the worker: no request waits behind a busy worker while a sibling is idle.
//!
//! A worker whose threads are all busy has complete requests in its queue. When the scoreboard shows
//! an idle sibling, its monitor puts the oldest of them into a [`Passage`] that all workers of a
//! generation share: the connection's descriptor, and a [`letter`] with what is known of it and every
//! byte that was read and not answered. Workers that have a thread to spare watch the passage as
//! they watch the listeners; the first one to come makes a channel of it and goes on as if it had
//! read those bytes. A connection that cannot change the worker, as it speaks TLS or HTTP/2, stays:
//! only its request goes, with one end of a [`relay`](crate::relay) for the response.
//!
//! What is not in a letter starts anew with the next request: time limits, the machine.

mod letter;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use oxicorn_http::{Framing, Version};
use oxicorn_os::epoll::Interest;
use oxicorn_os::passage::{Passage, Received};
use oxicorn_os::scoreboard::{Count, Slot, State};
use oxicorn_os::stream::Stream;

use self::letter::HEADER;
pub(crate) use self::letter::{Carries, Letter};
use crate::channel::{Channel, Pending, millis};
use crate::poller::{Poller, SCRATCH};
use crate::reactor::{HANDOFF, Phase, Shared};
use crate::wire::Wire;

/// Connections that are put into the passage for each idle thread at a time: a few, so that fast
/// requests need not wait for the next look, and few, as an idle worker may be busy soon.
const PER_IDLE_THREAD: usize = 8;
/// Connections taken back, or out, at a time.
const MOST_TAKEN: usize = 4096;
/// Milliseconds between two looks whether something waits that nobody takes.
const TAKE_BACK: u64 = 100;
/// Connections accepted from each listener at such a look.
const TAKE_BACK_ACCEPTS: usize = 64;

impl Shared {
    /// What to hand connections over with, if that is done at all.
    fn handoff(&self) -> Option<(&Passage, Slot)> {
        Some((self.control.handoff.as_ref()?, self.control.slot?))
    }

    /// Whether connections can go to other workers.
    pub(crate) fn hands_over(&self) -> bool {
        self.handoff().is_some()
    }

    /// Lets siblings know, and sees to it, that connections of theirs are taken.
    pub(crate) fn watch_passage(&self) {
        let Some((passage, own)) = self.handoff() else { return };
        if let Err(error) = self.epoll.add(passage.exit(), HANDOFF, Interest::Accept) {
            log::error!(target: "oxicorn.error", "cannot watch for connections of siblings: {error}");
            return;
        }
        own.set_takes(self.config.threads);
    }

    /// Takes no more connections of siblings.
    pub(crate) fn unwatch_passage(&self) {
        let Some((passage, own)) = self.handoff() else { return };
        own.set_takes(0);
        // Fails only if it could not be watched either.
        let _ = self.epoll.delete(passage.exit());
    }

    /// Hands queued requests to idle siblings, the oldest first. The local queue keeps what nobody
    /// can take.
    pub(crate) fn offer(self: &Arc<Self>, poller: &mut Poller) {
        let Some((passage, own)) = self.handoff() else { return };
        if self.lock().ready.is_empty() {
            return;
        }
        let idle = idle_siblings(own);
        if idle == 0 || passage.has_message() {
            return;
        }
        for _ in 0..idle.saturating_mul(PER_IDLE_THREAD) {
            let mut core = self.lock();
            // A drain runs what is queued here, where there is a thread to do so.
            if core.phase != Phase::Serving && !self.is_all_given_up() {
                return;
            }
            let may_lend = core.slots.len() < self.config.connections;
            let can_go =
                |channel: &Channel| self.length(channel).is_some() && (may_lend || !stays(channel));
            let at = core.ready.iter().position(|channel| can_go(channel));
            let Some(at) = at else { return };
            let Some(channel) = core.ready.remove(at) else { return };
            drop(core);
            let kept = if stays(&channel) {
                self.lend(poller, passage, channel)
            } else {
                self.pass(passage, channel)
            };
            if let Some(channel) = kept {
                self.queue_again(channel);
                return;
            }
        }
    }

    /// Puts a connection into the passage; gives it back when that does not take it.
    fn pass(&self, passage: &Passage, mut channel: Box<Channel>) -> Option<Box<Channel>> {
        let Some(letter) = self.letter(&channel) else { return Some(channel) };
        // The socket stays open, and with it this process's registration.
        let _ = self.epoll.delete(channel.stream.as_fd());
        channel.watched = None;
        if !passage.send(&letter, channel.stream.as_fd()) {
            return Some(channel);
        }
        self.count(Count::Given);
        let mut core = self.lock();
        let slot = core.slots.remove(channel.key);
        self.room_for_another(&mut core);
        self.stop_when_empty(&mut core);
        drop(core);
        // Closes the descriptor, and leaves the connection alone.
        drop((slot, channel));
        None
    }

    /// What the next worker has to know of a queued request's connection.
    fn letter(&self, channel: &Channel) -> Option<Vec<u8>> {
        let pending = channel.pending.as_ref()?;
        let mut letter = self.head_of_letter(channel, Carries::Connection)?;
        letter.extend_from_slice(&pending.bytes);
        let body = pending.body.in_memory()?;
        if is_decoded_chunks(pending) {
            // The last chunk ends the body, and a chunk of no bytes would be that.
            if !body.is_empty() {
                letter.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                letter.extend_from_slice(body);
                letter.extend_from_slice(b"\r\n");
            }
            letter.extend_from_slice(b"0\r\n\r\n");
        } else {
            letter.extend_from_slice(body);
        }
        letter.extend_from_slice(&channel.carry);
        (letter.len() <= SCRATCH).then_some(letter)
    }

    /// The same for a request that goes without its connection.
    pub(crate) fn letter_of_request(&self, channel: &Channel) -> Option<Vec<u8>> {
        let pending = channel.pending.as_ref()?;
        let carries = Carries::Request {
            is_http2: pending.head.version == Version::Http2,
            has_body: pending.head.framing != Framing::None,
            head: pending.bytes.len(),
        };
        let mut letter = self.head_of_letter(channel, carries)?;
        letter.extend_from_slice(&pending.bytes);
        letter.extend_from_slice(pending.body.in_memory()?);
        (letter.len() <= SCRATCH).then_some(letter)
    }

    fn head_of_letter(&self, channel: &Channel, carries: Carries) -> Option<Vec<u8>> {
        let letter = Letter {
            link: channel.link.as_ref().clone(),
            requests: channel.requests,
            queued_at: self.clock.absolute(channel.queued_at),
            waited_before: channel.waited_before,
            carries,
            bytes: Vec::new(),
        };
        letter.write(self.length(channel)?)
    }

    /// About how many bytes a queued request's letter takes, if it can be handed over.
    fn length(&self, channel: &Channel) -> Option<usize> {
        let pending = channel.pending.as_ref()?;
        let body = pending.body.in_memory()?;
        // The size line, two line ends and the last chunk.
        let chunk = if is_decoded_chunks(pending) { 32 } else { 0 };
        let mut length = HEADER + pending.bytes.len() + body.len() + chunk;
        if stays(channel) {
            length += channel.link.tls.as_ref().map_or(0, |facts| letter::length_of(facts));
            // These go on with the connection itself.
            if pending.streaming || self.is_for_websocket(&pending.head, &pending.bytes) {
                return None;
            }
        } else {
            length += channel.carry.len();
        }
        let sent = channel.outbox.as_ref().is_none_or(|outbox| outbox.is_empty());
        (length <= SCRATCH && sent).then_some(length)
    }

    /// Puts a request back to where it was in the queue.
    fn queue_again(&self, channel: Box<Channel>) {
        let mut core = self.lock();
        core.enqueue(channel);
        let wake = core.token.wake_one();
        drop(core);
        if wake {
            self.followers.notify_one();
        }
        // An application thread may have found the queue empty, and be in a poll that waits.
        self.wake.wake();
    }

    /// Takes a connection over that waits in the passage; `false` when there is none to be had.
    pub(crate) fn take_over(self: &Arc<Self>, poller: &mut Poller) -> bool {
        let Some((passage, _)) = self.handoff() else { return false };
        if poller.lost || !self.has_room() {
            return false;
        }
        let (count, descriptor) = match passage.receive(&mut poller.scratch) {
            Received::Message(count, descriptor) => (count, descriptor),
            Received::Nothing => return false,
            Received::Broken => {
                log::error!(target: "oxicorn.error", "a connection of a sibling was lost on its way");
                return true;
            }
        };
        let Some(letter) = poller.scratch.get(..count).and_then(Letter::read) else {
            log::error!(target: "oxicorn.error", "a connection of a sibling is unreadable");
            return true;
        };
        self.count(Count::Taken);
        self.make_room();
        let held = match letter.carries {
            Carries::Connection => self.take_connection(poller, letter, descriptor),
            Carries::Request { .. } => self.borrow(poller, letter, descriptor),
        };
        self.put_back_held(held);
        true
    }

    /// Goes on with a connection of a sibling.
    fn take_connection(
        self: &Arc<Self>,
        poller: &mut Poller,
        letter: Letter,
        descriptor: OwnedFd,
    ) -> Option<Box<Channel>> {
        let stream = Arc::new(Wire::plain(Stream::new(descriptor)));
        let (key, queued_at) = {
            let mut core = self.lock();
            poller.look_at(&core.token);
            (self.admit(&mut core, &stream), self.clock.relative(letter.queued_at))
        };
        let deadline = poller.now + millis(self.config.head_timeout);
        let link = Arc::new(letter.link);
        let mut channel = Box::new(Channel::new(key, stream, link, poller.now, deadline));
        channel.requests = letter.requests;
        channel.queued_at = queued_at;
        channel.waited_before = letter.waited_before;
        channel.carry = letter.bytes;
        self.contained(key, || self.received(poller, channel, 0))
    }

    /// Takes in what this worker was woken for, but its threads are too busy to look at: of the
    /// workers that watch only one is woken, so that nobody else will.
    pub(crate) fn take_in(self: &Arc<Self>, poller: &mut Poller) {
        let listeners = self.lock().listeners.len();
        for index in 0..listeners {
            self.accept_from(poller, index, 1);
        }
        self.take_over(poller);
    }

    /// Takes in what nobody else will, from time to time.
    ///
    /// What waits in the passage: the worker that was woken for it may have died, or be busy. And
    /// while all workers are busy, what waits at the listeners: in a queue its time counts, and
    /// from there the first that is free is offered it.
    pub(crate) fn take_back(self: &Arc<Self>, poller: &mut Poller) {
        let Some((passage, own)) = self.handoff() else { return };
        if poller.now < poller.next_take_back {
            return;
        }
        poller.next_take_back = poller.now + TAKE_BACK;
        if self.lock().phase != Phase::Serving {
            return;
        }
        if passage.has_message() {
            self.empty_passage(poller);
        }
        if idle_siblings(own) == 0 {
            let listeners = self.lock().listeners.len();
            for index in 0..listeners {
                self.accept_from(poller, index, TAKE_BACK_ACCEPTS);
            }
        }
    }

    /// At the begin of a drain: takes out what no sibling would.
    pub(crate) fn leave_passage(self: &Arc<Self>, poller: &mut Poller) {
        let Some((_, own)) = self.handoff() else { return };
        if own.siblings().all(|slot| slot.state() != State::Serving) {
            self.empty_passage(poller);
        }
    }

    fn empty_passage(self: &Arc<Self>, poller: &mut Poller) {
        for _ in 0..MOST_TAKEN {
            if !self.take_over(poller) {
                return;
            }
        }
    }
}

/// How many requests the other workers could begin at once.
fn idle_siblings(own: Slot) -> usize {
    own.siblings().map(|slot| slot.idle_threads()).sum()
}

/// Whether a stored body came in chunks, which are not kept.
fn is_decoded_chunks(pending: &Pending) -> bool {
    pending.head.framing == Framing::Chunked && !pending.streaming
}

/// Whether a request's connection cannot go to another worker: the state of TLS and of HTTP/2 is in
/// this one.
fn stays(channel: &Channel) -> bool {
    channel.tie.is_some() || channel.stream.is_secured()
}
