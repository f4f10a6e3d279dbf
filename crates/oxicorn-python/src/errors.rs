//! What went wrong in the application, as the error log shows it, and `wsgi.errors`.

use oxicorn_worker::{About, error_log};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyStringMethods};

/// Logs an exception with its traceback; `doing` says in which request.
pub(crate) fn report(py: Python<'_>, doing: &str, error: &PyErr) {
    report_about(py, doing, None, error);
}

/// The same for a request that has a name in the logs.
pub(crate) fn report_about(py: Python<'_>, doing: &str, about: Option<&About>, error: &PyErr) {
    if !crate::log::exception(py, doing, about, error) {
        error_log::write_failure(doing, &traceback(py, error), about);
    }
}

/// The text that Python itself would print, without the last line end.
pub(crate) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let formatted = || -> PyResult<String> {
        let lines = py.import("traceback")?.call_method1(
            "format_exception",
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        let text = PyString::new(py, "").call_method1("join", (lines,))?;
        Ok(text.cast::<PyString>()?.to_string_lossy().trim_end().to_owned())
    };
    // An exception whose own `__str__` fails must not hide that there was one.
    formatted().unwrap_or_else(|_| {
        let kind = error.get_type(py);
        kind.name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string())
    })
}

/// `wsgi.errors`: text goes to the error log as it is.
#[pyclass(frozen, module = "oxicorn._oxicorn", name = "ErrorStream")]
#[derive(Debug)]
pub(crate) struct ErrorStream;

#[pymethods]
impl ErrorStream {
    /// Writes text, and returns its length in characters.
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<usize> {
        let text =
            text.cast::<PyString>().map_err(|_| PyTypeError::new_err("wsgi.errors takes str"))?;
        let length = text.len()?;
        let bytes = text.to_string_lossy();
        let bytes = bytes.as_bytes();
        // A log that cannot be written to must not fail a request: the log counts what it loses.
        py.detach(|| error_log::write_raw(bytes));
        Ok(length)
    }

    /// Writes each text of an iterable.
    fn writelines(&self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        for text in texts.try_iter()? {
            self.write(py, &text?)?;
        }
        Ok(())
    }

    /// Does nothing: nothing is held back.
    fn flush(&self) {}

    fn isatty(&self) -> bool {
        false
    }

    fn readable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        false
    }

    /// Does nothing: the log stays open for the requests that follow.
    fn close(&self) {}

    #[getter]
    fn closed(&self) -> bool {
        false
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    fn errors(&self) -> &'static str {
        "replace"
    }
}
