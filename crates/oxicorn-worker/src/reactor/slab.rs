//! The slab: each connection's place, and how its channel moves out to one thread and back.
//!
//! An event takes a channel out; `put_back` brings it home, watched and timed for its stage. Who has a
//! channel never holds the mutex while it reads, writes or waits.

use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_os::epoll::Interest;
use slotmap::{DefaultKey as Key, Key as _, KeyData};

use super::{Core, Phase, Shared};
use crate::channel::{Channel, NEVER, Stage, millis};
use crate::flusher::Flusher;
use crate::http2::Bundle;
use crate::tunnel::{INNER, Tunnel};
use crate::wire::Wire;

/// Connections that are idle, or new, for less than this may still send a request when a drain
/// begins: it may be on its way.
const DRAIN_GRACE: u64 = 1000;

/// A connection's place in the slab.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) stream: Arc<Wire>,
    /// The channel, unless it is moved out to a thread.
    pub(super) home: Option<Box<Channel>>,
    /// An event came while it was out, so the socket is not watched any more.
    pub(crate) unwatched: bool,
    /// Its timer entry came up while it was out.
    pub(super) timer_fired: bool,
    /// Output that is flushed while it is out.
    pub(super) flusher: Option<Arc<Flusher>>,
    /// What the application may take it over by, or has, while it is out.
    pub(crate) tunnel: Option<Arc<Tunnel>>,
    /// What its streams know of it if it speaks HTTP/2 or is a relay.
    pub(crate) bundle: Option<Arc<Bundle>>,
}

impl Slot {
    /// Ends the connection both ways, and what the application has in its place.
    pub(super) fn cut(&self) {
        self.stream.cut();
        if let Some(tunnel) = &self.tunnel {
            tunnel.cut();
        }
        if let Some(bundle) = &self.bundle {
            bundle.cut();
        }
    }
}

/// The slot that an event is about.
pub(crate) fn key_of(token: u64) -> Key {
    KeyData::from_ffi(token & !INNER).into()
}

/// What an event for a connection leads to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The channel is the caller's until it puts it back.
    Channel(Box<Channel>),
    /// The channel is out; its output may be flushed.
    Flush(Arc<Flusher>),
    /// The channel is out; bytes may be moved between its client and the application.
    Pump(Arc<Tunnel>),
    /// Nothing: an old event, or one that its owner will notice.
    Nothing,
}

impl Core {
    /// Moves out a channel.
    pub(crate) fn take_home(&mut self, key: Key) -> Option<Box<Channel>> {
        self.slots.get_mut(key)?.home.take()
    }

    /// The idle connection that was used longest ago.
    pub(crate) fn oldest_idle(&self, now: u64) -> Option<Key> {
        self.oldest(now, |_| true)
    }

    /// The connection that has been at its TLS handshake for longest, if that is long.
    pub(crate) fn oldest_handshake(&self, now: u64) -> Option<Key> {
        self.oldest(now, |stage| stage == Stage::Handshake)
    }

    /// Of the connections that may be closed, the one that has been in such a stage for longest.
    fn oldest(&self, now: u64, counts: fn(Stage) -> bool) -> Option<Key> {
        let spare = self.slots.iter().filter_map(|(key, slot)| {
            let home = slot.home.as_ref()?;
            (counts(home.stage) && home.can_be_spared(now)).then_some((home.since, key))
        });
        spare.min().map(|(_, key)| key)
    }
}

impl Shared {
    /// Makes room in the slab for an accepted connection; its channel starts out with the caller.
    pub(crate) fn admit(&self, core: &mut Core, stream: &Arc<Wire>) -> Key {
        if core.phase == Phase::Stopped {
            stream.cut();
        }
        core.slots.insert(Slot {
            stream: Arc::clone(stream),
            home: None,
            unwatched: false,
            timer_fired: false,
            flusher: None,
            tunnel: None,
            bundle: None,
        })
    }

    /// Moves a channel out for an event.
    pub(crate) fn take(&self, core: &mut Core, token: u64, writable: bool) -> Taken {
        let Some(slot) = core.slots.get_mut(key_of(token)) else {
            return Taken::Nothing;
        };
        if token & INNER != 0 {
            return slot.tunnel.clone().map_or(Taken::Nothing, Taken::Pump);
        }
        if let Some(channel) = slot.home.take() {
            return Taken::Channel(channel);
        }
        if let Some(tunnel) = slot.tunnel.as_ref().filter(|tunnel| tunnel.is_open()) {
            return Taken::Pump(Arc::clone(tunnel));
        }
        if let Some(flusher) = &slot.flusher
            && writable
        {
            let mut state = flusher.lock();
            if !state.outbox.is_empty() && !state.broken {
                drop(state);
                return Taken::Flush(Arc::clone(flusher));
            }
            state.watching = false;
        }
        if !slot.unwatched {
            slot.unwatched = true;
            // An error would mean that it is not watched, which is what is wanted.
            let _ = self.epoll.delete(slot.stream.as_fd());
        }
        Taken::Nothing
    }

    /// Has the socket of a channel that is out watched for room to write.
    pub(crate) fn watch_flusher(&self, channel: &mut Channel, flusher: &Arc<Flusher>) {
        let mut core = self.lock();
        let Some(slot) = core.slots.get_mut(channel.key) else { return };
        slot.flusher = Some(Arc::clone(flusher));
        if std::mem::take(&mut slot.unwatched) {
            channel.watched = None;
        }
        self.watch(channel, Interest::Write);
        let mut state = flusher.lock();
        if !std::mem::replace(&mut state.timed, true) {
            let at = self.clock.coarse() + millis(self.config.send_timeout);
            core.timers.push(at, channel.key);
        }
    }

