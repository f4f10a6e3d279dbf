//! The reactor's descriptor: epoll, level-triggered.
//!
//! An epoll descriptor is itself readable when something in it is ready, so that a foreign event
//! loop can watch it. Level-triggered, so an event that nobody handled comes again.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the peer's end of them.
    Read,
    /// Room to write.
    Write,
    /// Either of the two.
    Both,
    /// Connections to accept; of several processes that watch, one is woken.
    Accept,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN | EventFlags::RDHUP,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT,
            Self::Accept => EventFlags::IN | EventFlags::EXCLUSIVE,
        }
    }
}

/// One thing that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number that the descriptor was registered with.
    pub token: u64,
    /// Whether it can be written to (or failed, which a write will tell).
    pub writable: bool,
}

/// Most events of one round.
const MOST: usize = 128;

/// A buffer for one round of events, used again and again.
#[derive(Debug, Default)]
pub struct Events(Vec<Ready>);

impl Events {
    /// A buffer for up to `capacity` events a round, at most 128.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Forgets the last round.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Number of events of the last round.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the last round brought nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event at `index` of the last round.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Ready> {
        self.0.get(index).copied()
    }
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// A new, empty instance.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        epoll::create(CreateFlags::CLOEXEC).map(Self)
    }

    /// Watches a descriptor.
    ///
    /// # Errors
    ///
    /// It is watched already, or the kernel is out of memory for it.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        epoll::add(&self.0, fd, EventData::new_u64(token), interest.flags())
    }

    /// Changes what a watched descriptor is watched for.
    ///
    /// # Errors
    ///
    /// It is not watched.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        epoll::modify(&self.0, fd, EventData::new_u64(token), interest.flags())
    }

    /// Stops watching a descriptor.
    ///
    /// # Errors
    ///
    /// It is not watched.
    pub fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.0, fd)
    }

    /// Waits for events, at most `timeout`; `None` waits without end.
    ///
    /// An interrupting signal ends the wait without events.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) {
        events.0.clear();
        let timeout = timeout.map(timespec);
        // The only possible error is an interruption, after which the caller looks around anyway.
        let mut buffer = [MaybeUninit::uninit(); MOST];
        let room = buffer.get_mut(..events.0.capacity().min(MOST)).unwrap_or_default();
        if let Ok((found, _)) = epoll::wait(&self.0, room, timeout.as_ref()) {
            events.0.extend(found.iter().map(ready));
        }
    }
}

/// An event in our words.
fn ready(event: &Event) -> Ready {
    let (flags, data) = (event.flags, event.data);
    let writable = flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP);
    Ready { token: data.u64(), writable }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A duration as the kernel takes it.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Waits until one of two descriptors can be read, at most `timeout`.
pub fn wait_either(a: BorrowedFd<'_>, b: BorrowedFd<'_>, timeout: Option<Duration>) {
    let timeout = timeout.map(timespec);
    let mut fds =
        [PollFd::from_borrowed_fd(a, PollFlags::IN), PollFd::from_borrowed_fd(b, PollFlags::IN)];
    let _ = rustix::event::poll(&mut fds, timeout.as_ref());
}

/// Waits until a descriptor can be read or written (or failed), at most `timeout`.
///
/// `false` when the time is over.
#[must_use]
pub fn wait_one(fd: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> bool {
    let flags = match interest {
        Interest::Read | Interest::Accept => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
        Interest::Both => PollFlags::IN | PollFlags::OUT,
    };
    let timeout = timespec(timeout);
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    match rustix::event::poll(&mut fds, Some(&timeout)) {
        Ok(ready) => ready > 0,
        // Interrupted: the caller tries again, which is always allowed.
        Err(_) => true,
    }
}
