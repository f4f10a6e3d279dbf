//! What can happen to a master.

use std::time::Instant;

use crate::Policy;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The listeners are open: begin.
    Start,
    /// A signal came.
    Signal(Signal),
    /// The settings were read again, as [`Effect::Reload`](crate::Effect::Reload) asked.
    Reloaded(Policy),
    /// A worker that was to be spawned exists now.
    Forked {
        /// Which one.
        age: u64,
        /// Its process.
        pid: u32,
    },
    /// A worker that was to be spawned could not be: the system has no process to give.
    ForkFailed {
        /// Which one.
        age: u64,
    },
    /// A worker accepts requests.
    Ready {
        /// Its process.
        pid: u32,
    },
    /// A worker said that it cannot start.
    BootFailed {
        /// Its process.
        pid: u32,
        /// What went wrong.
        failure: BootFailure,
    },
    /// A worker asks to be replaced.
    Recycle {
        /// Its process.
        pid: u32,
    },
    /// A worker has a request that does not end, and asks to be replaced.
    Stuck {
        /// Its process.
        pid: u32,
    },
    /// A worker gave a sign of life at that time.
    Heartbeat {
        /// Its process.
        pid: u32,
        /// When.
        at: Instant,
    },
    /// A child ended; it need not be a worker.
    Exited {
        /// Its process.
        pid: u32,
        /// How.
        ending: Ending,
    },
    /// Time went by.
    Tick,
}

/// The signals that mean something to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Read the settings again and replace all workers.
    Hup,
    /// Stop quickly.
    Int,
    /// Stop quickly.
    Quit,
    /// Stop when all requests are finished.
    Term,
    /// One worker more.
    Ttin,
    /// One worker less.
    Ttou,
    /// Open the log files again.
    Usr1,
    /// Replace the running program.
    Usr2,
    /// Let all workers leave, in a daemon.
    Winch,
}

impl Signal {
    /// Its name as log lines have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "hup",
            Self::Int => "int",
            Self::Quit => "quit",
            Self::Term => "term",
            Self::Ttin => "ttin",
            Self::Ttou => "ttou",
            Self::Usr1 => "usr1",
            Self::Usr2 => "usr2",
            Self::Winch => "winch",
        }
    }
}

/// Why a worker could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootFailure {
    /// Importing the application failed, or something else on the way did.
    Worker,
    /// The module is there, but the application is not in it.
    App,
}

impl BootFailure {
    /// The exit code of a server that could not start for it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Worker => 3,
            Self::App => 4,
        }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Worker => "Worker failed to boot.",
            Self::App => "App failed to load.",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It left with this code.
    Code(i32),
    /// A signal of this name ended it.
    Signal(&'static str),
    /// The kernel ended it for lack of memory.
    OutOfMemory,
}
