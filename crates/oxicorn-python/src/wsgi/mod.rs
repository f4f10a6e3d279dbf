//! The WSGI side of an exchange (PEP 3333).
//!
//! The life of a call: [`call`] makes its objects, of which [`environ`] is the dict; the application is
//! called with it and with the object of [`transaction`], whose calls land in [`start`]; [`body`] sends
//! what was returned. A failure of the application ends in [`outcome`]: logged, answered or shown as a
//! cut.

mod body;
mod call;
mod environ;
mod fields;
mod file_wrapper;
mod foreign;
mod handler;
mod input;
mod outcome;
mod overdue;
mod proxied;
mod request_hooks;
mod shapes;
pub(crate) mod start;
pub(crate) mod transaction;
mod websocket;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxicorn_worker::error_log::CRITICAL;
use oxicorn_worker::{Application, Exchange, Request, RequestIds, Step};
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use self::body::Failure;
use self::environ::{Cache, Constants};
use self::file_wrapper::{FileWrapper, PlainFiles};
pub(crate) use self::foreign::Foreign;
pub(crate) use self::handler::HandlerApplication;
use self::input::MemoryInput;
use self::outcome::fail;
pub(crate) use self::overdue::Deadline;
use self::overdue::Overdue;
use self::request_hooks::RequestHooks;
use crate::errors::{self, ErrorStream};
use crate::ffi::{self, Responder};
use crate::keys::Keys;

/// Most response objects that wait for their next request.
const SPARE_RESPONDERS: usize = 64;

/// What a listener is called in environ.
#[derive(Clone, Debug)]
pub(crate) struct ServerName {
    /// SERVER_NAME; never empty.
    pub(crate) name: String,
    /// SERVER_PORT; never empty.
    pub(crate) port: String,
}

/// A WSGI callable as the worker calls it.
#[derive(Debug)]
pub(crate) struct WsgiApplication {
    app: Py<PyAny>,
    keys: Keys,
    /// By listener, for http and https.
    templates: Vec<[Py<PyDict>; 2]>,
    cache: Mutex<Cache>,
    responder_type: Py<PyType>,
    spare: Mutex<Vec<Responder>>,
    files: PlainFiles,
    hooks: Option<RequestHooks>,
    foreign: Option<Arc<Foreign>>,
    overdue: Option<Overdue>,
    warned_dropped: AtomicBool,
    warned_excess: AtomicBool,
    /// The field of the request that brings its id, as environ has it.
    request_id_key: Option<Py<PyString>>,
    /// What a signal handler raised to end the process.
    interrupt: Mutex<Option<PyErr>>,
}

impl WsgiApplication {
    /// Wraps `app` for a worker with these listeners; `hooks` are the operator's around requests.
    ///
    /// # Errors
    ///
    /// An exception of Python's own (out of memory).
    pub(crate) fn new(
        py: Python<'_>,
        app: Py<PyAny>,
        listeners: &[ServerName],
        multithread: bool,
        multiprocess: bool,
        hooks: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let keys = Keys::new(py);
        let input = Bound::new(py, MemoryInput::new(py, b""))?;
        let errors = Bound::new(py, ErrorStream)?;
        let file_wrapper = py.get_type::<FileWrapper>();
        let deadline = Bound::new(py, Deadline::none())?;
        let constants = Constants {
            input: input.as_any(),
            errors: errors.as_any(),
            file_wrapper: file_wrapper.as_any(),
            deadline: deadline.as_any(),
            multithread,
            multiprocess,
        };
        let template = |server: &ServerName, scheme: &str| {
            environ::template(py, &keys, server, scheme, &constants)
        };
        let templates = listeners
            .iter()
            .map(|server| Ok([template(server, "http")?, template(server, "https")?]))
            .collect::<PyResult<_>>()?;
        Ok(Self {
            app,
            templates,
            cache: Mutex::new(Cache::new(py, listeners.len())?),
            responder_type: ffi::responder_type(py)?.unbind(),
            spare: Mutex::new(Vec::new()),
            files: PlainFiles::new(py)?,
            hooks: hooks.map(RequestHooks::new),
            foreign: None,
            overdue: None,
            warned_dropped: AtomicBool::new(false),
            warned_excess: AtomicBool::new(false),
            interrupt: Mutex::new(None),
            request_id_key: None,
            keys,
        })
    }

    /// Has environ say the id that a request goes by also in the place of the field that brings one.
    pub(crate) fn name_requests(&mut self, py: Python<'_>, ids: &RequestIds) {
        let key = format!("HTTP_{}", ids.field().to_ascii_uppercase().replace('-', "_"));
        self.request_id_key = Some(PyString::new(py, &key).unbind());
    }

