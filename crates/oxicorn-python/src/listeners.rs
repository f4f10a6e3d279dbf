//! Listening sockets, the pidfile and the user to run as, for the master's Python half.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxicorn_os::listener::{Address, Listener as Socket, Options};
use oxicorn_os::pidfile::Pidfile as File;
use oxicorn_os::process::{self, Identity};
use oxicorn_os::{OsError, process::set_thread_name};
use oxicorn_settings::BindAddress;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// A listening socket, shared by all workers.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Listener {
    socket: Mutex<Option<Socket>>,
    /// As operators read it: `http://127.0.0.1:8000` or `unix:/run/app.sock`.
    #[pyo3(get)]
    text: String,
}

#[pymethods]
impl Listener {
    /// Binds an address as settings write it, and listens.
    #[new]
    #[pyo3(signature = (address, *, backlog, reuse_port=false, v6_only=false, umask=0, owner=None))]
    fn open(
        address: &str,
        backlog: i32,
        reuse_port: bool,
        v6_only: bool,
        umask: u32,
        owner: Option<(u32, u32)>,
    ) -> PyResult<Self> {
        let address = parse(address)?;
        let options = Options { backlog, reuse_port, v6_only, umask, owner };
        let socket = Socket::open(&address, &options)
            .map_err(|error| raise(&error, format!("{error} (--bind)")))?;
        let text = socket.info().text.clone();
        Ok(Self { socket: Mutex::new(Some(socket)), text })
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    /// The descriptor; -1 once closed.
    fn fileno(&self) -> RawFd {
        self.lock().as_ref().map_or(-1, |socket| socket.as_fd().as_raw_fd())
    }

    /// Closes this process's descriptor; others may go on listening.
    fn close(&self) {
        *self.lock() = None;
    }

    /// Takes over the path of a unix socket from a process that handed the socket on and is gone.
    fn own_path(&self) {
        if let Some(socket) = self.lock().as_mut() {
            socket.own_path();
        }
    }

    /// Removes the path of a unix socket if it is still ours, then closes.
    fn unlink(&self) {
        if let Some(mut socket) = self.lock().take() {
            socket.unlink();
        }
    }
}

impl Listener {
    fn lock(&self) -> MutexGuard<'_, Option<Socket>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that says which process is the master.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
pub(crate) struct Pidfile {
    file: Mutex<Option<File>>,
}

#[pymethods]
impl Pidfile {
    /// Writes the file for this process.
    #[new]
    fn create(path: PathBuf) -> PyResult<Self> {
        let file =
            File::create(&path).map_err(|error| raise(&error, format!("{error} (--pid)")))?;
        Ok(Self { file: Mutex::new(Some(file)) })
    }

    /// The living process that a pidfile names, if it is another one.
    #[staticmethod]
    fn running(path: PathBuf) -> Option<u32> {
        File::running(&path)
    }

    /// Removes the file if it still names this process.
    fn remove(&self) {
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
            file.remove();
        }
    }
}

/// The numbers of a user and a group, each given by name or number, or as they are.
#[pyfunction]
#[pyo3(signature = (user, group))]
pub(crate) fn find_identity(user: Option<&str>, group: Option<&str>) -> PyResult<(u32, u32)> {
    let found = identity(user, group)?;
    Ok((found.uid(), found.gid()))
}

/// Becomes a user and a group for good, with all the user's groups or with that one only; when it
/// raises, do not go on.
#[pyfunction]
#[pyo3(signature = (user, group, all_groups))]
pub(crate) fn assume_identity(
    user: Option<&str>,
    group: Option<&str>,
    all_groups: bool,
) -> PyResult<()> {
    identity(user, group)?.assume(all_groups).map_err(|error| raise(&error, error.to_string()))
}

/// Asks the kernel for TERM when the parent dies.
#[pyfunction]
pub(crate) fn follow_parent() -> PyResult<()> {
    Ok(process::follow_parent()?)
}

/// Names the process as `top` and `pgrep` show it; call it on the main thread.
#[pyfunction]
pub(crate) fn set_process_name(name: &str) {
    set_thread_name(name);
}

fn identity(user: Option<&str>, group: Option<&str>) -> PyResult<Identity> {
    Identity::resolve(user, group)
        .map_err(|error| PyValueError::new_err(format!("{error} (--user, --group)")))
}

fn parse(text: &str) -> PyResult<Address> {
    match BindAddress::parse(text) {
        Ok(BindAddress::Tcp { host, port }) => Ok(Address::Inet(host, port)),
        Ok(BindAddress::Unix(path)) => Ok(Address::Unix(path.into())),
        Ok(BindAddress::UnixAbstract(name)) => Ok(Address::Abstract(name.into())),
        Ok(BindAddress::Fd(number)) => Ok(Address::Fd(number)),
        Ok(_) | Err(_) => Err(PyValueError::new_err(format!("cannot listen on `{text}` (--bind)"))),
    }
}

/// An `OSError` with the kernel's number and our text.
fn raise(error: &OsError, text: String) -> PyErr {
    PyOSError::new_err((error.errno(), text))
}
