//! The engine as Python starts it: a worker with the WSGI bridge on open listeners.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use oxicorn_os::inherit::adopt;
use oxicorn_os::listener::ListenerInfo;
use oxicorn_os::process;
use oxicorn_worker::{Control, Signal, Stuck, Worker};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::log;
use crate::master::{RECYCLE, STUCK};
use crate::settings::{Settings, worker_config};
use crate::shared::{Passage, Slot};
use crate::tls::{self, Credentials};
use crate::wsgi::{ServerName, WsgiApplication};

/// Numbers of the signals that a worker acts upon (POSIX).
const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGUSR1: u8 = 10;
const SIGTERM: u8 = 15;

/// Serves a WSGI application on open listeners, in this process.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Engine {
    worker: Mutex<Option<Worker>>,
    app: Arc<WsgiApplication>,
    ended_by: Arc<AtomicU8>,
}

#[pymethods]
impl Engine {
    /// Gets ready; create it after the fork. Descriptors are duplicated, and stay the caller's.
    ///
    /// `max_requests` replaces the setting's, with this worker's jitter. `signal_fd` brings a byte
    /// for each signal, `master_fd` ends with the master, and `notify_fd` takes the worker's word
    /// that it has served its share of requests. `request_hooks` is called around each request.
    /// Connections go through `passage` to other workers while this one is busy; it needs `slot`.
    /// `stacks_signal` has the process log its stacks without the interpreter; with it and
    /// `notify_fd`, a request that does not end has this worker replaced.
    /// `access_log` is whether it writes to the log that `init_logs` has opened. `credentials` are
    /// for TLS; without them it reads the files that the settings name.
    #[new]
    #[pyo3(signature = (app, settings, listener_fds, *, max_requests = None, slot = None, signal_fd = None, master_fd = None, notify_fd = None, stacks_signal = None, request_hooks = None, passage = None, access_log = true, credentials = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords, for the one caller in Python")]
    fn new(
        py: Python<'_>,
        app: Py<PyAny>,
        settings: &Settings,
        listener_fds: Vec<RawFd>,
        max_requests: Option<u64>,
        slot: Option<&Slot>,
        signal_fd: Option<RawFd>,
        master_fd: Option<RawFd>,
        notify_fd: Option<RawFd>,
        stacks_signal: Option<i32>,
        request_hooks: Option<Py<PyAny>>,
        passage: Option<&Passage>,
        access_log: bool,
        credentials: Option<&Credentials>,
    ) -> PyResult<Self> {
        let mut config = worker_config(settings.values());
        config.tls = tls::terminator(settings, credentials)?;
        let default_port = if config.tls.is_some() { "443" } else { "80" };
        config.max_requests = max_requests.unwrap_or(config.max_requests);
        let mut listeners = Vec::new();
        let mut names = Vec::new();
        for number in listener_fds {
            let listener = adopt(number)?;
            names.push(server_name(&ListenerInfo::of(listener.as_fd())?, default_port));
            listeners.push(listener);
        }
        let multithread = config.threads > 1;
        let siblings = config.has_siblings;
        let mut app = WsgiApplication::new(py, app, &names, multithread, siblings, request_hooks)?;
        if let Some(ids) = &config.request_ids {
            app.name_requests(py, ids);
        }
        if config.limits_requests() {
            app.limit(py, stacks_signal.is_some())?;
        }
        let app = Arc::new(app);
        let ended_by = Arc::new(AtomicU8::new(0));
        let [served, refused] = log::access_logs(access_log);
        let control = Control {
            signals: signal_fd.map(adopt).transpose()?,
            master: master_fd.map(adopt).transpose()?,
            on_signal: on_signal(Arc::clone(&ended_by)),
            on_max_requests: on_max_requests(notify_fd)?,
            access_log: served,
            refused_log: refused,
            slot: slot.map(Slot::record),
            park: None,
            stuck: on_stuck(notify_fd, stacks_signal)?,
            handoff: passage.map(Passage::share).transpose()?.flatten(),
        };
        let shared = Arc::clone(&app);
        let worker = Mutex::new(Some(Worker::new(config, listeners, shared, control)?));
        Ok(Self { worker, app, ended_by })
    }

