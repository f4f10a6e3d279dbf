//! A worker under somebody else's event loop, such as gevent's hub or Tornado's.
//!
//! The loop watches [`fileno`](ForeignWorker::fileno), calls [`turn`](ForeignWorker::turn) when it
//! is readable or [`next_deadline`](ForeignWorker::next_deadline) is over, and runs what
//! [`next_ready`](ForeignWorker::next_ready) gives in its own way: on its own thread, where a call
//! may be left in the middle and another one begun, or on threads beside it. So nothing is locked
//! or borrowed while one runs.
//!
//! Nobody has to look after the polls: the loop does. Only where requests have threads and time
//! limits, a monitor looks at these, as a call may keep the loop from it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oxicorn_os::epoll::{Interest, wait_one};

use crate::channel::{Channel, NEVER};
use crate::clock::DateCache;
use crate::poller::Poller;
use crate::reactor::{Phase, Shared};
use crate::{Application, Config, Control};

/// Longest sleep of the monitor.
const MONITOR_SLEEP: Duration = Duration::from_secs(5);
/// The same when a request does not end, which may be what holds up the loop.
const MONITOR_POLL: Duration = Duration::from_millis(20);

/// Waits, in the way of a foreign loop, until a descriptor is ready or the time is over; `false`
/// when the loop wants the wait given up.
pub type Park = Box<dyn Fn(RawFd, Interest, Duration) -> bool + Send + Sync>;

/// A worker whose events and calls are in the hands of a foreign loop.
#[derive(Debug)]
pub struct ForeignWorker {
    shared: Arc<Shared>,
    /// Whoever polls locks it, for a round that waits for nothing.
    poller: Arc<Mutex<Poller>>,
    date: Mutex<DateCache>,
}

/// A complete request; it is closed when it is dropped without having been run.
#[derive(Debug)]
pub struct Ready {
    channel: Option<Box<Channel>>,
    shared: Arc<Shared>,
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.shared.close(channel);
        }
    }
}

impl Ready {
    /// Whether the request is one for a WebSocket, which takes as long as its ends want.
    #[must_use]
    pub fn is_for_websocket(&self) -> bool {
        let pending = self.channel.as_ref().and_then(|channel| channel.pending.as_ref());
        pending.is_some_and(|pending| self.shared.is_for_websocket(&pending.head, &pending.bytes))
    }
}

impl ForeignWorker {
    /// Gets ready to serve.
    ///
    /// With [`Control::park`] all calls belong on the loop's thread. Without it a request that waits
    /// for its client blocks its thread, which should not be the loop's then; `config.threads` is
    /// how many such calls there are at a time.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors, or a thread cannot be started.
    pub fn new(
        config: Config,
        listeners: Vec<OwnedFd>,
        app: Arc<dyn Application>,
        control: Control,
    ) -> std::io::Result<Self> {
        let calls = if control.park.is_some() { usize::MAX } else { config.threads };
        let config = Config { threads: 1, ..config };
        let shared = Shared::new(config, listeners, app, control)?;
        let shared = Arc::new(Shared { hosted: true, calls, ..shared });
        // Whoever polls does what a monitor does: it takes requests in, and runs none.
        shared.lock().token.nobody_polls();
        let poller = Arc::new(Mutex::new(Poller::new(None)));
        if shared.control.park.is_none() && shared.start_hand()?.is_some() {
            let (shared, poller) = (Arc::clone(&shared), Arc::clone(&poller));
            let work = move || shared.look_after_limits(&poller);
            thread::Builder::new().name("oxicorn-monitor".into()).spawn(work)?;
        }
        Ok(Self { shared, poller, date: Mutex::new(DateCache::new()) })
    }

    /// What the loop watches: readable when a turn has something to do.
    #[must_use]
    pub fn fileno(&self) -> RawFd {
        self.shared.epoll.as_fd().as_raw_fd()
    }

    /// One round of polling without waiting: accepts, reads, refuses, flushes, looks at time limits,
    /// and queues requests that are complete.
    pub fn turn(&self) {
        self.shared.beat(self.shared.clock.now());
        self.shared.round(&self.poller);
    }

    /// Shows and interrupts requests that take too long; for the loop itself, outside of any request.
    pub fn interrupt(&self) {
        let Some(watch) = &self.shared.watch else { return };
        while let Some((deadline, step)) = watch.next_due() {
            self.shared.app.overdue(&deadline, step);
        }
    }

