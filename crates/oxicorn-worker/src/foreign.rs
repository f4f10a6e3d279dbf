//! A worker under somebody else's event loop, such as gevent's hub or Tornado's: no monitor.
//!
//! The loop watches [`fileno`](ForeignWorker::fileno), calls [`turn`](ForeignWorker::turn) when it
//! is readable or [`next_deadline`](ForeignWorker::next_deadline) is over, and runs what
//! [`next_ready`](ForeignWorker::next_ready) gives in its own way: on its own thread, where a call
//! may be left in the middle and another one begun, or on threads beside it. So nothing is locked
//! or borrowed while one runs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxicorn_os::epoll::{Interest, wait_one};

use crate::channel::{Channel, NEVER};
use crate::clock::DateCache;
use crate::poller::Poller;
use crate::reactor::{Phase, Shared};
use crate::{Application, Config, Control};

/// Waits, in the way of a foreign loop, until a descriptor is ready or the time is over; `false`
/// when the loop wants the wait given up.
pub type Park = Box<dyn Fn(RawFd, Interest, Duration) -> bool + Send + Sync>;

/// A worker whose events and calls are in the hands of a foreign loop.
#[derive(Debug)]
pub struct ForeignWorker {
    shared: Arc<Shared>,
    poller: Mutex<Poller>,
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

impl ForeignWorker {
    /// Gets ready to serve.
    ///
    /// With [`Control::park`] all calls belong on the loop's thread. Without it a request that waits
    /// for its client blocks its thread, which should not be the loop's then.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub fn new(
        config: Config,
        listeners: Vec<OwnedFd>,
        app: Arc<dyn Application>,
        control: Control,
    ) -> std::io::Result<Self> {
        let config = Config { threads: 1, ..config };
        let shared = Arc::new(Shared::new(config, listeners, app, control)?);
        // Whoever polls does what a monitor does: it takes requests in, and runs none.
        shared.lock().token.nobody_polls();
        let poller = Mutex::new(Poller::new(None));
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
        // Never waits: only the loop's thread calls it, and nothing in it can call it again.
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        let poller = &mut *poller;
        let shared = &self.shared;
        poller.lost = false;
        poller.now = shared.clock.now();
        shared.beat(poller.now);
        if shared.lock().has_housekeeping(poller.now) {
            shared.housekeeping(poller);
        }
        shared.epoll.wait(&mut poller.events, Some(Duration::ZERO));
        shared.handle_events(poller);
        shared.look_at_deadlines(poller);
    }

    /// Shows and interrupts requests that take too long; for the loop itself, outside of any request.
    pub fn interrupt(&self) {
        let Some(watch) = &self.shared.watch else { return };
        while let Some((deadline, step)) = watch.next_due() {
            self.shared.app.overdue(&deadline, step);
        }
    }

    /// The oldest request that waits to be run.
    #[must_use]
    pub fn next_ready(&self) -> Option<Ready> {
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

    /// Whether it has ended; a call that still runs has lost its connection.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.lock().phase == Phase::Stopped
    }
}

impl Shared {
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
