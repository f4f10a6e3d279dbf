//! A connection that the application may take over, as it does for a WebSocket.
//!
//! The application gets one end of a pair of sockets, and whoever polls moves the bytes between the
//! other end and the client. So the client's own socket never leaves the worker, and a side that is
//! slow holds up the writer of the other side and nobody else.
//!
//! ```text
//!   Offered ──the application sends──► Open ──its call is over──► Over
//!      │                                                           ▲
//!      └────────── it answers as usual, or its call is over ───────┘
//! ```
//!
//! While it is offered nothing is read from the client, so an answer as usual finds the connection
//! as it was.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxicorn_os::epoll::{Epoll, Interest};
use oxicorn_os::stream::{Moved, Stream};
use slotmap::{DefaultKey as Key, Key as _};

use crate::channel::{Channel, millis};
use crate::poller::{Poller, SCRATCH};
use crate::reactor::{Phase as Life, Shared};
use crate::upgrade::Opening;
use crate::wire::Wire;

/// Tells the events of the application's end from those of the client's socket, whose number is
/// the same otherwise: a bit of the slot's index, which never comes so far.
pub(crate) const INNER: u64 = 1 << 31;

/// Reads of one direction in a row, so that a fast one does not keep the others waiting.
const ROUNDS: usize = 16;

/// The status of a protocol upgrade.
const SWITCHING: u16 = 101;

/// The two sockets, and what is between them.
#[derive(Debug)]
pub(crate) struct Tunnel {
    key: Key,
    client: Arc<Wire>,
    /// Our end of the pair.
    inner: Wire,
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offered,
    Open,
    Over,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// From the client to the application.
    inbound: Lane,
    /// From the application to the client.
    outbound: Lane,
    /// What the reactor watches the client's socket and our end for.
    watched: [Option<Interest>; 2],
    /// What the application's first bytes say.
    status: u16,
    /// The client is gone, or was given up.
    is_broken: bool,
    /// When the client last took a byte that waited for it.
    progress: u64,
    /// Whether a timer entry will look at the progress.
    timed: bool,
    /// Hears of the opening.
    opening: Option<Arc<Opening>>,
}

/// One direction. Bytes are read only when all before them are written.
#[derive(Debug, Default)]
struct Lane {
    kept: Vec<u8>,
    at: usize,
    /// Bytes read in all.
    read: u64,
    /// No more will be read.
    has_ended: bool,
    /// The other side was told so.
    is_told: bool,
}

/// How a try to move bytes went.
enum Pumped {
    /// This many were written.
    Moved(u64),
    SourceBroken,
    SinkBroken,
}

/// What became of a tunnel.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The application did not want it; these bytes of the client are still to be parsed.
    Declined(Vec<u8>),
    /// It did; `rest` is what the client has still to get.
    Used { status: u16, sent: u64, rest: Vec<u8>, is_broken: bool },
}

impl Lane {
    fn is_full(&self) -> bool {
        self.at < self.kept.len()
    }

