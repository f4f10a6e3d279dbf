//! inotify for Python: a descriptor to watch, and what it tells.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;

use pyo3::prelude::*;

/// Readable when something in one of the watched directories has changed.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct Changes(oxicorn_os::changes::Changes);

#[pymethods]
impl Changes {
    /// Watches nothing yet; `OSError` if the kernel cannot.
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(oxicorn_os::changes::Changes::new()?))
    }

    /// The descriptor to wait for.
    fn fileno(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }

    /// Watches the entries of a directory.
    #[expect(clippy::needless_pass_by_value, reason = "the argument comes from Python")]
    fn watch(&self, directory: PathBuf) -> PyResult<()> {
        Ok(self.0.watch(&directory)?)
    }

    /// Whether anything changed since the last call; does not wait.
    fn take(&self) -> bool {
        self.0.take()
    }
}
