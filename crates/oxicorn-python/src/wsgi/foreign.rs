//! What an event loop of Python's, such as gevent's hub, does for the exchanges that run under it.

use std::os::fd::RawFd;
use std::time::Duration;

use oxicorn_os::epoll::Interest;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors;

/// Pause between two looks at a state that another call has.
const LOOK: Duration = Duration::from_millis(5);

/// The functions of a loop; `wait` and `report` may switch to another call on this thread, so
/// nothing may be locked, lent out or released around them.
#[derive(Debug)]
pub(crate) struct Foreign {
    wait: Option<Py<PyAny>>,
    report: Option<Py<PyAny>>,
    socket: Option<Py<PyAny>>,
    running: Option<Py<PyAny>>,
}

impl Foreign {
    /// `wait(fd, writing, seconds)` waits for a descriptor, or only for the time if it is -1; without
    /// it a request has a thread of its own, which is blocked.
    /// `report(environ, type, value, traceback)` gets what the application raised; unless it says
    /// that it has dealt with it, the error log gets it too. `socket(fileno=fd)` makes a socket whose
    /// waits are the loop's; without it there are no WebSockets. `running()` gives the call that
    /// runs, whose `throw(error)` interrupts it, or `None` if it is the loop itself.
    pub(crate) fn new(
        wait: Option<Py<PyAny>>,
        report: Option<Py<PyAny>>,
        socket: Option<Py<PyAny>>,
        running: Option<Py<PyAny>>,
    ) -> Self {
        Self { wait, report, socket, running }
    }

    /// What makes a socket of a descriptor.
    pub(super) fn socket<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.socket.as_ref().map(|socket| socket.bind(py))
    }

    /// The call that runs, if it can be interrupted.
    pub(super) fn caller(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(running) = &self.running else { return Ok(None) };
        let call = running.bind(py).call0()?;
        Ok((!call.is_none()).then(|| call.unbind()))
    }

    /// Whether all requests share the loop's thread.
    pub(crate) fn waits(&self) -> bool {
        self.wait.is_some()
    }

    /// Waits for a socket; `false` leaves an exception set for whoever called into the exchange.
    pub(crate) fn park(&self, fd: RawFd, interest: Interest, within: Duration) -> bool {
        Python::attach(|py| match self.wait(py, fd, interest == Interest::Write, within) {
            Ok(()) => true,
            Err(error) => {
                error.restore(py);
                false
            }
        })
    }

    /// Lets the others go on for a moment, in a wait that cannot be given up.
    pub(super) fn pause(&self, py: Python<'_>) {
        if let Err(error) = self.wait(py, -1, false, LOOK) {
            errors::report(py, "Error while waiting for a request", &error);
        }
    }

    /// Gives a failure of the application to the loop; `false` when that is not its business.
    pub(super) fn take_failure(
        &self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        error: &PyErr,
    ) -> bool {
        let Some(report) = &self.report else { return false };
        let given = (environ, error.get_type(py), error.value(py), error.traceback(py));
        let taken = report.bind(py).call1(given).and_then(|taken| taken.is_truthy());
        taken.unwrap_or_else(|error| {
            errors::report(py, "Error in the event loop's error handler", &error);
            false
        })
    }

    fn wait(&self, py: Python<'_>, fd: RawFd, writing: bool, within: Duration) -> PyResult<()> {
        let Some(wait) = &self.wait else { return Ok(()) };
        wait.bind(py).call1((fd, writing, within.as_secs_f64())).map(drop)
    }
}
