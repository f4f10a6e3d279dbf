//! The master's main loop: waits, asks the arbiter, and performs what needs no Python.
//!
//! What does need it (forking, hooks, settings) is handed to `oxicorn/master.py`, one effect at a
//! time and in order.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_arbiter::{Arbiter, BootFailure, Effect, Ending, Event, Level, Order, Policy, Signal};
use oxicorn_os::memory::OomKills;
use oxicorn_os::pad::Pad;
use oxicorn_os::process::{self, signal_name};
use oxicorn_os::scoreboard::{Scoreboard, Slot as Record, monotonic_ms};
use oxicorn_os::watch::{Found, read_pipe, wait_readable};
use oxicorn_os::{inherit, passage};
use oxicorn_worker::tls::Credentials;
use oxicorn_worker::{About, error_log, forward};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::tls;

/// What a worker writes to its private pipe when it accepts requests.
const READY: u8 = b'+';
/// What it writes when it wants to be replaced.
pub(crate) const RECYCLE: u8 = b'R';
/// What it writes when a request in it does not end.
pub(crate) const STUCK: u8 = b'S';
/// What it writes when it could not start.
const BOOT_FAILED: u8 = b'3';
/// What it writes when the application is not where it was said to be.
const APP_MISSING: u8 = b'4';

/// Workers that the scoreboard has room for. Memory is used for those only that exist.
const SLOTS: usize = 1024;
/// How far apart the signs of life of an idle worker are: the last one may be that old.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Stacks to which nothing was added for so long are whole.
const STACKS_SETTLE: Duration = Duration::from_millis(500);
/// Longest wait: heartbeats are looked at that often.
const TICK: Duration = Duration::from_secs(1);

/// The record of one worker in the memory that it shares with the master.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Slot {
    record: Record,
}

#[pymethods]
impl Slot {
    /// Requests that the worker has begun.
    #[getter]
    fn requests(&self) -> u64 {
        self.record.requests()
    }

    /// When the worker last gave a sign of life, in seconds of the monotonic clock.
    #[getter]
    fn last_update(&self) -> f64 {
        Duration::from_millis(self.record.last_heartbeat()).as_secs_f64()
    }

    /// Gives a sign of life for a worker whose threads do not come to it.
    fn notify(&self) {
        self.record.heartbeat(monotonic_ms());
    }
}

impl Slot {
    /// The record itself, for the engine.
    pub(crate) fn record(&self) -> Record {
        self.record
    }
}

/// The sockets on which the workers of one generation hand connections to each other.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Passage {
    inner: Mutex<Option<passage::Passage>>,
}

#[pymethods]
impl Passage {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { inner: Mutex::new(Some(passage::Passage::new()?)) })
    }

    /// Closes its descriptors.
    fn close(&self) {
        *self.lock() = None;
    }
}

impl Passage {
    fn lock(&self) -> MutexGuard<'_, Option<passage::Passage>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same sockets for the engine, unless they are closed.
    pub(crate) fn share(&self) -> PyResult<Option<passage::Passage>> {
        Ok(self.lock().as_ref().map(passage::Passage::try_clone).transpose()?)
    }
}

/// Decides what the master does; `next()` gives what Python has to do of it.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Master {
    inner: Mutex<Inner>,
}

