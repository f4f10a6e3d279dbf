//! What becomes of requests that take too long: interrupted by the hand, or given up.
//!
//! The *hand* is a thread that takes the interpreter for what the monitor finds, and may have to
//! wait for it. A request that is given up loses its connection at once; its worker asks for a
//! replacement, finishes the others when that is ready, and then ends without waiting for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::channel::NEVER;
use crate::deadline::{Begun, Deadline, Took, Watch};
use crate::error_log::{self, Level};
use crate::http2::End;
use crate::poller::Poller;
use crate::reactor::Shared;

/// Looks at whether the main thread leaves, and time between two of them.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(20);

/// A request that was given up, as the process that it is stuck in sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It was given up now: show all stacks, and ask for a replacement.
    Found,
    /// Everything else is done, and the main thread cannot leave: end the process.
    Holds,
}

impl Shared {
    /// Starts the hand, if requests have limits.
    pub(crate) fn start_hand(self: &Arc<Self>) -> std::io::Result<Option<JoinHandle<()>>> {
        if self.watch.is_none() {
            return Ok(None);
        }
        let shared = Arc::clone(self);
        let work = move || {
            let Some(watch) = &shared.watch else { return };
            while let Some((deadline, step)) = watch.wait_for_due() {
                shared.app.overdue(&deadline, step);
            }
        };
        thread::Builder::new().name("oxicorn-hand".into()).spawn(work).map(Some)
    }

    /// Lists a request that has time limits.
    pub(crate) fn begin_limited(&self, watch: &Watch, begun: &Begun<'_>) -> Arc<Deadline> {
        let (deadline, is_first) = watch.begin(begun);
        if is_first && self.control.park.is_some() {
            self.wake.wake();
        } else if is_first {
            self.wake_monitor();
        }
        deadline
    }

    /// Finds the requests that take too long; `poller.now` is the time.
    pub(crate) fn look_at_deadlines(&self, poller: &mut Poller) {
        let Some(watch) = &self.watch else { return };
        for deadline in watch.look(poller.now) {
            self.give_up(poller, &deadline);
        }
        // Nobody here will come back for what waits: it is for the siblings, or its clients are told
        // to come again.
        let is_leaving = self.draining.load(Ordering::Relaxed);
        if is_leaving && !self.hands_over() && self.is_all_given_up() {
            self.lock().queue_timeout = 0;
        }
    }

    /// How long nothing is due for any request.
    pub(crate) fn patience_with_requests(&self, now: u64) -> Duration {
        let patience = self.watch.as_ref().map_or(NEVER, |watch| watch.patience(now));
        Duration::from_millis(patience)
    }

    /// Whether there is nothing left that could run a request.
    pub(crate) fn is_all_given_up(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.given_up() >= self.calls)
    }

    /// Ends a request for its client, and has the worker replaced.
    fn give_up(&self, poller: &mut Poller, deadline: &Deadline) {
        let stream = self.lock().slots.get(deadline.key).map(|slot| Arc::clone(&slot.stream));
        if (stream.is_some() || deadline.tie.is_some()) && deadline.answer_for_it() {
            let is_head = deadline.head.is_head(&deadline.bytes);
            let date = poller.date.at(poller.now);
            let page = self.page(504, is_head, &date, deadline.about.as_ref());
            match (&deadline.tie, stream) {
                (Some(tie), _) => tie.answer(&page, &self.output),
                // The first bytes on this socket for long: there is room.
                (None, Some(stream)) => drop(stream.write(&page)),
                (None, None) => {}
            }
            self.log_answered(deadline, 504, &page);
        }
        let took = Took(deadline, poller.now);
        let stuck = self.control.stuck.as_ref();
        let what = if stuck.is_some() { "its worker is replaced" } else { "it keeps its thread" };
        error_log::write_about(
            Level::Critical,
            format_args!("Request does not end: {took}, past `request_timeout_grace`; {what}"),
            deadline.about.as_ref(),
        );
        match &deadline.tie {
            // Its connection goes on.
            Some(tie) => tie.finish(End::Cut),
            None => self.forget(deadline.key, true),
        }
        if let Some(stuck) = stuck {
            if self.is_all_given_up() {
                self.pause_accepting(&mut self.lock(), NEVER - 1);
            }
            stuck(Stuck::Found);
        }
    }

    /// The last thing that the monitor does: sees to it that the process ends.
    pub(crate) fn leave_stuck(&self) {
        let Some(watch) = &self.watch else { return };
        watch.close();
        let Some(stuck) = &self.control.stuck else { return };
        for _ in 0..LOOKS {
            if self.left.load(Ordering::Acquire) || watch.given_up() == 0 {
                return;
            }
            thread::sleep(LOOK);
        }
        stuck(Stuck::Holds);
    }
}
