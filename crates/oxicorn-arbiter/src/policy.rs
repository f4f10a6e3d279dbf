//! The numbers that the arbiter goes by.

use std::time::Duration;

/// What the settings say about workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many workers serve.
    pub workers: usize,
    /// How old the last sign of life of a worker may get; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// How long a worker may take to become ready; `None` waits for ever.
    pub boot_timeout: Option<Duration>,
    /// How long a worker may finish what it has when it is asked to leave.
    pub graceful_timeout: Duration,
    /// Whether the server runs detached from a terminal: only then WINCH means anything.
    pub daemon: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            workers: 1,
            timeout: Some(Duration::from_secs(30)),
            boot_timeout: None,
            graceful_timeout: Duration::from_secs(30),
            daemon: false,
        }
    }
}