struct Inner {
    arbiter: Arbiter,
    queue: VecDeque<Effect>,
    /// Where each signal arrives as a byte: its number.
    signals: OwnedFd,
    board: Scoreboard,
    oom_kills: OomKills,
    children: Vec<Child>,
    /// The master that this one is to replace, until it is gone.
    predecessor: Option<u32>,
    /// The master that is to replace this one, until it is gone.
    successor: Option<u32>,
    /// How often Python wants to hear that the master is alive, and when next.
    reminder: Option<(Duration, Instant)>,
    next_look_at_stacks: Instant,
    /// What TLS needs from files, by generation.
    credentials: Vec<Arc<Credentials>>,
    /// What Python is told beside the arbiter's effects.
    news: VecDeque<(&'static str, u64, u64)>,
}

/// A worker's process and what ties it to us.
struct Child {
    age: u64,
    pid: Option<u32>,
    slot: usize,
    record: Record,
    /// The read end of its private pipe, until it ends.
    notes: Option<OwnedFd>,
    /// Where its stacks are written: when it dies, and when a request in it does not end.
    stacks: Option<Pad>,
}

#[pymethods]
impl Master {
    /// `signals` is the read end of a non-blocking pipe on which signal numbers arrive.
    #[new]
    fn new(
        workers: usize,
        timeout: f64,
        boot_timeout: f64,
        graceful_timeout: f64,
        daemon: bool,
        signals: RawFd,
    ) -> PyResult<Self> {
        let policy = policy(workers, timeout, boot_timeout, graceful_timeout, daemon);
        let inner = Inner {
            arbiter: Arbiter::new(policy, Instant::now()),
            queue: VecDeque::new(),
            signals: inherit::adopt(signals)?,
            board: Scoreboard::create(SLOTS)?,
            oom_kills: OomKills::of_this_process(),
            children: Vec::new(),
            predecessor: None,
            successor: None,
            reminder: None,
            next_look_at_stacks: Instant::now(),
            credentials: Vec::new(),
            news: VecDeque::new(),
        };
        let master = Self { inner: Mutex::new(inner) };
        master.lock().feed(Event::Start);
        Ok(master)
    }

    /// The next thing to do, when there is one: its name and up to two numbers.
    ///
    /// `spawn` (age, generation), `outgoing` (pid of a worker that is being replaced), `reload`,
    /// `settle` (generation), `abandon` (generation that stays), `reopen`, `close`, `workers` (old,
    /// new), `reaped` (age, pid), `unbooted` (the same for a worker that could not start),
    /// `upgrade`, `promoted`, `successor gone` (pid), `remind`, `messages` (of the engine, for the
    /// logger), `stop` (exit code).
    fn next(&self, py: Python<'_>) -> PyResult<(&'static str, u64, u64)> {
        loop {
            let todo = py.detach(|| {
                let mut inner = self.lock();
                match inner.perform() {
                    Some(todo) => Ok(Some(todo)),
                    // What was said has to be heard before the next wait.
                    None if forward::is_waiting() => Ok(Some(("messages", 0, 0))),
                    None => inner.wait().map(|()| None),
                }
            })?;
            if let Some(todo) = todo {
                return Ok(todo);
            }
            py.check_signals()?;
        }
    }

    /// Reserves a worker's record before it is forked.
    fn claim(&self, age: u64, generation: u64) -> PyResult<Slot> {
        let mut inner = self.lock();
        let free = (0..inner.board.slots())
            .find(|slot| inner.children.iter().all(|child| child.slot != *slot));
        let found = free.and_then(|slot| Some((slot, inner.board.slot(slot)?)));
        let Some((slot, record)) = found else {
            return Err(PyRuntimeError::new_err(format!("no more than {SLOTS} workers")));
        };
        record.claim(generation, monotonic_ms());
        inner.children.push(Child { age, pid: None, slot, record, notes: None, stacks: None });
        Ok(Slot { record })
    }

    /// A worker exists; `notes` is the read end of its private pipe, non-blocking, and `stacks` the
    /// memory to which faulthandler writes in it.
    fn forked(&self, age: u64, pid: u32, notes: RawFd, stacks: RawFd) -> PyResult<()> {
        let (notes, stacks) = (inherit::adopt(notes)?, inherit::adopt(stacks)?);
        let mut inner = self.lock();
        if let Some(child) = inner.children.iter_mut().find(|child| child.age == age) {
            child.pid = Some(pid);
            child.notes = Some(notes);
            child.stacks = Some(Pad::new(stacks));
            child.record.set_pid(pid);
        }
        inner.feed(Event::Forked { age, pid });
        Ok(())
    }

