//! The begin of a TLS connection: a PROXY header, if one comes first, the handshake, and clients
//! that speak something else.

use std::sync::Arc;

use oxicorn_http::Reject;
use oxicorn_os::stream::Moved;

use crate::channel::{Channel, Stage, Then, millis};
use crate::error_log;
use crate::poller::Poller;
use crate::reactor::Shared;
use crate::tls::{Facts, Greeting};

impl Shared {
    /// Goes on with a handshake, and with the first request when it is over.
    pub(crate) fn shake_hands(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let Some(terminator) = &self.config.tls else { return self.end(channel) };
        if channel.expects_line {
            match channel.stream.read_raw(&mut poller.scratch) {
                Moved::Bytes(0) | Moved::Broken => return self.end(channel),
                Moved::NotNow => return Some(channel),
                Moved::Bytes(count) => {
                    let bytes = poller.scratch.get(..count).unwrap_or(&[]);
                    channel.carry.extend_from_slice(bytes);
                }
            }
            match self.take_line(poller.now, &mut channel) {
                Some(true) => {}
                Some(false) => return Some(channel),
                None => return self.end(channel),
            }
            channel.deadline = channel.since + millis(self.config.handshake_timeout);
        }
        let early = std::mem::take(&mut channel.carry);
        match channel.stream.greet(terminator, &early) {
            Greeting::Done(mut facts) => {
                terminator.complete(&mut facts);
                self.greeted(poller, channel, *facts)
            }
            Greeting::NotNow => Some(channel),
            Greeting::Plain(bytes) => self.refuse_plain(poller, channel, &bytes),
            Greeting::Failed(why) => {
                let ip = &channel.link.remote_addr;
                error_log::warn_of_client(
                    format_args!("TLS handshake failed for ip={ip}: {why}"),
                    None,
                );
                // Closed at once, it could lose the alert that says why.
                self.responded(channel, Then::Linger, poller.now)
            }
            Greeting::Gone => self.end(channel),
        }
    }

    /// The handshake is over: requests may come, and may be there.
    fn greeted(
        self: &Arc<Self>,
        poller: &mut Poller,
        mut channel: Box<Channel>,
        facts: Facts,
    ) -> Option<Box<Channel>> {
        let is_http2 = facts.protocol.as_deref() == Some(b"h2");
        Arc::make_mut(&mut channel.link).tls = Some(Arc::new(facts));
        let limit = poller.now + millis(self.config.head_timeout);
        channel.enter(Stage::Idle, poller.now, limit);
        if is_http2 {
            return self.begin_http2(poller, channel, &[]);
        }
        self.work(poller, channel)
    }

    /// A client that does not speak TLS gets an answer that it can read, if it speaks HTTP.
    fn refuse_plain(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        bytes: &[u8],
    ) -> Option<Box<Channel>> {
        let ip = &channel.link.remote_addr;
        let is_http = bytes.first().is_some_and(u8::is_ascii_uppercase);
        if !is_http {
            error_log::warn_of_client(
                format_args!("Invalid connection from ip={ip}: no TLS"),
                None,
            );
            return self.end(channel);
        }
        let is_head = bytes.starts_with(b"HEAD ");
        self.refuse(poller, channel, Reject::BadRequest("plain HTTP on a TLS port"), is_head)
    }

    /// Notes that a handshake took too long. Who never said a word is not worth one.
    pub(crate) fn handshake_is_over(&self, channel: &Channel) {
        if channel.stream.has_begun() {
            let (ip, limit) = (&channel.link.remote_addr, self.config.handshake_timeout);
            error_log::warn_of_client(
                format_args!(
                    "TLS handshake failed for ip={ip}: not finished within {} s (tls_handshake_timeout)",
                    limit.as_secs_f64()
                ),
                None,
            );
        }
    }

    /// Whether no more handshakes may begin.
    pub(crate) fn is_shaking_many_hands(&self) -> bool {
        let most = self.config.handshakes;
        self.config.tls.as_ref().is_some_and(|tls| tls.unfinished() >= most)
    }
}
