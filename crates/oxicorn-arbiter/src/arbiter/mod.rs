//! The decisions: what each event means. [`boot`] has what becomes of new sets of workers, [`strength`]
//! how many there are to be, [`leaving`] who has to go.

mod boot;
mod leaving;
mod strength;

use std::time::{Duration, Instant};

use self::leaving::Haste;
use crate::backoff::{Backoff, LONGEST, LONGEST_SERVED, YOUNG};
use crate::obituary::obituary;
use crate::roster::{Roster, Stage, Worker};
use crate::{BootFailure, Effect, Ending, Event, Level, Order, Policy, Signal};

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
}

fn log(level: Level, text: impl Into<String>) -> Effect {
    Effect::Log(level, text.into())
}