    /// Whether the sink has to take something before this goes on: bytes, or the end of TLS.
    fn waits(&self) -> bool {
        self.is_full() || self.has_ended && !self.is_told
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Moves what the source has and the sink takes.
    fn pump(&mut self, source: &Wire, sink: &Wire, scratch: &mut [u8]) -> Pumped {
        let mut moved = 0;
        if self.is_full() {
            match sink.write(self.kept.get(self.at..).unwrap_or(&[])) {
                Moved::Bytes(count) => {
                    moved += count as u64;
                    self.at += count;
                }
                Moved::NotNow => {}
                Moved::Broken => return Pumped::SinkBroken,
            }
            if self.is_full() {
                return Pumped::Moved(moved);
            }
            // A conversation that is quiet keeps no buffer.
            (self.kept, self.at) = (Vec::new(), 0);
        }
        let mut rounds = 0;
        // Decrypted bytes have no event that would bring us back.
        while !self.has_ended && !self.is_full() && (rounds < ROUNDS || source.has_more()) {
            rounds += 1;
            let bytes = match source.read(scratch) {
                Moved::Bytes(0) => {
                    self.has_ended = true;
                    break;
                }
                Moved::Bytes(count) => scratch.get(..count).unwrap_or(&[]),
                Moved::NotNow => break,
                Moved::Broken => return Pumped::SourceBroken,
            };
            self.read += bytes.len() as u64;
            let written = match sink.write(bytes) {
                Moved::Bytes(count) => count,
                Moved::NotNow => 0,
                Moved::Broken => return Pumped::SinkBroken,
            };
            moved += written as u64;
            self.keep(bytes.get(written..).unwrap_or(&[]));
        }
        if self.has_ended && !self.is_full() {
            self.tell(sink);
        }
        Pumped::Moved(moved)
    }

    /// Keeps all that the source has, which is no more than a socket holds.
    fn take_in(&mut self, source: &Wire, scratch: &mut [u8]) {
        while let Moved::Bytes(count @ 1..) = source.read(scratch) {
            self.read += count as u64;
            self.keep(scratch.get(..count).unwrap_or(&[]));
        }
    }

    /// Passes the end on, when there is room for it.
    fn tell(&mut self, sink: &Wire) {
        self.is_told = self.is_told || sink.finish_writing();
    }

    /// Moves nothing any more.
    fn stop(&mut self) {
        (self.kept, self.at) = (Vec::new(), 0);
        (self.has_ended, self.is_told) = (true, true);
    }
}

impl State {
    /// Moves what can be moved.
    fn advance(&mut self, tunnel: &Tunnel, scratch: &mut [u8], now: u64) {
        if self.phase == Phase::Offered {
            self.listen(tunnel, scratch, now);
        }
        if self.phase != Phase::Open || self.is_broken {
            return;
        }
        let waited = self.outbound.waits();
        match self.outbound.pump(&tunnel.inner, &tunnel.client, scratch) {
            Pumped::Moved(count) if count > 0 || !waited => self.progress = now,
            Pumped::Moved(_) => {}
            Pumped::SourceBroken => {
                self.outbound.has_ended = true;
                self.outbound.tell(&tunnel.client);
            }
            Pumped::SinkBroken => return self.break_off(tunnel),
        }
        match self.inbound.pump(&tunnel.client, &tunnel.inner, scratch) {
            Pumped::Moved(_) => {}
            Pumped::SourceBroken => self.break_off(tunnel),
            Pumped::SinkBroken => self.inbound.stop(),
        }
    }

    /// Opens if the application has sent something.
    fn listen(&mut self, tunnel: &Tunnel, scratch: &mut [u8], now: u64) {
        match tunnel.inner.read(scratch) {
            Moved::Bytes(0) | Moved::Broken => self.outbound.has_ended = true,
            Moved::Bytes(count) => {
                let bytes = scratch.get(..count).unwrap_or(&[]);
                self.status = status(bytes).unwrap_or(SWITCHING);
                self.outbound.read += bytes.len() as u64;
                self.outbound.keep(bytes);
                self.progress = now;
                self.open(tunnel);
            }
            Moved::NotNow => {}
        }
    }

    fn open(&mut self, tunnel: &Tunnel) {
        self.phase = Phase::Open;
        tunnel.is_open.store(true, Ordering::Release);
        if let Some(opening) = self.opening.take() {
            opening.tell();
        }
    }

    /// The client is gone: the application sees the end on its side.
    fn break_off(&mut self, tunnel: &Tunnel) {
        self.is_broken = true;
        self.inbound.stop();
        self.outbound.stop();
        tunnel.inner.cut();
        tunnel.client.cut();
    }

