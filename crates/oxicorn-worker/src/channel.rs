//! One client's socket with its protocol machine and buffers: moves bytes, decides nothing.
//!
//! A channel is touched by one thread at a time: it sits in the reactor's slab, or it is moved out
//! to the thread that reads from it or runs its request. Idle, it holds no buffer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use oxicorn_http::h1::encode::CONTINUE;
use oxicorn_http::{Connection, Event, Framing, Head, Reject};
use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::Moved;
use slotmap::DefaultKey as Key;

use crate::body::{BodyStore, Shelf};
use crate::http2::{Http2, StreamEnd};
use crate::outbox::Outbox;
use crate::relay::Relay;
use crate::wire::Wire;
use crate::{Body, Config, Link};

/// Milliseconds that a new connection may be silent while others wait for its place.
pub(crate) const SILENCE: u64 = 1000;
/// No deadline, or no timer entry.
pub(crate) const NEVER: u64 = u64::MAX;

/// What a channel that nobody works on is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The rest of a TLS handshake, or its begin.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of a request head.
    Head,
    /// The rest of a request body.
    Body,
    /// Room to write the rest of a response.
    Flushing(Then),
    /// The end of the peer's bytes, after the last response.
    Lingering,
    /// Frames, or a stream that has something to send.
    Http2,
    /// What the other end of a relay says, or the application or the client here.
    Relay,
}

/// What follows when a response is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request.
    Keep,
    /// The end, at once.
    Close,
    /// The end, after the peer had time to read the response (RFC 9112, section 9.6).
    Linger,
}

/// A head that waits for its body or for an application thread, with bytes of its own.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) head: Head,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: BodyStore,
    /// The request goes to the application before its body is complete.
    pub(crate) streaming: bool,
}

impl Pending {
    /// The request as the application gets it: its bytes, its head and its body.
    ///
    /// # Errors
    ///
    /// The file that holds the body cannot be rewound.
    pub(crate) fn request(&mut self) -> io::Result<(&[u8], &Head, Body<'_>)> {
        let body = if self.streaming { Body::Streaming } else { self.body.body()? };
        Ok((&self.bytes, &self.head, body))
    }
}

/// Where the body of a complete request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Complete {
    /// There is none.
    Empty,
    /// In the offered bytes.
    Inline(Range<usize>),
    /// In [`Pending`].
    Stored,
    /// Still with the client.
    Streaming,
}

/// What an intake came to.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Offered bytes that are done with.
    pub(crate) used: usize,
    /// The request, if it is ready for the application.
    pub(crate) complete: Option<Complete>,
}

/// Why an intake failed.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The client's fault.
    Reject(Reject),
    /// The body could not be stored.
    Spool(io::Error),
}

impl From<Reject> for IntakeError {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) key: Key,
    pub(crate) stream: Arc<Wire>,
    pub(crate) machine: Connection,
    /// Bytes read and not yet used.
    pub(crate) carry: Vec<u8>,
    pub(crate) pending: Option<Box<Pending>>,
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(crate) stage: Stage,
    /// When the stage must be over, in milliseconds of the worker's clock.
    pub(crate) deadline: u64,
    /// The timer entry that counts.
    pub(crate) armed: u64,
    /// What the reactor watches the socket for.
    pub(crate) watched: Option<Interest>,
    /// Since when its complete request waits for a thread; 0 when none does.
    pub(crate) queued_at: u64,
    /// Milliseconds that it had waited by then elsewhere; counts as long as `queued_at` does.
    pub(crate) waited_before: u64,
    /// Requests begun.
    pub(crate) requests: u32,
    /// When the stage began.
    pub(crate) since: u64,
    pub(crate) link: Arc<Link>,
    /// The first bytes are, or may be, a PROXY header.
    pub(crate) expects_line: bool,
    /// What it has if it speaks HTTP/2.
    pub(crate) http2: Option<Box<Http2>>,
    /// What stands for the socket if it is a stream of such a connection, or came by a relay.
    pub(crate) tie: Option<StreamEnd>,
    /// What it has if it is one end of a relay.
    pub(crate) relay: Option<Box<Relay>>,
}

impl Channel {
    pub(crate) fn new(
        key: Key,
        stream: Arc<Wire>,
        link: Arc<Link>,
        now: u64,
        deadline: u64,
    ) -> Self {
        Self {
            key,
            stream,
            machine: Connection::new(),
            carry: Vec::new(),
            pending: None,
            outbox: None,
            stage: Stage::Idle,
            deadline,
            armed: NEVER,
            watched: None,
            queued_at: 0,
            waited_before: 0,
            requests: 0,
            since: now,
            link,
            expects_line: false,
            http2: None,
            tie: None,
            relay: None,
        }
    }

    /// Enters a stage.
    pub(crate) fn enter(&mut self, stage: Stage, now: u64, deadline: u64) {
        self.stage = stage;
        self.since = now;
        self.deadline = deadline;
    }

