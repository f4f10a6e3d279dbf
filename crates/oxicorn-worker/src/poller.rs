//! One round of polling: what the kernel says is ready is looked at, one thing after another.
//!
//! Used by the application threads, which run a request where they read it, and by the monitor,
//! which queues it. Each has its own scratch buffer; a connection holds none while it is idle.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_http::proxy::Peer;
use oxicorn_http::{Head, Reject};
use oxicorn_os::epoll::{Events, Ready};
use oxicorn_os::stream::{NoConnection, Stream, accept, read_pipe};
use slotmap::{DefaultKey as Key, Key as _};

use crate::channel::{Channel, SILENCE, Stage, millis};
use crate::clock::DateCache;
use crate::error_log::CRITICAL;
use crate::held::Pace;
use crate::reactor::{
    FIRST_LISTENER, HANDOFF, MASTER, Phase, SIGNALS, Shared, Taken, WAKE, key_of,
};
use crate::token::{Holder, Token};
use crate::wire::Wire;
use crate::{Link, Signal};

/// Size of a polling thread's read buffer.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// The same for a look at one connection inside a call.
const SCRATCH_ASIDE: usize = 16 * 1024;
/// Events taken from the kernel at a time.
const EVENTS: usize = 128;
/// Connections accepted for one event by the only worker; several take one each, to share evenly.
const ACCEPTS: usize = 16;
/// Milliseconds after which it looks at its other connections before it accepts the next one: a
/// request may run as soon as it is accepted, and another client come meanwhile.
const ACCEPTING: u64 = 1;
/// Connections accepted from each listener before it is closed for good.
const LAST_ACCEPTS: usize = 4096;
/// Longest time to finish what is open when the master is gone.
const ORPHAN_DRAIN: Duration = Duration::from_secs(5);
/// Milliseconds for a PROXY header.
const LINE_LIMIT: u64 = 3000;
/// Pause in milliseconds after the process ran out of descriptors.
const SHORTAGE_PAUSE: u64 = 250;

/// What a polling thread owns.
#[derive(Debug)]
pub(crate) struct Poller {
    /// The application thread's number; `None` for the monitor.
    pub(crate) thread: Option<usize>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) head: Head,
    pub(crate) events: Events,
    pub(crate) date: DateCache,
    /// Reading of the clock at the start of the round.
    pub(crate) now: u64,
    /// Requests go to the queue instead of being run here.
    pub(crate) queueing: bool,
    /// The token is no longer this thread's: stop after the connection at hand.
    pub(crate) lost: bool,
    /// When to look again whether connections wait in the passage that nobody takes.
    pub(crate) next_take_back: u64,
    pub(crate) pace: Pace,
    /// Waits for the interpreter so far; some of them are measured.
    pub(crate) waits: u32,
}

impl Poller {
    pub(crate) fn new(thread: Option<usize>) -> Self {
        let (scratch, events) = (vec![0; SCRATCH], Events::with_capacity(EVENTS));
        Self { scratch, events, ..Self::without_buffers(thread) }
    }

    fn without_buffers(thread: Option<usize>) -> Self {
        Self {
            thread,
            scratch: Vec::new(),
            head: Head::default(),
            events: Events::default(),
            date: DateCache::new(),
            now: 0,
            queueing: thread.is_none(),
            lost: false,
            next_take_back: 0,
            pace: Pace::default(),
            waits: 0,
        }
    }

    /// For a look at one connection.
    pub(crate) fn aside(now: u64) -> Self {
        Self { now, scratch: vec![0; SCRATCH_ASIDE], ..Self::without_buffers(None) }
    }

    /// The value of the token while this thread may poll.
    pub(crate) fn holder(&self) -> Holder {
        self.thread.map_or(Holder::Monitor, Holder::Thread)
    }

    /// Notes who may poll, and whether to queue.
    pub(crate) fn look_at(&mut self, token: &Token) {
        self.lost = token.holder() != self.holder();
        self.queueing = self.thread.is_none() || token.is_eager();
    }
}

