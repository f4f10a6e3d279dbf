//! The operator's functions around each request; only paid for when there are any.
//!
//! The objects that they get are made in Python, in `oxicorn/request_hooks.py`.

use oxicorn_worker::Request;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors;
use crate::ffi::{Responder, latin1};

/// A field line of a request, out of the buffer that it came in.
pub(super) type FieldLine = (Vec<u8>, Vec<u8>);

/// What is called before and after the application.
#[derive(Debug)]
pub(super) struct RequestHooks(Py<PyAny>);

impl RequestHooks {
    /// `object` has `before(environ, fields)` and `after(request, environ, …)`.
    pub(super) fn new(object: Py<PyAny>) -> Self {
        Self(object)
    }

    /// Copies the field lines, before any Python code can run.
    pub(super) fn copy_fields(&self, request: &Request<'_>) -> Vec<FieldLine> {
        let of = |span: oxicorn_http::Span| span.of(request.bytes).to_vec();
        request.head.fields.iter().map(|field| (of(field.name), of(field.value))).collect()
    }

    /// Makes the request's object and calls the hook; the object is for [`after`](Self::after).
    ///
    /// # Errors
    ///
    /// What the hook raised; the application is not to be called then.
    pub(super) fn before<'py>(
        &self,
        environ: &Bound<'py, PyDict>,
        fields: &[FieldLine],
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = environ.py();
        let list = PyList::empty(py);
        for (name, value) in fields {
            list.append((latin1(py, &name.to_ascii_uppercase())?, latin1(py, value)?))?;
        }
        self.0.bind(py).call_method1("before", (environ, list))
    }

    /// Calls the hook with what was answered; a failure is logged and changes nothing.
    pub(super) fn after(
        &self,
        request: &Bound<'_, PyAny>,
        environ: &Bound<'_, PyDict>,
        responder: &Responder,
    ) {
        let py = request.py();
        let answered = {
            let mut live = responder.slot().claim(py);
            let head = live.sent_head().map(<[u8]>::to_vec);
            let exchange = live.exchange();
            let usual = (exchange.status(), exchange.body_bytes());
            let (status, sent) = exchange.conversation().unwrap_or(usual);
            (status, sent, head)
        };
        let (status, sent, head) = answered;
        let head = head.map(|head| latin1(py, &head)).transpose();
        let called = head.and_then(|head| {
            self.0.bind(py).call_method1("after", (request, environ, status, sent, head))
        });
        if let Err(error) = called {
            // It may be the loop's: an interrupt that came just then has to end the program.
            let foreign = responder.slot().foreign();
            if !foreign.is_some_and(|foreign| foreign.take_failure(py, environ, &error)) {
                errors::report(py, "Exception in post_request", &error);
            }
        }
    }
}