    /// Has the reactor watch both sockets for what can be done next, and for nothing else.
    fn watch(&mut self, tunnel: &Tunnel, epoll: &Epoll) {
        let is_live = self.phase == Phase::Open && !self.is_broken;
        let reads = |lane: &Lane| !lane.has_ended && !lane.is_full();
        let client = interest(reads(&self.inbound) && is_live, self.outbound.waits() && is_live);
        let is_heard = is_live || self.phase == Phase::Offered;
        let inner = interest(reads(&self.outbound) && is_heard, self.inbound.waits() && is_live);
        let token = tunnel.key.data().as_ffi();
        let [client_watched, inner_watched] = &mut self.watched;
        if !watch(epoll, tunnel.client.as_fd(), token, client_watched, client)
            || !watch(epoll, tunnel.inner.as_fd(), token | INNER, inner_watched, inner)
        {
            self.break_off(tunnel);
        }
    }
}

impl Tunnel {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update leaves the state usable, so a panic elsewhere does not matter here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection is the application's.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Moves what can be moved; gives the time at which to look whether the client takes anything.
    fn pump(&self, epoll: &Epoll, scratch: &mut [u8], now: u64, patience: u64) -> Option<u64> {
        let mut state = self.lock();
        state.advance(self, scratch, now);
        state.watch(self, epoll);
        let stalls = state.phase == Phase::Open && state.outbound.waits() && !state.timed;
        state.timed |= stalls;
        stalls.then_some(state.progress + patience)
    }

    /// Gives up a client that takes nothing; else says when to look again, if need be.
    pub(crate) fn give_up_or_wait(&self, epoll: &Epoll, now: u64, patience: u64) -> Option<u64> {
        let mut state = self.lock();
        if state.phase != Phase::Open || !state.outbound.waits() {
            state.timed = false;
            return None;
        }
        let until = state.progress + patience;
        if until > now {
            return Some(until);
        }
        state.break_off(self);
        state.watch(self, epoll);
        None
    }

    /// The application gets the end of the client's bytes, and may go on sending.
    pub(crate) fn end_reading(&self, epoll: &Epoll) {
        let mut state = self.lock();
        state.inbound.has_ended = true;
        if state.phase == Phase::Open {
            // Reads nothing, as that has ended.
            let _ = state.inbound.pump(&self.client, &self.inner, &mut []);
        }
        state.watch(self, epoll);
    }

    /// Ends it for the application, whatever it is doing.
    pub(crate) fn cut(&self) {
        self.inner.cut();
    }

    /// Whether the application has taken the connection over, as far as it can be known now.
    pub(crate) fn is_taken(&self, epoll: &Epoll, now: u64) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Offered {
            state.listen(self, &mut vec![0; SCRATCH], now);
            state.watch(self, epoll);
        }
        self.is_open()
    }

    /// The status and the number of bytes that the application has sent, once its call is over.
    pub(crate) fn said(&self, epoll: &Epoll) -> (u16, u64) {
        let mut state = self.lock();
        if !state.is_broken {
            state.outbound.take_in(&self.inner, &mut vec![0; SCRATCH]);
            state.watch(self, epoll);
        }
        (state.status, state.outbound.read)
    }

    /// Ends it.
    fn close(&self, epoll: &Epoll, now: u64) -> Closed {
        let mut state = self.lock();
        let mut scratch = vec![0; SCRATCH];
        if state.phase == Phase::Offered {
            state.listen(self, &mut scratch, now);
        }
        let was_open = state.phase == Phase::Open;
        state.phase = Phase::Over;
        state.opening = None;
        state.watch(self, epoll);
        self.inner.cut();
        if !was_open {
            return Closed::Declined(std::mem::take(&mut state.inbound.kept));
        }
        // What the application has written is in the socket, whose other end takes no more.
        state.outbound.take_in(&self.inner, &mut scratch);
        let at = state.outbound.at;
        let rest = state.outbound.kept.split_off(at);
        let sent = state.outbound.read;
        Closed::Used { status: state.status, sent, rest, is_broken: state.is_broken }
    }
}

