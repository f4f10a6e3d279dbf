//! How many workers there are to be, and how those that are there come closer to it.

use std::time::Instant;

use super::{Arbiter, Phase};
use crate::Effect;
use crate::roster::Worker;

impl Arbiter {
    /// Changes how many workers there are to be; [`settle`](Self::settle) makes it so.
    pub(super) fn aim(&mut self, target: usize, effects: &mut Vec<Effect>) {
        if self.is_leaving() {
            return;
        }
        let old = std::mem::replace(&mut self.target, target);
        if old != target {
            effects.push(Effect::WorkersChanged { old, new: target });
        }
    }

    /// Brings the workers that are there closer to those that are to be.
    pub(super) fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
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
}
