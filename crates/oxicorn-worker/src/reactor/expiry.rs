//! What the clock asks for: connections whose time is over, and how long a poll may wait.

use std::time::Duration;

use super::{Core, Phase, Shared};
use crate::Config;
use crate::channel::{Channel, NEVER, Stage, millis};
use crate::flusher::Flusher;

/// Longest poll, so that the heartbeat goes on.
const HEARTBEAT: u64 = 1000;

impl Core {
    /// Whether something has to be done that no event will tell of.
    pub(crate) fn has_housekeeping(&self, now: u64) -> bool {
        let resume = self.resume_at != 0 && self.resume_at <= now;
        let draining = matches!(self.phase, Phase::Draining(until) if until <= now);
        let timer = self.timers.next().is_some_and(|at| at <= now);
        let closing = self.phase != Phase::Serving && !self.listeners.is_empty();
        let overdue = self.queue_due() <= now;
        timer || resume || draining || closing || overdue || !self.again.is_empty()
    }
}

impl Shared {
    /// Takes out the channels whose time is over, and ends a drain that took too long.
    #[expect(clippy::vec_box, reason = "channels move between slab and threads by pointer")]
    pub(crate) fn expire(&self, core: &mut Core, now: u64) -> Vec<Box<Channel>> {
        let mut expired = Vec::new();
        if core.resume_at != 0 && core.resume_at <= now {
            core.resume_at = 0;
            self.accept_connections(core);
        }
        if let Phase::Draining(until) = core.phase
            && now >= until
        {
            core.phase = Phase::Stopped;
            self.cut(core);
            self.wake_everyone();
        }
        while let Some((at, key)) = core.timers.pop_due(now) {
            let Some(slot) = core.slots.get_mut(key) else { continue };
            let Some(channel) = &mut slot.home else {
                slot.timer_fired = true;
                if let Some(flusher) = &slot.flusher
                    && let Some(at) = give_up_or_wait(flusher, &self.config, now)
                {
                    core.timers.push(at, key);
                }
                let patience = millis(self.config.send_timeout);
                if let Some(tunnel) = &slot.tunnel
                    && let Some(at) = tunnel.give_up_or_wait(&self.epoll, now, patience)
                {
                    core.timers.push(at, key);
                }
                continue;
            };
            if channel.armed != at {
                continue;
            }
            channel.armed = NEVER;
            if channel.stage == Stage::Body {
                channel.deadline = channel.body_deadline(&self.config);
            }
            if channel.deadline > now {
                channel.armed = channel.deadline;
                core.timers.push(channel.deadline, key);
            } else {
                expired.extend(slot.home.take());
            }
        }
        expired
    }

    /// How long a poll may wait.
    pub(crate) fn patience(&self, core: &Core, now: u64) -> Duration {
        if core.has_housekeeping(now) || core.phase == Phase::Stopped {
            return Duration::ZERO;
        }
        let mut next = now + HEARTBEAT;
        if let Some(timer) = core.timers.next() {
            next = next.min(timer);
        }
        if let Phase::Draining(until) = core.phase {
            next = next.min(until);
        }
        next = next.min(core.queue_due());
        if core.resume_at != 0 {
            next = next.min(core.resume_at);
        }
        Duration::from_millis(next.saturating_sub(now))
    }
}

/// Gives up output that its client does not take; else says when to look again.
fn give_up_or_wait(flusher: &Flusher, config: &Config, now: u64) -> Option<u64> {
    let mut state = flusher.lock();
    if state.outbox.is_empty() || state.broken {
        state.timed = false;
        return None;
    }
    let until = state.progress + millis(config.send_timeout);
    if until > now {
        return Some(until);
    }
    state.broken = true;
    None
}
