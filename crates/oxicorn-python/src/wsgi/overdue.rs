//! Requests under a time limit as Python knows them: `oxicorn.deadline`, stacks, interruption.
//!
//! An exception that is set for a thread from outside is raised at its next step in Python, whatever
//! it does by then. That it never hits another request is a matter of order: a request is listed
//! here only while the application has it, it is interrupted only while it is listed, and when it is
//! taken off the list, an exception that was not raised yet is taken back. Each of the three is one
//! step under the interpreter's lock and that of the list (no Python code runs under it). Under a
//! foreign loop nothing is pending: the loop throws the exception into a call that it is not
//! running.

use std::collections::HashMap;
use std::ffi::c_ulong;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxicorn_worker::{Step, error_log};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::transaction::Slot;
use crate::{errors, ffi};

/// The time limit of one request, as its environ has it.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct Deadline(Option<Arc<oxicorn_worker::Deadline>>);

#[pymethods]
impl Deadline {
    /// Seconds until the request is interrupted; None when it never is.
    #[getter]
    fn remaining(&self) -> Option<f64> {
        self.0.as_ref()?.remaining().map(|left| left.as_secs_f64())
    }

    /// Gives the request so many seconds more; does nothing when it has no limit, or is over it.
    fn extend(&self, seconds: f64) -> PyResult<()> {
        let by = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("extend takes a number of seconds, 0 or more"))?;
        if let Some(deadline) = &self.0 {
            deadline.extend(by);
        }
        Ok(())
    }
}

impl Deadline {
    /// For requests without a limit.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// That of the request at hand.
    pub(super) fn of(py: Python<'_>, slot: &Slot) -> Self {
        Self(slot.claim(py).exchange().deadline().cloned())
    }
}

/// What runs a request.
#[derive(Debug)]
enum Runner {
    /// A thread, by the name that Python has for it.
    Thread(c_ulong),
    /// A call of a foreign loop that an exception can be thrown into, such as a greenlet.
    Call(Py<PyAny>),
    /// The loop itself, which cannot be interrupted.
    Loop,
}

#[derive(Debug)]
struct Entry {
    runner: Runner,
    /// An exception was set for its thread.
    is_struck: bool,
}

/// The requests that the application has.
#[derive(Debug)]
pub(super) struct Overdue {
    requests: Mutex<HashMap<u64, Entry>>,
    exception: Py<PyType>,
    /// The process and its signals are ours.
    is_worker: bool,
}

impl Overdue {
    pub(super) fn new(py: Python<'_>, is_worker: bool) -> PyResult<Self> {
        let exception = exception(py)?.unbind();
        Ok(Self { requests: Mutex::default(), exception, is_worker })
    }

    /// Lists a request that goes to the application now, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// `RequestTimeout`: it is over its limit before it began.
    pub(super) fn enter<'a, 'py>(
        &'a self,
        py: Python<'py>,
        slot: &Slot,
    ) -> PyResult<Option<Listed<'a, 'py>>> {
        let Some(deadline) = slot.claim(py).exchange().deadline().cloned() else { return Ok(None) };
        let runner = match slot.foreign() {
            Some(foreign) if foreign.waits() => {
                foreign.caller(py)?.map_or(Runner::Loop, Runner::Call)
            }
            _ => Runner::Thread(ffi::thread_ident(py)),
        };
        let mut requests = self.lock();
        if deadline.is_interrupted() {
            drop(requests);
            return Err(interruption(py));
        }
        requests.insert(deadline.id(), Entry { runner, is_struck: false });
        drop(requests);
        Ok(Some(Listed { list: self, py, id: deadline.id() }))
    }

    /// Shows where a request is, and interrupts it if that is the step.
    pub(super) fn overdue(&self, py: Python<'_>, deadline: &oxicorn_worker::Deadline, step: Step) {
        match self.stack(py, deadline.id()) {
            Some(Ok(stack)) => {
                let level = match step {
                    Step::Show => error_log::Level::Warning,
                    Step::Interrupt => error_log::Level::Error,
                };
                let stack = match stack.trim_end() {
                    "" => "  (nowhere in Python)",
                    stack => stack,
                };
                let text = format_args!("Stack of {deadline} (most recent call last):\n{stack}");
                error_log::write_about(level, text, deadline.about());
            }
            Some(Err(error)) => errors::report(py, "Error while a stack was shown", &error),
            None => {}
        }
        if step == Step::Interrupt {
            self.interrupt(py, deadline);
        }
    }

    /// Where a request is now; `None` when the application does not have it.
    fn stack(&self, py: Python<'_>, id: u64) -> Option<PyResult<String>> {
        let (function, argument) = match &self.lock().get(&id)?.runner {
            Runner::Thread(ident) => ("stack_of_thread", ident.into_pyobject(py).ok()?.into_any()),
            Runner::Call(call) => ("stack_of_greenlet", call.bind(py).clone()),
            Runner::Loop => return None,
        };
        let show = || py.import("oxicorn.overdue")?.call_method1(function, (argument,))?.extract();
        Some(show())
    }

    fn interrupt(&self, py: Python<'_>, deadline: &oxicorn_worker::Deadline) {
        let mut requests = self.lock();
        // One that is on its way to the application, or back, must not wait for its client either.
        deadline.interrupted();
        let Some(entry) = requests.get_mut(&deadline.id()) else { return };
        let runner = match &entry.runner {
            Runner::Thread(ident) => {
                entry.is_struck = true;
                ffi::set_async_exception(py, *ident, Some(self.exception.bind(py)));
                Runner::Thread(*ident)
            }
            Runner::Call(call) => Runner::Call(call.clone_ref(py)),
            Runner::Loop => Runner::Loop,
        };
        drop(requests);
        if let Err(error) = self.reach(py, &runner) {
            errors::report(py, "Error while a request was interrupted", &error);
        }
    }

    /// The part of an interruption that runs Python code.
    fn reach(&self, py: Python<'_>, runner: &Runner) -> PyResult<()> {
        match runner {
            Runner::Thread(ident) if self.is_worker => {
                py.import("oxicorn.overdue")?.call_method1("wake", (*ident,))?;
            }
            Runner::Call(call) => {
                // Whatever the call does until it waits again, or ends, happens in here.
                call.bind(py).call_method1("throw", (error(py)?,))?;
            }
            Runner::Thread(_) | Runner::Loop => {}
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is listed.
pub(super) struct Listed<'a, 'py> {
    list: &'a Overdue,
    py: Python<'py>,
    id: u64,
}

impl Drop for Listed<'_, '_> {
    fn drop(&mut self) {
        let entry = self.list.lock().remove(&self.id);
        if let Some(Entry { runner: Runner::Thread(ident), is_struck: true }) = entry {
            ffi::set_async_exception(self.py, ident, None);
        }
    }
}

/// What interrupts a wait of ours, in place of an exception that may be set for this thread.
pub(super) fn interruption(py: Python<'_>) -> PyErr {
    ffi::set_async_exception(py, ffi::thread_ident(py), None);
    match error(py) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Whether this is how an interrupted request ends.
pub(super) fn is_interruption(error: &PyErr, py: Python<'_>) -> bool {
    exception(py).is_ok_and(|exception| error.is_instance(py, &exception))
}

fn exception(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    Ok(py.import("oxicorn.errors")?.getattr("RequestTimeout")?.cast_into()?)
}

fn error(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    exception(py)?.call0()
}
