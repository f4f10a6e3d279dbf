//! Complete requests that wait for an application thread: in order, for a limited time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxicorn_http::proxy::arrival;
use oxicorn_os::scoreboard::{Count, State};

use crate::channel::{Channel, NEVER};
use crate::http2::StreamEnd;
use crate::poller::Poller;
use crate::reactor::{Core, Shared};
use crate::token::Holder;

/// Milliseconds that a request must have waited before the end of its client's bytes counts as its
/// client's end: until then it may be one that says nothing more but reads (a half-close).
const CLIENT_PATIENCE: u64 = 1000;

impl Core {
    /// When the oldest request will have waited for too long.
    pub(crate) fn queue_due(&self) -> u64 {
        let oldest = self.ready.front();
        oldest.map_or(NEVER, |channel| {
            let due = channel.queued_at.saturating_add(self.queue_timeout);
            due.saturating_sub(channel.waited_before)
        })
    }

    /// Puts a request where it belongs by its time.
    pub(crate) fn enqueue(&mut self, channel: Box<Channel>) {
        let age = |channel: &Channel| (channel.waited_before, channel.queued_at);
        let (waited, since) = age(&channel);
        let before = self.ready.iter().rposition(|other| {
            let (others, start) = age(other);
            start.saturating_add(waited) <= since.saturating_add(others)
        });
        let at = before.map_or(0, |at| at + 1);
        self.ready.insert(at, channel);
    }
}

impl Shared {
    /// Queues a complete request for any application thread; `by` is who asks.
    ///
    /// Returns it when the queue is full.
    #[must_use]
    pub(crate) fn queue(&self, mut channel: Box<Channel>, by: Holder) -> Option<Box<Channel>> {
        if channel.queued_at == 0 {
            // 0 is not a time.
            channel.queued_at = self.clock.coarse().max(1);
        }
        let limit = self.config.queue_limit;
        let mut core = self.lock();
        if limit > 0 && core.ready.len() >= limit {
            return Some(channel);
        }
        core.enqueue(channel);
        let wake = core.token.wake_one();
        let holder = core.token.holder();
        drop(core);
        if wake {
            self.followers.notify_one();
        } else if holder != by && matches!(holder, Holder::Thread(_)) {
            // It took the token in the meantime, and may be in a poll that waits.
            self.wake.wake();
        }
        None
    }

    /// Refuses the requests that have waited for too long.
    pub(crate) fn refuse_overdue(self: &Arc<Self>, poller: &mut Poller) {
        loop {
            let mut core = self.lock();
            if core.queue_due() > poller.now {
                return;
            }
            let Some(channel) = core.ready.pop_front() else { return };
            drop(core);
            let key = channel.key;
            let held = self.contained(key, || self.refuse_queued(poller, channel));
            self.put_back_held(held);
        }
    }

    /// Answers a request that no thread will run.
    pub(crate) fn refuse_queued(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        self.count(Count::Refused);
        let is_head = channel.is_head(&[]);
        self.answer(poller, channel, 503, is_head)
    }

    /// Counts one more on the scoreboard.
    pub(crate) fn count(&self, what: Count) {
        if let Some(slot) = &self.control.slot {
            slot.count(what);
        }
    }

    /// Notes on the scoreboard that the worker serves, or finishes.
    pub(crate) fn show(&self, state: State) {
        if let Some(slot) = &self.control.slot {
            slot.set_state(state);
        }
    }
}

/// Whether the client of a request that waited until `now` has gone.
pub(crate) fn is_abandoned(channel: &Channel, now: u64) -> bool {
    let is_patient = now.saturating_sub(channel.queued_at) < CLIENT_PATIENCE;
    match &channel.tie {
        Some(StreamEnd(tie)) => tie.is_lost() || (!is_patient && tie.is_abandoned()),
        None => !is_patient && channel.stream.is_over(),
    }
}

/// Milliseconds that the proxies in front say a queued request was on its way.
pub(crate) fn waited_before(channel: &Channel) -> u64 {
    let Some(pending) = &channel.pending else { return 0 };
    arrival::waited(&pending.head, &pending.bytes, || {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        crate::channel::millis(wall)
    })
}

/// A limit in milliseconds, where zero is none.
pub(crate) fn limit(duration: Duration) -> u64 {
    if duration.is_zero() { NEVER } else { crate::channel::millis(duration) }
}
