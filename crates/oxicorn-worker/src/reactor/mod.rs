//! What the threads of a worker share: the slab of connections, the queue, the token, the timers.
//!
//! One mutex over [`Core`]; taken once or twice per request, never across application code or a
//! blocking call. Lock order: the interpreter, then this mutex, then a flusher's.
//! Here is what they share and whether new connections are accepted; [`slab`] has where each connection
//! is, [`expiry`] what the clock asks for, [`phase`] how it all ends.

mod expiry;
mod phase;
mod slab;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use oxicorn_os::epoll::{Epoll, Interest};
use oxicorn_os::stream::send_at_once;
use oxicorn_os::waker::Waker;
use slotmap::{DefaultKey as Key, SlotMap};

pub(crate) use self::phase::Phase;
pub(crate) use self::slab::{Slot, Taken, key_of};
use crate::body::Shelf;
use crate::channel::Channel;
use crate::clock::Clock;
use crate::deadline::Watch;
use crate::flusher::OutputLimits;
use crate::held::Held;
use crate::queue::limit;
use crate::timers::Timers;
use crate::token::Token;
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
    pub(crate) held: Held,
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
    /// Milliseconds that the process had worked at the monitor's last look, with several threads.
    pub(crate) worked: AtomicU64,
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
            worked: AtomicU64::new(0),
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
            held: Held::default(),
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

    /// Accepts again, if that was paused because no connection could be spared.
    pub(crate) fn room_for_another(&self, core: &mut Core) {
        if core.resume_at != 0 {
            core.resume_at = 0;
            self.accept_connections(core);
        }
    }
}
