//! `wsgi.input`: the request's body as a binary file.
//!
//! A body in memory is a [`MemoryInput`] over its own copy; the empty one is shared by all
//! requests. A spooled body is a file object of Python's `io`, seekable and with a descriptor. A
//! body that is still on its way is a [`StreamInput`], which waits with the interpreter released.

use std::fs::File;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxicorn_worker::BodyError;
use pyo3::exceptions::{
    PyConnectionResetError, PyOSError, PyOverflowError, PyTimeoutError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyModule};

use super::overdue::interruption;
use super::transaction::{Lease, Live};
use crate::ffi::Responder;

/// Most bytes that one read from the connection asks for.
const CHUNK: usize = 64 * 1024;

/// A body in memory.
#[pyclass(frozen, module = "oxicorn._oxicorn", name = "MemoryInput")]
#[derive(Debug)]
pub(crate) struct MemoryInput {
    body: Py<PyBytes>,
    position: AtomicUsize,
}

impl MemoryInput {
    pub(crate) fn new(py: Python<'_>, body: &[u8]) -> Self {
        Self { body: PyBytes::new(py, body).unbind(), position: AtomicUsize::new(0) }
    }

    /// Takes the next bytes, as many as `len` says of what is left.
    fn take<'py>(&self, py: Python<'py>, len: impl Fn(&[u8]) -> usize) -> Bound<'py, PyBytes> {
        let body = self.body.bind(py);
        let start = self.position.load(Ordering::Relaxed);
        let rest = body.as_bytes().get(start..).unwrap_or(&[]);
        let len = len(rest);
        if len > 0 {
            self.position.store(start + len, Ordering::Relaxed);
        }
        if len == body.as_bytes().len() {
            return body.clone(); // the whole body: no second copy
        }
        PyBytes::new(py, &rest[..len])
    }
}

#[pymethods]
impl MemoryInput {
    /// Reads up to `size` bytes; all of the rest without a size.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> Bound<'py, PyBytes> {
        self.take(py, |rest| limit(size).min(rest.len()))
    }

    /// Reads one line with its line end, at most `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> Bound<'py, PyBytes> {
        self.take(py, |rest| line(&rest[..limit(size).min(rest.len())]).0)
    }

    /// Reads the rest as lines; stops after the line that reaches `hint` bytes.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        collect_lines(py, hint, || Ok(self.readline(py, None)))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        Some(self.readline(py, None)).filter(|line| !line.as_bytes().is_empty())
    }

    /// Moves to a place in the body, and returns it.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: isize, whence: i32) -> PyResult<usize> {
        let len = self.body.bind(py).as_bytes().len();
        let base = match whence {
            0 if offset < 0 => return Err(PyValueError::new_err("negative seek position")),
            0 => 0,
            1 => self.position.load(Ordering::Relaxed),
            2 => len,
            _ => return Err(PyValueError::new_err("whence must be 0, 1 or 2")),
        };
        let place = base.cast_signed().checked_add(offset);
        let place = place.ok_or_else(|| PyOverflowError::new_err("seek position too large"))?;
        let place = place.max(0).cast_unsigned();
        // The empty body is shared by all requests: nothing may move in it.
        if len > 0 {
            self.position.store(place, Ordering::Relaxed);
        }
        Ok(place)
    }

    /// The place in the body.
    fn tell(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    fn readable(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        true
    }

    fn writable(&self) -> bool {
        false
    }

    /// Does nothing: PEP 3333 has no `close`, and the body may be shared.
    fn close(&self) {}

    #[getter]
    fn closed(&self) -> bool {
        false
    }
}

/// A body that is read from the connection when the application asks.
#[pyclass(frozen, module = "oxicorn._oxicorn", name = "StreamInput")]
#[derive(Debug)]
pub(crate) struct StreamInput {
    responder: Responder,
}

impl StreamInput {
    pub(crate) fn new(responder: Responder) -> Self {
        Self { responder }
    }

    fn borrow(&self) -> PyResult<Lease<'_>> {
        self.responder.slot().borrow().map_err(|error| {
            // `io` objects say ValueError when they are used after their end.
            Python::attach(|py| PyValueError::new_err(format!("wsgi.input: {}", error.value(py))))
        })
    }
}