    /// Puts the calls under a loop of Python's; to be done before the first one.
    pub(crate) fn under(&mut self, foreign: Arc<Foreign>) {
        self.foreign = Some(foreign);
    }

    /// Runs requests under time limits; to be done before the first one. `is_worker` is whether the
    /// process is one, and not somebody else's.
    ///
    /// # Errors
    ///
    /// An exception of Python's own (out of memory).
    pub(crate) fn limit(&mut self, py: Python<'_>, is_worker: bool) -> PyResult<()> {
        self.overdue = Some(Overdue::new(py, is_worker)?);
        Ok(())
    }

    /// Has every request's environ say this too, in place of what the server says of itself.
    ///
    /// # Errors
    ///
    /// An exception of Python's own (out of memory).
    pub(crate) fn merge_environ(&self, py: Python<'_>, extra: &Bound<'_, PyDict>) -> PyResult<()> {
        let mut templates = self.templates.iter().flatten();
        let merged =
            templates.try_for_each(|template| template.bind(py).update(extra.as_mapping()));
        self.cache().forget_shapes();
        merged
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the application and answers; whatever goes wrong is dealt with.
    fn run(
        &self,
        py: Python<'_>,
        mut request: Request<'_>,
        responder: &Responder,
        logs_environ: bool,
    ) {
        let mut call = match self.prepare(py, &mut request, responder) {
            Ok(call) => call,
            Err(error) => {
                errors::report(py, "Error preparing a request", &error);
                responder.slot().claim(py).fail(500);
                return;
            }
        };
        match &self.hooks {
            None => self.answer(py, &call, responder),
            Some(hooks) => match hooks.before(&call.environ, &call.fields) {
                Ok(seen) => {
                    self.answer(py, &call, responder);
                    hooks.after(&seen, &call.environ, responder);
                }
                Err(error) => fail(py, &call, responder, Some(Failure::Application(error))),
            },
        }
        if logs_environ {
            call.keep_for_log(py, responder);
        }
        if let Some(socket) = call.socket.take() {
            websocket::retire(&call, &self.keys, socket);
        }
        if let Some(file) = &call.spooled {
            // Closed here, as Python warns of files that are left to their destructor.
            if let Err(error) = file.call_method0("close") {
                call.report(py, &error);
            }
        }
    }

    /// The exception of a signal handler that ended the service, if that is how it ended.
    pub(crate) fn take_interrupt(&self) -> Option<PyErr> {
        self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take_responder(&self, py: Python<'_>) -> PyResult<Responder> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || Responder::new(self.responder_type.bind(py), self.foreign.clone());
        spare.map_or_else(new, Ok)
    }

    /// Keeps the object for another request, unless the application kept it.
    fn give_responder(&self, py: Python<'_>, responder: Responder) {
        if !responder.is_unshared(py) {
            return;
        }
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_RESPONDERS {
            spare.push(responder);
        }
    }
}

impl Application for WsgiApplication {
    fn call(&self, request: Request<'_>, mut exchange: Exchange) -> Exchange {
        Python::attach(|py| {
            let responder = match self.take_responder(py) {
                Ok(responder) => responder,
                Err(error) => {
                    errors::report(py, "Error preparing a request", &error);
                    let is_head = exchange.facts().is_head;
                    // A client that is gone is seen by the worker.
                    let _ = transaction::send_error_page(&mut exchange, 500, is_head);
                    return exchange;
                }
            };
            let slot = responder.slot();
            let logs_environ = exchange.log_needs().is_some_and(|needs| !needs.environ.is_empty());
            slot.open(exchange);
            let run = || self.run(py, request, &responder, logs_environ);
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                log::error!(target: CRITICAL, "a panic while a request was handled; please report");
                slot.claim(py).fail(500);
            }
            let exchange = slot.close(py).expect("an open request has its exchange");
            self.give_responder(py, responder);
            exchange
        })
    }

    fn released(&self, wait: &mut dyn FnMut()) {
        Python::attach(|py| ffi::released(py, wait));
    }

    fn overdue(&self, deadline: &oxicorn_worker::Deadline, step: Step) {
        if let Some(overdue) = &self.overdue {
            Python::attach(|py| overdue.overdue(py, deadline, step));
        }
    }

    fn checkpoint(&self) -> bool {
        Python::attach(|py| {
            let Err(error) = py.check_signals() else { return true };
            if error.is_instance_of::<PyKeyboardInterrupt>(py)
                || error.is_instance_of::<PySystemExit>(py)
            {
                *self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
            errors::report(py, "Error in a signal handler", &error);
            true
        })
    }

    fn attached(&self, thread: &mut dyn FnMut()) {
        Python::attach(|_| thread());
    }
}
