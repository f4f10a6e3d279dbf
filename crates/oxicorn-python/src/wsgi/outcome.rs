//! What becomes of a call: the result sent and closed, or a failure logged and answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use oxicorn_worker::BodyError;
use oxicorn_worker::error_log::{CRITICAL, ERROR};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::body::{self, Failure};
use super::call::Call;
use super::overdue::{Listed, is_interruption};
use super::{WsgiApplication, websocket};
use crate::ffi::{self, Responder};

impl WsgiApplication {
    /// Calls the application and sends what it returns.
    pub(super) fn answer(&self, py: Python<'_>, call: &Call<'_>, responder: &Responder) {
        let listed = match &self.overdue {
            None => Ok(None),
            Some(overdue) => overdue.enter(py, responder.slot()),
        };
        let called = listed.and_then(|listed| {
            ffi::call2(self.app.bind(py), call.environ.as_any(), responder.object(py))
                .map(|result| (result, listed))
        });
        match called {
            Ok((result, _)) if call.socket.is_some() && websocket::is_over(py, responder) => {
                if let Err(error) = close(&result) {
                    call.report(py, &error);
                }
            }
            Ok((result, listed)) => self.respond(py, call, responder, &result, listed),
            Err(error) => fail(py, call, responder, Some(Failure::Application(error))),
        }
    }

    /// Sends what the application returned, closes it, and ends the response.
    fn respond(
        &self,
        py: Python<'_>,
        call: &Call<'_>,
        responder: &Responder,
        result: &Bound<'_, PyAny>,
        listed: Option<Listed<'_, '_>>,
    ) {
        let slot = responder.slot();
        let sent = catch_unwind(AssertUnwindSafe(|| body::send(py, slot, result, &self.files)));
        // Once for every result, however the sending ended (PEP 3333).
        let closed = close(result);
        // The application does not have it any more: nothing may interrupt what follows.
        drop(listed);
        let failure = match sent {
            Ok(Ok(())) => {
                if let Err(error) = &closed {
                    call.report(py, error);
                }
                let mut live = slot.claim(py);
                live.finish(closed.is_ok());
                if live.has_excess() && !self.warned_excess.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        target: ERROR,
                        "the application sent more than its Content-Length; the rest is dropped \
                         and the connection closed (said once)"
                    );
                }
                if live.drops_fields() && !self.warned_dropped.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        target: ERROR,
                        "the application sent hop-by-hop headers, which are the server's; they \
                         are left out (said once)"
                    );
                }
                return;
            }
            Ok(Err(failure)) => Some(failure),
            Err(_panic) => None,
        };
        fail(py, call, responder, failure);
        if let Err(error) = &closed {
            call.report(py, error);
        }
    }
}

/// Logs a failure and ends the response with an error page or a cut; `None` is a panic of ours.
pub(super) fn fail(
    py: Python<'_>,
    call: &Call<'_>,
    responder: &Responder,
    failure: Option<Failure>,
) {
    let (gone, body_error, interrupted) = {
        let live = responder.slot().claim(py);
        (live.is_gone(), live.body_error, live.is_interrupted())
    };
    let mut status = 500;
    match &failure {
        _ if call.socket.is_some() && websocket::is_end(py, responder, failure.as_ref()) => return,
        Some(Failure::Gone) => log::debug!(target: ERROR, "client gone: {}", call.doing()),
        // The application was told that the client is gone, and gave up.
        Some(Failure::Application(error))
            if (gone || body_error.is_some()) && error.is_instance_of::<PyOSError>(py) =>
        {
            log::debug!(target: ERROR, "client gone: {}: {error}", call.doing());
        }
        // What there is to say was said when it was interrupted.
        Some(Failure::Application(error)) if interrupted && is_interruption(error, py) => {
            status = 504;
        }
        Some(Failure::Application(error))
            if responder
                .slot()
                .foreign()
                .is_some_and(|foreign| foreign.take_failure(py, &call.environ, error)) => {}
        Some(Failure::Application(error)) => call.report(py, error),
        Some(Failure::NoResponse) => {
            let said = "the application did not call start_response";
            call.report(py, &PyRuntimeError::new_err(said));
        }
        None => log::error!(target: CRITICAL, "{}: a panic; please report", call.doing()),
    }
    responder.slot().claim(py).fail(match body_error {
        Some(BodyError::TooLarge) => 413,
        Some(BodyError::TooSlow) => 408,
        Some(_) => 400,
        None => status,
    });
}

/// Calls `close` of what the application returned, if it has it.
fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if result.cast_exact::<PyList>().is_ok() || result.cast_exact::<PyTuple>().is_ok() {
        return Ok(());
    }
    match result.getattr_opt("close")? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}