#[pymethods]
impl StreamInput {
    /// Reads exactly `size` bytes, fewer at the end of the body; all of it without a size.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = limit(size);
        let mut live = self.borrow()?;
        while live.available().len() < wanted {
            let missing = wanted - live.available().len();
            if !live.receive(py, missing)? {
                break;
            }
        }
        let len = wanted.min(live.available().len());
        Ok(live.consume(py, len))
    }

    /// Reads one line with its line end, at most `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = limit(size);
        let mut live = self.borrow()?;
        let mut searched = 0;
        loop {
            let within = &live.available()[..wanted.min(live.available().len())];
            let (len, ended) = line(&within[searched..]);
            if ended || within.len() == wanted {
                return Ok(live.consume(py, searched + len));
            }
            searched = within.len();
            if !live.receive(py, CHUNK)? {
                return Ok(live.consume(py, searched));
            }
        }
    }

    /// Reads the rest as lines; stops after the line that reaches `hint` bytes.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        collect_lines(py, hint, || self.readline(py, None))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(Some(self.readline(py, None)?).filter(|line| !line.as_bytes().is_empty()))
    }

    fn readable(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        false
    }
}

impl Live {
    /// What was received and not read yet.
    fn available(&self) -> &[u8] {
        &self.unread[self.consumed..]
    }

    /// Reads up to `max` bytes from the connection; `false` at the end of the body.
    fn receive(&mut self, py: Python<'_>, max: usize) -> PyResult<bool> {
        if self.body_error.is_none() && !self.body_ended {
            self.unread.drain(..self.consumed);
            self.consumed = 0;
            let mut unread = std::mem::take(&mut self.unread);
            let exchange = self.exchange();
            let foreign = exchange.is_foreign();
            let mut read = || exchange.read_body(&mut unread, max.min(CHUNK));
            let outcome = if foreign { read() } else { py.detach(read) };
            self.unread = unread;
            match outcome {
                // What the loop raised where it was waited for, or a time limit.
                Err(BodyError::Interrupted) => {
                    return Err(PyErr::take(py).unwrap_or_else(|| interruption(py)));
                }
                Ok(read) => self.body_ended = read == 0,
                Err(error) => self.body_error = Some(error),
            }
        }
        match self.body_error {
            Some(error) => Err(body_error(error)),
            None => Ok(!self.body_ended),
        }
    }

    fn consume<'py>(&mut self, py: Python<'py>, len: usize) -> Bound<'py, PyBytes> {
        let bytes = PyBytes::new(py, &self.available()[..len]);
        self.consumed += len;
        bytes
    }
}

/// Wraps a spooled body in the file object that `open(..., "rb")` gives.
pub(crate) fn spooled(py: Python<'_>, file: File) -> PyResult<Bound<'_, PyAny>> {
    // From here on the file object owns the descriptor.
    PyModule::import(py, "io")?.call_method1("open", (file.into_raw_fd(), "rb"))
}

/// `size` as a number of bytes: `None` and negative numbers mean all.
fn limit(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

/// The length of the first line, and whether its line end is there.
fn line(bytes: &[u8]) -> (usize, bool) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(at) => (at + 1, true),
        None => (bytes.len(), false),
    }
}

fn collect_lines<'py>(
    py: Python<'py>,
    hint: Option<isize>,
    mut readline: impl FnMut() -> PyResult<Bound<'py, PyBytes>>,
) -> PyResult<Bound<'py, PyList>> {
    let lines = PyList::empty(py);
    // As in `io`: a hint of zero or less is none.
    let enough = limit(hint.filter(|&hint| hint > 0));
    let mut total = 0;
    while total < enough {
        let line = readline()?;
        if line.as_bytes().is_empty() {
            break;
        }
        total += line.as_bytes().len();
        lines.append(line)?;
    }
    Ok(lines)
}

fn body_error(error: BodyError) -> PyErr {
    match error {
        BodyError::Disconnected => {
            PyConnectionResetError::new_err("the client closed the connection inside the body")
        }
        BodyError::Malformed(what) => {
            PyOSError::new_err(format!("the request body is malformed: {what}"))
        }
        BodyError::TooLarge => PyOSError::new_err("the request body is above the limit"),
        BodyError::TooSlow => PyTimeoutError::new_err("the request body came too slowly"),
        _ => PyOSError::new_err("the request body cannot be read"),
    }
}
