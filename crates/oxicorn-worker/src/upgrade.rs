//! Requests that ask for a WebSocket: who runs them, and how many there may be.
//!
//! Such a call takes as long as the conversation, so it does not use up one of the application
//! threads: it gets a thread of its own. With a single application thread, for applications that
//! count on one call at a time, the next call waits until the application has taken the connection
//! over, or answered. Where the requests of a foreign loop share its thread it is a call like the
//! others.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::thread;

use oxicorn_http::Head;

use crate::channel::{Channel, Complete};
use crate::error_log;
use crate::exchange::{Beside, Ended, Exchange, Gone};
use crate::outbox::Outbox;
use crate::reactor::Shared;
use crate::tunnel::{Closed, Tunnel};
use crate::turn::{Inside, Turn};

/// What an exchange has beside the usual because its connection may become the application's.
#[derive(Debug, Default)]
pub(crate) struct Upgrade {
    tunnel: Option<Arc<Tunnel>>,
    /// Lives until the connection is taken over or the call is over.
    opening: Option<Arc<Opening>>,
    /// Held until the call is over.
    _place: Option<Place>,
}

/// Says, once, that a connection was taken over or its call is over.
#[derive(Debug)]
pub(crate) struct Opening {
    is_told: AtomicBool,
    waits: Waits,
}

/// Who waits for that before the next call.
#[derive(Debug)]
enum Waits {
    Thread(Sender<()>),
    Loop(Arc<Shared>),
}

impl Opening {
    fn new(waits: Waits) -> Arc<Self> {
        if let Waits::Loop(shared) = &waits {
            shared.openings.fetch_add(1, Ordering::AcqRel);
        }
        Arc::new(Self { is_told: AtomicBool::new(false), waits })
    }

    pub(crate) fn tell(&self) {
        if self.is_told.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.waits {
            // Who does not wait any more need not know.
            Waits::Thread(sender) => drop(sender.send(())),
            Waits::Loop(shared) => {
                shared.openings.fetch_sub(1, Ordering::AcqRel);
                shared.wake.wake();
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.tell();
    }
}

/// One of the places for WebSockets.
#[derive(Debug)]
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let limit = shared.config.websockets;
        let more = |open| (open < limit).then_some(open + 1);
        let taken = shared.websockets.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Self(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.websockets.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// Whether a request is one for a WebSocket.
    pub(crate) fn is_for_websocket(&self, head: &Head, bytes: &[u8]) -> bool {
        head.upgrade && self.config.websockets > 0 && head.asks_for_websocket(bytes)
    }

    /// Runs such a request, which is kept in its channel.
    #[cold]
    pub(crate) fn run_websocket(
        self: &Arc<Self>,
        channel: Box<Channel>,
        turn: Turn,
    ) -> Option<Box<Channel>> {
        let place = Place::take(self);
        if place.is_none() {
            let limit = self.config.websockets;
            let text =
                format_args!("a WebSocket was refused, as {limit} are open (websocket_limit)");
            error_log::warn_of_client(text, None);
        }
        if place.is_none() || self.draining.load(Ordering::Relaxed) {
            return self.answer_at(turn.now, &turn.date, channel, 503, false);
        }
        let mut upgrade = Upgrade { _place: place, ..Upgrade::default() };
        if self.control.park.is_some() {
            return self.run_upgrade(channel, turn, upgrade);
        }
        let key = channel.key;
        let (opened, opens) = mpsc::channel();
        // A foreign loop hands out the requests, and must not be held up itself.
        let waits = if self.hosted { Waits::Loop(Arc::clone(self)) } else { Waits::Thread(opened) };
        upgrade.opening = Some(Opening::new(waits));
        let shared = Arc::clone(self);
        let mut given = Some((channel, upgrade));
        // It is none of the application threads.
        let beside = Turn { thread: usize::MAX, ..turn };
        let body = move || {
            shared.app.attached(&mut || {
                let Some((channel, upgrade)) = given.take() else { return };
                let run = || shared.run_upgrade(channel, beside, upgrade);
                let held = shared.contained(key, run);
                shared.put_back_held(held);
            });
        };
        match thread::Builder::new().name("oxicorn-websocket".into()).spawn(body) {
            Ok(thread) => {
                self.crew.lock().unwrap_or_else(PoisonError::into_inner).add_beside(thread)
            }
            Err(error) => {
                log::error!(
                    target: "oxicorn.error",
                    "cannot start a thread for a WebSocket: {error} (websocket_limit)"
                );
                self.forget(key, true);
                return None;
            }
        }
        if self.config.threads == 1 && !self.hosted {
            let inside = Inside::enter(self, turn.thread, None);
            // Either way it may go on: the connection was taken over, or the call is over.
            self.app.released(&mut || {
                let _ = opens.recv();
            });
            drop(inside);
        }
        None
    }

    fn run_upgrade(
        self: &Arc<Self>,
        channel: Box<Channel>,
        turn: Turn,
        upgrade: Upgrade,
    ) -> Option<Box<Channel>> {
        let beside = Some(Beside::Upgrade(Box::new(upgrade)));
        self.run(channel, turn, &[], &Head::default(), Complete::Stored, beside)
    }
}

impl Exchange {
    /// Offers the connection to the application as a socket; gives the other end of it, which
    /// blocks. `None` when the request does not ask for a WebSocket.
    ///
    /// The connection is the application's as soon as it writes to the socket; nothing else is
    /// sent from then on. If it answers through the exchange first, the socket is closed.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub fn offer_socket(&mut self) -> io::Result<Option<OwnedFd>> {
        let Some(Beside::Upgrade(upgrade)) = &mut self.beside else { return Ok(None) };
        let opening = upgrade.opening.clone();
        let (tunnel, socket) = self.shared.open_tunnel(&mut self.channel, None, opening)?;
        upgrade.tunnel = Some(tunnel);
        Ok(Some(socket))
    }

    /// Makes the connection the application's, which finds `first` and then what the client sends
    /// after this head in the socket; gives the other end of it, which blocks.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub fn hand_over(&mut self, first: &[u8]) -> io::Result<OwnedFd> {
        let first = Some(first.to_vec());
        let (tunnel, socket) = self.shared.open_tunnel(&mut self.channel, first, None)?;
        match &mut self.beside {
            Some(Beside::Upgrade(upgrade)) => upgrade.tunnel = Some(tunnel),
            beside => {
                let upgrade = Upgrade { tunnel: Some(tunnel), ..Upgrade::default() };
                *beside = Some(Beside::Upgrade(Box::new(upgrade)));
            }
        }
        Ok(socket)
    }