    /// The oldest request that waits to be run.
    ///
    /// Of an application that is in one call at a time there is none while it has not taken a
    /// WebSocket over yet; a turn follows when it has.
    #[must_use]
    pub fn next_ready(&self) -> Option<Ready> {
        if self.shared.calls == 1 && self.shared.openings.load(Ordering::Acquire) > 0 {
            return None;
        }
        let channel = self.shared.lock().ready.pop_front()?;
        Some(Ready { channel: Some(channel), shared: Arc::clone(&self.shared) })
    }

    /// Runs the application for a request, to the end of its response.
    ///
    /// What it leaves to be done ends the loop's wait for [`fileno`](Self::fileno).
    pub fn run(&self, mut ready: Ready) {
        let Some(channel) = ready.channel.take() else { return };
        let now = self.shared.clock.now();
        let date = self.date.lock().unwrap_or_else(PoisonError::into_inner).at(now);
        let key = channel.key;
        let held = self.shared.contained(key, || self.shared.run_queued(0, now, date, channel));
        self.shared.put_back_held(held);
    }

    /// How long the loop may wait before the next turn, at most.
    #[must_use]
    pub fn next_deadline(&self) -> Duration {
        let now = self.shared.clock.now();
        let patience = self.shared.patience(&self.shared.lock(), now);
        patience.min(self.shared.patience_with_requests(now))
    }

    /// Stops accepting, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.shared.pause_accepting(&mut self.shared.lock(), NEVER - 1);
    }

    /// Accepts again.
    pub fn resume(&self) {
        let mut core = self.shared.lock();
        if core.phase == Phase::Serving {
            core.resume_at = 0;
            self.shared.accept_connections(&mut core);
        }
    }

    /// Stops accepting and finishes what is open, within this time or `graceful_timeout`; see
    /// [`is_over`](Self::is_over). A second call may shorten the time.
    pub fn drain(&self, within: Option<Duration>) {
        self.shared.drain(within.unwrap_or(self.shared.config.graceful_timeout));
    }

    /// Ends: what is open is cut.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Whether the threads of WebSockets have ended, as they have to before the interpreter does.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.shared.crew.lock().unwrap_or_else(PoisonError::into_inner).is_left()
    }

    /// Whether it has ended; a call that still runs has lost its connection.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_over = self.shared.lock().phase == Phase::Stopped;
        if is_over {
            self.shared.left.store(true, Ordering::Release);
        }
        is_over
    }
}

impl Shared {
    /// One round of polling without waiting.
    fn round(self: &Arc<Self>, poller: &Mutex<Poller>) {
        // Held by nobody for long, and nothing in here comes back to it.
        let mut poller = poller.lock().unwrap_or_else(PoisonError::into_inner);
        let poller = &mut *poller;
        poller.lost = false;
        poller.now = self.clock.now();
        if self.lock().has_housekeeping(poller.now) {
            self.housekeeping(poller);
        }
        self.epoll.wait(&mut poller.events, Some(Duration::ZERO));
        self.handle_events(poller);
        self.look_at_deadlines(poller);
    }

    /// The life of the monitor where requests have threads beside a foreign loop, or block it.
    ///
    /// When one of them does not end, the interpreter may be lost with it, and so the loop: the
    /// monitor polls too, for the signal that ends the worker.
    fn look_after_limits(self: &Arc<Self>, poller: &Mutex<Poller>) {
        let Some(watch) = &self.watch else { return };
        // Before the first look, so that nothing begins unseen.
        let _ = self.monitor.set(thread::current());
        self.parked.store(true, Ordering::SeqCst);
        while self.lock().phase != Phase::Stopped {
            let polls = watch.given_up() > 0;
            if polls {
                self.round(poller);
                // It may have taken the loop's wake-up.
                self.wake.wake();
            } else {
                let mut poller = poller.lock().unwrap_or_else(PoisonError::into_inner);
                poller.now = self.clock.now();
                self.look_at_deadlines(&mut poller);
            }
            let most = if polls { MONITOR_POLL } else { MONITOR_SLEEP };
            thread::park_timeout(self.patience_with_requests(self.clock.now()).min(most));
        }
        self.leave_stuck();
    }

    /// Whether calls are made one by one on the thread of a foreign loop, which has to wait for them.
    pub(crate) fn is_on_its_loop(&self) -> bool {
        self.hosted && self.calls == 1
    }

    /// Waits inside an exchange for a socket, at most half a second: the caller looks around then.
    ///
    /// `false` when a foreign loop wants the wait given up.
    pub(crate) fn await_socket(&self, fd: BorrowedFd<'_>, interest: Interest) -> bool {
        const LOOK: Duration = Duration::from_millis(500);
        if let Some(park) = &self.control.park {
            return park(fd.as_raw_fd(), interest, LOOK);
        }
        self.beat_in_call();
        let _ = wait_one(fd, interest, LOOK);
        true
    }
}
