//! Connections that change the worker: no request waits behind a busy worker while a sibling is idle.
//!
//! A worker whose threads are all busy has complete requests in its queue. When the scoreboard shows
//! an idle sibling, its monitor puts the oldest of them into a [`Passage`] that all workers of a
//! generation share: the connection's descriptor, and a letter with what is known of it and every
//! byte that was read and not answered. Workers that have a thread to spare watch the passage as
//! they watch the listeners; the first one to come makes a channel of it and goes on as if it had
//! read those bytes.
//!
//! A letter is for a process of the same program, so it has a version but no other care for the
//! future. What is not in it starts anew with the next request: time limits, the machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_http::Framing;
use oxicorn_http::proxy::Peer;
use oxicorn_http::proxy::line::Announced;
use oxicorn_os::epoll::Interest;
use oxicorn_os::passage::{Passage, Received};
use oxicorn_os::scoreboard::{Count, Slot, State};
use oxicorn_os::stream::Stream;

use crate::Link;
use crate::channel::{Channel, Pending, millis};
use crate::poller::{Poller, SCRATCH, plain};
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
    pub(crate) fn offer(&self) {
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
            let Some(at) = core.ready.iter().position(|channel| length(channel).is_some()) else {
                return;
            };
            let Some(channel) = core.ready.remove(at) else { return };
            drop(core);
            if let Some(channel) = self.pass(passage, channel) {
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
        let mut letter = Vec::with_capacity(HEADER + length(channel)?);
        let link = &channel.link;
        let flags = u8::from(link.is_https) | u8::from(link.trusted) << 1;
        letter.extend([VERSION, flags]);
        letter.extend(u16::try_from(link.listener).ok()?.to_le_bytes());
        letter.extend(channel.requests.to_le_bytes());
        letter.extend(self.clock.absolute(channel.queued_at).to_le_bytes());
        letter.extend(channel.waited_before.to_le_bytes());
        match link.peer {
            Peer::Unix => put_address(&mut letter, None),
            Peer::Inet(ip, port) => put_address(&mut letter, Some((ip, port))),
        }
        let said = link.announced.as_ref();
        put_address(&mut letter, said.map(|said| (said.source, said.source_port)));
        put_address(&mut letter, said.map(|said| (said.destination, said.destination_port)));
        let pending = channel.pending.as_ref()?;
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
        let held = self.contained(key, || self.received(poller, channel, 0));
        self.put_back_held(held);
        true
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

/// About how many bytes a queued request's letter takes, if it can be handed over. The state of TLS
/// cannot.
fn length(channel: &Channel) -> Option<usize> {
    if channel.stream.is_secured() {
        return None;
    }
    let pending = channel.pending.as_ref()?;
    let body = pending.body.in_memory()?;
    // The size line, two line ends and the last chunk.
    let chunk = if is_decoded_chunks(pending) { 32 } else { 0 };
    let length = HEADER + pending.bytes.len() + body.len() + chunk + channel.carry.len();
    let sent = channel.outbox.as_ref().is_none_or(|outbox| outbox.is_empty());
    if channel.tie.is_some() {
        // A stream stays with its connection.
        return None;
    }
    (length <= SCRATCH && sent).then_some(length)
}

const VERSION: u8 = 2;
/// Version, flags, listener, requests, two times, three addresses.
const HEADER: usize = 1 + 1 + 2 + 4 + 8 + 8 + 3 * ADDRESS;
/// Family, address, port.
const ADDRESS: usize = 1 + 16 + 2;

/// What came with a connection.
#[derive(Debug)]
struct Letter {
    link: Link,
    requests: u32,
    /// Since when its request waits, as the scoreboard counts.
    queued_at: u64,
    /// How long it had waited before.
    waited_before: u64,
    bytes: Vec<u8>,
}

impl Letter {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&[version, flags], rest) = bytes.split_first_chunk()?;
        let (&listener, rest) = rest.split_first_chunk()?;
        let (&requests, rest) = rest.split_first_chunk()?;
        let (&queued_at, rest) = rest.split_first_chunk()?;
        let (&waited_before, rest) = rest.split_first_chunk()?;
        let (peer, rest) = take_address(rest)?;
        let (source, rest) = take_address(rest)?;
        let (destination, bytes) = take_address(rest)?;
        if version != VERSION {
            return None;
        }
        let announced = source.zip(destination).map(|(source, destination)| Announced {
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
        });
        let client = source.or(peer);
        let link = Link {
            remote_addr: client.map_or_else(String::new, |(ip, _)| plain(ip)),
            remote_port: client.map(|(_, port)| port),
            listener: u16::from_le_bytes(listener).into(),
            is_https: flags & 1 != 0,
            tls: None,
            peer: peer.map_or(Peer::Unix, |(ip, port)| Peer::Inet(ip, port)),
            announced,
            trusted: flags & 2 != 0,
        };
        Some(Self {
            link,
            requests: u32::from_le_bytes(requests),
            queued_at: u64::from_le_bytes(queued_at),
            waited_before: u64::from_le_bytes(waited_before),
            bytes: bytes.to_vec(),
        })
    }
}

fn put_address(letter: &mut Vec<u8>, address: Option<(IpAddr, u16)>) {
    let (family, octets, port) = match address {
        None => (0, [0; 16], 0),
        Some((IpAddr::V4(ip), port)) => {
            let [a, b, c, d] = ip.octets();
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], port)
        }
        Some((IpAddr::V6(ip), port)) => (6, ip.octets(), port),
    };
    letter.push(family);
    letter.extend(octets);
    letter.extend(port.to_le_bytes());
}

#[expect(clippy::type_complexity, reason = "an address that may be missing, and the rest")]
fn take_address(bytes: &[u8]) -> Option<(Option<(IpAddr, u16)>, &[u8])> {
    let (&[family], rest) = bytes.split_first_chunk()?;
    let (octets, rest) = rest.split_first_chunk::<16>()?;
    let (&port, rest) = rest.split_first_chunk()?;
    let [a, b, c, d, ..] = *octets;
    let ip = match family {
        0 => None,
        4 => Some(Ipv4Addr::new(a, b, c, d).into()),
        6 => Some(Ipv6Addr::from(*octets).into()),
        _ => return None,
    };
    Some((ip.map(|ip| (ip, u16::from_le_bytes(port))), rest))
}
