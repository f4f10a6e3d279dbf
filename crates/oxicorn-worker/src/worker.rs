//! A worker: its application threads and its monitor, from start to stop.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use oxicorn_os::passage::Passage;
use oxicorn_os::scoreboard::{Slot, State};

use crate::access_log::AccessLog;
use crate::poller::Poller;
use crate::reactor::{Core, Phase, Shared};
use crate::token::Next;
use crate::{Application, Config, Park, Stuck};

/// What a signal means to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Finish what is open, accept nothing.
    Drain,
    /// End now.
    Stop,
    /// Nothing is left to do.
    Handled,
}

/// How a worker is told what to do, and tells that it has done its share.
pub struct Control {
    /// A pipe on which each signal arrives as a byte, if the process has one for this worker.
    pub signals: Option<OwnedFd>,
    /// A pipe that ends when the master does.
    pub master: Option<OwnedFd>,
    /// Says what a signal means; called on the polling thread, without the interpreter's lock being needed.
    pub on_signal: Box<dyn Fn(u8) -> Signal + Send + Sync>,
    /// Called once, when `max_requests` is reached.
    pub on_max_requests: Box<dyn Fn() + Send + Sync>,
    /// Where each exchange of the application gets its line, if anywhere.
    pub access_log: Option<Arc<AccessLog>>,
    /// Where a request that the application does not see gets its line.
    pub refused_log: Option<Arc<AccessLog>>,
    /// The worker's record on the scoreboard, if there is a master to read it.
    pub slot: Option<Slot>,
    /// How an exchange waits for its client under a foreign loop; blocks the thread if `None`.
    pub park: Option<Park>,
    /// What to do with a request that does not end; without it, such a one is only told of.
    pub stuck: Option<Box<dyn Fn(Stuck) + Send + Sync>>,
    /// How connections go to other workers when this one is busy, if they may; needs `slot`.
    pub handoff: Option<Passage>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            signals: None,
            master: None,
            on_signal: Box::new(|_| Signal::Handled),
            on_max_requests: Box::new(|| ()),
            access_log: None,
            refused_log: None,
            slot: None,
            park: None,
            stuck: None,
            handoff: None,
        }
    }
}

/// The application threads.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    members: Vec<ThreadId>,
    /// Those of WebSockets.
    beside: Vec<JoinHandle<()>>,
    /// Those that were inside the application when `run` ended.
    left: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Takes in a thread that runs one call, beside the application threads.
    pub(crate) fn add_beside(&mut self, thread: JoinHandle<()>) {
        self.beside.retain(|thread| !thread.is_finished());
        self.beside.push(thread);
    }

    /// Whether no such thread is left.
    pub(crate) fn is_left(&self) -> bool {
        self.beside.iter().all(JoinHandle::is_finished)
    }
}