    /// A worker could not be forked.
    fn fork_failed(&self, age: u64) {
        let mut inner = self.lock();
        inner.children.retain(|child| child.age != age);
        inner.feed(Event::ForkFailed { age });
    }

    /// The settings were read again.
    fn reloaded(
        &self,
        workers: usize,
        timeout: f64,
        boot_timeout: f64,
        graceful_timeout: f64,
        daemon: bool,
    ) {
        let policy = policy(workers, timeout, boot_timeout, graceful_timeout, daemon);
        self.lock().feed(Event::Reloaded(policy));
    }

    /// Tells by `promoted` when this process, its parent, is gone.
    fn follow(&self, pid: u32) {
        self.lock().predecessor = Some(pid);
    }

    /// Tells by `successor gone` when this child ended.
    fn await_successor(&self, pid: u32) {
        self.lock().successor = Some(pid);
    }

    /// Tells by `remind`, every so many seconds, that the master is alive; with 0 not at all.
    fn remind(&self, every: f64) {
        let every = Duration::try_from_secs_f64(every).unwrap_or(TICK);
        self.lock().reminder = (!every.is_zero()).then(|| (every, Instant::now()));
    }

    /// Looks from now on whether the files of these have changed.
    fn look_after(&self, credentials: Vec<PyRef<'_, tls::Credentials>>) {
        self.lock().credentials = credentials.iter().map(|each| each.share()).collect();
    }

    /// How many workers there are to be.
    #[getter]
    fn target(&self) -> usize {
        self.lock().arbiter.target()
    }

    /// For the child after a fork: closes what only the master may hold.
    fn let_go(&self) {
        let mut inner = self.lock();
        inner.queue.clear();
        drop(forward::take());
        inner.children.clear();
    }
}

impl Master {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn feed(&mut self, event: Event) {
        let effects = self.arbiter.handle(event, Instant::now());
        self.queue.extend(effects);
    }

    /// Performs effects up to the first one that needs Python.
    fn perform(&mut self) -> Option<(&'static str, u64, u64)> {
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        while let Some(effect) = self.queue.pop_front() {
            match effect {
                Effect::Log(level, text) => {
                    error_log::write(error_level(level), format_args!("{text}"))
                }
                Effect::Send { pid, order } => self.send(pid, order),
                Effect::ReportRequests { pid, level } => self.report(pid, error_level(level)),
                Effect::Spawn { age, generation } => return Some(("spawn", age, generation)),
                Effect::Outgoing { pid } => return Some(("outgoing", u64::from(pid), 0)),
                Effect::Reload => return Some(("reload", 0, 0)),
                Effect::Settle { generation } => return Some(("settle", generation, 0)),
                Effect::Abandon { generation } => return Some(("abandon", generation, 0)),
                Effect::ReopenLogs => return Some(("reopen", 0, 0)),
                Effect::Upgrade => return Some(("upgrade", 0, 0)),
                Effect::CloseListeners => return Some(("close", 0, 0)),
                Effect::WorkersChanged { old, new } => {
                    return Some(("workers", old as u64, new as u64));
                }
                Effect::Reaped { age, pid, boot_failed } => {
                    self.show_last_stacks(age);
                    self.forget(age);
                    let what = if boot_failed { "unbooted" } else { "reaped" };
                    return Some((what, age, u64::from(pid)));
                }
                Effect::Stop { code } => return Some(("stop", u64::from(code.unsigned_abs()), 0)),
            }
        }
        None
    }

    fn send(&self, pid: u32, order: Order) {
        if let Err(error) = process::kill(pid, signal_number(order)) {
            let text = format_args!("cannot signal worker (pid:{pid}): {error}");
            error_log::write(error_log::Level::Error, text);
        }
    }