impl Shared {
    /// Offers the connection of a channel that is out; gives the application's end.
    ///
    /// With `first` it is the application's at once, and it gets these bytes first.
    pub(crate) fn open_tunnel(
        &self,
        channel: &mut Channel,
        first: Option<Vec<u8>>,
        opening: Option<Arc<Opening>>,
    ) -> io::Result<(Arc<Tunnel>, OwnedFd)> {
        let (inner, other) = Stream::pair()?;
        let is_open = first.is_some();
        let mut has_ended = false;
        let mut kept = first.unwrap_or_default();
        kept.append(&mut channel.carry);
        // What was decrypted together with the request has no event of its own.
        let mut scratch = Vec::new();
        while !has_ended && channel.stream.has_more() {
            scratch.resize(SCRATCH, 0);
            match channel.stream.read(&mut scratch) {
                Moved::Bytes(0) | Moved::Broken => has_ended = true,
                Moved::Bytes(count) => {
                    kept.extend_from_slice(scratch.get(..count).unwrap_or(&[]));
                }
                Moved::NotNow => {}
            }
        }
        let state = State {
            phase: if is_open { Phase::Open } else { Phase::Offered },
            inbound: Lane { kept, has_ended, ..Lane::default() },
            outbound: Lane::default(),
            watched: [None; 2],
            status: SWITCHING,
            is_broken: false,
            progress: 0,
            timed: false,
            opening,
        };
        let tunnel = Arc::new(Tunnel {
            key: channel.key,
            client: Arc::clone(&channel.stream),
            inner: Wire::plain(inner),
            is_open: AtomicBool::new(is_open),
            state: Mutex::new(state),
        });
        let mut core = self.lock();
        let phase = core.phase;
        let Some(slot) = core.slots.get_mut(channel.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // From here on the tunnel says what the socket is watched for.
        let is_unwatched = std::mem::take(&mut slot.unwatched);
        if channel.watched.take().is_some() && !is_unwatched {
            // An error would mean that it is not watched, which is what is wanted.
            let _ = self.epoll.delete(channel.stream.as_fd());
        }
        slot.tunnel = Some(Arc::clone(&tunnel));
        drop(core);
        match phase {
            Life::Serving => tunnel.lock().watch(&tunnel, &self.epoll),
            Life::Draining(_) => tunnel.end_reading(&self.epoll),
            Life::Stopped => tunnel.cut(),
        }
        Ok((tunnel, other))
    }

    /// Ends a tunnel; the socket of its channel, which is out, is not watched then.
    pub(crate) fn close_tunnel(&self, channel: &mut Channel, tunnel: &Tunnel) -> Closed {
        let closed = tunnel.close(&self.epoll, self.clock.now());
        if let Some(slot) = self.lock().slots.get_mut(channel.key) {
            slot.tunnel = None;
        }
        channel.watched = None;
        closed
    }

    /// Moves bytes through a tunnel after an event.
    pub(crate) fn pump(&self, poller: &mut Poller, tunnel: &Tunnel) {
        let patience = millis(self.config.send_timeout);
        if let Some(at) = tunnel.pump(&self.epoll, &mut poller.scratch, poller.now, patience) {
            self.lock().timers.push(at, tunnel.key);
        }
    }
}

/// The status that a response begins with.
fn status(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn interest(reads: bool, writes: bool) -> Option<Interest> {
    match (reads, writes) {
        (true, true) => Some(Interest::Both),
        (true, false) => Some(Interest::Read),
        (false, true) => Some(Interest::Write),
        (false, false) => None,
    }
}

/// Watches a descriptor for this and nothing else; `false` when that is not possible.
fn watch(
    epoll: &Epoll,
    fd: BorrowedFd<'_>,
    token: u64,
    watched: &mut Option<Interest>,
    wanted: Option<Interest>,
) -> bool {
    let before = std::mem::replace(watched, wanted);
    let done = match (before, wanted) {
        (before, wanted) if before == wanted => Ok(()),
        (None, Some(interest)) => epoll.add(fd, token, interest),
        (Some(_), Some(interest)) => epoll.modify(fd, token, interest),
        (Some(_), None) => epoll.delete(fd),
        (None, None) => Ok(()),
    };
    if let Err(error) = &done {
        log::error!(target: "oxicorn.error", "cannot watch a connection: {error}");
    }
    done.is_ok()
}
