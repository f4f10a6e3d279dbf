//! A connection that the application takes over, as the libraries for WebSockets do.
//!
//! They know it from gunicorn: `environ["gunicorn.socket"]` is a socket, which they answer the
//! handshake on, and in the end they raise `StopIteration` or return without a response.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use super::WsgiApplication;
use super::body::Failure;
use super::call::Call;
use crate::errors;
use crate::ffi::{self, Responder};
use crate::keys::Keys;

impl WsgiApplication {
    /// Puts a socket into the environ of a request for a WebSocket.
    #[cold]
    pub(super) fn offer<'py>(
        &self,
        environ: &Bound<'py, PyDict>,
        responder: &Responder,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = environ.py();
        let Some(end) = responder.slot().claim(py).exchange().offer_socket()? else {
            return Ok(None);
        };
        let socket = match &self.foreign {
            Some(foreign) => foreign.socket(py).map(|kind| python_socket(kind, end)).transpose()?,
            None => {
                let kind = PyModule::import(py, "socket")?.getattr(intern!(py, "socket"))?;
                Some(python_socket(&kind, end)?)
            }
        };
        if let Some(socket) = &socket {
            environ.set_item(&self.keys.socket, socket)?;
            if !self.foreign.as_ref().is_some_and(|foreign| foreign.waits()) {
                // It runs beside the application threads, however few they are.
                environ.set_item(&self.keys.multithread, true)?;
            }
        }
        Ok(socket)
    }
}

/// Makes a socket object that owns a descriptor.
pub(super) fn python_socket<'py>(
    kind: &Bound<'py, PyAny>,
    end: OwnedFd,
) -> PyResult<Bound<'py, PyAny>> {
    let given = PyDict::new(kind.py());
    given.set_item("fileno", end.as_raw_fd())?;
    let socket = kind.call((), Some(&given))?;
    // From here on it is the object's.
    let _ = end.into_raw_fd();
    Ok(socket)
}

/// Whether the connection was the application's, so that there is nothing to answer.
pub(super) fn is_over(py: Python<'_>, responder: &Responder) -> bool {
    responder.slot().claim(py).exchange().is_taken_over()
}

/// Whether a failure is how a conversation ends, and not worth a word.
pub(super) fn is_end(py: Python<'_>, responder: &Responder, failure: Option<&Failure>) -> bool {
    let usual = match failure {
        Some(Failure::Gone | Failure::NoResponse) => true,
        Some(Failure::Application(error)) => {
            error.is_instance_of::<PyOSError>(py) || is_stop(py, error)
        }
        None => false,
    };
    usual && is_over(py, responder)
}

/// `StopIteration`, or what becomes of it in a generator (PEP 479).
fn is_stop(py: Python<'_>, error: &PyErr) -> bool {
    let is_stop = |error: &PyErr| error.is_instance_of::<PyStopIteration>(py);
    is_stop(error)
        || (error.is_instance_of::<PyRuntimeError>(py)
            && error.cause(py).as_ref().is_some_and(is_stop))
}

/// Takes the socket out of environ, which may outlive the request, and closes it unless somebody
/// holds it: a thread may be in a call with its number. What they get from it is the end.
pub(super) fn retire(call: &Call<'_>, keys: &Keys, socket: Bound<'_, PyAny>) {
    let environ = &call.environ;
    let is_ours = environ.get_item(&keys.socket).ok().flatten().is_some_and(|s| s.is(&socket));
    if is_ours {
        // It was there a moment ago, and nothing else can go wrong.
        let _ = environ.del_item(&keys.socket);
    }
    if ffi::is_unshared(&socket)
        && let Err(error) = socket.call_method0("close")
    {
        errors::report(socket.py(), &call.doing(), &error);
    }
}