    /// Tells which requests a worker is stuck with, or was busy with when it ended.
    fn report(&self, pid: u32, level: error_log::Level) {
        let Some(child) = self.children.iter().find(|child| child.pid == Some(pid)) else { return };
        let now = monotonic_ms();
        for request in child.record.in_flight() {
            let age = now.saturating_sub(request.start_ms);
            let client = if request.client.is_empty() { b"-" } else { request.client.as_slice() };
            let about = Some(request.id).filter(|id| !id.is_empty());
            let about = about.map(|id| About { id: id.escape_ascii().to_string(), trace: None });
            let text = format_args!(
                "In worker (pid:{pid}) for {}.{:03} s: {} {} client={}{}",
                age / 1000,
                age % 1000,
                request.method.escape_ascii(),
                request.path.escape_ascii(),
                client.escape_ascii(),
                error_log::id(about.as_ref()),
            );
            error_log::write_about(level, text, about.as_ref());
        }
    }

    /// Shows the stacks that workers have written, when they are whole.
    fn show_stacks(&mut self) {
        let now = Instant::now();
        if now < self.next_look_at_stacks {
            return;
        }
        self.next_look_at_stacks = now + STACKS_SETTLE;
        for child in &mut self.children {
            if let (Some(pid), Some(stacks)) = (child.pid, &mut child.stacks) {
                log_stacks(pid, stacks.look());
            }
        }
    }

    /// Shows what a worker that has ended has left.
    fn show_last_stacks(&mut self, age: u64) {
        let Some(child) = self.children.iter_mut().find(|child| child.age == age) else { return };
        if let (Some(pid), Some(stacks)) = (child.pid, &mut child.stacks) {
            log_stacks(pid, stacks.take());
        }
    }

    fn forget(&mut self, age: u64) {
        if let Some(at) = self.children.iter().position(|child| child.age == age) {
            self.board.retire(self.children.swap_remove(at).record);
        }
    }

    /// Waits for something to happen, and tells the arbiter.
    fn wait(&mut self) -> PyResult<()> {
        let now = Instant::now();
        let wait = match self.arbiter.poll_timeout(now) {
            Some(due) => due.saturating_duration_since(now).min(TICK),
            None => TICK,
        };
        let wait = match self.reminder {
            Some((_, due)) => due.saturating_duration_since(now).min(wait),
            None => wait,
        };
        let pipes = self.children.iter().filter_map(|child| child.notes.as_ref());
        let fds: Vec<_> = std::iter::once(&self.signals).chain(pipes).map(AsFd::as_fd).collect();
        let readable = wait_readable(&fds, wait)?;
        if readable.first() == Some(&true) {
            self.take_signals();
        }
        for at in 0..self.children.len() {
            self.take_notes(at);
        }
        while let Some((pid, ending)) = process::reap() {
            if self.successor == Some(pid) {
                self.successor = None;
                self.news.push_back(("successor gone", u64::from(pid), 0));
                continue;
            }
            // What it said comes before what became of it.
            if let Some(at) = self.children.iter().position(|child| child.pid == Some(pid)) {
                self.take_notes(at);
            }
            let ending = match ending {
                process::Ending::Exited(code) => Ending::Code(code),
                process::Ending::Signaled(process::KILL) if self.oom_kills.another() => {
                    Ending::OutOfMemory
                }
                process::Ending::Signaled(signal) => Ending::Signal(signal_name(signal)),
            };
            self.feed(Event::Exited { pid, ending });
        }
        self.credentials.iter().for_each(|each| each.refresh(Instant::now()));
        self.take_heartbeats();
        self.show_stacks();
        self.take_news();
        self.feed(Event::Tick);
        Ok(())
    }

    fn take_news(&mut self) {
        if self.predecessor.is_some_and(|pid| std::os::unix::process::parent_id() != pid) {
            self.predecessor = None;
            self.news.push_back(("promoted", 0, 0));
        }
        let now = Instant::now();
        if let Some((every, due)) = &mut self.reminder
            && *due <= now
        {
            *due = now + *every;
            self.news.push_back(("remind", 0, 0));
        }
    }