impl Shared {
    /// Handles what has no event: time limits, and bytes that were read already.
    pub(crate) fn housekeeping(self: &Arc<Self>, poller: &mut Poller) {
        let mut core = self.lock();
        let expired = self.expire(&mut core, poller.now);
        let again: Vec<_> = core.again.drain(..).collect();
        let closing = core.phase != Phase::Serving && !core.listeners.is_empty();
        let overdue = core.queue_due() <= poller.now;
        drop(core);
        if overdue {
            self.refuse_overdue(poller);
        }
        if closing {
            self.close_listeners(poller);
        }
        for channel in expired {
            let held = self.contained(channel.key, || self.time_is_over(poller, channel));
            self.put_back_held(held);
        }
        for key in again {
            let ready = Ready { token: key.data().as_ffi(), writable: false };
            if poller.lost {
                self.lock().again.push_back(key);
            } else {
                let held = self.guarded(poller, ready, None);
                self.put_back_held(held);
            }
        }
    }

    /// Handles what the last wait brought.
    pub(crate) fn handle_events(self: &Arc<Self>, poller: &mut Poller) {
        let mut held = None;
        self.begin_round(poller, poller.events.len() > 1);
        for index in 0..poller.events.len() {
            let Some(ready) = poller.events.get(index) else { break };
            match ready.token {
                WAKE => self.woken(poller),
                SIGNALS => {
                    // They may end everything.
                    self.send_held(poller);
                    self.read_signals();
                }
                MASTER => self.read_master(),
                // A request may run right here, and nobody would see to the connection before.
                token if token < u64::from(u32::MAX) => {
                    self.put_back_held(held.take());
                    if token == HANDOFF {
                        self.take_over(poller);
                    } else {
                        self.accept_some(poller, token);
                    }
                }
                _ => held = self.guarded(poller, ready, held),
            }
            self.keep_pace(poller);
            if poller.lost {
                break;
            }
        }
        self.put_back_held(held);
        self.end_round(poller);
    }

    /// Looks at a connection of HTTP/2 that has something to send, if nobody works on it.
    pub(crate) fn look_now(self: &Arc<Self>, key: Key) {
        let mut poller = Poller::aside(self.clock.now());
        let Some(channel) = self.lock().take_home(key) else { return };
        let held = if channel.http2.is_some() {
            self.contained(key, || self.work_http2(&mut poller, channel))
        } else {
            Some(channel)
        };
        self.put_back_held(held);
        if !self.lock().ready.is_empty() {
            // Among these may be what was read just now.
            self.wake.wake();
        }
    }

    /// Handles one connection's event.
    fn guarded(
        self: &Arc<Self>,
        poller: &mut Poller,
        ready: Ready,
        held: Option<Box<Channel>>,
    ) -> Option<Box<Channel>> {
        self.contained(key_of(ready.token), || self.connection(poller, ready, held))
    }

    /// Was woken to look around.
    fn woken(&self, poller: &Poller) {
        let core = self.lock();
        // Another holder of the token may be about to wait: the word is for it.
        if core.token.holder() == poller.holder() {
            self.wake.reset();
        }
    }

    /// Works on one connection; a panic of ours ends that connection only.
    pub(crate) fn contained(
        &self,
        key: Key,
        work: impl FnOnce() -> Option<Box<Channel>>,
    ) -> Option<Box<Channel>> {
        if let Ok(held) = catch_unwind(AssertUnwindSafe(work)) {
            return held;
        }
        log::error!(
            target: CRITICAL,
            "a connection was dropped because of a bug in the server; please report it"
        );
        self.forget(key, true);
        None
    }

    /// Puts back the connection before, moves out this one, and works on it.
    fn connection(
        self: &Arc<Self>,
        poller: &mut Poller,
        ready: Ready,
        held: Option<Box<Channel>>,
    ) -> Option<Box<Channel>> {
        let mut core = self.lock();
        let closing = held.and_then(|held| self.put_back(&mut core, held));
        poller.look_at(&core.token);
        let taken = self.take(&mut core, ready.token, ready.writable);
        drop(core);
        if let Some(closing) = closing {
            self.close(closing);
        }
        match taken {
            Taken::Channel(channel) => self.work(poller, channel),
            Taken::Flush(flusher) => {
                flusher.lock().flush(&flusher.stream, poller.now);
                None
            }
            Taken::Pump(tunnel) => {
                self.pump(poller, &tunnel);
                None
            }
            Taken::Nothing => None,
        }
    }

