//! Whole responses that wait a moment, to go out one right after the other.
//!
//! A response wakes its client, and to wake a process of the same machine, a proxy most often, costs
//! more than to send: on a virtual machine with two cores a quarter of what a small page of Flask
//! takes. Who is awake already is not woken again. So while the calls of a thread are quick and other
//! connections are ready, their responses are held, for less than a millisecond. The monitor sends them
//! if a call takes long after all. Where one connection is ready nothing is held.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::{Channel, Stage};
use crate::flusher::Flusher;
use crate::poller::Poller;
use crate::reactor::Shared;

/// Responses that are held at most.
const MOST: usize = 32;
/// Microseconds after which no more are held back.
const LONGEST: u64 = 500;
/// Microseconds in which a connection that is ready is dealt with if its call is quick.
const QUICK: u64 = 1000;
/// What a thread's credit has to be for responses to be held, and what it is at most: each connection
/// that is dealt with quickly adds one.
const ENOUGH: u32 = 64;
const LIMIT: u32 = 128;
/// What one that takes longer costs. Python's garbage collector takes some milliseconds once in a hundred
/// requests; where three in a hundred are slow, few responses are held.
const SLOW_COSTS: u32 = 32;

/// How a thread gets on with the connections that are ready.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Whether there are several.
    is_kept: bool,
    /// Microseconds of the worker's clock when the last one was dealt with.
    last: u64,
    /// What speaks for the application being quick.
    credit: u32,
    /// When the first response was there of those that are held.
    since: Option<u64>,
    /// For what is about to be sent; kept as its memory is.
    sending: VecDeque<Box<Channel>>,
}

impl Pace {
    /// Whether a response may be held.
    pub(crate) fn holds(&self) -> bool {
        self.is_kept && self.credit >= ENOUGH
    }
}

/// The responses that are held.
#[derive(Debug, Default)]
pub(crate) struct Held {
    lists: Mutex<Lists>,
    /// Of these, those whose request is over.
    count: AtomicUsize,
    /// The monitor has seen that there are some, and they may be the same.
    is_seen: AtomicBool,
}

#[derive(Debug, Default)]
struct Lists {
    /// At [`Stage::Flushing`].
    channels: VecDeque<Box<Channel>>,
    /// Of requests that may not be over: their iterable's `close` may run, and take as long as it likes.
    flushers: Vec<Arc<Flusher>>,
}

impl Held {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        // Every update leaves them usable, so a panic elsewhere does not matter here.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the monitor know of a whole response.
    pub(crate) fn show(&self, flusher: &Arc<Flusher>) {
        self.lists().flushers.push(Arc::clone(flusher));
    }

    /// Whether the monitor has seen some that may still be there.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_seen.load(Ordering::Relaxed)
    }

    /// Keeps a connection whose request is over.
    pub(crate) fn keep(&self, channel: Box<Channel>) {
        let mut lists = self.lists();
        lists.channels.push_back(channel);
        self.count.store(lists.channels.len(), Ordering::Relaxed);
    }
}

impl Shared {
    /// Whoever polls turns to what is ready; `several` if that is more than one connection.
    pub(crate) fn begin_round(&self, poller: &mut Poller, several: bool) {
        poller.pace.is_kept = several && !self.hosted && poller.thread.is_some();
        if poller.pace.is_kept {
            poller.pace.last = self.clock.micros();
        }
    }

    /// One of these was dealt with: sends what was held for long enough.
    pub(crate) fn keep_pace(&self, poller: &mut Poller) {
        let pace = &mut poller.pace;
        if !pace.is_kept {
            return;
        }
        let now = self.clock.micros();
        let is_quick = now.saturating_sub(pace.last) < QUICK;
        pace.credit = if is_quick {
            LIMIT.min(pace.credit + 1)
        } else {
            pace.credit.saturating_sub(SLOW_COSTS)
        };
        pace.last = now;
        let count = self.held.count.load(Ordering::Relaxed);
        if count == 0 {
            pace.since = None;
        } else if count >= MOST || !is_quick || now > *pace.since.get_or_insert(now) + LONGEST {
            self.send_held(poller);
            // Whom that wakes may have the processor first.
            poller.pace.last = self.clock.micros();
        }
    }

    /// Everything was dealt with. The monitor sends what others hold: it polls as they do not.
    pub(crate) fn end_round(&self, poller: &mut Poller) {
        let is_monitor = poller.thread.is_none() && !self.hosted;
        if std::mem::take(&mut poller.pace.is_kept) || is_monitor {
            self.send_held(poller);
        }
    }

    /// Sends all responses that are held.
    pub(crate) fn send_held(&self, poller: &mut Poller) {
        poller.pace.since = None;
        let mut lists = self.held.lists();
        self.held.count.store(0, Ordering::Relaxed);
        self.held.is_seen.store(false, Ordering::Relaxed);
        std::mem::swap(&mut lists.channels, &mut poller.pace.sending);
        let flushers = std::mem::take(&mut lists.flushers);
        drop(lists);
        for flusher in flushers {
            flusher.lock().flush(&flusher.stream, poller.now);
        }
        let mut sending = std::mem::take(&mut poller.pace.sending);
        for channel in sending.drain(..) {
            let now = poller.now;
            let back = match channel.stage {
                Stage::Flushing(then) => {
                    self.contained(channel.key, || self.flush(now, channel, then))
                }
                _ => Some(channel),
            };
            self.put_back_held(back);
        }
        poller.pace.sending = sending;
    }

    /// The monitor's look: sends what it saw the last time, as a call must take long.
    pub(crate) fn look_at_held(&self, poller: &mut Poller) {
        let lists = self.held.lists();
        let is_any = !lists.channels.is_empty() || !lists.flushers.is_empty();
        drop(lists);
        if self.held.is_seen.swap(is_any, Ordering::Relaxed) && is_any {
            poller.now = self.clock.now();
            self.send_held(poller);
        }
    }
}
