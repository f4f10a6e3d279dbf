//! An eventfd: another thread ends a wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;

/// Wakes whoever waits for this descriptor to be readable.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A new waker, not woken.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self)
    }

    /// Makes the descriptor readable until [`reset`](Self::reset).
    pub fn wake(&self) {
        // Fails only when the counter is full, and then it is readable already.
        let _ = io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub fn reset(&self) {
        let mut counter = [0; 8];
        let _ = io::read(&self.0, &mut counter);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