    /// Whether the application has taken the connection over.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        let Some(Beside::Upgrade(upgrade)) = &self.beside else { return false };
        let shared = &self.shared;
        let is_taken = |tunnel: &Arc<Tunnel>| tunnel.is_taken(&shared.epoll, shared.clock.now());
        upgrade.tunnel.as_ref().is_some_and(is_taken)
    }

    /// What a call that is over has sent, if it has taken the connection over: the status, and the
    /// number of bytes.
    #[must_use]
    pub fn conversation(&self) -> Option<(u16, u64)> {
        let Some(Beside::Upgrade(upgrade)) = &self.beside else { return None };
        let tunnel = upgrade.tunnel.as_ref().filter(|tunnel| tunnel.is_open())?;
        Some(tunnel.said(&self.shared.epoll))
    }

    /// An answer as usual ends the offer, or comes too late.
    #[cold]
    pub(crate) fn decline_upgrade(&mut self) -> Result<(), Gone> {
        if self.is_taken_over() {
            return Err(Gone);
        }
        let Some(Beside::Upgrade(upgrade)) = &mut self.beside else { return Ok(()) };
        let Some(tunnel) = upgrade.tunnel.take() else { return Ok(()) };
        match self.shared.close_tunnel(&mut self.channel, &tunnel) {
            Closed::Declined(carry) => {
                self.channel.carry = carry;
                Ok(())
            }
            // Another thread of the application was quicker by a moment.
            Closed::Used { .. } => {
                self.broken = true;
                Err(Gone)
            }
        }
    }
}

impl Upgrade {
    /// The end of the call: what the client has still to get of a conversation goes the way of
    /// every response.
    pub(crate) fn end(self, shared: &Shared, ended: &mut Ended) {
        let Some(tunnel) = self.tunnel else { return };
        let (status, sent, rest, is_broken) = match shared.close_tunnel(&mut ended.channel, &tunnel)
        {
            Closed::Declined(carry) => {
                ended.channel.carry = carry;
                return;
            }
            Closed::Used { status, sent, rest, is_broken } => (status, sent, rest, is_broken),
        };
        (ended.status, ended.body_bytes) = (status, sent);
        (ended.broken, ended.persistent) = (is_broken, false);
        let mut outbox = Outbox::default();
        let (memory, directory) = (shared.output.memory, &shared.output.directory);
        if let Err(error) = outbox.push(&rest, memory, directory) {
            shared.output.complain(&error);
            ended.broken = true;
        }
        ended.channel.outbox = Some(Box::new(outbox));
    }
}