    /// Serves until it is drained or stopped; the calling thread runs the application.
    ///
    /// Returns the number of the signal that ended it, or 0; raises what a signal handler raised
    /// between two requests.
    fn run(&self) -> PyResult<u8> {
        let Some(worker) = self.worker() else {
            return Err(PyRuntimeError::new_err("the engine is closed"));
        };
        worker.run().map_err(|error| {
            PyRuntimeError::new_err(format!("cannot start a thread: {error} (threads)"))
        })?;
        match self.app.take_interrupt() {
            Some(interrupt) => Err(interrupt),
            None => Ok(self.ended_by.load(Ordering::Acquire)),
        }
    }

    /// Stops accepting, finishes what is open, then ends `run`.
    fn drain(&self, py: Python<'_>) {
        py.detach(|| self.worker().inspect(Worker::drain));
    }

    /// Ends `run` as soon as the calls that run now are over; their connections are cut.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.worker().inspect(Worker::stop));
    }

    /// Whether the threads that `run` left inside the application have ended.
    fn is_over(&self) -> bool {
        self.worker().is_none_or(|worker| worker.is_over())
    }

    /// Whether the calling thread is one that runs the application for this engine.
    fn is_own_thread(&self) -> bool {
        self.worker().is_some_and(|worker| worker.is_own_thread())
    }

    /// Closes its descriptors, when `run` has ended.
    fn close(&self) {
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Engine {
    fn worker(&self) -> Option<Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What PEP 3333 calls the server of a listener: never empty.
pub(crate) fn server_name(info: &ListenerInfo, default_port: &str) -> ServerName {
    let port = info.port.map_or_else(|| default_port.to_owned(), |port| port.to_string());
    let name = if info.is_unix() { "localhost".to_owned() } else { info.name.clone() };
    ServerName { name, port }
}

/// Says what each signal means to a worker.
pub(crate) fn on_signal(ended_by: Arc<AtomicU8>) -> Box<dyn Fn(u8) -> Signal + Send + Sync> {
    Box::new(move |number| {
        let meaning = match number {
            SIGTERM => Signal::Drain,
            SIGINT | SIGQUIT => Signal::Stop,
            SIGUSR1 => {
                log::reopen();
                Signal::Handled
            }
            _ => Signal::Handled,
        };
        if meaning != Signal::Handled {
            ended_by.store(number, Ordering::Release);
        }
        meaning
    })
}

/// Tells the master that a replacement is due.
pub(crate) fn on_max_requests(notify: Option<RawFd>) -> PyResult<Box<dyn Fn() + Send + Sync>> {
    let notify = notify.map(adopt).transpose()?.map(File::from);
    Ok(Box::new(move || {
        if let Some(master) = &notify {
            tell(master, RECYCLE);
        }
    }))
}

fn tell(mut master: &File, what: u8) {
    // A master that is gone is noticed on the other pipe.
    let _ = master.write_all(&[what]);
}

/// Shows the stacks of a process with a request that does not end and has it replaced, or ends it.
#[expect(clippy::type_complexity, reason = "the type of the field it is for")]
pub(crate) fn on_stuck(
    notify: Option<RawFd>,
    stacks: Option<i32>,
) -> PyResult<Option<Box<dyn Fn(Stuck) + Send + Sync>>> {
    let (Some(notify), Some(stacks)) = (notify, stacks) else { return Ok(None) };
    let master = File::from(adopt(notify)?);
    Ok(Some(Box::new(move |stuck| {
        let signal = match stuck {
            Stuck::Found => {
                tell(&master, STUCK);
                stacks
            }
            Stuck::Holds => process::KILL,
        };
        // To this very process, which fails only for a number that is no signal.
        let _ = process::kill(std::process::id(), signal);
    })))
}
