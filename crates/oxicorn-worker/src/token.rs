//! Who polls: the one value that decides it, and the rules for passing it on.
//!
//! ```text
//!               take                 stuck, a follower is idle
//!   Nobody ───────────► Thread(i) ────────────────────────────► Nobody (and eager)
//!     ▲  ▲ give           │   ▲
//!     │  └────────────────┘   │ take (the monitor is woken)
//!     │ all idle              │
//!     └──────── Monitor ◄─────┘ stuck or nobody there, and no follower is idle
//! ```
//!
//! Changed only under the reactor's mutex. Polling by two at once is harmless (every event is a
//! hint and connections are moved out before use), so the rules have to ensure one thing only:
//! never nobody for long while there is something to do.

/// Fast calls after which requests are run where they were read again.
#[cfg(not(test))]
pub(crate) const EAGER_CALLS: u32 = 256;
/// Few, so that the model of all interleavings stays small.
#[cfg(test)]
pub(crate) const EAGER_CALLS: u32 = 2;

/// Milliseconds that a call takes at least which may have waited for something.
const NOTICEABLE: u64 = 2;

/// Whether a call of `took` milliseconds waited, and not only for the interpreter: the process `worked`
/// for so many of them.
///
/// Where the process works all the time, more calls at once get nothing done sooner, and each waits
/// until another one is made to give the interpreter up: a page of Flask takes 1.6 times as long.
pub(crate) fn has_waited(took: u64, worked: u64) -> bool {
    // Both are looked up once a millisecond.
    took >= NOTICEABLE && (worked + 1) * 4 < took * 3
}

/// The holder of the poll token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Nobody polls.
    #[default]
    Nobody,
    /// An application thread.
    Thread(usize),
    /// The monitor thread.
    Monitor,
}

/// What an application thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run the oldest queued request; a follower got a permit and must be woken if `wake`.
    Run {
        /// Whether to wake a follower, which will poll.
        wake: bool,
    },
    /// Poll; end the monitor's poll first if `kick`.
    Poll {
        /// Whether the monitor polls now.
        kick: bool,
    },
    /// Wait for a permit.
    Follow,
}

/// The token, the followers, and eager mode.
///
/// A follower is woken by a permit, so that a wake-up between its decision to wait and the wait
/// itself is not lost. `idle` counts the followers without a permit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    holder: Holder,
    idle: usize,
    permits: usize,
    eager: u32,
}

impl Token {
    /// Who polls.
    pub(crate) fn holder(&self) -> Holder {
        self.holder
    }

    /// Whether a holder should queue what it reads instead of running it itself.
    pub(crate) fn is_eager(&self) -> bool {
        self.eager > 0
    }

    /// An application thread is free: what should it do?
    pub(crate) fn next(&mut self, thread: usize, queued: usize) -> Next {
        if queued > 0 {
            if self.holder == Holder::Thread(thread) {
                self.holder = Holder::Nobody;
            }
            let wake = self.holder == Holder::Nobody && self.wake_one();
            return Next::Run { wake };
        }
        match self.holder {
            Holder::Thread(other) if other != thread => {
                self.idle += 1;
                Next::Follow
            }
            holder => {
                self.holder = Holder::Thread(thread);
                Next::Poll { kick: holder == Holder::Monitor }
            }
        }
    }

    /// Gives an idle follower a permit; `false` when there is none.
    pub(crate) fn wake_one(&mut self) -> bool {
        if self.idle == 0 {
            return false;
        }
        self.idle -= 1;
        self.permits += 1;
        true
    }

    /// Whether a follower has a permit that it did not use yet.
    pub(crate) fn has_permits(&self) -> bool {
        self.permits > 0
    }

    /// A follower asks whether it may go on.
    pub(crate) fn woken(&mut self) -> bool {
        let woken = self.permits > 0;
        self.permits -= usize::from(woken);
        woken
    }

    /// Followers, with and without a permit.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.idle + self.permits
    }

    /// A call is over: `slow` if it [has waited](has_waited).
    pub(crate) fn call_done(&mut self, slow: bool) {
        self.eager = if slow { EAGER_CALLS } else { self.eager.saturating_sub(1) };
    }

    /// The holder stops polling for good (its thread ends).
    pub(crate) fn give_up(&mut self, thread: usize) {
        if self.holder == Holder::Thread(thread) {
            self.holder = Holder::Nobody;
            self.wake_one();
        }
    }

    /// The monitor saw the holder inside the same application call twice: a follower is woken, or
    /// the monitor has to poll (`true`).
    pub(crate) fn holder_is_stuck(&mut self, threads: usize) -> bool {
        self.holder = Holder::Nobody;
        if threads > 1 {
            self.eager = EAGER_CALLS;
        }
        self.nobody_polls()
    }

    /// The monitor sees that nobody polls: a follower is woken, or the monitor has to (`true`).
    pub(crate) fn nobody_polls(&mut self) -> bool {
        // A permit that is not used yet will bring someone.
        if self.holder != Holder::Nobody || self.permits > 0 || self.wake_one() {
            return false;
        }
        self.holder = Holder::Monitor;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::has_waited;

    #[test]
    fn a_call_has_waited_if_the_process_did_not_work_meanwhile() {
        // Too short to tell.
        assert!(!has_waited(0, 0) && !has_waited(1, 0));
        assert!(has_waited(2, 0) && has_waited(10, 0) && has_waited(10, 6));
        // Others computed, or it did itself; on two processors it may be both.
        assert!(!has_waited(2, 1) && !has_waited(10, 7) && !has_waited(200, 200));
        assert!(!has_waited(200, 400));
    }
}