    /// Has a channel's socket watched for this and nothing else.
    fn watch(&self, channel: &mut Channel, interest: Interest) {
        let fd = channel.stream.as_fd();
        let token = channel.key.data().as_ffi();
        let result = match channel.watched {
            Some(watched) if watched == interest => return,
            Some(_) => self.epoll.modify(fd, token, interest),
            None => self.epoll.add(fd, token, interest),
        };
        channel.watched = Some(interest);
        if let Err(error) = result {
            log::error!(target: "oxicorn.error", "cannot watch a connection: {error}");
            // The time limit of its stage ends it.
            channel.watched = None;
        }
    }

    /// Has a channel's socket not watched, where its deadline is what it waits for.
    fn unwatch(&self, channel: &mut Channel) {
        if channel.watched.take().is_some() {
            // An error would mean that it is not watched, which is what is wanted.
            let _ = self.epoll.delete(channel.stream.as_fd());
        }
    }

    /// Puts a channel back into the slab, watched and timed for its stage.
    ///
    /// Returns it when it has to be closed instead.
    #[must_use]
    pub(crate) fn put_back(
        &self,
        core: &mut Core,
        mut channel: Box<Channel>,
    ) -> Option<Box<Channel>> {
        let waits = matches!(channel.stage, Stage::Idle | Stage::Head | Stage::Body | Stage::Http2);
        // What a machine that waits for room in the socket does not take would come up again and again.
        let takes = channel.http2.as_ref().is_none_or(|http2| http2.interest() != Interest::Write);
        let has_more = waits && takes && channel.stream.has_more();
        let again = has_more
            || match (&channel.http2, &channel.relay) {
                (None, None) => channel.stage == Stage::Idle && !channel.carry.is_empty(),
                (None, Some(relay)) => relay.has_news(),
                // A drain may have begun while it was out.
                (Some(http2), _) => {
                    http2.has_news() || (core.phase != Phase::Serving && !http2.is_leaving())
                }
            };
        let is_quiet = matches!(channel.stage, Stage::Handshake | Stage::Idle);
        if is_quiet && !again && core.phase != Phase::Serving {
            let grace_over = channel.since + DRAIN_GRACE;
            if grace_over <= self.clock.coarse() {
                return Some(channel);
            }
            channel.deadline = channel.deadline.min(grace_over);
        }
        if channel.can_be_spared(self.clock.coarse()) {
            self.room_for_another(core);
        }
        let slots = &mut core.slots;
        let Some(slot) = slots.get_mut(channel.key) else { return Some(channel) };
        slot.flusher = None;
        if std::mem::take(&mut slot.unwatched) {
            channel.watched = None;
        }
        if std::mem::take(&mut slot.timer_fired) {
            channel.armed = NEVER;
        }
        if again {
            core.again.push_back(channel.key);
            // Another thread may be in a poll that waits, and no event will end it.
            self.wake.wake();
        } else {
            let interest = match (channel.stage, &channel.http2, &channel.relay) {
                (Stage::Flushing(_), ..) => Some(Interest::Write),
                (_, Some(http2), _) => Some(http2.interest()),
                (_, _, Some(relay)) => relay.interest(),
                _ => Some(Interest::Read),
            };
            let interest = match interest {
                Some(Interest::Read) if channel.stream.wants_room() => Some(Interest::Both),
                interest => interest,
            };
            match interest {
                Some(interest) => self.watch(&mut channel, interest),
                None => self.unwatch(&mut channel),
            }
        }
        if channel.deadline < channel.armed {
            channel.armed = channel.deadline;
            core.timers.push(channel.deadline, channel.key);
        }
        slot.home = Some(channel);
        None
    }

    /// Has whoever polls look at a connection; one that is out is looked at when it is put back.
    pub(crate) fn look_again(&self, key: Key) {
        let mut core = self.lock();
        if core.slots.get(key).is_some_and(|slot| slot.home.is_some()) {
            core.again.push_back(key);
            drop(core);
            self.wake.wake();
        }
    }

    /// Takes a channel's slot away and closes its connection.
    pub(crate) fn close(&self, channel: Box<Channel>) {
        // A stream's end is not that of its connection.
        if channel.tie.is_none() {
            if channel.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty()) {
                channel.stream.spoil();
            }
            channel.stream.say_goodbye();
        }
        self.forget(channel.key, channel.watched.is_some());
        // The descriptor is closed here, with the last reference, outside the mutex.
        drop(channel);
    }

    /// Takes a slot away and ends its connection, which `may_be_watched` or never was.
    pub(crate) fn forget(&self, key: Key, may_be_watched: bool) {
        let mut core = self.lock();
        let slot = core.slots.remove(key);
        self.room_for_another(&mut core);
        self.stop_when_empty(&mut core);
        drop(core);
        if let Some(slot) = slot {
            // Closing does neither of these if the application forked and the child, which has the
            // socket too, lives on. An error means that it is not watched, or broken already.
            if may_be_watched {
                let _ = self.epoll.delete(slot.stream.as_fd());
            }
            slot.cut();
        }
    }
}
