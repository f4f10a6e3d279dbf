//! What `start_response`, `write`, `wsgi.early_hints` and `oxicorn.client_disconnected` do.
//!
//! The four are one object, so that a request makes none of them; what it is called with tells
//! them apart: two or three arguments begin a response, one `bytes` writes, one list hints, and
//! none asks for the client.

use oxicorn_http::Version;
use oxicorn_http::h1::encode::{BadResponse, early_hints};
use oxicorn_worker::Sent;
use pyo3::exceptions::{
    PyAssertionError, PyBrokenPipeError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::body::Failure;
use super::transaction::{Lease, Phase, Slot};
use crate::ffi::{Arguments, Returned, latin1_bytes};

/// Items above this size are sent with the interpreter released.
pub(super) const RELEASE: usize = 64 * 1024;

/// One call of the object by the application.
///
/// # Errors
///
/// The exception that the application gets.
pub(crate) fn called(py: Python<'_>, slot: &Slot, given: &Arguments<'_>) -> PyResult<Returned> {
    match &given.values {
        [Some(status), Some(headers), exc_info] => {
            start_response(slot, status, headers, exc_info.as_ref())?;
            Ok(Returned::Itself)
        }
        [Some(only), None, None] => {
            if let Ok(data) = only.cast::<PyBytes>() {
                write(py, slot, data)?;
            } else if only.is_instance_of::<PyList>() || only.is_instance_of::<PyTuple>() {
                hint(slot, only)?;
            } else if only.is_instance_of::<PyString>() && given.count == 1 {
                return Err(PyTypeError::new_err(
                    "start_response takes a status and a list of headers; write takes bytes",
                ));
            } else {
                return Err(type_error("write() argument", "bytes", only));
            }
            Ok(Returned::Nothing)
        }
        [None, None, None] => Ok(Returned::Answer(slot.has_lost_client()?)),
        _ => Err(PyTypeError::new_err("start_response takes a status and a list of headers")),
    }
}

fn start_response(
    slot: &Slot,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    exc_info: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let replaces = match exc_info {
        Some(info) => info.is_truthy()?,
        None => false,
    };
    let mut live = slot.borrow()?;
    match live.phase() {
        Phase::Open if replaces => {
            drop(live);
            return Err(raised(exc_info));
        }
        Phase::Open | Phase::Begun if !replaces => {
            return Err(PyAssertionError::new_err(
                "start_response was called a second time without exc_info",
            ));
        }
        Phase::Silent | Phase::Begun | Phase::Open => {}
    }
    let version = live.facts().version;
    let status = status.cast::<PyString>().map_err(|_| type_error("the status", "str", status))?;
    let bytes = latin1_bytes(status).ok_or_else(|| beyond_latin1("the status"))?;
    live.head().begin(version, bytes).map_err(|bad| refused_status(bad, bytes))?;
    fields(headers, |name, value| {
        let (Some(name), Some(value)) = (latin1_bytes(name), latin1_bytes(value)) else {
            return Err(beyond_latin1("a header"));
        };
        live.head().field(name, value).map_err(|bad| refused_field(bad, name))
    })?;
    live.begun();
    Ok(())
}

/// Calls `each` with the fields of a list of `(name, value)`.
fn fields<'py>(
    headers: &Bound<'py, PyAny>,
    mut each: impl FnMut(&Bound<'py, PyString>, &Bound<'py, PyString>) -> PyResult<()>,
) -> PyResult<()> {
    if let Ok(list) = headers.cast::<PyList>() {
        for header in list.iter() {
            field(&header, &mut each)?;
        }
    } else if let Ok(tuple) = headers.cast::<PyTuple>() {
        for header in tuple.iter_borrowed() {
            field(&header, &mut each)?;
        }
    } else {
        return Err(type_error("the headers", "a list", headers));
    }
    Ok(())
}

