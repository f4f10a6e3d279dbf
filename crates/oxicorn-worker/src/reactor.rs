//! What the threads of a worker share: the slab of connections, the queue, the token, the timers.
//!
//! One mutex over [`Core`]; taken once or twice per request, never across application code or a
//! blocking call. Lock order: the interpreter, then this mutex, then a flusher's.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use oxicorn_os::epoll::{Epoll, Interest};
use oxicorn_os::scoreboard::State;
use oxicorn_os::stream::send_at_once;
use oxicorn_os::waker::Waker;
use slotmap::{DefaultKey as Key, Key as _, KeyData, SlotMap};

use crate::body::Shelf;
use crate::channel::{Channel, NEVER, Stage, millis};
use crate::clock::Clock;
use crate::deadline::Watch;
use crate::flusher::{Flusher, OutputLimits};
use crate::http2::Bundle;
use crate::queue::limit;
use crate::timers::Timers;
use crate::token::Token;
use crate::tunnel::{INNER, Tunnel};
use crate::wire::Wire;
use crate::worker::{Control, Crew};
use crate::{Application, Config};

/// Registered numbers below this are not connections (slab keys are above 2^32).
pub(crate) const FIRST_LISTENER: u64 = 16;
/// Ends a poll so that its thread looks around.
pub(crate) const WAKE: u64 = 0;
/// The pipe on which signals arrive.
pub(crate) const SIGNALS: u64 = 1;
/// The pipe whose end tells that the master is gone.
pub(crate) const MASTER: u64 = 2;

/// Where connections of siblings come from.
pub(crate) const HANDOFF: u64 = 3;

/// Longest poll, so that the heartbeat goes on.
const HEARTBEAT: u64 = 1000;
/// Connections that are idle, or new, for less than this may still send a request when a drain
/// begins: it may be on its way.
const DRAIN_GRACE: u64 = 1000;

/// Where the worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Accepting nothing, finishing what is open, until this time.
    Draining(u64),
    Stopped,
}

/// A connection's place in the slab.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) stream: Arc<Wire>,
    /// The channel, unless it is moved out to a thread.
    home: Option<Box<Channel>>,
    /// An event came while it was out, so the socket is not watched any more.
    pub(crate) unwatched: bool,
    /// Its timer entry came up while it was out.
    timer_fired: bool,
    /// Output that is flushed while it is out.
    flusher: Option<Arc<Flusher>>,
    /// What the application may take it over by, or has, while it is out.
    pub(crate) tunnel: Option<Arc<Tunnel>>,
    /// What its streams know of it if it speaks HTTP/2.
    pub(crate) http2: Option<Arc<Bundle>>,
}

impl Slot {
    /// Ends the connection both ways, and what the application has in its place.
    fn cut(&self) {
        self.stream.cut();
        if let Some(tunnel) = &self.tunnel {
            tunnel.cut();
        }
        if let Some(bundle) = &self.http2 {
            bundle.cut();
        }
    }
}

/// The slot that an event is about.
pub(crate) fn key_of(token: u64) -> Key {
    KeyData::from_ffi(token & !INNER).into()
}

/// What an event for a connection leads to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The channel is the caller's until it puts it back.
    Channel(Box<Channel>),
    /// The channel is out; its output may be flushed.
    Flush(Arc<Flusher>),
    /// The channel is out; bytes may be moved between its client and the application.
    Pump(Arc<Tunnel>),
    /// Nothing: an old event, or one that its owner will notice.
    Nothing,
}

/// Everything under the mutex.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) slots: SlotMap<Key, Slot>,
    pub(crate) token: Token,
    /// Complete requests that wait for an application thread.
    pub(crate) ready: VecDeque<Box<Channel>>,
    /// Milliseconds that they may wait.
    pub(crate) queue_timeout: u64,
    /// Connections with bytes already read, or to be looked at without an event.
    pub(crate) again: VecDeque<Key>,
    pub(crate) timers: Timers,
    pub(crate) phase: Phase,
    /// Open until a drain has taken in what was queued there.
    pub(crate) listeners: Vec<Arc<OwnedFd>>,
    /// Whether the listeners are watched.
    pub(crate) accepting: bool,
    /// When to watch the listeners again after a shortage.
    pub(crate) resume_at: u64,
}

