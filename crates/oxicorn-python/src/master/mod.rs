//! The master's main loop: waits, asks the arbiter, and performs what needs no Python.
//!
//! What does need it (forking, hooks, settings) is handed to `oxicorn/master.py`, one effect at a
//! time and in order. What it waits for is in [`watch`].

mod watch;

use std::collections::VecDeque;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_arbiter::{Arbiter, Effect, Event, Level, Order, Policy};
use oxicorn_os::memory::OomKills;
use oxicorn_os::pad::Pad;
use oxicorn_os::scoreboard::{Scoreboard, Slot as Record, monotonic_ms};
use oxicorn_os::{inherit, process};
use oxicorn_worker::tls::Credentials;
use oxicorn_worker::{About, error_log, forward};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

pub(crate) use self::watch::{RECYCLE, STUCK};
use crate::shared::Slot;
use crate::tls;

/// Workers that the scoreboard has room for. Memory is used for those only that exist.
const SLOTS: usize = 1024;
/// How far apart the signs of life of an idle worker are: the last one may be that old.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest wait: heartbeats are looked at that often.
const TICK: Duration = Duration::from_secs(1);

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
        Ok(Slot::new(record))
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

    fn forget(&mut self, age: u64) {
        if let Some(at) = self.children.iter().position(|child| child.age == age) {
            self.board.retire(self.children.swap_remove(at).record);
        }
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
