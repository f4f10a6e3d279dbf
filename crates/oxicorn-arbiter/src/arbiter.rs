//! The decisions.

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, LONGEST, LONGEST_SERVED, YOUNG};
use crate::obituary::obituary;
use crate::roster::{Roster, Stage, Why, Worker};
use crate::{BootFailure, Effect, Ending, Event, Level, Order, Policy, Signal};

/// Time between ABRT, which shows where a worker is stuck, and KILL.
const ABORT_GRACE: Duration = Duration::from_secs(2);
/// Time that a quick stop gives to workers.
const QUICK: Duration = Duration::from_secs(2);
/// Time after which the master leaves without a worker that not even KILL ends.
const UNKILLABLE: Duration = Duration::from_secs(5);
/// A master that was itself stopped for so long cannot blame its workers for their silence.
const LATE: Duration = Duration::from_secs(3);

/// The master's mind. See the crate's documentation for its phases.
#[derive(Debug)]
pub struct Arbiter {
    policy: Policy,
    phase: Phase,
    roster: Roster,
    /// How many workers there are to be now: the policy's number, as signals changed it.
    target: usize,
    /// The settings that serve, and the last number given to any.
    generation: u64,
    last_generation: u64,
    backoff: Backoff,
    /// A HUP that came before the first set was ready.
    reload_waits: bool,
    seen: Instant,
    forgiven_until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first set of workers is on its way.
    Booting,
    /// All is well, or is being repaired.
    Serving,
    /// A new set is on its way; the old one serves. The policy is what to go back to.
    Reloading { to: u64, before: Policy },
    /// Everybody was told to go.
    Draining { until: Instant, haste: Haste, code: i32 },
    /// The end.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    Graceful,
    Quick,
    Killed,
}

