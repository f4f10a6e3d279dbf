//! A stream as its connection sees it: the request on its way in, the response on its way out.

use std::sync::Arc;

use oxicorn_http::h2::{Code, Stream};

use super::tie::{End, Tie};
use crate::Config;
use crate::channel::{Channel, NEVER, body_patience, millis};

/// Bytes of one stream that are sent before the next one has its turn.
const PIECE: usize = 64 * 1024;

/// One stream.
#[derive(Debug)]
pub(super) struct Lane {
    /// Until the response is out, or nobody wants it.
    pub(super) stream: Option<Box<Stream>>,
    pub(super) tie: Arc<Tie>,
    /// The request, until its body is whole.
    pub(super) request: Option<Box<Channel>>,
    /// Whether the body is still on its way.
    pub(super) is_receiving: bool,
    /// When it began.
    pub(super) since: u64,
    /// Bytes of its body so far.
    pub(super) received: u64,
    /// Pieces of the response after which nothing waited, not counted yet.
    pub(super) items: u64,
    is_answered: bool,
}

impl Lane {
    pub(super) fn new(stream: Box<Stream>, tie: Arc<Tie>, now: u64) -> Self {
        Self {
            stream: Some(stream),
            tie,
            request: None,
            is_receiving: false,
            since: now,
            received: 0,
            items: 0,
            is_answered: false,
        }
    }

    /// Whether it is done with: an application that still runs has its place.
    pub(super) fn is_over(&self) -> bool {
        self.stream.is_none() && self.tie.has_ended()
    }

    /// The client does not want it any more, or cannot have it.
    pub(super) fn lose(&mut self, why: Option<Code>) {
        if let (Some(mut stream), Some(code)) = (self.stream.take(), why) {
            stream.reset(code);
        }
        self.is_receiving = false;
        self.tie.lose();
        self.request = None;
    }

    /// Notices that the client has reset it.
    pub(super) fn look_for_reset(&mut self) {
        if self.stream.as_mut().is_some_and(|stream| stream.is_reset()) {
            self.lose(None);
        }
    }

    /// Gives the client back the room of what the application has read.
    pub(super) fn release(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let count = std::mem::take(&mut self.tie.lock().consumed);
        if count > 0 {
            stream.release(count);
        }
        count > 0
    }

    /// Sends what there is and what the client takes; says whether that was anything.
    pub(super) fn send(&mut self, now: u64) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut state = self.tie.lock();
        let mut moved = false;
        let mut is_done = false;
        while let Some(head) = state.heads.pop_front() {
            moved = true;
            let ends = state.heads.is_empty() && state.outbox.is_empty() && ends_whole(state.end);
            if stream.respond(&head, ends).is_err() {
                drop(state);
                self.lose(Some(Code::InternalError));
                return true;
            }
            self.is_answered |= !is_interim(&head);
            is_done |= ends;
        }
        let mut left = if self.is_answered && !is_done { PIECE } else { 0 };
        while left > 0 && !state.outbox.is_empty() {
            let queued = usize::try_from(state.outbox.queued()).unwrap_or(usize::MAX);
            let room = stream.room(queued.min(left));
            if room == 0 {
                break;
            }
            let mut piece = Vec::with_capacity(room);
            // A file that became shorter can never be sent whole.
            let is_broken = state.outbox.take(&mut piece, room).is_err() || piece.is_empty();
            let ends = state.outbox.is_empty() && ends_whole(state.end);
            left = left.saturating_sub(piece.len());
            if is_broken || stream.send(piece, ends).is_err() {
                drop(state);
                self.lose(Some(Code::InternalError));
                return true;
            }
            self.items += u64::from(state.outbox.is_empty());
            (moved, state.progress) = (true, now);
            is_done |= ends;
        }
        if !is_done && state.heads.is_empty() && state.outbox.is_empty() {
            match state.end {
                // Nothing follows what is out already.
                Some(End::Kept | End::Closed) => {
                    let _ = stream.send(Vec::new(), true);
                    is_done = true;
                }
                // A reset overtakes what `h2` has not made frames of yet.
                Some(End::Cut) if !moved => {
                    stream.reset(Code::InternalError);
                    is_done = true;
                }
                Some(End::Cut) | None => {}
            }
        }
        self.tie.settle(&mut state);
        drop(state);
        if moved {
            self.tie.taken();
        }
        if is_done {
            // What the client still sends of its body is not wanted: dropping it says so.
            self.stream = None;
            self.is_receiving = false;
            self.request = None;
        }
        moved || is_done
    }

    /// When something must have happened.
    pub(super) fn deadline(&self, config: &Config) -> u64 {
        let mut at = NEVER;
        if self.request.is_some() {
            at = self.since.saturating_add(body_patience(self.received, config));
        }
        at.min(self.send_deadline(config))
    }

    /// When the client must have taken something.
    pub(super) fn send_deadline(&self, config: &Config) -> u64 {
        let state = self.tie.lock();
        if self.stream.is_none() || !self.is_answered || state.outbox.is_empty() {
            return NEVER;
        }
        state.progress.saturating_add(millis(config.send_timeout))
    }
}

/// Whether a response has ended, and nothing of it is missing.
fn ends_whole(end: Option<End>) -> bool {
    matches!(end, Some(End::Kept | End::Closed))
}

/// Whether a head of ours is not the last one.
pub(crate) fn is_interim(head: &[u8]) -> bool {
    head.iter().position(|octet| *octet == b' ').and_then(|at| head.get(at + 1)) == Some(&b'1')
}
