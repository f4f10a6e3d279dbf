//! Connections that a handler of Python's serves from their first request to their end.
//!
//! The first head is read and checked here, as any; the handler gets it again, with all that
//! follows, from one end of a pair of sockets (see `oxicorn_worker::Exchange::hand_over`).

use std::sync::Arc;

use oxicorn_http::proxy::Peer;
use oxicorn_worker::{Application, Deadline, Exchange, Request, Step};
use pyo3::prelude::*;

use super::websocket::python_socket;
use super::{Foreign, WsgiApplication};
use crate::errors;

/// Hands connections over instead of calling an application.
#[derive(Debug)]
pub(crate) struct HandlerApplication {
    handler: Py<PyAny>,
    /// Everything but the calls.
    inner: WsgiApplication,
    foreign: Arc<Foreign>,
}

impl HandlerApplication {
    /// `handler(socket, address)` serves a connection under the loop of `foreign`.
    pub(crate) fn new(handler: Py<PyAny>, inner: WsgiApplication, foreign: Arc<Foreign>) -> Self {
        Self { handler, inner, foreign }
    }

    fn hand_over(
        &self,
        py: Python<'_>,
        request: &Request<'_>,
        exchange: &mut Exchange,
    ) -> PyResult<()> {
        let Some(kind) = self.foreign.socket(py) else { return Ok(()) };
        let head = request.head;
        // Without the empty lines that may come before it.
        let bytes = request.bytes.get(head.method.start as usize..head.len).unwrap_or_default();
        let address = address(py, request.link.peer)?;
        let socket = python_socket(kind, exchange.hand_over(bytes)?)?;
        self.handler.bind(py).call1((socket, address)).map(drop)
    }
}

impl Application for HandlerApplication {
    fn call(&self, request: Request<'_>, mut exchange: Exchange) -> Exchange {
        Python::attach(|py| {
            if let Err(error) = self.hand_over(py, &request, &mut exchange) {
                errors::report(py, "Error handling a connection", &error);
            }
            exchange
        })
    }

    fn released(&self, wait: &mut dyn FnMut()) {
        self.inner.released(wait);
    }

    fn overdue(&self, deadline: &Deadline, step: Step) {
        self.inner.overdue(deadline, step);
    }

    fn checkpoint(&self) -> bool {
        self.inner.checkpoint()
    }

    fn attached(&self, thread: &mut dyn FnMut()) {
        self.inner.attached(thread);
    }
}

/// An address as Python's `accept` gives it.
fn address(py: Python<'_>, peer: Peer) -> PyResult<Bound<'_, PyAny>> {
    Ok(match peer {
        Peer::Unix => "".into_pyobject(py)?.into_any(),
        Peer::Inet(ip, port) if ip.is_ipv4() => {
            (ip.to_string(), port).into_pyobject(py)?.into_any()
        }
        Peer::Inet(ip, port) => (ip.to_string(), port, 0, 0).into_pyobject(py)?.into_any(),
    })
}
