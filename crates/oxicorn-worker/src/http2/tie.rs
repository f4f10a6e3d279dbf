//! What a stream of HTTP/2, or a relay, and the call that answers it have in common.
//!
//! The application's thread appends to it and takes from it; whoever polls moves bytes between it
//! and the connection. So a thread that runs the application never touches the connection, and the
//! connection is never held while the application runs. The reactor's mutex is never taken while a
//! tie is locked.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use oxicorn_os::waker::Waker;
use slotmap::DefaultKey as Key;

use crate::exchange::{BodyError, Gone, Sent};
use crate::flusher::OutputLimits;
use crate::outbox::Outbox;
use crate::reactor::Shared;

/// How many streams of a connection may have the memory for a response that waits for its client
/// which one connection of HTTP/1 has; what is more goes to files.
const MEMORY_SHARES: usize = 8;

/// What the ties of a connection know of it.
#[derive(Debug)]
pub(crate) struct Bundle {
    key: Key,
    shared: Weak<Shared>,
    /// A tie has something for the connection.
    news: AtomicBool,
    is_cut: AtomicBool,
    /// Bytes of all responses that wait in memory.
    memory: AtomicUsize,
}

impl Bundle {
    pub(crate) fn new(key: Key, shared: Weak<Shared>) -> Self {
        Self {
            key,
            shared,
            news: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            memory: AtomicUsize::new(0),
        }
    }

    /// The connection is over: what waits for it notices within half a second.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// Whether a tie has something for the connection.
    pub(crate) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// All of it will be seen from here on.
    pub(crate) fn take_news(&self) {
        self.news.store(false, Ordering::Release);
    }

    /// Has whoever polls look at the connection.
    pub(crate) fn notify(&self) {
        if !self.news.swap(true, Ordering::AcqRel)
            && let Some(shared) = self.shared.upgrade()
        {
            shared.look_again(self.key);
        }
    }
}

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Whole, and its connection may be used again.
    Kept,
    /// Whole; a connection of HTTP/1 closes after it.
    Closed,
    /// The client must see that something is missing.
    Cut,
}

/// The two sides of a stream.
#[derive(Debug)]
pub(crate) struct Tie {
    bundle: Arc<Bundle>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Heads that are to be sent, in the text form of HTTP/1: interim ones, and the final one.
    pub(crate) heads: VecDeque<Vec<u8>>,
    /// Whether the final one was given.
    is_begun: bool,
    /// The body that is to be sent.
    pub(crate) outbox: Outbox,
    /// Bytes of it in memory that the bundle knows of.
    counted: usize,
    pub(crate) end: Option<End>,
    /// The client does not want the response any more.
    is_lost: bool,
    /// The client has closed its side, but may wait for the response.
    is_abandoned: bool,
    /// When the client last took something, or had taken all.
    pub(crate) progress: u64,
    /// The request's body, if it is read as it comes.
    arrived: VecDeque<u8>,
    /// Bytes of it that were read, and whose place the connection does not know to be free.
    pub(super) consumed: usize,
    arrived_whole: bool,
    fault: Option<BodyError>,
    /// Ends the wait of the application's thread.
    waker: Option<Arc<Waker>>,
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Takes a response that begins with its head.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.map_or(bytes.len(), |at| at + 4);
        self.heads.push_back(bytes.get(..end).unwrap_or(bytes).to_vec());
        self.is_begun = true;
        end
    }
}

impl Tie {
    pub(crate) fn new(bundle: Arc<Bundle>) -> Self {
        Self { bundle, state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Every update leaves the state usable, so a panic elsewhere does not matter here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its connection's place in the slab.
    pub(super) fn key(&self) -> Key {
        self.bundle.key
    }

    /// Whether the client does not want the response any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.bundle.is_cut.load(Ordering::Acquire) || self.lock().is_lost
    }

    /// The client does not want it any more: whoever waits for it is woken.
    pub(crate) fn lose(&self) {
        let mut state = self.lock();
        state.is_lost = true;
        (state.outbox, state.heads) = (Outbox::default(), VecDeque::new());
        self.settle(&mut state);
        state.wake();
    }

    /// The client has closed its side.
    pub(crate) fn abandon(&self) {
        self.lock().is_abandoned = true;
    }

    /// Whether the client has closed its side, or does not want the response any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_lost() || self.lock().is_abandoned
    }

    /// Whether the response has its end, so that no call works on it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Queues an interim head, unless the response has begun.
    pub(crate) fn inform(&self, head: &[u8]) {
        let mut state = self.lock();
        if !state.is_begun && state.end.is_none() {
            state.heads.push_back(head.to_vec());
            drop(state);
            self.bundle.notify();
        }
    }

    /// Queues a piece of the response in several parts; the first piece begins with the head.
    pub(crate) fn put(
        &self,
        parts: &[&[u8]],
        limits: &OutputLimits,
        now: u64,
    ) -> Result<Sent, Gone> {
        self.append(limits, now, |state| {
            let memory = self.memory_limit(state, limits.memory);
            for part in parts {
                let skip = if state.is_begun { 0 } else { state.begin(part) };
                let rest = part.get(skip..).unwrap_or(&[]);
                state.outbox.push(rest, memory, &limits.directory)?;
            }
            Ok(())
        })
    }