fn field<'py>(
    header: &Bound<'py, PyAny>,
    each: &mut impl FnMut(&Bound<'py, PyString>, &Bound<'py, PyString>) -> PyResult<()>,
) -> PyResult<()> {
    let other;
    let pair = match header.cast::<PyTuple>() {
        Ok(pair) => pair,
        // PEP 3333 asks for tuples; other servers take pairs in a list, and so do applications.
        Err(_) => match header.cast::<PyList>() {
            Ok(pair) => {
                other = pair.to_tuple();
                &other
            }
            Err(_) => return Err(type_error("a header", "a (name, value) tuple", header)),
        },
    };
    let [name, value] = pair.as_slice() else {
        return Err(PyValueError::new_err("a header must be a (name, value) tuple"));
    };
    let name = name.cast::<PyString>().map_err(|_| type_error("a header name", "str", name))?;
    let value = value.cast::<PyString>().map_err(|_| {
        type_error(&format!("the value of header `{}`", name.to_string_lossy()), "str", value)
    })?;
    each(name, value)
}

fn write(py: Python<'_>, slot: &Slot, data: &Bound<'_, PyBytes>) -> PyResult<()> {
    let mut live = slot.borrow()?;
    if live.phase() == Phase::Silent {
        return Err(PyRuntimeError::new_err("write() was called before start_response"));
    }
    let data = data.as_bytes();
    if data.is_empty() {
        return Ok(());
    }
    send_item(py, &mut live, data, false).map_err(|failure| match failure {
        Failure::Gone | Failure::NoResponse => {
            PyBrokenPipeError::new_err("the client closed the connection")
        }
        Failure::Application(error) => error,
    })
}

/// Sends one item and waits, so that others go on, while the client takes too little.
pub(super) fn send_item(
    py: Python<'_>,
    live: &mut Lease<'_>,
    item: &[u8],
    last: bool,
) -> Result<(), Failure> {
    let sent = if item.len() > RELEASE {
        py.detach(|| live.send_item(item, last))
    } else {
        live.send_item(item, last)
    };
    match sent? {
        Sent::Full if !last => live.wait_room(py),
        Sent::Full | Sent::Taken => Ok(()),
    }
}

/// Sends a 103 response; in vain, as RFC 8297 allows, on HTTP/1.0 and once the head is decided.
fn hint(slot: &Slot, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut texts = Vec::new();
    fields(headers, |name, value| {
        texts.push((name.clone(), value.clone()));
        Ok(())
    })?;
    let mut pairs = Vec::with_capacity(texts.len());
    for (name, value) in &texts {
        let (Some(name), Some(value)) = (latin1_bytes(name), latin1_bytes(value)) else {
            return Err(beyond_latin1("a header"));
        };
        pairs.push((name, value));
    }
    let mut bytes = Vec::new();
    early_hints(&pairs, &mut bytes)
        .map_err(|bad| PyValueError::new_err(format!("early hints refused: {bad}")))?;
    let mut live = slot.borrow()?;
    if live.phase() != Phase::Open && live.facts().version != Version::Http10 {
        live.send_interim(&bytes);
    }
    Ok(())
}

/// The exception of an `exc_info` triple.
fn raised(exc_info: Option<&Bound<'_, PyAny>>) -> PyErr {
    let error = exc_info
        .and_then(|info| info.cast::<PyTuple>().ok())
        .and_then(|triple| triple.get_item(1).ok());
    match error {
        Some(error) => PyErr::from_value(error),
        None => PyTypeError::new_err("exc_info must be a (type, value, traceback) tuple"),
    }
}

fn refused_status(bad: BadResponse, status: &[u8]) -> PyErr {
    PyValueError::new_err(format!("status `{}` refused: {bad}", status.escape_ascii()))
}

/// Names the field but never shows its value, which may be a secret.
fn refused_field(bad: BadResponse, name: &[u8]) -> PyErr {
    PyValueError::new_err(format!("header `{}` refused: {bad}", name.escape_ascii()))
}

fn beyond_latin1(what: &str) -> PyErr {
    PyValueError::new_err(format!("{what} has characters beyond Latin-1"))
}

/// Says what a thing must be, and its type but not its value.
pub(super) fn type_error(what: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let found = found.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{what} must be {expected}, not {found}"))
}