    /// Puts back a connection, or closes it if it must not go on.
    pub(crate) fn put_back_held(&self, held: Option<Box<Channel>>) {
        let Some(held) = held else { return };
        let closing = self.put_back(&mut self.lock(), held);
        if let Some(closing) = closing {
            self.close(closing);
        }
    }

    /// Ends a stage that took too long.
    fn time_is_over(
        self: &Arc<Self>,
        poller: &mut Poller,
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        match channel.stage {
            // Nothing is said to a peer that did not say who it speaks for.
            Stage::Head | Stage::Handshake if channel.expects_line => {
                self.close(channel);
                None
            }
            Stage::Head | Stage::Body => {
                let is_head = channel.is_head(&channel.carry);
                self.refuse(poller, channel, Reject::Timeout, is_head)
            }
            Stage::Handshake => {
                self.handshake_is_over(&channel);
                self.close(channel);
                None
            }
            Stage::Http2 => self.work_http2(poller, channel),
            Stage::Relay => self.work_relay(poller, channel),
            Stage::Idle | Stage::Flushing(_) | Stage::Lingering => {
                self.close(channel);
                None
            }
        }
    }

    /// Accepts waiting connections of one listener.
    fn accept_some(self: &Arc<Self>, poller: &mut Poller, token: u64) {
        let index = usize::try_from(token.saturating_sub(FIRST_LISTENER)).unwrap_or(usize::MAX);
        let accepts = if self.config.has_siblings { 1 } else { ACCEPTS };
        let began = self.clock.now();
        for _ in 0..accepts {
            if !self.accept_one(poller, index) || self.clock.now() > began + ACCEPTING {
                return;
            }
        }
    }

    /// Takes in what is queued at the listeners, then closes them: a connection that the kernel
    /// accepted for us would be reset otherwise.
    fn close_listeners(self: &Arc<Self>, poller: &mut Poller) {
        let count = self.lock().listeners.len();
        for index in 0..count {
            self.accept_from(poller, index, LAST_ACCEPTS);
        }
        self.leave_passage(poller);
        if poller.lost {
            return;
        }
        let mut core = self.lock();
        core.listeners.clear();
        self.stop_when_empty(&mut core);
    }

    /// Accepts up to this many waiting connections, and looks at each at once: its request is often
    /// there already.
    pub(crate) fn accept_from(self: &Arc<Self>, poller: &mut Poller, index: usize, accepts: usize) {
        for _ in 0..accepts {
            if !self.accept_one(poller, index) {
                return;
            }
        }
    }