/// A worker that serves an application on open listeners.
#[derive(Clone)]
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// Gets ready to serve; nothing is accepted before [`run`](Self::run).
    ///
    /// Create it after the fork: the reactor must not be shared between processes.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub fn new(
        config: Config,
        listeners: Vec<OwnedFd>,
        app: Arc<dyn Application>,
        control: Control,
    ) -> std::io::Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new(config, listeners, app, control)?) })
    }

    /// Serves until it is drained or stopped; the calling thread is application thread 0.
    ///
    /// The other application threads may still be inside the application when this returns after
    /// [`stop`](Self::stop) or a drain that ran out of time.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub fn run(&self) -> std::io::Result<()> {
        self.crew().members.push(thread::current().id());
        if !self.shared.draining.load(Ordering::Relaxed) {
            self.shared.show(State::Serving);
        }
        let shared = Arc::clone(&self.shared);
        let monitor = thread::Builder::new().name("oxicorn-monitor".into()).spawn(move || {
            shared.watch_over();
            shared.leave_stuck();
        })?;
        // Set before any application thread can park or unpark it.
        let _ = self.shared.monitor.set(monitor.thread().clone());
        let mut others = Vec::new();
        for index in 1..self.shared.config.threads {
            let shared = Arc::clone(&self.shared);
            let name = format!("oxicorn-app-{index}");
            let body = move || {
                let app = Arc::clone(&shared.app);
                app.attached(&mut || shared.application_thread(index));
            };
            let thread = thread::Builder::new().name(name).spawn(body)?;
            self.crew().members.push(thread.thread().id());
            others.push(thread);
        }
        let mut hand = self.shared.start_hand()?;
        self.shared.application_thread(0);
        self.shared.left.store(true, Ordering::Release);
        let mut monitor = Some(monitor);
        self.shared.app.released(&mut || {
            others.append(&mut self.crew().beside);
            for thread in others.drain(..) {
                // A thread inside the application is left behind; one that is idle ends soon.
                if thread.is_finished() || self.is_idle() {
                    let _ = thread.join();
                } else {
                    self.crew().left.push(thread);
                }
            }
            // It sees the end within a tick.
            let _ = monitor.take().map(JoinHandle::join);
            let _ = hand.take().map(JoinHandle::join);
        });
        Ok(())
    }

    /// Whether the threads that [`run`](Self::run) left inside the application have ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.crew().left.iter().all(JoinHandle::is_finished)
    }

    /// Whether the calling thread is one of the application threads.
    #[must_use]
    pub fn is_own_thread(&self) -> bool {
        let (crew, own) = (self.crew(), thread::current().id());
        crew.members.contains(&own) || crew.beside.iter().any(|thread| thread.thread().id() == own)
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.shared.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops accepting, finishes what is open, then ends [`run`](Self::run).
    pub fn drain(&self) {
        self.shared.drain(self.shared.config.graceful_timeout);
    }

    /// Ends [`run`](Self::run) as soon as the calls that run now are over; their connections are
    /// cut.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Whether no application call is running.
    fn is_idle(&self) -> bool {
        let inside = |sequence: &AtomicU32| sequence.load(Ordering::Acquire) % 2 == 1;
        self.shared.websockets.load(Ordering::Acquire) == 0
            && !self.shared.sequences.iter().any(inside)
    }
}

impl Shared {
    /// The life of an application thread: run what is queued, poll, or wait for one of the others.
    fn application_thread(self: &Arc<Self>, index: usize) {
        let mut poller = Poller::new(Some(index));
        if let Some(thread) = self.threads.get(index) {
            let _ = thread.set(oxicorn_os::thread::Thread::current());
        }
        loop {
            if index == 0 && !self.app.checkpoint() {
                self.stop();
            }
            let mut core = self.lock();
            if core.phase == Phase::Stopped {
                core.token.give_up(index);
                drop(core);
                self.followers.notify_all();
                return;
            }
            let queued = core.ready.len();
            match core.token.next(index, queued) {
                Next::Run { wake } => {
                    let next = core.ready.pop_front();
                    drop(core);
                    if wake {
                        self.followers.notify_one();
                    }
                    poller.now = self.clock.now();
                    if let Some(channel) = next {
                        let key = channel.key;
                        let date = poller.date.at(poller.now);
                        let run = || self.run_queued(index, poller.now, date, channel);
                        let held = self.contained(key, run);
                        self.put_back_held(held);
                    }
                }
                Next::Poll { kick } => {
                    poller.queueing = core.token.is_eager();
                    if core.resume_at == 0 {
                        self.accept_connections(&mut core);
                    }
                    drop(core);
                    if kick {
                        self.kick.wake();
                    }
                    self.poll(&mut poller);
                }
                Next::Follow => {
                    drop(core);
                    let mut woken = None;
                    self.app.released(&mut || {
                        self.follow(index);
                        woken = self.begin_wait_for_interpreter(&mut poller);
                    });
                    self.end_wait_for_interpreter(woken);
                }
            }
        }
    }

    /// Waits for a permit to go on. Thread 0 gives itself one from time to time: signal handlers
    /// run there only.
    fn follow(&self, index: usize) {
        let mut core = self.lock();
        while !core.token.woken() && core.phase != Phase::Stopped {
            let (next, wait) = self
                .followers
                .wait_timeout(core, CHECKPOINT)
                .unwrap_or_else(PoisonError::into_inner);
            core = next;
            if index == 0 && wait.timed_out() {
                core.token.wake_one();
            }
        }
    }

