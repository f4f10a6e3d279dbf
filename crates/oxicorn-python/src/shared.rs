//! What the master makes before a fork and its workers use: a record each, and sockets between them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxicorn_os::passage;
use oxicorn_os::scoreboard::{Slot as Record, monotonic_ms};
use pyo3::prelude::*;

/// The record of one worker in the memory that it shares with the master.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Slot {
    record: Record,
}

#[pymethods]
impl Slot {
    /// Requests that the worker has begun.
    #[getter]
    fn requests(&self) -> u64 {
        self.record.requests()
    }

    /// When the worker last gave a sign of life, in seconds of the monotonic clock.
    #[getter]
    fn last_update(&self) -> f64 {
        Duration::from_millis(self.record.last_heartbeat()).as_secs_f64()
    }

    /// Gives a sign of life for a worker whose threads do not come to it.
    fn notify(&self) {
        self.record.heartbeat(monotonic_ms());
    }
}

impl Slot {
    /// One of a worker that is about to be forked.
    pub(crate) fn new(record: Record) -> Self {
        Self { record }
    }

    /// The record itself, for the engine.
    pub(crate) fn record(&self) -> Record {
        self.record
    }
}

/// The sockets on which the workers of one generation hand connections to each other.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Passage {
    inner: Mutex<Option<passage::Passage>>,
}

#[pymethods]
impl Passage {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { inner: Mutex::new(Some(passage::Passage::new()?)) })
    }

    /// Closes its descriptors.
    fn close(&self) {
        *self.lock() = None;
    }
}

impl Passage {
    fn lock(&self) -> MutexGuard<'_, Option<passage::Passage>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same sockets for the engine, unless they are closed.
    pub(crate) fn share(&self) -> PyResult<Option<passage::Passage>> {
        Ok(self.lock().as_ref().map(passage::Passage::try_clone).transpose()?)
    }
}
