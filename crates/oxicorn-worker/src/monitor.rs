//! The monitor: sees to it that somebody polls, also while the application takes long.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use oxicorn_os::epoll::wait_either;
use oxicorn_os::thread::{Thread, process_cpu_time};

use crate::poller::Poller;
use crate::reactor::{Phase, Shared};
use crate::token::Holder;

/// How often the monitor looks around while there is activity.
const TICK: Duration = Duration::from_millis(1);
/// The same after [`CALM_TICKS`] in which every call was over before the next look.
const RESTING_TICK: Duration = Duration::from_millis(8);
/// The same where no sibling could take what waits behind a call that takes long.
const RESTING_TICK_ALONE: Duration = Duration::from_millis(32);
const CALM_TICKS: u32 = 250;
/// Looks without activity after which it sleeps.
const QUIET_TICKS: u32 = 20;
/// Looks at the same call after which its thread is taken for stuck.
const STUCK_TICKS: u32 = 2;
/// The same for a thread that waits for the interpreter: longer than another one that computes keeps it.
const BARRED_TICKS: u32 = 12;
/// CPU time since the first look with which a call does more than wait for a processor.
const COMPUTES: Duration = Duration::from_micros(500);
/// Longest poll of the monitor while requests wait that an idle sibling could take.
const OFFER: Duration = Duration::from_millis(2);
/// Longest poll of the monitor: it keeps the coarse clock going.
const MONITOR_POLL: Duration = Duration::from_millis(20);
/// Longest sleep of the monitor.
const MONITOR_SLEEP: Duration = Duration::from_secs(5);

/// What speaks for it that the thread which holds the token does not come back soon.
#[derive(Default)]
struct Suspicion {
    /// Looks in a row at the same call or wait.
    looks: u32,
    /// The thread's CPU time at the first of them.
    spent: Option<Duration>,
}

impl Suspicion {
    /// Another look at the same call: whether it takes long.
    ///
    /// A call that only was not given a processor does not: it may end as soon as it is given one,
    /// and to poll meanwhile would take that from it.
    fn inside(&mut self, thread: Option<Thread>) -> bool {
        self.looks += 1;
        let spent = thread.and_then(Thread::cpu_time);
        if self.looks < STUCK_TICKS {
            self.spent = spent;
            return false;
        }
        let (Some(thread), Some(spent), Some(before)) = (thread, spent, self.spent) else {
            return true;
        };
        spent.saturating_sub(before) >= COMPUTES || !thread.is_runnable()
    }

    /// Another look at the same wait for the interpreter: whether it takes long.
    fn barred(&mut self) -> bool {
        self.looks += 1;
        self.looks >= BARRED_TICKS
    }
}

impl Shared {
    /// Has the monitor look around again, if it sleeps.
    pub(crate) fn wake_monitor(&self) {
        if self.parked.load(Ordering::SeqCst)
            && let Some(monitor) = self.monitor.get()
        {
            monitor.unpark();
        }
    }

    /// The life of the monitor: see that somebody polls, also while the application takes long.
    pub(crate) fn watch_over(self: &Arc<Self>) {
        let mut poller = Poller::new(None);
        let mut seen = Vec::new();
        let mut suspicion = Suspicion::default();
        let mut quiet = 0;
        let mut calm = 0;
        loop {
            // A look costs some 20 µs, and the call that it interrupts what was in the caches. With
            // more threads than one the length of each call counts, and the clock must keep up.
            let resting = self.config.threads == 1
                && calm > CALM_TICKS
                && suspicion.looks == 0
                && !self.held.is_seen();
            thread::sleep(if resting { self.resting_tick() } else { TICK });
            if !resting || self.watch.is_some() {
                // Keeps the coarse clock going.
                poller.now = self.clock.now();
                self.look_at_deadlines(&mut poller);
            }
            if self.config.threads > 1 {
                let worked = u64::try_from(process_cpu_time().as_millis()).unwrap_or(u64::MAX);
                self.worked.store(worked, Ordering::Relaxed);
            }
            self.look_at_held(&mut poller);
            let sequences: Vec<u32> =
                self.sequences.iter().map(|sequence| sequence.load(Ordering::Acquire)).collect();
            let changed = sequences != seen;
            let mut core = self.lock();
            if core.phase == Phase::Stopped {
                return;
            }
            let poll = match core.token.holder() {
                Holder::Thread(index) => {
                    let sequence = sequences.get(index).copied().unwrap_or(0);
                    let inside = seen.get(index) == Some(&sequence) && sequence % 2 == 1;
                    let thread = self.threads.get(index).and_then(OnceLock::get).copied();
                    let stuck = if inside {
                        suspicion.inside(thread)
                    } else if self.barred.load(Ordering::SeqCst) {
                        suspicion.barred()
                    } else {
                        suspicion = Suspicion::default();
                        false
                    };
                    stuck && core.token.holder_is_stuck(self.config.threads)
                }
                Holder::Nobody => core.token.nobody_polls(),
                Holder::Monitor => true,
            };
            let wake = core.token.has_permits();
            drop(core);
            if wake {
                self.followers.notify_one();
            }
            calm = if poll { 0 } else { u32::saturating_add(calm, 1) };
            quiet = if changed || !self.waiting.load(Ordering::SeqCst) { 0 } else { quiet + 1 };
            seen = sequences;
            if poll {
                self.monitor_polls(&mut poller);
                suspicion = Suspicion::default();
            } else if quiet > QUIET_TICKS {
                self.park_monitor();
                quiet = 0;
            }
        }
    }

    /// How often the monitor looks around while it rests.
    fn resting_tick(&self) -> Duration {
        if self.config.has_siblings || self.watch.is_some() {
            RESTING_TICK
        } else {
            RESTING_TICK_ALONE
        }
    }

    /// Sleeps until a waiting poll returns.
    fn park_monitor(&self) {
        self.parked.store(true, Ordering::SeqCst);
        // The poll that waits looks at `parked` after it cleared `waiting`: one of the two is seen.
        while self.waiting.load(Ordering::SeqCst) && self.lock().phase != Phase::Stopped {
            let patience = self.patience_with_requests(self.clock.now()).min(MONITOR_SLEEP);
            if patience.is_zero() {
                break;
            }
            thread::park_timeout(patience);
        }
        self.parked.store(false, Ordering::SeqCst);
    }

    /// Polls while no application thread can.
    fn monitor_polls(self: &Arc<Self>, poller: &mut Poller) {
        loop {
            poller.now = self.clock.now();
            poller.lost = false;
            let mut core = self.lock();
            if core.token.holder() != Holder::Monitor || core.phase == Phase::Stopped {
                return;
            }
            let begins = self.leave_new_connections_to_siblings(&mut core);
            let offers = !core.ready.is_empty() && self.hands_over();
            let most = if offers { OFFER } else { MONITOR_POLL };
            let patience = self.patience(&core, poller.now).min(most);
            self.show_load(&core);
            drop(core);
            let patience = patience.min(self.patience_with_requests(poller.now));
            if begins && self.hands_over() {
                self.take_in(poller);
                self.offer(poller);
            }
            wait_either(self.epoll.as_fd(), self.kick.as_fd(), Some(patience));
            self.kick.reset();
            poller.now = self.clock.now();
            self.look_at_deadlines(poller);
            self.housekeeping(poller);
            self.epoll.wait(&mut poller.events, Some(Duration::ZERO));
            self.handle_events(poller);
            self.take_back(poller);
            self.offer(poller);
        }
    }
}
