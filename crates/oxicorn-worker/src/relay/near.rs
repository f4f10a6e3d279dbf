//! The end of a relay in the worker that has the client's connection.

use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_http::Version;
use oxicorn_http::h1::encode::RequestFacts;
use oxicorn_os::epoll::Interest;
use oxicorn_os::passage::Passage;
use oxicorn_os::scoreboard::Count;
use oxicorn_os::stream::{Moved, Stream};

use super::frame::{Item, Kind, Reader, put};
use super::{ROUNDS, Relay};
use crate::Exchange;
use crate::body::BodyStore;
use crate::channel::{Channel, Stage};
use crate::exchange::{Beside, Gone, Sent};
use crate::http2::End;
use crate::poller::Poller;
use crate::reactor::Shared;
use crate::wire::Wire;

/// Milliseconds between two looks at whether the client is still there.
const LOOK: u64 = 100;
/// The same while it has too much to take for more to be read.
const LOOK_FOR_ROOM: u64 = 10;

/// The end of a relay that has the client.
#[derive(Debug)]
pub(crate) struct Near {
    /// Until it has ended.
    exchange: Option<Exchange>,
    reader: Reader,
    asked_to_close: bool,
    /// Whether the client was sent some of the response.
    is_begun: bool,
    /// Whether so much waits for the client that no more is read.
    is_full: bool,
    /// Whether the far end knows that the client has closed its side.
    has_told: bool,
}

impl Drop for Near {
    fn drop(&mut self) {
        // Only a panic of ours comes here with an exchange: the connection ends with it.
        if let Some(exchange) = self.exchange.take() {
            let shared = Arc::clone(&exchange.shared);
            let key = exchange.channel.key;
            drop(exchange);
            shared.forget(key, true);
        }
    }
}

/// What came of a look at what there is.
enum Outcome {
    /// There will be more.
    GoesOn,
    /// The response is over.
    Ended(End),
    /// The client does not want it any more, or cannot have it.
    ClientGone,
    /// The far end has gone without a last word.
    WorkerGone,
}

impl From<Gone> for Outcome {
    fn from(Gone: Gone) -> Self {
        Self::ClientGone
    }
}

impl Near {
    pub(super) fn interest(&self) -> Option<Interest> {
        (!self.is_full).then_some(Interest::Read)
    }

    /// Reads what there is and gives it to the client.
    fn work(&mut self, poller: &mut Poller, stream: &Wire) -> Outcome {
        for _ in 0..ROUNDS {
            if let Err(gone) = self.look_at_client(stream) {
                return gone.into();
            }
            if self.is_full {
                break;
            }
            let count = match stream.read(&mut poller.scratch) {
                Moved::Bytes(0) | Moved::Broken => return Outcome::WorkerGone,
                Moved::Bytes(count) => count,
                Moved::NotNow => break,
            };
            let bytes = poller.scratch.get(..count).unwrap_or(&[]);
            match self.pass_on(bytes) {
                Outcome::GoesOn => {}
                outcome => return outcome,
            }
        }
        Outcome::GoesOn
    }

    /// Sees whether the client is there, and takes what it is sent.
    fn look_at_client(&mut self, stream: &Wire) -> Result<(), Gone> {
        let exchange = self.exchange.as_mut().ok_or(Gone)?;
        self.is_full = !exchange.has_room()? && self.is_full;
        if !self.has_told && exchange.is_abandoned() {
            // It may have closed only its side, and still wait for the response.
            self.has_told = true;
            let mut frame = Vec::new();
            put(&mut frame, Kind::Gone, &[]);
            stream.say(&frame);
        }
        Ok(())
    }

    /// Gives the client what was read.
    fn pass_on(&mut self, mut bytes: &[u8]) -> Outcome {
        // A head goes out together with what came of the body.
        let mut begun = Vec::new();
        let mut outcome = Outcome::GoesOn;
        while let Some(item) = self.reader.next(&mut bytes) {
            let sent = match item {
                Item::Interim(head) => {
                    let exchange = self.exchange.as_mut();
                    exchange.map_or(Err(Gone), |exchange| exchange.send_interim(&head))
                }
                Item::Head(head) => {
                    self.is_begun = true;
                    begun = head;
                    continue;
                }
                Item::Body(piece) if begun.is_empty() => self.send(piece),
                Item::Body(piece) => {
                    begun.extend_from_slice(piece);
                    continue;
                }
                Item::End(end) => {
                    outcome = Outcome::Ended(end);
                    break;
                }
                Item::Gone | Item::Broken => {
                    outcome = Outcome::WorkerGone;
                    break;
                }
            };
            if let Err(gone) = sent {
                return gone.into();
            }
        }
        if !begun.is_empty()
            && let Err(gone) = self.send(&begun)
        {
            return gone.into();
        }
        outcome
    }

