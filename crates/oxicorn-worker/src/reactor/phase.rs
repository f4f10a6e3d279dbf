//! The end of a worker's life: a drain finishes what is open, a stop cuts it off.

use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_os::scoreboard::State;
use slotmap::DefaultKey as Key;

use super::{Core, Shared, Slot};
use crate::channel::{NEVER, Stage, millis};

/// Where the worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Accepting nothing, finishing what is open, until this time.
    Draining(u64),
    Stopped,
}

impl Shared {
    /// Stops accepting and finishes what is open, within this time.
    pub(crate) fn drain(&self, within: Duration) {
        let until = self.clock.now() + millis(within);
        let mut core = self.lock();
        if let Phase::Draining(earlier) = core.phase {
            core.phase = Phase::Draining(until.min(earlier));
        }
        if core.phase != Phase::Serving {
            return;
        }
        self.draining.store(true, Ordering::Relaxed);
        self.show(State::Draining);
        self.pause_accepting(&mut core, NEVER - 1);
        core.phase = Phase::Draining(until);
        // Idle connections are looked at once more, as a request may be on its way.
        let idle = |(key, slot): (Key, &Slot)| {
            let home = slot.home.as_ref()?;
            let is_idle = matches!(home.stage, Stage::Handshake | Stage::Idle | Stage::Http2);
            is_idle.then_some(key)
        };
        let keys: Vec<Key> = core.slots.iter().filter_map(idle).collect();
        core.again.extend(keys);
        // A conversation has no end of its own; the application may still say goodbye.
        let tunnels = core.slots.values().filter_map(|slot| slot.tunnel.clone());
        let tunnels: Vec<_> = tunnels.collect();
        drop(core);
        tunnels.iter().for_each(|tunnel| tunnel.end_reading(&self.epoll));
        self.wake.wake();
        self.kick.wake();
    }

    /// Stops at once: whatever is open is cut off.
    pub(crate) fn stop(&self) {
        let mut core = self.lock();
        core.phase = Phase::Stopped;
        self.cut(&core);
        drop(core);
        self.wake_everyone();
    }

    /// Ends a drain when there is nothing left.
    pub(crate) fn stop_when_empty(&self, core: &mut Core) {
        let listening = !core.listeners.is_empty();
        if matches!(core.phase, Phase::Draining(_)) && core.slots.is_empty() && !listening {
            core.phase = Phase::Stopped;
            self.wake_everyone();
        }
    }

    /// Cuts every connection: an application that yields for ever ends with its client's.
    pub(super) fn cut(&self, core: &Core) {
        core.slots.values().for_each(Slot::cut);
    }

    /// Has every thread look at the phase.
    pub(super) fn wake_everyone(&self) {
        self.wake.wake();
        self.kick.wake();
        self.followers.notify_all();
        if let Some(monitor) = self.monitor.get() {
            monitor.unpark();
        }
    }
}
