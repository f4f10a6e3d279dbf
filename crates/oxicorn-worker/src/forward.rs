//! What there is to log, on its way to Python, when the operator's loggers are there.
//!
//! Whoever logs may hold a lock, or not have the interpreter: so nothing is called from here. What
//! was said waits until Python takes it; when Python does not keep up, messages go to the file of
//! the error log, as they would without a logger, and lines of refused requests are left out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::About;
use crate::access_log::AccessRecord;
use crate::error_log::Level;

/// Most that waits; a message of ours is a few hundred bytes.
const MOST: usize = 4096;

/// Something for the logger.
#[derive(Debug)]
pub enum Said {
    /// A message for the error log.
    Message(Level, String),
    /// A request that the application did not see has got its answer.
    Refused(Box<Refused>),
}

/// What the access log says of a request that the application did not see; empty where the request
/// was not understood.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `AccessRecord`")]
pub struct Refused {
    pub status: u16,
    pub body_bytes: u64,
    pub remote_addr: Vec<u8>,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub protocol: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub about: Option<About>,
}

impl Refused {
    /// Copies what a record says.
    pub(crate) fn of(record: &AccessRecord<'_>) -> Self {
        let fields = record.head.map_or_else(Vec::new, |(head, bytes)| {
            let of = |span: oxicorn_http::Span| span.of(bytes).to_vec();
            head.fields.iter().map(|field| (of(field.name), of(field.value))).collect()
        });
        Self {
            status: record.status,
            body_bytes: record.body_bytes,
            remote_addr: record.remote_addr.to_vec(),
            method: record.method.to_vec(),
            target: record.target.to_vec(),
            protocol: record.protocol.to_vec(),
            fields,
            about: record.about.cloned(),
        }
    }
}

/// Has messages wait for Python from now on, or not any more.
pub fn set_on(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}

/// Whether something waits to be taken.
#[must_use]
pub fn is_waiting() -> bool {
    !lock().is_empty()
}

/// Waits until there is something to take, or `patience` is over.
pub fn wait(patience: Duration) {
    let is_empty = |queue: &mut VecDeque<Said>| queue.is_empty();
    drop(ARRIVED.wait_timeout_while(lock(), patience, is_empty));
}

/// Takes all that waits, oldest first.
#[must_use]
pub fn take() -> VecDeque<Said> {
    std::mem::take(&mut *lock())
}

/// Whether Python takes what there is to log.
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Keeps something for Python; gives it back when too much waits.
pub(crate) fn push(said: Said) -> Result<(), Said> {
    let mut queue = lock();
    if queue.len() >= MOST {
        return Err(said);
    }
    queue.push_back(said);
    drop(queue);
    ARRIVED.notify_one();
    Ok(())
}

fn lock() -> MutexGuard<'static, VecDeque<Said>> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static QUEUE: Mutex<VecDeque<Said>> = Mutex::new(VecDeque::new());
static ARRIVED: Condvar = Condvar::new();
