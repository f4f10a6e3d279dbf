//! The engine under an event loop of Python's, such as gevent's hub or Tornado's loop.

use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxicorn_os::inherit::adopt;
use oxicorn_os::listener::ListenerInfo;
use oxicorn_settings::HttpProtocol;
use oxicorn_worker::{Application, Control, ForeignWorker, Park, Ready};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::{on_max_requests, on_signal, on_stuck, server_name};
use crate::log;
use crate::settings::{Settings, worker_config};
use crate::shared::Slot;
use crate::tls::{self, Credentials};
use crate::wsgi::{Foreign, HandlerApplication, WsgiApplication};

/// A complete request that waits for its greenlet, task or thread of control.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct ReadyRequest(Mutex<Option<Ready>>);

#[pymethods]
impl ReadyRequest {
    /// Whether it is one for a WebSocket, which takes as long as its ends want.
    #[getter]
    fn is_for_websocket(&self) -> bool {
        let ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready.as_ref().is_some_and(Ready::is_for_websocket)
    }
}

/// Serves a WSGI application on open listeners, driven by a loop that watches one descriptor.
///
/// With `wait` all methods are for the thread of the loop; without it `next` and `run` are for any.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct LoopHandle {
    /// `None` when a handler of Python's takes its place.
    app: Option<Arc<WsgiApplication>>,
    worker: Mutex<Option<Arc<ForeignWorker>>>,
    ended_by: Arc<AtomicU8>,
}

#[pymethods]
impl LoopHandle {
    /// Gets ready; descriptors are duplicated, and stay the caller's.
    ///
    /// `wait(fd, writing, seconds)` waits in the loop's way (without it the calling thread is
    /// blocked), `report(environ, type, value, traceback)` gets what the application raises (without
    /// it the error log does), `socket(fileno=fd)` makes a socket that waits in the loop's way
    /// (without it there are no WebSockets), `running()` gives the call that runs, whose
    /// `throw(error)` interrupts it, or None in the loop, and `environ` is merged over what the
    /// server says of itself. No head is larger than `max_head` bytes. A `handler(socket,
    /// address)` serves connections from their first request on in place of the application. The
    /// rest is as for `Engine`.
    #[new]
    #[pyo3(signature = (app, settings, listener_fds, wait, *, report = None, socket = None, running = None, environ = None, handler = None, max_requests = None, max_head = None, slot = None, signal_fd = None, master_fd = None, notify_fd = None, stacks_signal = None, request_hooks = None, access_log = true, credentials = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords, for its two callers in Python")]
    fn new(
        py: Python<'_>,
        app: Py<PyAny>,
        settings: &Settings,
        listener_fds: Vec<RawFd>,
        wait: Option<Py<PyAny>>,
        report: Option<Py<PyAny>>,
        socket: Option<Py<PyAny>>,
        running: Option<Py<PyAny>>,
        environ: Option<&Bound<'_, PyDict>>,
        handler: Option<Py<PyAny>>,
        max_requests: Option<u64>,
        max_head: Option<usize>,
        slot: Option<&Slot>,
        signal_fd: Option<RawFd>,
        master_fd: Option<RawFd>,
        notify_fd: Option<RawFd>,
        stacks_signal: Option<i32>,
        request_hooks: Option<Py<PyAny>>,
        access_log: bool,
        credentials: Option<&Credentials>,
    ) -> PyResult<Self> {
        let protocols = &settings.values().http_protocols;
        if handler.is_some() && protocols.contains(&HttpProtocol::Http2) {
            return Err(PyValueError::new_err(
                "http_protocols: a handler of whole connections reads HTTP/1.1 only: leave out `h2`",
            ));
        }
        let mut config = worker_config(settings.values());
        config.tls = tls::terminator(settings, credentials)?;
        let default_port = if config.tls.is_some() { "443" } else { "80" };
        config.max_requests = max_requests.unwrap_or(config.max_requests);
        if let Some(most) = max_head {
            for rules in [&mut config.rules, &mut config.trusted_rules] {
                let limits = &mut rules.limits;
                limits.head = most;
                limits.field_size = limits.field_size.min(most);
                limits.request_line = limits.request_line.min(most);
            }
        }
        let mut listeners = Vec::new();
        let mut names = Vec::new();
        for number in listener_fds {
            let listener = adopt(number)?;
            names.push(server_name(&ListenerInfo::of(listener.as_fd())?, default_port));
            listeners.push(listener);
        }
        if socket.is_none() {
            config.websockets = 0;
        }
        let multithread = wait.is_none() && config.threads > 1;
        let foreign = Arc::new(Foreign::new(wait, report, socket, running));
        let siblings = config.has_siblings;
        let mut app = WsgiApplication::new(py, app, &names, multithread, siblings, request_hooks)?;
        if let Some(ids) = &config.request_ids {
            app.name_requests(py, ids);
        }
        app.under(Arc::clone(&foreign));
        if config.limits_requests() {
            app.limit(py, stacks_signal.is_some())?;
        }
        if let Some(environ) = environ {
            app.merge_environ(py, environ)?;
        }
        let ended_by = Arc::new(AtomicU8::new(0));
        let park: Option<Park> = foreign.waits().then(|| -> Park {
            let foreign = Arc::clone(&foreign);
            Box::new(move |fd, interest, within| foreign.park(fd, interest, within))
        });
        let [served, refused] = log::access_logs(access_log);
        let control = Control {
            signals: signal_fd.map(adopt).transpose()?,
            master: master_fd.map(adopt).transpose()?,
            on_signal: on_signal(Arc::clone(&ended_by)),
            on_max_requests: on_max_requests(notify_fd)?,
            access_log: served,
            refused_log: refused,
            slot: slot.map(Slot::record),
            // What is busy, and what is idle, is the loop's affair.
            handoff: None,
            stuck: on_stuck(notify_fd, stacks_signal)?,
            park,
        };
        let mut kept = None;
        let app: Arc<dyn Application> = match handler {
            Some(handler) => {
                // The body is the handler's to read.
                config.request_buffering = false;
                // It gets whole connections, which it reads as HTTP/1.
                config.http2_cleartext = false;
                Arc::new(HandlerApplication::new(handler, app, foreign))
            }
            None => kept.insert(Arc::new(app)).clone(),
        };
        let worker = ForeignWorker::new(config, listeners, app, control)?;
        Ok(Self { app: kept, worker: Mutex::new(Some(Arc::new(worker))), ended_by })
    }