    fn send(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        let exchange = self.exchange.as_mut().ok_or(Gone)?;
        let sent = exchange.pass_on(bytes)?;
        self.is_full |= sent == Sent::Full;
        Ok(sent)
    }
}

impl Shared {
    /// Has a queued request answered by an idle sibling; gives it back when that cannot be.
    pub(crate) fn lend(
        self: &Arc<Self>,
        poller: &mut Poller,
        passage: &Passage,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let Some(letter) = self.letter_of_request(&channel) else { return Some(channel) };
        // Without descriptors to spare it waits for a thread of this worker.
        let Ok((ours, theirs)) = Stream::connected() else { return Some(channel) };
        let Some(pending) = &mut channel.pending else { return Some(channel) };
        if !passage.send(&letter, theirs.as_fd()) {
            return Some(channel);
        }
        self.count(Count::Given);
        // The head stays, as the log may have to name the request.
        pending.body = BodyStore::default();
        let head = &pending.head;
        let asked_to_close = !head.persistent;
        let facts = RequestFacts {
            version: head.version,
            is_head: head.is_head(&pending.bytes),
            persistent: head.persistent,
        };
        (channel.queued_at, channel.waited_before) = (0, 0);
        channel.requests = channel.requests.saturating_add(1);
        let beside = channel.tie.as_ref().map(|end| Beside::Stream(Arc::clone(&end.0)));
        let link = Arc::clone(&channel.link);
        let date = poller.date.at(poller.now);
        let exchange = Exchange::new(channel, Arc::clone(self), facts, date, false, beside);
        let near = Near {
            exchange: Some(exchange),
            reader: Reader::default(),
            asked_to_close,
            is_begun: false,
            is_full: false,
            has_told: false,
        };
        let stream = Arc::new(Wire::plain(ours));
        let key = self.admit(&mut self.lock(), &stream);
        let mut end = Box::new(Channel::new(key, stream, link, poller.now, poller.now + LOOK));
        end.stage = Stage::Relay;
        end.relay = Some(Box::new(Relay::Near(near)));
        self.put_back_held(Some(end));
        None
    }

    /// Gives the client what came from the application.
    pub(super) fn work_near(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        mut near: Near,
    ) -> Option<Box<Channel>> {
        let end = match near.work(poller, &channel.stream) {
            Outcome::GoesOn => {
                let look = if near.is_full { LOOK_FOR_ROOM } else { LOOK };
                channel.deadline = poller.now + look;
                channel.relay = Some(Box::new(Relay::Near(near)));
                return Some(channel);
            }
            Outcome::Ended(end) => end,
            Outcome::WorkerGone if !near.is_begun => {
                self.answer_for_worker(poller, near);
                return self.end(channel);
            }
            Outcome::WorkerGone | Outcome::ClientGone => End::Cut,
        };
        if let Some(mut exchange) = near.exchange.take() {
            let is_http2 = exchange.facts().version == Version::Http2;
            match end {
                End::Cut => exchange.cut_short(0),
                End::Kept | End::Closed => exchange.finish(0, is_http2 || end == End::Kept),
            }
            let mut ended = exchange.end();
            ended.channel.pending = None;
            let held = self.after(ended, near.asked_to_close, poller.now);
            self.put_back_held(held);
        }
        self.end(channel)
    }

    /// Answers a request whose worker has died.
    fn answer_for_worker(&self, poller: &mut Poller, mut near: Near) {
        log::error!(target: "oxicorn.error", "the worker that had taken over a request is gone");
        let Some(exchange) = near.exchange.take() else { return };
        let is_head = exchange.facts().is_head;
        let held = self.answer(poller, exchange.channel, 500, is_head);
        self.put_back_held(held);
    }
}
