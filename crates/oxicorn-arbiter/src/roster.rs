//! The workers that exist.

use std::time::Instant;

use crate::Order;

/// One worker, from the decision to fork it until it was reaped.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) age: u64,
    pub(crate) generation: u64,
    /// Known from when the fork happened.
    pub(crate) pid: Option<u32>,
    pub(crate) born: Instant,
    pub(crate) stage: Stage,
    /// It asked to be replaced, and goes on serving until it is.
    pub(crate) recycle: bool,
    /// It said that a request in it does not end.
    pub(crate) is_stuck: bool,
    /// What it said it could not start for.
    pub(crate) boot_failed: bool,
}

/// Where a worker is in its life. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Loads the application.
    Booting,
    /// Accepts requests; the time of its last sign of life.
    Serving { heartbeat: Instant },
    /// Was told to go; is killed at that time.
    Leaving { kill_at: Instant },
    /// Was told to show where it is stuck; is killed at that time.
    Aborted { kill_at: Instant, why: Why },
    /// Was killed, for that reason.
    Killed { why: Why },
}

/// Why the master killed a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// No sign of life.
    Silent,
    /// It did not become ready in time.
    Unready,
    /// It was to finish and did not in time.
    Slow,
    /// The server stops quickly.
    Hurried,
}

impl Worker {
    /// Whether it may still come to serve, or does.
    pub(crate) fn stays(&self) -> bool {
        matches!(self.stage, Stage::Booting | Stage::Serving { .. })
    }

    /// Whether it stays, or is gone only when it was reaped.
    pub(crate) fn holds_a_place(&self) -> bool {
        self.stays() || matches!(self.stage, Stage::Aborted { .. })
    }

    /// Whether the requests that it was busy with were told of when it got its last signal.
    pub(crate) fn is_reported(&self) -> bool {
        match self.stage {
            Stage::Aborted { .. } => true,
            Stage::Killed { why } => matches!(why, Why::Silent | Why::Unready),
            Stage::Booting | Stage::Serving { .. } | Stage::Leaving { .. } => false,
        }
    }

    pub(crate) fn serves(&self) -> bool {
        matches!(self.stage, Stage::Serving { .. })
    }

    /// When something must be done about it, if nothing happens before.
    pub(crate) fn kill_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Leaving { kill_at } | Stage::Aborted { kill_at, .. } => Some(kill_at),
            Stage::Booting | Stage::Serving { .. } | Stage::Killed { .. } => None,
        }
    }
}

/// All workers, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    workers: Vec<Worker>,
    last_age: u64,
}

impl Roster {
    /// Adds a worker that is about to be forked, and says its age.
    pub(crate) fn add(&mut self, generation: u64, now: Instant) -> u64 {
        self.last_age += 1;
        self.workers.push(Worker {
            age: self.last_age,
            generation,
            pid: None,
            born: now,
            stage: Stage::Booting,
            recycle: false,
            is_stuck: false,
            boot_failed: false,
        });
        self.last_age
    }

    pub(crate) fn by_age(&mut self, age: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.age == age)
    }

    pub(crate) fn by_pid(&mut self, pid: u32) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.pid == Some(pid))
    }

    /// Takes out a worker that ended.
    pub(crate) fn remove(&mut self, pid: u32) -> Option<Worker> {
        let at = self.workers.iter().position(|worker| worker.pid == Some(pid))?;
        Some(self.workers.remove(at))
    }

    /// Takes out a worker that never came to be.
    pub(crate) fn forget(&mut self, age: u64) {
        self.workers.retain(|worker| worker.age != age);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.workers.iter_mut()
    }

    pub(crate) fn count(&self, is: impl Fn(&Worker) -> bool) -> usize {
        self.workers.iter().filter(|worker| is(worker)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Whom to signal to reach everybody.
    pub(crate) fn everybody(&self, order: Order) -> impl Iterator<Item = crate::Effect> {
        self.workers
            .iter()
            .filter_map(|worker| worker.pid)
            .map(move |pid| crate::Effect::Send { pid, order })
    }
}
