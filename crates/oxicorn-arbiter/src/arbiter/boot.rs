//! A set of workers on new settings: how one begins, and what its failure means.

use std::time::Instant;

use super::leaving::{ABORT_GRACE, Haste};
use super::{Arbiter, Phase, log};
use crate::backoff::LONGEST;
use crate::roster::{Stage, Worker};
use crate::{BootFailure, Effect, Level, Policy};

impl Arbiter {
    /// HUP, with settings that are good: a full set on them, and the old set goes once it serves.
    ///
    /// A second HUP replaces a set that is not ready yet.
    pub(super) fn reloaded(&mut self, policy: Policy, now: Instant, effects: &mut Vec<Effect>) {
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

    /// A worker said that it cannot start: the end of a first start, or of a reload.
    pub(super) fn boot_failed(
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

    pub(super) fn could_not_boot(
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
}
