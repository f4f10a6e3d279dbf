//! What a master is told to do.

/// Something to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write a line to the error log.
    Log(Level, String),
    /// Fork a worker and answer with [`Forked`](crate::Event::Forked).
    Spawn {
        /// A number that no other worker of this master has had.
        age: u64,
        /// The settings it runs with.
        generation: u64,
    },
    /// Send a signal to a worker.
    Send {
        /// Its process.
        pid: u32,
        /// What it is told.
        order: Order,
    },
    /// A worker serves only until its replacement does.
    Outgoing {
        /// Its process.
        pid: u32,
    },
    /// Read the settings again; answer with [`Reloaded`](crate::Event::Reloaded) if they are good.
    Reload,
    /// The newest generation serves, also the first: what the others needed can be forgotten.
    Settle {
        /// The newest generation.
        generation: u64,
    },
    /// A reload failed: forget its settings, this generation goes on.
    Abandon {
        /// The generation that serves.
        generation: u64,
    },
    /// Open the log files again.
    ReopenLogs,
    /// Start the program anew beside this one, on the same sockets.
    Upgrade,
    /// Accept no more connections.
    CloseListeners,
    /// The number of workers that are to be there changed.
    WorkersChanged {
        /// What it was.
        old: usize,
        /// What it is.
        new: usize,
    },
    /// Write what a worker is busy with, or was when it ended, to the error log.
    ReportRequests {
        /// Its process.
        pid: u32,
        /// How bad it is.
        level: Level,
    },
    /// A worker is gone: drop what belonged to it.
    Reaped {
        /// Which one.
        age: u64,
        /// Its process.
        pid: u32,
        /// Whether it never served because it could not start.
        boot_failed: bool,
    },
    /// Leave with this code. Nothing follows.
    Stop {
        /// The exit code.
        code: i32,
    },
}

/// What a worker is told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// TERM: finish what you have, then leave.
    Finish,
    /// QUIT: leave now.
    Leave,
    /// ABRT: show where you are stuck.
    Abort,
    /// KILL.
    Kill,
    /// USR1: open the log files again.
    ReopenLogs,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// The normal course of things.
    Info,
    /// Something to look at some day.
    Warning,
    /// Something went wrong.
    Error,
    /// Something went wrong and took requests with it.
    Critical,
}
