//! The write side of a connection whose application still yields while its client is slow.
//!
//! Shared by the thread that runs the application, which appends, and whoever polls, which sends
//! when the socket has room. The reactor's mutex is never taken while this one is held.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::outbox::{Flushed, Outbox};
use crate::wire::Wire;

/// Output that the socket did not take at once.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) stream: Arc<Wire>,
    state: Mutex<FlushState>,
}

/// What the two sides share.
#[derive(Debug, Default)]
pub(crate) struct FlushState {
    pub(crate) outbox: Outbox,
    /// Whether the reactor watches the socket for room.
    pub(crate) watching: bool,
    /// Whether a timer entry will look at the progress.
    pub(crate) timed: bool,
    pub(crate) broken: bool,
    /// When the client last took a byte.
    pub(crate) progress: u64,
}

impl FlushState {
    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self, stream: &Wire, now: u64) {
        match self.outbox.flush(stream) {
            Flushed::All | Flushed::Some { progress: true } => self.progress = now,
            Flushed::Some { progress: false } => {}
            Flushed::Broken => self.broken = true,
        }
    }
}

impl Flusher {
    pub(crate) fn new(stream: Arc<Wire>, now: u64) -> Self {
        let state = FlushState { progress: now, ..FlushState::default() };
        Self { stream, state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, FlushState> {
        // Every update leaves the state usable, so a panic elsewhere does not matter here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where and how much may be kept for a slow client.
#[derive(Clone, Debug)]
pub(crate) struct OutputLimits {
    pub(crate) memory: usize,
    pub(crate) total: u64,
    pub(crate) directory: PathBuf,
}

impl OutputLimits {
    /// Queues what is framed already, in order.
    pub(crate) fn queue(&self, state: &mut FlushState, parts: &[&[u8]]) {
        for part in parts {
            if let Err(error) = state.outbox.push(part, self.memory, &self.directory) {
                self.complain(&error);
                state.broken = true;
            }
        }
    }

    /// Says in the log why a response could not be kept.
    pub(crate) fn complain(&self, error: &io::Error) {
        let directory = self.directory.display();
        log::error!(
            target: "oxicorn.error",
            "cannot keep a response for a slow client in `{directory}`: {error} (tmp_upload_dir)"
        );
    }
}