    /// One round of an application thread that holds the token.
    fn poll(self: &Arc<Self>, poller: &mut Poller) {
        poller.lost = false;
        // A look without waiting keeps the interpreter, and pays when there is more to come. After
        // a round with a single event there rarely is, and the look would be a call for nothing.
        let look_first = poller.events.len() > 1;
        poller.events.clear();
        if look_first {
            self.epoll.wait(&mut poller.events, Some(Duration::ZERO));
        }
        if poller.events.is_empty() {
            let now = self.clock.now();
            let core = self.lock();
            // Who lost the token must not wait: the monitor queues what it reads.
            let holds = core.token.holder() == poller.holder();
            let patience = if holds { self.patience(&core, now) } else { Duration::ZERO };
            drop(core);
            if patience.is_zero() {
                self.epoll.wait(&mut poller.events, Some(patience));
            } else {
                self.wait(poller, patience);
            }
        }
        poller.now = self.clock.now();
        self.beat(poller.now);
        let has_housekeeping = self.lock().has_housekeeping(poller.now);
        if has_housekeeping || !poller.events.is_empty() {
            // It may sleep although nothing was waited for: a request may run from here on.
            self.wake_monitor();
        }
        if has_housekeeping {
            self.housekeeping(poller);
        }
        self.handle_events(poller);
    }

    /// Waits for events with the interpreter released.
    fn wait(&self, poller: &mut Poller, patience: Duration) {
        let mut found_at = None;
        self.app.released(&mut || {
            self.waiting.store(true, Ordering::SeqCst);
            self.epoll.wait(&mut poller.events, Some(patience));
            self.barred.store(true, Ordering::SeqCst);
            self.waiting.store(false, Ordering::SeqCst);
            // Before the interpreter is there, which another thread may keep for long. A wait that
            // only timed out leads to no call, and is not worth it: a monitor that sleeps looks
            // around by itself every few seconds.
            if !poller.events.is_empty() {
                self.wake_monitor();
                found_at = self.begin_wait_for_interpreter(poller);
            }
        });
        self.barred.store(false, Ordering::SeqCst);
        self.end_wait_for_interpreter(found_at);
    }

    /// A thread has something to do and is about to wait for the interpreter: when that was, if this
    /// wait is one of those that are measured.
    fn begin_wait_for_interpreter(&self, poller: &mut Poller) -> Option<u64> {
        poller.waits = poller.waits.wrapping_add(1);
        poller.waits.is_multiple_of(MEASURED_WAITS).then(|| self.clock.now())
    }

    fn end_wait_for_interpreter(&self, began: Option<u64>) {
        if let (Some(began), Some(slot)) = (began, &self.control.slot) {
            slot.waited_for_interpreter(self.clock.now().saturating_sub(began));
        }
    }

    /// Shows that a call gets on which may last for long, as it sends or waits for its client.
    ///
    /// Not with one thread: there `timeout` limits a request with all of its response.
    pub(crate) fn beat_in_call(&self) {
        if self.config.threads > 1 {
            self.beat(self.clock.coarse());
        }
    }

    /// Shows that the worker is alive, and how much it has to do, at most every [`BEAT`]
    /// milliseconds.
    ///
    /// Only application threads do, when they poll or end a call, and never the monitor: a worker
    /// whose threads are all stuck is silent.
    pub(crate) fn beat(&self, now: u64) {
        if now < self.next_beat.load(Ordering::Relaxed) {
            return;
        }
        self.next_beat.store(now + BEAT, Ordering::Relaxed);
        if let Some(slot) = &self.control.slot {
            slot.heartbeat(self.clock.absolute(now));
            self.show_load(&self.lock());
        }
    }

    pub(crate) fn show_load(&self, core: &Core) {
        if let Some(slot) = &self.control.slot {
            slot.set_load(core.slots.len(), core.ready.len());
        }
    }
}

/// How often thread 0 looks for signals while it has nothing else to do.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// Of so many waits for the interpreter one is measured: it takes two readings of the clock.
const MEASURED_WAITS: u32 = 16;
/// Milliseconds between two heartbeats.
const BEAT: u64 = 250;
