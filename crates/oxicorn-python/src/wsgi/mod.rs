//! The WSGI side of an exchange (PEP 3333).
//!
//! The life of a call: [`environ`] makes the dict, the application is called with it and with the
//! object of [`transaction`], whose calls land in [`start`]; [`body`] sends what was returned. A
//! failure of the application ends in [`WsgiApplication::call`]: logged, answered or shown as a cut.

mod body;
mod environ;
mod fields;
mod file_wrapper;
mod foreign;
mod handler;
mod input;
mod overdue;
mod proxied;
mod request_hooks;
mod shapes;
pub(crate) mod start;
pub(crate) mod transaction;
mod websocket;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxicorn_worker::error_log::{CRITICAL, ERROR};
use oxicorn_worker::{About, Application, Body, BodyError, Exchange, Request, RequestIds, Step};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use self::body::Failure;
use self::environ::{Cache, Constants, Template};
use self::file_wrapper::{FileWrapper, PlainFiles};
pub(crate) use self::foreign::Foreign;
pub(crate) use self::handler::HandlerApplication;
use self::input::{MemoryInput, StreamInput};
pub(crate) use self::overdue::Deadline;
use self::overdue::{Listed, Overdue, is_interruption};
use self::request_hooks::{FieldLine, RequestHooks};
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

/// One request's objects, from the call of the application to the end of the response.
struct Call<'py> {
    environ: Bound<'py, PyDict>,
    /// The file object over a spooled body; closed at the end.
    spooled: Option<Bound<'py, PyAny>>,
    method: Bound<'py, PyString>,
    target: Bound<'py, PyString>,
    /// For the hooks; empty when there are none.
    fields: Vec<FieldLine>,
    about: Option<About>,
    /// What the application may take the connection over by.
    socket: Option<Bound<'py, PyAny>>,
}

impl Call<'_> {
    /// How the log names the request.
    fn doing(&self) -> String {
        let method = ffi::latin1_bytes(&self.method).unwrap_or_default().escape_ascii();
        let target = ffi::latin1_bytes(&self.target).unwrap_or_default().escape_ascii();
        format!("Error handling request {method} {target}")
    }

    /// Logs a failure in this request.
    fn report(&self, py: Python<'_>, error: &PyErr) {
        errors::report_about(py, &self.doing(), self.about.as_ref(), error);
    }

    /// Keeps what the access log wants of environ, as the application left it: middleware says
    /// there who the user is.
    fn keep_for_log(&self, py: Python<'_>, responder: &Responder) {
        let wanted = match responder.slot().claim(py).exchange().log_needs() {
            Some(needs) => needs.environ.clone(),
            None => return,
        };
        let mut values = vec![None; wanted.len()];
        // A copy: the text of a value that is no `str` comes from code that may change the dict.
        for (name, value) in self.environ.copy().iter().flatten() {
            let Ok(name) = name.cast::<PyString>() else { continue };
            let name = name.to_string_lossy().to_lowercase();
            let Some(place) = wanted.iter().position(|wanted| *wanted == name) else { continue };
            let Ok(text) = value.str() else { continue };
            values[place] = Some(match ffi::latin1_bytes(&text) {
                Some(bytes) => bytes.to_vec(),
                None => text.to_string_lossy().into_owned().into_bytes(),
            });
        }
        responder.slot().claim(py).exchange().keep_environ(values);
    }
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

    /// Makes environ, with everything that must be copied before Python code runs.
    fn prepare<'py>(
        &self,
        py: Python<'py>,
        request: &mut Request<'_>,
        responder: &Responder,
    ) -> PyResult<Call<'py>> {
        let link = request.link;
        let fields = self.hooks.as_ref().map(|hooks| hooks.copy_fields(request));
        // The copies come before the lock: making an object may start the garbage collector, and
        // so run Python code.
        let usual = &self.templates[link.listener][usize::from(link.is_https)];
        let template = self.cache().template(py, request);
        let (environ, found, learned) = match template {
            Template::Usual => (usual.bind(py).copy()?, None, None),
            Template::New => (usual.bind(py).copy()?, None, Some(usual.bind(py).copy()?)),
            Template::Shape(found, template) => (template.bind(py).copy()?, Some(found), None),
        };
        let mut spooled = None;
        match std::mem::replace(&mut request.body, Body::Empty) {
            Body::Empty => {}
            Body::Memory(body) => {
                environ.set_item(&self.keys.input, Bound::new(py, MemoryInput::new(py, body))?)?;
            }
            Body::File(file, _) => {
                let input = input::spooled(py, file)?;
                environ.set_item(&self.keys.input, &input)?;
                spooled = Some(input);
            }
            Body::Streaming => {
                let input = StreamInput::new(responder.clone_ref(py));
                environ.set_item(&self.keys.input, Bound::new(py, input)?)?;
            }
        }
        environ.set_item(&self.keys.early_hints, responder.object(py))?;
        environ.set_item(&self.keys.client_disconnected, responder.object(py))?;
        if self.overdue.is_some() {
            let deadline = Bound::new(py, Deadline::of(py, responder.slot()))?;
            environ.set_item(&self.keys.deadline, deadline)?;
        }
        let mut cache = self.cache();
        if let Some(template) = learned {
            cache.learn(template, request)?;
        }
        let [method, target] = cache.fill(&environ, &self.keys, request, found)?;
        drop(cache);
        if let Some(facts) = &link.tls {
            for (key, value) in &facts.variables {
                environ.set_item(*key, ffi::latin1(py, value.as_bytes())?)?;
            }
        }
        if proxied::applies(request) {
            proxied::apply(&environ, &self.keys, request)?;
        }
        let socket = if request.head.upgrade { self.offer(&environ, responder)? } else { None };
        if let Some(about) = request.about {
            self.set_names(&environ, about)?;
        }
        let (fields, about) = (fields.unwrap_or_default(), request.about.cloned());
        Ok(Call { environ, spooled, method, target, fields, about, socket })
    }

    /// Tells the application what names the request in the logs.
    fn set_names(&self, environ: &Bound<'_, PyDict>, about: &About) -> PyResult<()> {
        for (name, value) in about.known() {
            environ.set_item(format!("oxicorn.{name}"), value)?;
        }
        match &self.request_id_key {
            Some(key) => environ.set_item(key, &about.id),
            None => Ok(()),
        }
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

    /// Calls the application and sends what it returns.
    fn answer(&self, py: Python<'_>, call: &Call<'_>, responder: &Responder) {
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

/// Logs a failure and ends the response with an error page or a cut; `None` is a panic of ours.
fn fail(py: Python<'_>, call: &Call<'_>, responder: &Responder, failure: Option<Failure>) {
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
