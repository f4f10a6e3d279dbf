//! The logs as the Python side sets them up and uses them.
//!
//! Lines are formatted and written in Rust with the interpreter released: a log on a slow pipe
//! holds up the thread that logs, not the others.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use oxicorn_os::LogTarget;
use oxicorn_worker::About;
use oxicorn_worker::access_log::{AccessFormat, AccessLog};
use oxicorn_worker::error_log::{self, Level};
use oxicorn_worker::forward::{self, Refused, Said};

use crate::errors::traceback;
use crate::ffi::latin1;

/// Opens the logs that the settings name; again, when the settings were read again.
///
/// `-` is standard error for the error log and standard output for the access log. A level that
/// is none of the five names means `info`, as in gunicorn. Raises `OSError` or `ValueError` with
/// the name of the setting; what was open stays open then.
#[pyfunction]
pub(crate) fn init_logs(
    errorlog: &str,
    loglevel: &str,
    accesslog: Option<&str>,
    access_log_format: &str,
    json: bool,
    capture_output: bool,
    access_by_python: bool,
) -> PyResult<()> {
    let format = if json {
        AccessFormat::json()
    } else {
        AccessFormat::compile(access_log_format)
            .map_err(|error| PyValueError::new_err(format!("access_log_format: {error}")))?
    };
    let access = match accesslog {
        Some(name) => Some(
            AccessLog::open(format, target(name, LogTarget::Stdout))
                .map_err(|error| cannot_open("accesslog", name, &error))?,
        ),
        None => access_by_python.then(|| AccessLog::elsewhere(format)),
    };
    if let (Some(access), true) = (&access, access_by_python) {
        access.forward();
    }
    let level = loglevel.parse::<Level>().unwrap_or_default();
    error_log::init(target(errorlog, LogTarget::Stderr), level, json)
        .map_err(|error| cannot_open("errorlog", errorlog, &error))?;
    error_log::capture_output(capture_output)?;
    *ACCESS_LOG.write().unwrap_or_else(PoisonError::into_inner) = access.map(Arc::new);
    Ok(())
}

/// Writes a message to the error log, at one of gunicorn's five levels.
#[pyfunction]
pub(crate) fn log(py: Python<'_>, level: &str, message: &Bound<'_, PyString>) -> PyResult<()> {
    let level = parse_level(level)?;
    if error_log::is_enabled(level) {
        let message = message.to_string_lossy();
        py.detach(|| error_log::write(level, format_args!("{message}")));
    }
    Ok(())
}

/// Writes a line, without its end, to the error log, whatever its level is.
#[pyfunction]
pub(crate) fn write_error_line(py: Python<'_>, text: &Bound<'_, PyString>) {
    let text = text.to_string_lossy();
    py.detach(|| error_log::write_as_is(&text));
}

/// Writes a line, without its end, to the access log, if there is a place for it.
#[pyfunction]
pub(crate) fn write_access_line(py: Python<'_>, text: &Bound<'_, PyString>) {
    let text = text.to_string_lossy();
    py.detach(|| {
        if let Some(access) = access_log() {
            access.write_line(&text);
        }
    });
}

/// Leaves access lines to Python in the engines that are made from now on.
#[pyfunction]
pub(crate) fn forward_access() {
    if let Some(access) = access_log() {
        access.forward();
    }
}

/// Leaves the engine's messages to a logger, with gunicorn's methods, or to nobody with `None`.
///
/// Failures of the application are its `exception` at once; everything else waits for
/// `take_messages`.
#[pyfunction]
#[pyo3(signature = (logger))]
pub(crate) fn forward_messages(logger: Option<Py<PyAny>>) {
    forward::set_on(logger.is_some());
    let before = std::mem::replace(&mut *lock_logger(), logger);
    // Dropping it may run Python code, which must not find the lock taken.
    drop(before);
}

/// Has requests named in the engines that are made from now on, if the settings do not forbid it.
#[pyfunction]
pub(crate) fn want_request_ids() {
    WANTS_IDS.store(true, Ordering::Relaxed);
}

/// Whether somebody has asked for names of requests.
pub(crate) fn wants_request_ids() -> bool {
    WANTS_IDS.load(Ordering::Relaxed)
}

static WANTS_IDS: AtomicBool = AtomicBool::new(false);

/// Waits for something that `take_messages` would give; at most a second.
#[pyfunction]
pub(crate) fn await_messages(py: Python<'_>) {
    py.detach(|| forward::wait(Duration::from_secs(1)));
}

/// Whether `take_messages` would give something.
#[pyfunction]
pub(crate) fn has_messages() -> bool {
    forward::is_waiting()
}