impl Core {
    /// Moves out a channel.
    pub(crate) fn take_home(&mut self, key: Key) -> Option<Box<Channel>> {
        self.slots.get_mut(key)?.home.take()
    }

    /// The idle connection that was used longest ago.
    pub(crate) fn oldest_idle(&self, now: u64) -> Option<Key> {
        self.oldest(now, |_| true)
    }

    /// The connection that has been at its TLS handshake for longest, if that is long.
    pub(crate) fn oldest_handshake(&self, now: u64) -> Option<Key> {
        self.oldest(now, |stage| stage == Stage::Handshake)
    }

    /// Of the connections that may be closed, the one that has been in such a stage for longest.
    fn oldest(&self, now: u64, counts: fn(Stage) -> bool) -> Option<Key> {
        let spare = self.slots.iter().filter_map(|(key, slot)| {
            let home = slot.home.as_ref()?;
            (counts(home.stage) && home.can_be_spared(now)).then_some((home.since, key))
        });
        spare.min().map(|(_, key)| key)
    }

    /// Whether something has to be done that no event will tell of.
    pub(crate) fn has_housekeeping(&self, now: u64) -> bool {
        let resume = self.resume_at != 0 && self.resume_at <= now;
        let draining = matches!(self.phase, Phase::Draining(until) if until <= now);
        let timer = self.timers.next().is_some_and(|at| at <= now);
        let closing = self.phase != Phase::Serving && !self.listeners.is_empty();
        let overdue = self.queue_due() <= now;
        timer || resume || draining || closing || overdue || !self.again.is_empty()
    }
}

