//! Requests that go to another worker without their connection, and their responses back.
//!
//! The state of TLS and of HTTP/2 is in the worker that accepted the connection, so that such a
//! connection cannot change it. When the worker is busy and a sibling is idle, only the request goes,
//! in a letter (`handoff`), with one end of a pair of sockets for what comes of it:
//!
//! ```text
//!   client ═ connection ═ near end ◄── head, body, end ── far end ═ application
//!                              └─────────── gone ─────────────►
//! ```
//!
//! The near end is to its connection what an application's thread would be: it has the exchange, and
//! sends what it is told. The far end is to the application what a connection of HTTP/2 is: it finds
//! what is to be sent in a [`Tie`](crate::http2::Tie). Each is a channel in the slab of its worker,
//! worked on by whoever polls. An end that closes without a last word is one whose worker has died, or
//! whose client has gone.

mod far;
mod frame;
mod near;

use std::sync::Arc;

use oxicorn_os::epoll::Interest;

use self::far::Far;
use self::near::Near;
use crate::channel::Channel;
use crate::poller::Poller;
use crate::reactor::Shared;

/// Reads or writes of one end in a row, so that a fast one does not keep the others waiting.
const ROUNDS: usize = 16;

/// One end of a relay.
#[derive(Debug)]
pub(crate) enum Relay {
    /// At the connection.
    Near(Near),
    /// At the application.
    Far(Far),
}

impl Relay {
    /// What its socket is to be watched for, if it is.
    pub(crate) fn interest(&self) -> Option<Interest> {
        match self {
            Self::Near(near) => near.interest(),
            Self::Far(far) => Some(far.interest()),
        }
    }

    /// Whether there is something to be done for which the socket has no event.
    pub(crate) fn has_news(&self) -> bool {
        match self {
            Self::Near(_) => false,
            Self::Far(far) => far.has_news(),
        }
    }
}

impl Shared {
    /// Moves what can be moved at one end of a relay.
    pub(crate) fn work_relay(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let Some(relay) = channel.relay.take() else { return self.end(channel) };
        match *relay {
            Relay::Near(near) => self.work_near(poller, channel, near),
            Relay::Far(far) => self.work_far(poller, channel, far),
        }
    }
}