    /// Signals that came together count once each.
    fn take_signals(&mut self) {
        let mut seen = Vec::new();
        while let Found::Bytes(bytes) = read_pipe(self.signals.as_fd()) {
            for byte in bytes {
                if !seen.contains(&byte) {
                    seen.push(byte);
                }
            }
        }
        for signal in seen.into_iter().filter_map(|byte| meaning(i32::from(byte))) {
            self.feed(Event::Signal(signal));
        }
    }

    fn take_notes(&mut self, at: usize) {
        let Some(child) = self.children.get_mut(at) else { return };
        let (Some(pid), Some(pipe)) = (child.pid, &child.notes) else { return };
        let notes = match read_pipe(pipe.as_fd()) {
            Found::Bytes(bytes) => bytes,
            Found::Nothing => return,
            Found::End => {
                child.notes = None;
                return;
            }
        };
        for note in notes {
            match note {
                READY => self.feed(Event::Ready { pid }),
                STUCK => self.feed(Event::Stuck { pid }),
                RECYCLE => self.feed(Event::Recycle { pid }),
                BOOT_FAILED => self.feed(Event::BootFailed { pid, failure: BootFailure::Worker }),
                APP_MISSING => self.feed(Event::BootFailed { pid, failure: BootFailure::App }),
                _ => {}
            }
        }
    }

    fn take_heartbeats(&mut self) {
        let (now, now_ms) = (Instant::now(), monotonic_ms());
        let beats: Vec<_> = self
            .children
            .iter()
            .filter_map(|child| {
                let ago =
                    Duration::from_millis(now_ms.saturating_sub(child.record.last_heartbeat()));
                Some((child.pid?, now.checked_sub(ago)?))
            })
            .collect();
        for (pid, at) in beats {
            self.feed(Event::Heartbeat { pid, at });
        }
    }
}

/// Writes the stacks of a worker as one message, so that nothing comes in between.
fn log_stacks(pid: u32, found: std::io::Result<Vec<u8>>) {
    let text = match &found {
        Ok(text) => String::from_utf8_lossy(text.trim_ascii_end()),
        Err(error) => format!("  cannot be read: {error}").into(),
    };
    if !text.is_empty() {
        let text = format_args!("Stacks of worker (pid:{pid}):\n{text}");
        error_log::write(error_log::Level::Error, text);
    }
}

fn policy(
    workers: usize,
    timeout: f64,
    boot_timeout: f64,
    graceful_timeout: f64,
    daemon: bool,
) -> Policy {
    let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX / 4);
    Policy {
        workers,
        timeout: (timeout > 0.0).then(|| seconds(timeout) + HEARTBEAT),
        boot_timeout: (boot_timeout > 0.0).then(|| seconds(boot_timeout)),
        graceful_timeout: seconds(graceful_timeout.max(0.0)),
        daemon,
    }
}

fn error_level(level: Level) -> error_log::Level {
    match level {
        Level::Debug => error_log::Level::Debug,
        Level::Info => error_log::Level::Info,
        Level::Warning => error_log::Level::Warning,
        Level::Error => error_log::Level::Error,
        Level::Critical => error_log::Level::Critical,
    }
}

fn signal_number(order: Order) -> i32 {
    match order {
        Order::Finish => process::TERM,
        Order::Leave => process::QUIT,
        Order::Abort => process::ABRT,
        Order::Kill => process::KILL,
        Order::ReopenLogs => process::USR1,
    }
}

fn meaning(number: i32) -> Option<Signal> {
    match number {
        process::HUP => Some(Signal::Hup),
        process::INT => Some(Signal::Int),
        process::QUIT => Some(Signal::Quit),
        process::TERM => Some(Signal::Term),
        process::TTIN => Some(Signal::Ttin),
        process::TTOU => Some(Signal::Ttou),
        process::USR1 => Some(Signal::Usr1),
        process::USR2 => Some(Signal::Usr2),
        process::WINCH => Some(Signal::Winch),
        _ => None,
    }
}
