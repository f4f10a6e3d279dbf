//! One request and its response while Python works on it, and who may touch them.
//!
//! ```text
//!   Ended ──open()──► Here ──borrow()──► Away ──(Lease dropped)──► Here ──close()──► Ended
//! ```
//!
//! The state is lent out whole, by a [`Lease`], to one caller at a time: the driver, or
//! `start_response`, `write` and `wsgi.input` on whatever thread the application calls them. So no
//! lock is held when Python runs or a socket waits, and a second thread gets an error instead of a
//! race. After the end the object may live on in the application's hands, without an exchange.

mod live;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use oxicorn_worker::Exchange;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

pub(super) use self::live::JOIN;
pub(crate) use self::live::{Live, Phase, send_error_page};
use super::foreign::Foreign;

/// The place of the state: see the module.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    place: Mutex<Place>,
    returned: Condvar,
    foreign: Option<Arc<Foreign>>,
}

#[derive(Debug)]
enum Place {
    Here(Box<Live>),
    Away {
        /// Whether the driver waits for it.
        awaited: bool,
    },
    /// The buffers are kept for the next request.
    Ended(Option<Box<Live>>),
}

impl Default for Place {
    fn default() -> Self {
        Self::Ended(None)
    }
}

impl Slot {
    /// A place without a request; `foreign` is the loop that its requests will run under.
    pub(crate) fn new(foreign: Option<Arc<Foreign>>) -> Self {
        Self { foreign, ..Self::default() }
    }

    /// The loop that the requests run under, if there is one.
    pub(super) fn foreign(&self) -> Option<&Foreign> {
        self.foreign.as_deref()
    }

    /// Begins a request.
    pub(crate) fn open(&self, exchange: Exchange) {
        let mut place = self.lock();
        let mut live = match &mut *place {
            Place::Ended(spare) => spare.take().unwrap_or_default(),
            Place::Here(_) | Place::Away { .. } => Box::default(),
        };
        live.reset(exchange);
        *place = Place::Here(live);
    }

    /// Takes the state until the lease is dropped.
    ///
    /// # Errors
    ///
    /// A `RuntimeError` for the application: another thread has it, or the request has ended.
    pub(crate) fn borrow(&self) -> PyResult<Lease<'_>> {
        let mut place = self.lock();
        match std::mem::replace(&mut *place, Place::Away { awaited: false }) {
            Place::Here(live) => Ok(Lease { slot: self, live: Some(live) }),
            Place::Away { awaited } => {
                *place = Place::Away { awaited };
                Err(PyRuntimeError::new_err("another thread is using this request"))
            }
            Place::Ended(spare) => {
                *place = Place::Ended(spare);
                Err(ended())
            }
        }
    }

    /// Whether the client has gone, as far as can be seen without waiting: while another thread uses
    /// the request, it sees for itself.
    ///
    /// # Errors
    ///
    /// A `RuntimeError` for the application: the request has ended.
    pub(crate) fn has_lost_client(&self) -> PyResult<bool> {
        match &mut *self.lock() {
            Place::Here(live) => Ok(live.is_gone() || live.exchange().is_abandoned()),
            Place::Away { .. } => Ok(false),
            Place::Ended(_) => Err(ended()),
        }
    }

    /// Takes the state for the driver, which waits for a thread of the application that has it.
    pub(crate) fn claim(&self, py: Python<'_>) -> Lease<'_> {
        if let Ok(lease) = self.borrow() {
            return lease;
        }
        if let Some(foreign) = self.foreign().filter(|foreign| foreign.waits()) {
            return self.claim_under(py, foreign);
        }
        let live = py.detach(|| {
            let mut place = self.lock();
            loop {
                match std::mem::replace(&mut *place, Place::Away { awaited: true }) {
                    Place::Here(live) => break live,
                    Place::Ended(spare) => break spare.unwrap_or_default(),
                    Place::Away { .. } => {
                        place = self.returned.wait(place).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        });
        Lease { slot: self, live: Some(live) }
    }

    /// The same where all callers share one thread: whoever has the state is waiting itself, and
    /// gets on only while this call lets it.
    fn claim_under(&self, py: Python<'_>, foreign: &Foreign) -> Lease<'_> {
        loop {
            foreign.pause(py);
            if let Ok(lease) = self.borrow() {
                return lease;
            }
            let mut place = self.lock();
            if let Place::Ended(spare) = &mut *place {
                let live = spare.take().unwrap_or_default();
                *place = Place::Away { awaited: false };
                return Lease { slot: self, live: Some(live) };
            }
        }
    }

    /// Ends the request and gives the exchange back.
    pub(crate) fn close(&self, py: Python<'_>) -> Option<Exchange> {
        let mut lease = self.claim(py);
        let exchange = lease.exchange.take();
        let live = lease.live.take();
        *self.lock() = Place::Ended(live);
        exchange
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state, lent to one caller.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    slot: &'a Slot,
    live: Option<Box<Live>>,
}

impl Deref for Lease<'_> {
    type Target = Live;

    fn deref(&self) -> &Live {
        self.live.as_ref().expect("a lease has its state until it is dropped")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Live {
        self.live.as_mut().expect("a lease has its state until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(live) = self.live.take() else { return };
        let mut place = self.slot.lock();
        if let Place::Away { awaited: true } = std::mem::replace(&mut *place, Place::Here(live)) {
            self.slot.returned.notify_one();
        }
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("called after the request ended")
}
