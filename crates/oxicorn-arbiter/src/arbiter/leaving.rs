//! Who has to go, how, and what happens to those that do not.

use std::time::{Duration, Instant};

use super::{Arbiter, Phase, log};
use crate::roster::{Stage, Why, Worker};
use crate::{BootFailure, Effect, Level, Order};

/// Time between ABRT, which shows where a worker is stuck, and KILL.
pub(super) const ABORT_GRACE: Duration = Duration::from_secs(2);
/// Time that a quick stop gives to workers.
const QUICK: Duration = Duration::from_secs(2);
/// Time after which the master leaves without a worker that not even KILL ends.
const UNKILLABLE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    Graceful,
    Quick,
    Killed,
}

impl Arbiter {
    /// Ends everything, or hastens an end that has begun.
    pub(super) fn drain(
        &mut self,
        haste: Haste,
        code: i32,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
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

    pub(super) fn tell_to_go(&mut self, haste: Haste, now: Instant, effects: &mut Vec<Effect>) {
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

    /// Tells workers to finish what they have and go.
    pub(super) fn retire(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
        is: impl Fn(&Worker) -> bool,
    ) {
        let kill_at = now + self.policy.graceful_timeout;
        for worker in self.roster.iter_mut().filter(|worker| worker.stays() && is(worker)) {
            worker.stage = Stage::Leaving { kill_at };
            if let Some(pid) = worker.pid {
                effects.push(Effect::Send { pid, order: Order::Finish });
            }
        }
    }

    pub(super) fn retire_oldest(
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

    /// Ends what took too long.
    pub(super) fn enforce(&mut self, now: Instant, effects: &mut Vec<Effect>) {
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
    pub(super) fn silent_at(&self, worker: &Worker) -> Option<Instant> {
        match worker.stage {
            Stage::Serving { heartbeat } => {
                self.policy.timeout.map(|timeout| (heartbeat + timeout).max(self.forgiven_until))
            }
            Stage::Booting => self.policy.boot_timeout.map(|timeout| worker.born + timeout),
            Stage::Leaving { .. } | Stage::Aborted { .. } | Stage::Killed { .. } => None,
        }
    }

    pub(super) fn stop(&mut self, code: i32, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopped;
        if code == 0 {
            effects.push(log(Level::Info, "Shutting down: Master"));
        }
        effects.push(Effect::Stop { code });
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Stopped)
    }
}