/// What the engine has to say: names of a logger's methods with messages, or `refused` with what
/// the access log says of a request that the application did not see.
#[pyfunction]
pub(crate) fn take_messages(py: Python<'_>) -> PyResult<Vec<(String, Py<PyAny>)>> {
    let messages = forward::take().into_iter().map(|said| match said {
        Said::Message(level, text) => {
            Ok((level.name().to_ascii_lowercase(), text.into_pyobject(py)?.into_any().unbind()))
        }
        Said::Refused(refused) => Ok(("refused".to_owned(), refusal(py, &refused)?.into())),
    });
    messages.collect()
}

fn refusal<'py>(py: Python<'py>, refused: &Refused) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("status", refused.status)?;
    found.set_item("sent", refused.body_bytes)?;
    found.set_item("client", latin1(py, &refused.remote_addr)?)?;
    found.set_item("method", latin1(py, &refused.method)?)?;
    found.set_item("target", latin1(py, &refused.target)?)?;
    found.set_item("protocol", latin1(py, &refused.protocol)?)?;
    let names = PyDict::new(py);
    for (name, value) in refused.about.iter().flat_map(About::known) {
        names.set_item(format!("oxicorn.{name}"), value)?;
    }
    found.set_item("names", names)?;
    let fields =
        refused.fields.iter().map(|(name, value)| Ok((latin1(py, name)?, latin1(py, value)?)));
    found.set_item("fields", fields.collect::<PyResult<Vec<_>>>()?)?;
    Ok(found)
}

/// Gives a failure of the application to the logger of Python's; `false` when there is none.
pub(crate) fn exception(py: Python<'_>, doing: &str, about: Option<&About>, error: &PyErr) -> bool {
    let Some(logger) = lock_logger().as_ref().map(|logger| logger.clone_ref(py)) else {
        return false;
    };
    let call = || {
        let keywords = PyDict::new(py);
        keywords.set_item("exc_info", error.value(py))?;
        if let Some(about) = about {
            let extra = PyDict::new(py);
            about.known().try_for_each(|(name, value)| extra.set_item(name, value))?;
            keywords.set_item("extra", extra)?;
        }
        let doing = error_log::first_line(doing, about);
        logger.bind(py).call_method("exception", ("%s", doing), Some(&keywords))
    };
    let called = call();
    if let Err(failure) = &called {
        error_log::write_as_is(&format!("The logger failed: {}", traceback(py, failure)));
    }
    called.is_ok()
}

/// Opens the log files again by their names, after log rotation.
///
/// A file that cannot be opened is reported in the error log, and the log goes on in the old one.
#[pyfunction]
pub(crate) fn reopen_logs(py: Python<'_>) {
    py.detach(reopen);
}

/// Opens the log files again by their names; a failure is reported in the error log.
pub(crate) fn reopen() {
    let report = |name, result: io::Result<()>| {
        if let Err(error) = result {
            let message = format_args!("{name}: cannot reopen the log: {error}");
            error_log::write(Level::Error, message);
        }
    };
    report("errorlog", error_log::reopen());
    if let Some(access) = access_log() {
        report("accesslog", access.reopen());
    }
}

/// Gives the log files to the user that the workers run as, so that these can reopen them.
#[pyfunction]
pub(crate) fn give_logs_to(uid: u32, gid: u32) -> PyResult<()> {
    error_log::give_to(uid, gid)?;
    if let Some(access) = access_log() {
        access.give_to(uid, gid)?;
    }
    Ok(())
}

/// The access log, if the settings ask for one.
pub(crate) fn access_log() -> Option<Arc<AccessLog>> {
    ACCESS_LOG.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The access log of an engine: for what the application answers, and for refused requests.
pub(crate) fn access_logs(wanted: bool) -> [Option<Arc<AccessLog>>; 2] {
    let log = access_log().filter(|_| wanted);
    [log.clone().filter(|log| !log.is_forwarded()), log]
}

fn lock_logger() -> MutexGuard<'static, Option<Py<PyAny>>> {
    LOGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The operator's logger, if the process has one.
static LOGGER: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

static ACCESS_LOG: RwLock<Option<Arc<AccessLog>>> = RwLock::new(None);

fn parse_level(name: &str) -> PyResult<Level> {
    name.parse().map_err(|_| PyValueError::new_err(format!("unknown log level `{name}`")))
}

fn target(name: &str, stream: LogTarget) -> LogTarget {
    match name {
        "-" => stream,
        path => LogTarget::File(path.into()),
    }
}

fn cannot_open(setting: &str, name: &str, error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("{setting}: cannot open `{name}`: {error}"))
}
