//! The end of a relay in the worker that runs the application.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use oxicorn_http::{Framing, Head, h1, h2};
use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::{Moved, Stream};
use slotmap::{DefaultKey as Key, Key as _};

use super::frame::{Item, Kind, Reader, put, put_end};
use super::{ROUNDS, Relay};
use crate::body::BodyStore;
use crate::channel::{Channel, NEVER, Pending, Stage};
use crate::handoff::{Carries, Letter};
use crate::http2::{Bundle, End, StreamEnd, Tie, is_interim};
use crate::poller::Poller;
use crate::reactor::Shared;
use crate::wire::Wire;

/// Bytes of a body that are put into a frame.
const PIECE: usize = 64 * 1024;

/// The end of a relay that has the application.
#[derive(Debug)]
pub(crate) struct Far {
    tie: Arc<Tie>,
    bundle: Arc<Bundle>,
    /// Frames, of which so many bytes are out.
    out: Vec<u8>,
    sent: usize,
    /// Whether the last frame is among them.
    is_last: bool,
    reader: Reader,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.bundle.cut();
        self.tie.lose();
    }
}

impl Far {
    pub(super) fn interest(&self) -> Interest {
        if self.sent < self.out.len() { Interest::Both } else { Interest::Read }
    }

    pub(super) fn has_news(&self) -> bool {
        self.bundle.has_news()
    }

    /// Moves what can be moved; `false` when nothing more can be.
    fn work(&mut self, poller: &mut Poller, stream: &Wire) -> bool {
        self.bundle.take_news();
        self.listen(poller, stream) && self.say(poller.now, stream)
    }

    /// Reads what the near end says; `false` when that is gone.
    fn listen(&mut self, poller: &mut Poller, stream: &Wire) -> bool {
        loop {
            let count = match stream.read(&mut poller.scratch) {
                Moved::Bytes(0) | Moved::Broken => return false,
                Moved::Bytes(count) => count,
                Moved::NotNow => return true,
            };
            let mut bytes = poller.scratch.get(..count).unwrap_or(&[]);
            while let Some(item) = self.reader.next(&mut bytes) {
                if item != Item::Gone {
                    return false;
                }
                self.tie.abandon();
            }
        }
    }

    /// Says what the application has said; `false` when all is said, or nobody listens.
    fn say(&mut self, now: u64, stream: &Wire) -> bool {
        for _ in 0..ROUNDS {
            if self.sent == self.out.len() {
                if self.is_last {
                    return false;
                }
                self.fill(now);
                if self.out.is_empty() {
                    return true;
                }
            }
            match stream.write(self.out.get(self.sent..).unwrap_or(&[])) {
                Moved::Bytes(count) => self.sent += count,
                Moved::NotNow => return true,
                Moved::Broken => return false,
            }
        }
        // The others have their turn; this one is looked at again.
        self.bundle.notify();
        true
    }

    /// Makes frames of what there is.
    fn fill(&mut self, now: u64) {
        (self.out, self.sent) = (Vec::new(), 0);
        let mut state = self.tie.lock();
        while let Some(head) = state.heads.pop_front() {
            let kind = if is_interim(&head) { Kind::Interim } else { Kind::Head };
            put(&mut self.out, kind, &head);
        }
        if !state.outbox.is_empty() {
            let mut piece = Vec::new();
            // A file that became shorter can never be sent whole.
            let taken = state.outbox.take(&mut piece, PIECE);
            if taken.is_err() || piece.is_empty() {
                self.is_last = true;
                put_end(&mut self.out, End::Cut);
            }
            put(&mut self.out, Kind::Body, &piece);
            state.progress = now;
        }
        if let Some(end) = state.end.filter(|_| state.outbox.is_empty() && !self.is_last) {
            self.is_last = true;
            put_end(&mut self.out, end);
        }
        self.tie.settle(&mut state);
        drop(state);
        self.tie.taken();
    }
}

impl Shared {
    /// Takes a request of a sibling in.
    pub(crate) fn borrow(
        self: &Arc<Self>,
        poller: &mut Poller,
        letter: Letter,
        descriptor: OwnedFd,
    ) -> Option<Box<Channel>> {
        let Some(mut pending) = self.read_request(&letter) else {
            // With its descriptor the other end sees that nobody answers.
            log::error!(target: "oxicorn.error", "a request of a sibling is unreadable");
            return None;
        };
        let stream = Arc::new(Wire::plain(Stream::new(descriptor)));
        let mut core = self.lock();
        poller.look_at(&core.token);
        let key = self.admit(&mut core, &stream);
        let bundle = Arc::new(Bundle::new(key, Arc::downgrade(self)));
        if let Some(slot) = core.slots.get_mut(key) {
            slot.bundle = Some(Arc::clone(&bundle));
        }
        drop(core);
        let tie = Arc::new(Tie::new(Arc::clone(&bundle)));
        let link = Arc::new(letter.link);
        let now = poller.now;
        let mut request =
            Box::new(Channel::new(Key::null(), Arc::clone(&stream), Arc::clone(&link), now, NEVER));
        request.tie = Some(StreamEnd(Arc::clone(&tie)));
        request.requests = letter.requests;
        request.queued_at = self.clock.relative(letter.queued_at);
        request.waited_before = letter.waited_before;
        let mut end = Box::new(Channel::new(key, stream, link, now, NEVER));
        let reader = Reader::default();
        let far = Far { tie, bundle, out: Vec::new(), sent: 0, is_last: false, reader };
        end.stage = Stage::Relay;
        end.relay = Some(Box::new(Relay::Far(far)));
        let body = letter.bytes.get(pending.bytes.len()..).unwrap_or(&[]);
        let kept = pending.body.append(body, &self.shelf);
        let is_head = pending.head.is_head(&pending.bytes);
        request.pending = Some(pending);
        if let Err(error) = kept {
            self.shelf.complain(&error);
            self.answer(poller, request, 503, is_head);
        } else if let Some(request) = self.queue(request, poller.holder()) {
            self.refuse_queued(poller, request);
        }
        Some(end)
    }

    /// The request that a letter carries, without its body.
    fn read_request(&self, letter: &Letter) -> Option<Box<Pending>> {
        let Carries::Request { is_http2, has_body, head } = letter.carries else { return None };
        let rules = self.config.rules_for(letter.link.trusted);
        let mut bytes = letter.bytes.get(..head)?.to_vec();
        let head: Head = if is_http2 {
            h2::read_text(&mut bytes, has_body, rules).ok()?
        } else {
            h1::read_head(&mut bytes, rules).ok()??
        };
        let body = match head.framing {
            Framing::Length(bytes) => BodyStore::announced(bytes),
            Framing::None | Framing::Chunked => BodyStore::default(),
        };
        Some(Box::new(Pending { head, bytes, body, streaming: false }))
    }

    /// Moves what the application has said to the worker that has the client.
    pub(super) fn work_far(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        mut far: Far,
    ) -> Option<Box<Channel>> {
        if !far.work(poller, &channel.stream) {
            // With it the client is gone for the application, if that still runs.
            drop(far);
            return self.end(channel);
        }
        channel.deadline = NEVER;
        channel.relay = Some(Box::new(Relay::Far(far)));
        Some(channel)
    }
}