impl Arbiter {
    /// A master that has no workers yet; give it [`Event::Start`].
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            phase: Phase::Booting,
            roster: Roster::default(),
            target: policy.workers,
            generation: 1,
            last_generation: 1,
            backoff: Backoff::default(),
            reload_waits: false,
            seen: now,
            forgiven_until: now,
        }
    }

    /// Takes in what happened and says what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        if now.saturating_duration_since(self.seen) > LATE
            && let Some(timeout) = self.policy.timeout
        {
            self.forgiven_until = now + timeout;
        }
        self.seen = now;
        match event {
            Event::Start | Event::Tick => {}
            Event::Signal(signal) => self.signal(signal, now, &mut effects),
            Event::Reloaded(policy) => self.reloaded(policy, now, &mut effects),
            Event::Forked { age, pid } => self.forked(age, pid, now, &mut effects),
            Event::ForkFailed { age } => {
                self.roster.forget(age);
                self.backoff.fail(now, LONGEST);
            }
            Event::Ready { pid } => self.ready(pid, now),
            Event::BootFailed { pid, failure } => self.boot_failed(pid, failure, now, &mut effects),
            Event::Recycle { pid } => self.recycle(pid, &mut effects),
            Event::Stuck { pid } => {
                if let Some(worker) = self.roster.by_pid(pid) {
                    worker.is_stuck = true;
                }
                self.recycle(pid, &mut effects);
            }
            Event::Heartbeat { pid, at } => self.heartbeat(pid, at),
            Event::Exited { pid, ending } => self.exited(pid, ending, now, &mut effects),
        }
        self.enforce(now, &mut effects);
        self.settle(now, &mut effects);
        effects
    }

    /// When to come back with [`Event::Tick`] if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let kills = self.roster.iter().filter_map(Worker::kill_at);
        let silences = self.roster.iter().filter_map(|worker| self.silent_at(worker));
        let phase = match self.phase {
            Phase::Draining { until, .. } => Some(until),
            Phase::Booting | Phase::Serving | Phase::Reloading { .. } => self.backoff.until(now),
            Phase::Stopped => None,
        };
        kills.chain(silences).chain(phase).min()
    }

    /// How many workers there are to be.
    #[must_use]
    pub fn target(&self) -> usize {
        self.target
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    fn signal(&mut self, signal: Signal, now: Instant, effects: &mut Vec<Effect>) {
        effects.push(log(Level::Info, format!("Handling signal: {}", signal.name())));
        match signal {
            Signal::Term => self.drain(Haste::Graceful, 0, now, effects),
            Signal::Int | Signal::Quit => self.drain(Haste::Quick, 0, now, effects),
            Signal::Usr1 => {
                effects.push(Effect::ReopenLogs);
                effects.extend(self.roster.everybody(Order::ReopenLogs));
            }
            Signal::Usr2 => match self.phase {
                Phase::Booting | Phase::Serving | Phase::Reloading { .. } => {
                    effects.push(Effect::Upgrade);
                }
                Phase::Draining { .. } | Phase::Stopped => {}
            },
            Signal::Hup => match self.phase {
                Phase::Booting => self.reload_waits = true,
                Phase::Serving | Phase::Reloading { .. } => effects.push(Effect::Reload),
                Phase::Draining { .. } | Phase::Stopped => {}
            },
            Signal::Ttin => self.aim(self.target + 1, effects),
            Signal::Ttou => self.aim(self.target.saturating_sub(1).max(1), effects),
            Signal::Winch if self.policy.daemon => self.aim(0, effects),
            Signal::Winch => {
                effects.push(log(Level::Debug, "SIGWINCH ignored: not running as a daemon"));
            }
        }
    }

    /// Changes how many workers there are to be; [`settle`](Self::settle) makes it so.
    fn aim(&mut self, target: usize, effects: &mut Vec<Effect>) {
        if self.is_leaving() {
            return;
        }
        let old = std::mem::replace(&mut self.target, target);
        if old != target {
            effects.push(Effect::WorkersChanged { old, new: target });
        }
    }

    /// HUP, with settings that are good: a full set on them, and the old set goes once it serves.
    ///
    /// A second HUP replaces a set that is not ready yet.
    fn reloaded(&mut self, policy: Policy, now: Instant, effects: &mut Vec<Effect>) {
        let before = match self.phase {
            Phase::Serving => self.policy,
            Phase::Reloading { before, .. } => before,
            Phase::Booting | Phase::Draining { .. } | Phase::Stopped => return,
        };
        let serving = self.generation;
        self.retire(now, effects, |worker| worker.generation != serving);
        // Those that were to replace others have become needless.
        let needless = self.roster.count(Worker::stays).saturating_sub(self.target);
        self.retire_oldest(needless, now, effects, |worker| worker.stage == Stage::Booting);
        self.last_generation += 1;
        self.phase = Phase::Reloading { to: self.last_generation, before };
        self.policy = policy;
        self.backoff.reset();
        // Hooks hear of it on every reload, also when the number stays.
        let old = std::mem::replace(&mut self.target, policy.workers);
        effects.push(Effect::WorkersChanged { old, new: self.target });
    }

    fn forked(&mut self, age: u64, pid: u32, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(worker) = self.roster.by_age(age) {
            worker.pid = Some(pid);
            // It may have been told to go before it had a number to be told by.
            if !worker.stays() {
                effects.push(Effect::Send { pid, order: Order::Finish });
            }
        }
        if let Phase::Draining { haste, .. } = self.phase {
            self.tell_to_go(haste, now, effects);
        }
    }

    fn ready(&mut self, pid: u32, now: Instant) {
        if let Some(worker) = self.roster.by_pid(pid)
            && worker.stage == Stage::Booting
        {
            worker.stage = Stage::Serving { heartbeat: now };
        }
    }

    /// A worker wants to be replaced: [`settle`](Self::settle) makes it so.
    fn recycle(&mut self, pid: u32, effects: &mut Vec<Effect>) {
        if let Some(worker) = self.roster.by_pid(pid)
            && worker.serves()
            && !std::mem::replace(&mut worker.recycle, true)
        {
            let text = format!("Autorestarting worker (pid:{pid}): its replacement boots first");
            effects.push(log(Level::Info, text));
            effects.push(Effect::Outgoing { pid });
        }
    }

    fn heartbeat(&mut self, pid: u32, at: Instant) {
        if let Some(worker) = self.roster.by_pid(pid)
            && let Stage::Serving { heartbeat } = &mut worker.stage
        {
            *heartbeat = at.max(*heartbeat);
        }
    }

    /// A worker said that it cannot start: the end of a first start, or of a reload.
    fn boot_failed(
        &mut self,
        pid: u32,
        failure: BootFailure,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(worker) = self.roster.by_pid(pid) else { return };
        if worker.boot_failed {
            return;
        }
        worker.boot_failed = true;
        let was_wanted = worker.stays();
        worker.stage = Stage::Leaving { kill_at: now + ABORT_GRACE };
        let generation = worker.generation;
        if was_wanted {
            // Before the reason that follows from it, as in gunicorn; its end adds nothing.
            let text = format!("Worker (pid:{pid}) exited with code {}.", failure.code());
            effects.push(log(Level::Error, text));
            self.could_not_boot(generation, failure, now, effects);
        }
    }

    fn could_not_boot(
        &mut self,
        generation: u64,
        failure: BootFailure,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        match self.phase {
            Phase::Booting => {
                self.drain(Haste::Graceful, failure.code(), now, effects);
                effects.push(log(Level::Error, "Shutting down: Master"));
                effects.push(log(Level::Error, format!("Reason: {}", failure.reason())));
            }
            Phase::Reloading { to, before } if generation == to => {
                self.phase = Phase::Serving;
                self.policy = before;
                self.retire(now, effects, |worker| worker.generation == to);
                effects.push(Effect::Abandon { generation: self.generation });
                // Where the old workers log, which may not be where the new ones did.
                let text = format!("Reload failed: {} The old workers stay.", failure.reason());
                effects.push(log(Level::Error, text));
                self.aim(before.workers, effects);
            }
            Phase::Serving | Phase::Reloading { .. } => {
                self.backoff.fail(now, LONGEST);
                effects.push(log(Level::Error, format!("Reason: {}", failure.reason())));
            }
            Phase::Draining { .. } | Phase::Stopped => {}
        }
    }

    fn exited(&mut self, pid: u32, ending: Ending, now: Instant, effects: &mut Vec<Effect>) {
        let Some(worker) = self.roster.remove(pid) else {
            effects.push(log(Level::Debug, format!("Unknown child (pid:{pid}) reaped")));
            return;
        };
        if let Some((level, text)) = obituary(pid, &worker, ending, &self.policy) {
            let is_death = level != Level::Info;
            effects.push(log(level, text));
            // What it was doing is told already where its silence was the reason.
            if is_death && !worker.is_reported() {
                effects.push(Effect::ReportRequests { pid, level });
            }
        }
        let boot_failed = worker.boot_failed;
        effects.push(Effect::Reaped { age: worker.age, pid, boot_failed });
        if !worker.stays() {
            return;
        }
        // It went without being told to, whatever its code says.
        let is_first = self.phase == Phase::Booting && !self.roster.iter().any(Worker::serves);
        let is_new = matches!(self.phase, Phase::Reloading { to, .. } if to == worker.generation);
        if worker.stage == Stage::Booting && (is_first || is_new) {
            self.could_not_boot(worker.generation, BootFailure::Worker, now, effects);
        } else if !worker.recycle && now.saturating_duration_since(worker.born) < YOUNG {
            let served = worker.stage != Stage::Booting;
            self.backoff.fail(now, if served { LONGEST_SERVED } else { LONGEST });
        }
    }

    /// Ends what took too long.
    fn enforce(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let silent: Vec<u64> = self
            .roster
            .iter()
            .filter(|worker| self.silent_at(worker).is_some_and(|at| at <= now))
            .map(|worker| worker.age)
            .collect();
        let mut unready = Vec::new();
        for worker in self.roster.iter_mut() {
            let Some(pid) = worker.pid else { continue };
            if silent.contains(&worker.age) {
                let (why, text) = if worker.stage == Stage::Booting {
                    unready.push(worker.generation);
                    (Why::Unready, "WORKER BOOT TIMEOUT")
                } else {
                    (Why::Silent, "WORKER TIMEOUT")
                };
                worker.stage = Stage::Aborted { kill_at: now + ABORT_GRACE, why };
                effects.push(log(Level::Critical, format!("{text} (pid:{pid})")));
                effects.push(Effect::ReportRequests { pid, level: Level::Critical });
                effects.push(Effect::Send { pid, order: Order::Abort });
            } else if worker.kill_at().is_some_and(|at| at <= now) {
                let why = match worker.stage {
                    Stage::Aborted { why, .. } => why,
                    _ => Why::Slow,
                };
                worker.stage = Stage::Killed { why };
                effects.push(Effect::Send { pid, order: Order::Kill });
            }
        }
        for generation in unready {
            self.could_not_boot(generation, BootFailure::Worker, now, effects);
        }
        if let Phase::Draining { until, haste, code } = self.phase
            && until <= now
        {
            if haste == Haste::Killed {
                effects
                    .push(log(Level::Critical, "Workers did not end after SIGKILL: leaving them"));
                self.stop(code, effects);
            } else {
                self.drain(Haste::Killed, code, now, effects);
            }
        }
    }

    /// When a worker will have been silent, or on its way, for too long.
    fn silent_at(&self, worker: &Worker) -> Option<Instant> {
        match worker.stage {
            Stage::Serving { heartbeat } => {
                self.policy.timeout.map(|timeout| (heartbeat + timeout).max(self.forgiven_until))
            }
            Stage::Booting => self.policy.boot_timeout.map(|timeout| worker.born + timeout),
            Stage::Leaving { .. } | Stage::Aborted { .. } | Stage::Killed { .. } => None,
        }
    }

    /// Brings the workers that are there closer to those that are to be.
    fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Stopped => return,
            Phase::Draining { code, .. } => {
                if self.roster.is_empty() {
                    self.stop(code, effects);
                }
                return;
            }
            Phase::Booting | Phase::Serving | Phase::Reloading { .. } => {}
        }
        let newest = self.newest();
        let is_fresh = |worker: &Worker| worker.generation == newest && !worker.recycle;
        let is_tired =
            |worker: &Worker| worker.generation == newest && worker.recycle && worker.serves();
        let serving = self.roster.count(|worker| is_fresh(worker) && worker.serves());
        let tired = self.roster.count(is_tired);
        if serving + tired >= self.target {
            self.full_set_serves(newest, now, effects);
        }
        let spare = (serving + tired).saturating_sub(self.target).min(tired);
        self.retire_oldest(spare, now, effects, is_tired);
        let fresh = self.roster.count(|worker| is_fresh(worker) && worker.stays());
        let surplus = fresh.saturating_sub(self.target);
        self.retire_oldest(surplus, now, effects, |worker| is_fresh(worker) && worker.stays());
        if self.backoff.until(now).is_none() {
            for _ in fresh..self.target {
                if !self.has_room() {
                    break;
                }
                let age = self.roster.add(newest, now);
                effects.push(Effect::Spawn { age, generation: newest });
            }
        }
    }

    /// The phase that a full set of ready workers leads to.
    fn full_set_serves(&mut self, newest: u64, now: Instant, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Booting => {
                self.phase = Phase::Serving;
                effects.push(Effect::Settle { generation: newest });
                if std::mem::take(&mut self.reload_waits) {
                    effects.push(Effect::Reload);
                }
            }
            Phase::Reloading { .. } => {
                self.phase = Phase::Serving;
                self.generation = newest;
                self.retire(now, effects, |worker| worker.generation != newest);
                effects.push(Effect::Settle { generation: newest });
            }
            Phase::Serving | Phase::Draining { .. } | Phase::Stopped => {}
        }
    }

    /// Whether one more worker may be forked: two full sets at most, counting those that are
    /// leaving; a third only as far as there would not be one full set without it.
    fn has_room(&self) -> bool {
        let newest = self.newest();
        let old = self.roster.count(|worker| worker.stays() && worker.generation != newest);
        let is_bare = self.roster.count(Worker::holds_a_place) < self.target;
        let room = self.target + self.target.max(old);
        self.roster.len() < if is_bare { room + self.target } else { room }
    }

    fn newest(&self) -> u64 {
        match self.phase {
            Phase::Reloading { to, .. } => to,
            Phase::Booting | Phase::Serving | Phase::Draining { .. } | Phase::Stopped => {
                self.generation
            }
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Stopped)
    }

    fn retire_oldest(
        &mut self,
        count: usize,
        now: Instant,
        effects: &mut Vec<Effect>,
        is: impl Fn(&Worker) -> bool,
    ) {
        let oldest: Vec<u64> =
            self.roster.iter().filter(|worker| is(worker)).take(count).map(|w| w.age).collect();
        self.retire(now, effects, |worker| oldest.contains(&worker.age));
    }

    /// Tells workers to finish what they have and go.
    fn retire(&mut self, now: Instant, effects: &mut Vec<Effect>, is: impl Fn(&Worker) -> bool) {
        let kill_at = now + self.policy.graceful_timeout;
        for worker in self.roster.iter_mut().filter(|worker| worker.stays() && is(worker)) {
            worker.stage = Stage::Leaving { kill_at };
            if let Some(pid) = worker.pid {
                effects.push(Effect::Send { pid, order: Order::Finish });
            }
        }
    }

    /// Ends everything, or hastens an end that has begun.
    fn drain(&mut self, haste: Haste, code: i32, now: Instant, effects: &mut Vec<Effect>) {
        let (haste, code) = match self.phase {
            Phase::Stopped => return,
            // Asked again to be quick: no more patience.
            Phase::Draining { haste: Haste::Quick, code, .. } if haste == Haste::Quick => {
                (Haste::Killed, code)
            }
            Phase::Draining { haste: before, code, .. } if haste > before => (haste, code),
            Phase::Draining { .. } => return,
            Phase::Booting | Phase::Serving | Phase::Reloading { .. } => {
                effects.push(Effect::CloseListeners);
                (haste, code)
            }
        };
        let patience = match haste {
            Haste::Graceful => self.policy.graceful_timeout,
            Haste::Quick => self.policy.graceful_timeout.min(QUICK),
            Haste::Killed => UNKILLABLE,
        };
        self.phase = Phase::Draining { until: now + patience, haste, code };
        self.tell_to_go(haste, now, effects);
    }

    fn tell_to_go(&mut self, haste: Haste, now: Instant, effects: &mut Vec<Effect>) {
        let order = match haste {
            Haste::Graceful => Order::Finish,
            Haste::Quick => Order::Leave,
            Haste::Killed => Order::Kill,
        };
        let patience = self.policy.graceful_timeout;
        for worker in self.roster.iter_mut() {
            let Some(pid) = worker.pid else { continue };
            match worker.stage {
                Stage::Killed { .. } => continue,
                // It has been told already.
                Stage::Leaving { .. } | Stage::Aborted { .. } if haste == Haste::Graceful => {
                    continue;
                }
                _ if haste == Haste::Killed => worker.stage = Stage::Killed { why: Why::Hurried },
                Stage::Aborted { .. } => {}
                Stage::Booting | Stage::Serving { .. } | Stage::Leaving { .. } => {
                    worker.stage = Stage::Leaving { kill_at: now + patience };
                }
            }
            effects.push(Effect::Send { pid, order });
        }
    }

    fn stop(&mut self, code: i32, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopped;
        if code == 0 {
            effects.push(log(Level::Info, "Shutting down: Master"));
        }
        effects.push(Effect::Stop { code });
    }
}

fn log(level: Level, text: impl Into<String>) -> Effect {
    Effect::Log(level, text.into())
}
