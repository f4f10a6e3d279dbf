//! The logs as the Python side sets them up and uses them.
//!
//! Lines are formatted and written in Rust with the interpreter released: a log on a slow pipe
//! holds up the thread that logs, not the others.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use oxicorn_os::LogTarget;
use oxicorn_worker::access_log::{AccessFormat, AccessLog};
use oxicorn_worker::error_log::{self, Level};

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
) -> PyResult<()> {
    let format = if json {
        AccessFormat::json()
    } else {
        AccessFormat::compile(access_log_format)
            .map_err(|error| PyValueError::new_err(format!("access_log_format: {error}")))?
    };
    let access = accesslog
        .map(|name| {
            AccessLog::open(format, target(name, LogTarget::Stdout))
                .map(Arc::new)
                .map_err(|error| cannot_open("accesslog", name, &error))
        })
        .transpose()?;
    let level = loglevel.parse::<Level>().unwrap_or_default();
    error_log::init(target(errorlog, LogTarget::Stderr), level, json)
        .map_err(|error| cannot_open("errorlog", errorlog, &error))?;
    if capture_output {
        error_log::capture_output()?;
    }
    *ACCESS_LOG.write().unwrap_or_else(PoisonError::into_inner) = access;
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

/// Whether messages of this level are written.
#[pyfunction]
pub(crate) fn log_enabled(level: &str) -> PyResult<bool> {
    Ok(error_log::is_enabled(parse_level(level)?))
}

/// The descriptor of the error log, for faulthandler; it stays the same when the log is reopened.
#[pyfunction]
pub(crate) fn log_descriptor() -> i32 {
    error_log::descriptor()
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