/// What the threads of a worker share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) output: OutputLimits,
    pub(crate) shelf: Shelf,
    pub(crate) app: Arc<dyn Application>,
    pub(crate) control: Control,
    pub(crate) epoll: Epoll,
    pub(crate) core: Mutex<Core>,
    pub(crate) followers: Condvar,
    /// Ends a poll of the reactor.
    pub(crate) wake: Waker,
    /// Ends a poll of the monitor; not in the reactor, where another poller could swallow it.
    pub(crate) kick: Waker,
    pub(crate) clock: Clock,
    /// One number per application thread, odd while it is inside the application.
    pub(crate) sequences: Vec<AtomicU32>,
    /// The application threads that have begun, as the kernel knows them.
    pub(crate) threads: Vec<OnceLock<oxicorn_os::thread::Thread>>,
    /// Whether the holder of the token is in a poll that waits.
    pub(crate) waiting: AtomicBool,
    /// Whether the holder of the token has polled, and waits for the interpreter.
    pub(crate) barred: AtomicBool,
    pub(crate) parked: AtomicBool,
    pub(crate) monitor: OnceLock<Thread>,
    /// The application threads of this process's `run`, and those that it left inside the
    /// application.
    pub(crate) crew: Mutex<Crew>,
    pub(crate) draining: AtomicBool,
    pub(crate) requests: AtomicU64,
    /// Calls that are, or may become, conversations over a WebSocket.
    pub(crate) websockets: AtomicUsize,
    /// Those of them, under a foreign loop, that are neither taken over nor answered yet.
    pub(crate) openings: AtomicUsize,
    /// Descriptors ran out, and nothing was accepted since.
    pub(crate) short: AtomicBool,
    /// When the next heartbeat is due.
    pub(crate) next_beat: AtomicU64,
    /// Under a foreign loop: no monitor keeps the coarse clock going.
    pub(crate) hosted: bool,
    /// Calls of the application that there can be at a time.
    pub(crate) calls: usize,
    /// The requests that run under a time limit, if there is one.
    pub(crate) watch: Option<Watch>,
    /// Whether application thread 0 has come out of `run`'s loop.
    pub(crate) left: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        listeners: Vec<OwnedFd>,
        app: Arc<dyn Application>,
        control: Control,
    ) -> std::io::Result<Self> {
        let directory = config.tmp_upload_dir.clone().unwrap_or_else(std::env::temp_dir);
        let shelf = Shelf::new(config.body_memory, directory.clone());
        let output = OutputLimits {
            memory: config.response_memory,
            total: config.response_buffer_limit,
            directory,
        };
        let core = Core {
            slots: SlotMap::new(),
            token: Token::default(),
            ready: VecDeque::new(),
            queue_timeout: limit(config.queue_timeout),
            again: VecDeque::new(),
            timers: Timers::default(),
            phase: Phase::Serving,
            listeners: listeners.into_iter().map(Arc::new).collect(),
            accepting: false,
            resume_at: 0,
        };
        let shared = Self {
            sequences: (0..config.threads.max(1)).map(|_| AtomicU32::new(0)).collect(),
            threads: (0..config.threads.max(1)).map(|_| OnceLock::new()).collect(),
            hosted: false,
            calls: config.threads,
            watch: Watch::new(&config),
            left: AtomicBool::new(false),
            config,
            output,
            shelf,
            app,
            control,
            epoll: Epoll::new()?,
            core: Mutex::new(core),
            followers: Condvar::new(),
            wake: Waker::new()?,
            kick: Waker::new()?,
            clock: Clock::new(),
            waiting: AtomicBool::new(false),
            barred: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            monitor: OnceLock::new(),
            crew: Mutex::new(Crew::default()),
            draining: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            websockets: AtomicUsize::new(0),
            openings: AtomicUsize::new(0),
            short: AtomicBool::new(false),
            next_beat: AtomicU64::new(0),
        };
        shared.epoll.add(shared.wake.as_fd(), WAKE, Interest::Read)?;
        if let Some(signals) = &shared.control.signals {
            shared.epoll.add(signals.as_fd(), SIGNALS, Interest::Read)?;
        }
        if let Some(master) = &shared.control.master {
            shared.epoll.add(master.as_fd(), MASTER, Interest::Read)?;
        }
        let mut core = shared.lock();
        core.listeners.iter().for_each(|listener| send_at_once(listener.as_fd()));
        shared.accept_connections(&mut core);
        drop(core);
        Ok(shared)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // Every update leaves the core usable, so a panic elsewhere does not matter here.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the listeners.
    pub(crate) fn accept_connections(&self, core: &mut Core) {
        if core.accepting || core.phase != Phase::Serving {
            return;
        }
        core.accepting = true;
        for (index, listener) in (FIRST_LISTENER..).zip(&core.listeners) {
            if let Err(error) = self.epoll.add(listener.as_fd(), index, Interest::Accept) {
                log::error!(target: "oxicorn.error", "cannot watch a listener: {error}");
            }
        }
        self.watch_passage();
    }

    /// Stops watching the listeners; what is queued there is left to the others.
    pub(crate) fn pause_accepting(&self, core: &mut Core, resume_at: u64) {
        core.resume_at = resume_at;
        if !core.accepting {
            return;
        }
        core.accepting = false;
        for listener in &core.listeners {
            // Fails only for a listener that could not be watched either.
            let _ = self.epoll.delete(listener.as_fd());
        }
        self.unwatch_passage();
    }

    /// While every application thread is busy, idle siblings are the better ones to accept: whether
    /// this begins now.
    pub(crate) fn leave_new_connections_to_siblings(&self, core: &mut Core) -> bool {
        let begins = self.config.has_siblings && core.accepting;
        if begins {
            self.pause_accepting(core, 0);
        }
        begins
    }

    /// Makes room in the slab for an accepted connection; its channel starts out with the caller.
    pub(crate) fn admit(&self, core: &mut Core, stream: &Arc<Wire>) -> Key {
        if core.phase == Phase::Stopped {
            stream.cut();
        }
        core.slots.insert(Slot {
            stream: Arc::clone(stream),
            home: None,
            unwatched: false,
            timer_fired: false,
            flusher: None,
            tunnel: None,
            http2: None,
        })
    }

    /// Moves a channel out for an event.
    pub(crate) fn take(&self, core: &mut Core, token: u64, writable: bool) -> Taken {
        let Some(slot) = core.slots.get_mut(key_of(token)) else {
            return Taken::Nothing;
        };
        if token & INNER != 0 {
            return slot.tunnel.clone().map_or(Taken::Nothing, Taken::Pump);
        }
        if let Some(channel) = slot.home.take() {
            return Taken::Channel(channel);
        }
        if let Some(tunnel) = slot.tunnel.as_ref().filter(|tunnel| tunnel.is_open()) {
            return Taken::Pump(Arc::clone(tunnel));
        }
        if let Some(flusher) = &slot.flusher
            && writable
        {
            let mut state = flusher.lock();
            if !state.outbox.is_empty() && !state.broken {
                drop(state);
                return Taken::Flush(Arc::clone(flusher));
            }
            state.watching = false;
        }
        if !slot.unwatched {
            slot.unwatched = true;
            // An error would mean that it is not watched, which is what is wanted.
            let _ = self.epoll.delete(slot.stream.as_fd());
        }
        Taken::Nothing
    }

    /// Has the socket of a channel that is out watched for room to write.
    pub(crate) fn watch_flusher(&self, channel: &mut Channel, flusher: &Arc<Flusher>) {
        let mut core = self.lock();
        let Some(slot) = core.slots.get_mut(channel.key) else { return };
        slot.flusher = Some(Arc::clone(flusher));
        if std::mem::take(&mut slot.unwatched) {
            channel.watched = None;
        }
        self.watch(channel, Interest::Write);
        let mut state = flusher.lock();
        if !std::mem::replace(&mut state.timed, true) {
            let at = self.clock.coarse() + millis(self.config.send_timeout);
            core.timers.push(at, channel.key);
        }
    }

    /// Has a channel's socket watched for this and nothing else.
    fn watch(&self, channel: &mut Channel, interest: Interest) {
        let fd = channel.stream.as_fd();
        let token = channel.key.data().as_ffi();
        let result = match channel.watched {
            Some(watched) if watched == interest => return,
            Some(_) => self.epoll.modify(fd, token, interest),
            None => self.epoll.add(fd, token, interest),
        };
        channel.watched = Some(interest);
        if let Err(error) = result {
            log::error!(target: "oxicorn.error", "cannot watch a connection: {error}");
            // The time limit of its stage ends it.
            channel.watched = None;
        }
    }

    /// Puts a channel back into the slab, watched and timed for its stage.
    ///
    /// Returns it when it has to be closed instead.
    #[must_use]
    pub(crate) fn put_back(
        &self,
        core: &mut Core,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let waits = matches!(channel.stage, Stage::Idle | Stage::Head | Stage::Body | Stage::Http2);
        let has_more = waits && channel.stream.has_more();
        let again = has_more
            || match &channel.http2 {
                None => channel.stage == Stage::Idle && !channel.carry.is_empty(),
                // A drain may have begun while it was out.
                Some(http2) => {
                    http2.has_news() || (core.phase != Phase::Serving && !http2.is_leaving())
                }
            };
        let is_quiet = matches!(channel.stage, Stage::Handshake | Stage::Idle);
        if is_quiet && !again && core.phase != Phase::Serving {
            let grace_over = channel.since + DRAIN_GRACE;
            if grace_over <= self.clock.coarse() {
                return Some(channel);
            }
            channel.deadline = channel.deadline.min(grace_over);
        }
        if channel.can_be_spared(self.clock.coarse()) {
            self.room_for_another(core);
        }
        let slots = &mut core.slots;
        let Some(slot) = slots.get_mut(channel.key) else { return Some(channel) };
        slot.flusher = None;
        if std::mem::take(&mut slot.unwatched) {
            channel.watched = None;
        }
        if std::mem::take(&mut slot.timer_fired) {
            channel.armed = NEVER;
        }
        if again {
            core.again.push_back(channel.key);
            // Another thread may be in a poll that waits, and no event will end it.
            self.wake.wake();
        } else {
            let interest = match (channel.stage, &channel.http2) {
                (Stage::Flushing(_), _) => Interest::Write,
                _ if channel.stream.wants_room() => Interest::Both,
                (Stage::Http2, Some(http2)) => http2.interest(),
                _ => Interest::Read,
            };
            self.watch(&mut channel, interest);
        }
        if channel.deadline < channel.armed {
            channel.armed = channel.deadline;
            core.timers.push(channel.deadline, channel.key);
        }
        slot.home = Some(channel);
        None
    }

    /// Has whoever polls look at a connection; one that is out is looked at when it is put back.
    pub(crate) fn look_again(&self, key: Key) {
        let mut core = self.lock();
        if core.slots.get(key).is_some_and(|slot| slot.home.is_some()) {
            core.again.push_back(key);
            drop(core);
            self.wake.wake();
        }
    }

    /// Accepts again, if that was paused because no connection could be spared.
    pub(crate) fn room_for_another(&self, core: &mut Core) {
        if core.resume_at != 0 {
            core.resume_at = 0;
            self.accept_connections(core);
        }
    }

    /// Takes a channel's slot away and closes its connection.
    pub(crate) fn close(&self, channel: Box<Channel>) {
        // A stream's end is not that of its connection.
        if channel.tie.is_none() {
            channel.stream.say_goodbye();
        }
        self.forget(channel.key, channel.watched.is_some());
        // The descriptor is closed here, with the last reference, outside the mutex.
        drop(channel);
    }

    /// Takes a slot away and ends its connection, which `may_be_watched` or never was.
    pub(crate) fn forget(&self, key: Key, may_be_watched: bool) {
        let mut core = self.lock();
        let slot = core.slots.remove(key);
        self.room_for_another(&mut core);
        self.stop_when_empty(&mut core);
        drop(core);
        if let Some(slot) = slot {
            // Closing does neither of these if the application forked and the child, which has the
            // socket too, lives on. An error means that it is not watched, or broken already.
            if may_be_watched {
                let _ = self.epoll.delete(slot.stream.as_fd());
            }
            slot.cut();
        }
    }

    /// Ends a drain when there is nothing left.
    pub(crate) fn stop_when_empty(&self, core: &mut Core) {
        let listening = !core.listeners.is_empty();
        if matches!(core.phase, Phase::Draining(_)) && core.slots.is_empty() && !listening {
            core.phase = Phase::Stopped;
            self.wake_everyone();
        }
    }

    /// Has every thread look at the phase.
    fn wake_everyone(&self) {
        self.wake.wake();
        self.kick.wake();
        self.followers.notify_all();
        if let Some(monitor) = self.monitor.get() {
            monitor.unpark();
        }
    }

    /// Stops accepting and finishes what is open, within this time.
    pub(crate) fn drain(&self, within: Duration) {
        let until = self.clock.now() + millis(within);
        let mut core = self.lock();
        if let Phase::Draining(earlier) = core.phase {
            core.phase = Phase::Draining(until.min(earlier));
        }
        if core.phase != Phase::Serving {
            return;
        }
        self.draining.store(true, Ordering::Relaxed);
        self.show(State::Draining);
        self.pause_accepting(&mut core, NEVER - 1);
        core.phase = Phase::Draining(until);
        // Idle connections are looked at once more, as a request may be on its way.
        let idle = |(key, slot): (Key, &Slot)| {
            let home = slot.home.as_ref()?;
            let is_idle = matches!(home.stage, Stage::Handshake | Stage::Idle | Stage::Http2);
            is_idle.then_some(key)
        };
        let keys: Vec<Key> = core.slots.iter().filter_map(idle).collect();
        core.again.extend(keys);
        // A conversation has no end of its own; the application may still say goodbye.
        let tunnels = core.slots.values().filter_map(|slot| slot.tunnel.clone());
        let tunnels: Vec<_> = tunnels.collect();
        drop(core);
        tunnels.iter().for_each(|tunnel| tunnel.end_reading(&self.epoll));
        self.wake.wake();
        self.kick.wake();
    }

    /// Stops at once: whatever is open is cut off.
    pub(crate) fn stop(&self) {
        let mut core = self.lock();
        core.phase = Phase::Stopped;
        self.cut(&core);
        drop(core);
        self.wake_everyone();
    }

    /// Cuts every connection: an application that yields for ever ends with its client's.
    fn cut(&self, core: &Core) {
        core.slots.values().for_each(Slot::cut);
    }

    /// Takes out the channels whose time is over, and ends a drain that took too long.
    #[expect(clippy::vec_box, reason = "channels move between slab and threads by pointer")]
    pub(crate) fn expire(&self, core: &mut Core, now: u64) -> Vec<Box<Channel>> {
        let mut expired = Vec::new();
        if core.resume_at != 0 && core.resume_at <= now {
            core.resume_at = 0;
            self.accept_connections(core);
        }
        if let Phase::Draining(until) = core.phase
            && now >= until
        {
            core.phase = Phase::Stopped;
            self.cut(core);
            self.wake_everyone();
        }
        while let Some((at, key)) = core.timers.pop_due(now) {
            let Some(slot) = core.slots.get_mut(key) else { continue };
            let Some(channel) = &mut slot.home else {
                slot.timer_fired = true;
                if let Some(flusher) = &slot.flusher
                    && let Some(at) = give_up_or_wait(flusher, &self.config, now)
                {
                    core.timers.push(at, key);
                }
                let patience = millis(self.config.send_timeout);
                if let Some(tunnel) = &slot.tunnel
                    && let Some(at) = tunnel.give_up_or_wait(&self.epoll, now, patience)
                {
                    core.timers.push(at, key);
                }
                continue;
            };
            if channel.armed != at {
                continue;
            }
            channel.armed = NEVER;
            if channel.stage == Stage::Body {
                channel.deadline = channel.body_deadline(&self.config);
            }
            if channel.deadline > now {
                channel.armed = channel.deadline;
                core.timers.push(channel.deadline, key);
            } else {
                expired.extend(slot.home.take());
            }
        }
        expired
    }

    /// How long a poll may wait.
    pub(crate) fn patience(&self, core: &Core, now: u64) -> Duration {
        if core.has_housekeeping(now) || core.phase == Phase::Stopped {
            return Duration::ZERO;
        }
        let mut next = now + HEARTBEAT;
        if let Some(timer) = core.timers.next() {
            next = next.min(timer);
        }
        if let Phase::Draining(until) = core.phase {
            next = next.min(until);
        }
        next = next.min(core.queue_due());
        if core.resume_at != 0 {
            next = next.min(core.resume_at);
        }
        Duration::from_millis(next.saturating_sub(now))
    }
}

/// Gives up output that its client does not take; else says when to look again.
fn give_up_or_wait(flusher: &Flusher, config: &Config, now: u64) -> Option<u64> {
    let mut state = flusher.lock();
    if state.outbox.is_empty() || state.broken {
        state.timed = false;
        return None;
    }
    let until = state.progress + millis(config.send_timeout);
    if until > now {
        return Some(until);
    }
    state.broken = true;
    None
}