    /// Queues a part of a file.
    pub(crate) fn put_file(
        &self,
        file: File,
        offset: u64,
        length: u64,
        limits: &OutputLimits,
        now: u64,
    ) -> Result<Sent, Gone> {
        self.append(limits, now, |state| {
            state.outbox.push_file(file, offset, length);
            Ok(())
        })
    }

    /// Has more of the response queued, unless it is not wanted any more.
    fn append(
        &self,
        limits: &OutputLimits,
        now: u64,
        add: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> Result<Sent, Gone> {
        let mut state = self.open_state()?;
        if state.outbox.is_empty() {
            state.progress = now;
        }
        let added = add(&mut state);
        if let Err(error) = &added {
            limits.complain(error);
            state.end = Some(End::Cut);
        }
        self.settle(&mut state);
        let is_full = state.outbox.queued() > limits.total;
        drop(state);
        self.bundle.notify();
        match added {
            Err(_) => Err(Gone),
            Ok(()) if is_full => Ok(Sent::Full),
            Ok(()) => Ok(Sent::Taken),
        }
    }

    /// How much of this response may wait in memory, beside those of the connection's other streams.
    fn memory_limit(&self, state: &State, of_one: usize) -> usize {
        let others = self.bundle.memory.load(Ordering::Relaxed).saturating_sub(state.counted);
        of_one.saturating_mul(MEMORY_SHARES).saturating_sub(others).min(of_one)
    }

    /// Tells the bundle how much of the response waits in memory now.
    pub(crate) fn settle(&self, state: &mut State) {
        let now = state.outbox.memory();
        let before = std::mem::replace(&mut state.counted, now);
        if now >= before {
            self.bundle.memory.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.bundle.memory.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, Gone> {
        let state = self.lock();
        let is_cut = self.bundle.is_cut.load(Ordering::Acquire);
        if is_cut || state.is_lost || state.end.is_some() { Err(Gone) } else { Ok(state) }
    }

    /// Whether little enough waits that more may be given; `Err` when it is not taken any more.
    pub(crate) fn has_room(&self, total: u64) -> Result<bool, Gone> {
        self.open_state().map(|state| state.outbox.queued() <= total / 2)
    }

    /// Ends the response.
    pub(crate) fn finish(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(if state.is_begun { end } else { End::Cut });
            drop(state);
            self.bundle.notify();
        }
    }

    /// Answers with a page of ours, or cuts what has begun.
    pub(crate) fn answer(&self, page: &[u8], limits: &OutputLimits) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let is_begun = state.is_begun;
        if !is_begun {
            let skip = state.begin(page);
            let rest = page.get(skip..).unwrap_or(&[]);
            // Into memory: that cannot fail.
            let _ = state.outbox.push(rest, usize::MAX, &limits.directory);
            self.settle(&mut state);
        }
        state.end = Some(if is_begun { End::Cut } else { End::Closed });
        drop(state);
        self.bundle.notify();
    }

    /// Passes on a part of the request's body.
    pub(super) fn deliver(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.arrived.extend(bytes);
        state.wake();
    }

    /// Says that the request's body is whole, or why it will never be.
    pub(super) fn end_body(&self, fault: Option<BodyError>) {
        let mut state = self.lock();
        (state.arrived_whole, state.fault) = (fault.is_none(), fault);
        state.wake();
    }

    /// Takes up to `max` bytes of the request's body: `None` when there are none yet, 0 at its end.
    pub(crate) fn read(&self, into: &mut Vec<u8>, max: usize) -> Result<Option<usize>, BodyError> {
        let mut state = self.lock();
        let count = max.min(state.arrived.len());
        if count > 0 {
            into.extend(state.arrived.drain(..count));
            state.consumed += count;
            drop(state);
            self.bundle.notify();
            return Ok(Some(count));
        }
        if state.arrived_whole {
            return Ok(Some(0));
        }
        if let Some(fault) = state.fault {
            return Err(fault);
        }
        if state.is_lost || self.bundle.is_cut.load(Ordering::Acquire) {
            return Err(BodyError::Disconnected);
        }
        Ok(None)
    }

    /// What the application's thread may wait for: it is readable when something has changed.
    pub(crate) fn waker(&self) -> Result<Arc<Waker>, Gone> {
        let mut state = self.lock();
        if let Some(waker) = &state.waker {
            waker.reset();
            return Ok(Arc::clone(waker));
        }
        let waker = Waker::new().map_err(|error| {
            log::error!(target: "oxicorn.error", "cannot wait for an HTTP/2 client: {error}");
            Gone
        })?;
        let waker = Arc::new(waker);
        state.waker = Some(Arc::clone(&waker));
        Ok(waker)
    }

    /// Tells the application's thread that some of the response was taken.
    pub(crate) fn taken(&self) {
        self.lock().wake();
    }
}

/// The tie as the request has it: dropped, it ends the response that has no end.
#[derive(Debug)]
pub(crate) struct StreamEnd(pub(crate) Arc<Tie>);

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.finish(End::Cut);
    }
}