    /// Offers bytes to the machine until a request is ready or more are needed.
    ///
    /// What the policy permits is put right in `input`. `head` is filled when a head is complete;
    /// when the body is not, the head moves into [`pending`](Self::pending) and is found there from
    /// then on.
    pub(crate) fn intake(
        &mut self,
        input: &mut [u8],
        head: &mut Head,
        config: &Config,
        shelf: &Shelf,
    ) -> Result<Intake, IntakeError> {
        let rules = config.rules_for(self.link.trusted);
        let mut used = 0;
        if self.pending.is_none() {
            let offered = self.machine.amend(input, rules);
            let received =
                self.machine.receive(input.get(..offered).unwrap_or(&[]), head, rules)?;
            used = received.used;
            if received.event != Event::Head {
                return Ok(Intake { used, complete: None });
            }
            if head.framing == Framing::None {
                let received =
                    self.machine.receive(input.get(used..).unwrap_or(&[]), head, rules)?;
                used += received.used;
                return Ok(Intake { used, complete: Some(Complete::Empty) });
            }
            if !config.request_buffering {
                return Ok(Intake { used, complete: Some(Complete::Streaming) });
            }
            if let Framing::Length(length) = head.framing
                && let Some(intake) = self.whole_body(input, used, length, head, config)?
            {
                return Ok(intake);
            }
            self.keep_head(input, head, false);
            if head.expect_continue && used == input.len() {
                self.stream.say(CONTINUE);
            }
        }
        let Some(mut pending) = self.pending.take() else {
            return Ok(Intake { used, complete: None });
        };
        let result = self.body(input, used, head, &mut pending, config, shelf);
        self.pending = Some(pending);
        result
    }

    /// Keeps a head whose body is still to come.
    pub(crate) fn keep_head(&mut self, input: &[u8], head: &Head, streaming: bool) {
        let bytes = input.get(..head.len).unwrap_or(&[]).to_vec();
        let body = match head.framing {
            Framing::Length(bytes) => BodyStore::announced(bytes),
            Framing::None | Framing::Chunked => BodyStore::default(),
        };
        self.pending = Some(Box::new(Pending { head: head.clone(), bytes, body, streaming }));
    }

    /// The short way for a body of known length that arrived together with its head.
    fn whole_body(
        &mut self,
        input: &[u8],
        start: usize,
        length: u64,
        head: &mut Head,
        config: &Config,
    ) -> Result<Option<Intake>, Reject> {
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let Some(end) = start.checked_add(length).filter(|end| *end <= input.len()) else {
            return Ok(None);
        };
        let mut used = start;
        loop {
            let offered = input.get(used..end).unwrap_or(&[]);
            let received = self.machine.receive(offered, head, &config.rules)?;
            used += received.used;
            if received.event == Event::End {
                return Ok(Some(Intake { used, complete: Some(Complete::Inline(start..end)) }));
            }
            if received.event == Event::NeedMore {
                return Ok(None);
            }
        }
    }

    /// Stores what came of a body.
    fn body(
        &mut self,
        input: &[u8],
        start: usize,
        head: &mut Head,
        pending: &mut Pending,
        config: &Config,
        shelf: &Shelf,
    ) -> Result<Intake, IntakeError> {
        let mut used = start;
        loop {
            let offered = input.get(used..).unwrap_or(&[]);
            let received = self.machine.receive(offered, head, &config.rules)?;
            used += received.used;
            match received.event {
                Event::Body(bytes) => {
                    pending.body.append(bytes, shelf).map_err(IntakeError::Spool)?;
                }
                Event::End => return Ok(Intake { used, complete: Some(Complete::Stored) }),
                Event::NeedMore | Event::Head => return Ok(Intake { used, complete: None }),
            }
        }
    }

    /// Reads more of a large body straight to where it is kept; `None` if it has no such place.
    ///
    /// The machine has seen what came, and tells the end when it is asked next.
    pub(crate) fn read_in_place(&mut self, config: &Config) -> Option<Moved> {
        let pending = self.pending.as_mut().filter(|_| self.carry.is_empty())?;
        let moved = self.stream.read(pending.body.place()?);
        if let Moved::Bytes(count) = moved {
            let bytes = pending.body.arrived(count);
            // All of it is the body's: there is no place beyond the announced end.
            let _ = self.machine.receive(bytes, &mut pending.head, &config.rules);
        }
        Some(moved)
    }

    /// When the body must be complete at the least rate, given what came so far.
    pub(crate) fn body_deadline(&self, config: &Config) -> u64 {
        let received = self.pending.as_ref().map_or(0, |pending| pending.body.len());
        self.since.saturating_add(body_patience(received, config))
    }

    /// Whether the request on its way is known to be a HEAD request; `input` is what there is of
    /// it while its head is not complete.
    pub(crate) fn is_head(&self, input: &[u8]) -> bool {
        match &self.pending {
            Some(pending) => pending.head.is_head(&pending.bytes),
            None => input.starts_with(b"HEAD "),
        }
    }

    /// Whether it may be closed to make room: nothing of a request is there, and it was answered
    /// before or has been silent since it was opened, for longer than a request is on its way.
    pub(crate) fn can_be_spared(&self, now: u64) -> bool {
        let heard = self.requests > 0 || self.since + SILENCE <= now;
        let is_quiet = match self.stage {
            Stage::Handshake | Stage::Idle => self.carry.is_empty(),
            Stage::Http2 => self.http2.as_ref().is_some_and(|http2| http2.is_idle()),
            Stage::Head | Stage::Body | Stage::Flushing(_) | Stage::Lingering | Stage::Relay => {
                false
            }
        };
        is_quiet && heard
    }

    /// Reads and forgets what a lingering peer still sends; `false` when it is done.
    pub(crate) fn discard(&self, scratch: &mut [u8]) -> bool {
        for _ in 0..4 {
            match self.stream.read(scratch) {
                Moved::Bytes(0) | Moved::Broken => return false,
                Moved::Bytes(_) => {}
                Moved::NotNow => return true,
            }
        }
        true
    }
}

/// How many milliseconds a body may take of which this much has come.
pub(crate) fn body_patience(received: u64, config: &Config) -> u64 {
    let earned = received.saturating_mul(1000) / config.body_rate.max(1);
    millis(config.body_grace).saturating_add(earned)
}

/// A duration in the unit of the worker's clock.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER / 4)
}