    /// Merges this over what every request's environ says, from now on.
    fn merge_environ(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        match &self.app {
            Some(app) => app.merge_environ(environ.py(), environ),
            None => Ok(()),
        }
    }

    /// What the loop watches for reading.
    fn fileno(&self) -> PyResult<RawFd> {
        Ok(self.worker()?.fileno())
    }

    /// One round of accepting, reading, flushing and looking at time limits; never waits and runs
    /// no Python code.
    fn turn(&self) -> PyResult<()> {
        self.worker()?.turn();
        Ok(())
    }

    /// Shows and interrupts the requests that take too long; not to be called in one.
    fn interrupt(&self) -> PyResult<()> {
        self.worker()?.interrupt();
        Ok(())
    }

    /// Takes the oldest request that waits, if there is one.
    fn next(&self) -> PyResult<Option<ReadyRequest>> {
        let ready = self.worker()?.next_ready();
        Ok(ready.map(|ready| ReadyRequest(Mutex::new(Some(ready)))))
    }

    /// Runs a request to the end of its response; other calls may come and go meanwhile.
    fn run(&self, request: &ReadyRequest) -> PyResult<()> {
        let worker = self.worker()?;
        let ready = request.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ready) = ready {
            worker.run(ready);
        }
        Ok(())
    }

    /// Seconds after which a turn is due though the descriptor says nothing.
    fn next_deadline(&self) -> PyResult<f64> {
        Ok(self.worker()?.next_deadline().as_secs_f64())
    }

    /// Stops accepting until `resume`.
    fn pause(&self) -> PyResult<()> {
        self.worker()?.pause();
        Ok(())
    }

    /// Accepts again.
    fn resume(&self) -> PyResult<()> {
        self.worker()?.resume();
        Ok(())
    }

    /// Stops accepting and finishes what is open, within `graceful_timeout` or these seconds.
    #[pyo3(signature = (within = None))]
    fn drain(&self, within: Option<f64>) -> PyResult<()> {
        let within = within.map(Duration::try_from_secs_f64).transpose();
        let within = within.map_err(|error| PyValueError::new_err(error.to_string()))?;
        self.worker()?.drain(within);
        Ok(())
    }

    /// Ends; connections are cut.
    fn stop(&self) -> PyResult<()> {
        self.worker()?.stop();
        Ok(())
    }

    /// Whether no thread of a WebSocket is inside the application.
    #[getter]
    fn is_left(&self) -> bool {
        self.worker().map_or(true, |worker| worker.is_left())
    }

    /// Whether it has ended, by itself after a drain or otherwise.
    #[getter]
    fn is_over(&self) -> bool {
        self.worker().map_or(true, |worker| worker.is_over())
    }

    /// The number of the signal that ended it, or 0.
    #[getter]
    fn ended_by(&self) -> u8 {
        self.ended_by.load(Ordering::Acquire)
    }

    /// Closes its descriptors, when it is over.
    fn close(&self) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(worker);
    }
}

impl LoopHandle {
    fn worker(&self) -> PyResult<Arc<ForeignWorker>> {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.clone().ok_or_else(|| PyRuntimeError::new_err("the server is closed"))
    }
}