    /// The same for one; `false` if there is none, or none may be accepted now.
    fn accept_one(self: &Arc<Self>, poller: &mut Poller, index: usize) -> bool {
        if poller.lost || !self.has_room() {
            return false;
        }
        let Some(listener) = self.lock().listeners.get(index).map(Arc::clone) else { return false };
        match accept(listener.as_fd()) {
            Ok((stream, address)) => {
                // The request may run right here, and a drain close the listener meanwhile.
                drop(listener);
                self.make_room();
                self.welcome(poller, stream, address, index);
                return true;
            }
            Err(NoConnection::NotNow) => {}
            Err(NoConnection::OutOfResources) => {
                if !self.short.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        target: "oxicorn.error",
                        "out of file descriptors: accepting pauses until some are closed"
                    );
                }
                let resume = poller.now + SHORTAGE_PAUSE;
                self.pause_accepting(&mut self.lock(), resume);
            }
            Err(NoConnection::Broken) => {
                log::error!(target: "oxicorn.error", "a listener is broken and no longer used");
                // An error would mean that it is not watched, which is what is wanted.
                let _ = self.epoll.delete(listener.as_fd());
            }
        }
        false
    }

    /// Whether one more connection fits, if need be in the place of an idle one; pauses accepting
    /// otherwise.
    pub(crate) fn has_room(&self) -> bool {
        let mut core = self.lock();
        if core.phase == Phase::Stopped {
            return false;
        }
        let now = self.clock.now();
        let room = core.slots.len() < self.config.connections || core.oldest_idle(now).is_some();
        let room = room && (!self.is_shaking_many_hands() || core.oldest_handshake(now).is_some());
        if !room {
            // Goes on earlier when a connection closes or becomes idle.
            self.pause_accepting(&mut core, now + SILENCE);
        }
        room
    }

    /// Closes the connection that was idle, or shaking hands, for longest if all places are taken.
    pub(crate) fn make_room(&self) {
        let mut core = self.lock();
        let now = self.clock.now();
        let oldest = if core.slots.len() >= self.config.connections {
            core.oldest_idle(now)
        } else if self.is_shaking_many_hands() {
            core.oldest_handshake(now)
        } else {
            return;
        };
        let oldest = oldest.and_then(|key| core.take_home(key));
        drop(core);
        if let Some(oldest) = oldest {
            self.close(oldest);
        }
    }

    /// Takes a new connection in.
    fn welcome(
        self: &Arc<Self>,
        poller: &mut Poller,
        stream: Stream,
        address: Option<SocketAddr>,
        listener: usize,
    ) {
        let stream = Arc::new(match &self.config.tls {
            None => Wire::plain(stream),
            Some(tls) => Wire::secured(stream, tls.session()),
        });
        let peer = address
            .map_or(Peer::Unix, |address| Peer::Inet(address.ip().to_canonical(), address.port()));
        let link = Arc::new(Link {
            remote_addr: address.map_or_else(String::new, |address| plain(address.ip())),
            remote_port: address.map(|address| address.port()),
            listener,
            is_https: self.config.tls.is_some(),
            tls: None,
            peer,
            announced: None,
            trusted: self.config.proxy.trusts(&peer),
        });
        let mut core = self.lock();
        let key = self.admit(&mut core, &stream);
        poller.look_at(&core.token);
        drop(core);
        let mut limit = match &self.config.tls {
            None => millis(self.config.head_timeout),
            Some(_) => millis(self.config.handshake_timeout),
        };
        if self.config.gate.is_some() {
            limit = limit.min(LINE_LIMIT);
        }
        let mut channel = Box::new(Channel::new(key, stream, link, poller.now, poller.now + limit));
        channel.expects_line = self.config.gate.is_some();
        if self.config.tls.is_some() {
            channel.stage = Stage::Handshake;
        }
        let held = self.contained(key, || self.work(poller, channel));
        self.put_back_held(held);
    }

    /// Acts upon the signals that arrived.
    fn read_signals(&self) {
        let Some(signals) = &self.control.signals else { return };
        let mut bytes = [0; 64];
        let count = read_pipe(signals.as_fd(), &mut bytes).unwrap_or(0);
        for byte in bytes.get(..count).unwrap_or(&[]) {
            match (self.control.on_signal)(*byte) {
                Signal::Drain => self.drain(self.config.graceful_timeout),
                Signal::Stop => self.stop(),
                Signal::Handled => {}
            }
        }
    }

    /// Drains when the master is gone.
    fn read_master(&self) {
        let Some(master) = &self.control.master else { return };
        if read_pipe(master.as_fd(), &mut [0; 16]).is_none() {
            log::warn!(target: "oxicorn.error", "the master is gone: finishing what is open");
            // An error would mean that it is not watched, which is what is wanted.
            let _ = self.epoll.delete(master.as_fd());
            self.drain(self.config.graceful_timeout.min(ORPHAN_DRAIN));
        }
    }
}

/// An address as text; an IPv4 client of an IPv6 listener is written as IPv4.
pub(crate) fn plain(address: IpAddr) -> String {
    let IpAddr::V4(address) = address.to_canonical() else { return address.to_string() };
    // By hand, as each connection needs it: the formatter takes ten times as long.
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for place in [100, 10, 1] {
            if octet >= place || place == 1 {
                text.push(char::from(b'0' + octet / place % 10));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for octet in 0..=255 {
            let address = IpAddr::from([octet, 0, 255 - octet, octet / 3]);
            assert_eq!(plain(address), address.to_string());
        }
        for (address, text) in [("::ffff:192.0.2.7", "192.0.2.7"), ("2001:DB8::1", "2001:db8::1")] {
            assert_eq!(plain(address.parse().unwrap()), text);
        }
    }
}
