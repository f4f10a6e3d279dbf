//! The connection machine: offered bytes become events; it never sees a socket.

use super::amend::Amender;
use super::decode::{Chunked, Decoded};
use super::parse;
use super::scan::HeadScan;
use crate::{Framing, Head, Reject, Rules};

/// What the offered bytes meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// More bytes are needed. Offer again what was not used, followed by what came since.
    NeedMore,
    /// A whole head; it is in the `Head` that was handed in, as offsets into the offered bytes.
    Head,
    /// Part of the body, chunk framing removed.
    Body(&'i [u8]),
    /// The request is complete (a request without a body says so right after its head).
    End,
}

/// How far the machine got with the offered bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<'i> {
    /// Number of offered bytes that are done with; the rest must be offered again.
    pub used: usize,
    /// What they meant.
    pub event: Event<'i>,
}

/// What the end of the peer's bytes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    /// Between two requests, or before the first byte of one: a normal end.
    Clean,
    /// Inside a head or a body: the request will never be complete.
    Truncated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or inside a head.
    Head(HeadScan),
    /// Inside a body of which this many bytes are missing; none for a request without body.
    Length(u64),
    Chunked(Chunked),
    /// The request was received whole.
    Complete,
    /// The peer's bytes cannot be trusted any more.
    Refused(Reject),
}

impl Default for State {
    fn default() -> Self {
        Self::Head(HeadScan::default())
    }
}

/// One client connection as the protocol sees it.
#[derive(Debug, Default)]
pub struct Connection {
    state: State,
    amender: Amender,
}

impl Connection {
    /// A connection on which nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts right what the policy permits in a head, and says how many of the bytes may be offered
    /// to [`receive`](Self::receive): all of them, unless it takes more to know what they are.
    ///
    /// `input` is what will be offered. Needed only under a policy that permits something.
    pub fn amend(&mut self, input: &mut [u8], rules: &Rules) -> usize {
        match self.state {
            State::Head(_) if rules.policy.amends() => self.amender.advance(input, rules),
            _ => input.len(),
        }
    }

    /// Takes in what the peer sent: one event per call, call again with the rest.
    ///
    /// `input` is everything not yet used, oldest byte first. Of an incomplete head nothing is
    /// used: offer it again, from its first byte, with what came since; bytes that were looked at
    /// are not looked at again. After [`Event::End`] nothing is used and every call says
    /// [`Event::NeedMore`] until [`next_request`](Self::next_request).
    ///
    /// # Errors
    ///
    /// A [`Reject`] is the client's fault; every later call repeats it. A head that was whole but
    /// refused for what it says is in `head` all the same (for the access log); otherwise
    /// `head.len` is 0.
    pub fn receive<'i>(
        &mut self,
        input: &'i [u8],
        head: &mut Head,
        rules: &Rules,
    ) -> Result<Received<'i>, Reject> {
        let received = match &mut self.state {
            State::Head(scan) => match receive_head(scan, input, head, rules) {
                Ok(true) => {
                    self.state = match head.framing {
                        Framing::None => State::Length(0),
                        Framing::Length(len) => State::Length(len),
                        Framing::Chunked => State::Chunked(Chunked::default()),
                    };
                    Ok(Received { used: head.len, event: Event::Head })
                }
                Ok(false) => Ok(NEED_MORE),
                Err(reject) => Err(reject),
            },
            State::Length(0) => {
                self.state = State::Complete;
                Ok(Received { used: 0, event: Event::End })
            }
            State::Length(_) if input.is_empty() => Ok(NEED_MORE),
            State::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                Ok(Received { used: len, event: Event::Body(&input[..len]) })
            }
            State::Chunked(chunked) => match chunked.advance(input, &rules.limits) {
                Ok(Decoded::NeedMore) => Ok(Received { used: input.len(), event: Event::NeedMore }),
                Ok(Decoded::Data(data, used)) => Ok(Received { used, event: Event::Body(data) }),
                Ok(Decoded::End(used)) => {
                    self.state = State::Complete;
                    Ok(Received { used, event: Event::End })
                }
                Err(reject) => Err(reject),
            },
            State::Complete => Ok(NEED_MORE),
            State::Refused(reject) => Err(*reject),
        };
        if let Err(reject) = received {
            self.state = State::Refused(reject);
        }
        received
    }

    /// The peer will send no more; `left` are the bytes that were offered and not used.
    ///
    /// After a whole request the end is clean whatever is left: that request is still answered, and
    /// the driver then offers the rest as the next one.
    #[must_use]
    pub fn eof(&self, left: &[u8]) -> Eof {
        match self.state {
            // Empty lines before a request line are nobody's request.
            State::Head(_) if left.iter().all(|b| matches!(b, b'\r' | b'\n')) => Eof::Clean,
            State::Complete => Eof::Clean,
            State::Head(_) | State::Length(_) | State::Chunked(_) | State::Refused(_) => {
                Eof::Truncated
            }
        }
    }

    /// The response is out: the bytes that follow begin the next request.
    ///
    /// Does nothing while the request is not complete, so that what is left of a body can never be
    /// taken for a request.
    pub fn next_request(&mut self) {
        if self.state == State::Complete {
            *self = Self::default();
        }
    }

    /// Whether the request that began was received whole, up to its [`Event::End`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }
}

/// Whether the head is whole; it is in `head` then.
fn receive_head(
    scan: &mut HeadScan,
    input: &[u8],
    head: &mut Head,
    rules: &Rules,
) -> Result<bool, Reject> {
    head.len = 0;
    if scan.is_fresh()
        && let Some(parsed) = parse::whole(input, head, rules)
    {
        return parsed.map(|()| true);
    }
    match scan.advance(input, &rules.limits)? {
        Some(len) => parse::split(&input[..len], head, rules).map(|()| true),
        None => Ok(false),
    }
}

const NEED_MORE: Received<'static> = Received { used: 0, event: Event::NeedMore };
