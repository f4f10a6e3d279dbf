//! The response on its way out.
//!
//! Whatever is sent is taken at once: what the socket does not take is kept and flushed by
//! whoever polls, so a slow client never holds the thread that runs the application.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::Moved;

use super::{Beside, Exchange, Gone};
use crate::channel::millis;
use crate::flusher::Flusher;
use crate::wire::MOST_PARTS;

/// Where sent bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// Taken by the socket, or kept within the limits: go on.
    Taken,
    /// Kept, but the limit is reached: call [`Exchange::wait_room`] before sending more.
    Full,
}

impl Exchange {
    /// Sends bytes that are framed already.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        if self.beside.is_some() && self.answers()? {
            return self.put(&[bytes]);
        }
        self.begin();
        if self.flusher.is_none() && !self.broken {
            match self.channel.stream.write(bytes) {
                Moved::Bytes(count) if count == bytes.len() => return Ok(Sent::Taken),
                Moved::Bytes(count) => return self.keep(&[bytes.get(count..).unwrap_or(&[])]),
                Moved::NotNow => {}
                Moved::Broken => self.broken = true,
            }
        }
        self.keep(&[bytes])
    }

    /// Sends the last bytes of a response, framed already; they may wait a moment for the responses of
    /// other connections that are ready.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_last(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        if !self.holds || self.flusher.is_some() || bytes.len() > self.shared.output.memory {
            return self.send(bytes);
        }
        self.begin();
        if self.broken {
            return Err(Gone);
        }
        let flusher = self.flusher(self.shared.clock.coarse());
        self.shared.output.queue(&mut flusher.lock(), &[bytes]);
        self.shared.held.show(&flusher);
        self.is_held = true;
        Ok(Sent::Taken)
    }

    /// Sends several pieces in order with one call, without joining them first.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_parts(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        if self.answers()? {
            return self.put(parts);
        }
        let mut skip = 0;
        self.begin();
        if self.flusher.is_none() && !self.broken {
            if parts.len() > MOST_PARTS {
                return self.send(&parts.concat());
            }
            match self.channel.stream.write_parts(parts) {
                Moved::Bytes(count) => skip = count,
                Moved::NotNow => {}
                Moved::Broken => self.broken = true,
            }
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if skip == total && !self.broken && self.flusher.is_none() {
            return Ok(Sent::Taken);
        }
        let mut left = [&[][..]; MOST_PARTS];
        for (slot, part) in left.iter_mut().zip(parts) {
            let cut = skip.min(part.len());
            skip -= cut;
            *slot = part.get(cut..).unwrap_or(&[]);
        }
        if parts.len() > left.len() {
            return self.keep(&[&parts.concat()]);
        }
        self.keep(&left)
    }

    /// Sends an interim response, but not on a connection that may still become the application's.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_interim(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        match &self.beside {
            Some(Beside::Upgrade(_)) => return Ok(Sent::Taken),
            Some(Beside::Stream(_)) => {
                self.inform(bytes);
                return Ok(Sent::Taken);
            }
            None => {}
        }
        let began = self.began;
        let sent = self.send(bytes);
        self.began = began;
        sent
    }

    /// Sends `length` bytes of a file from `offset` by the kernel.
    ///
    /// The file is kept open until they are out; its own position is not moved.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_file(&mut self, file: File, offset: u64, length: u64) -> Result<Sent, Gone> {
        if self.answers()? {
            return self.put_file(file, offset, length);
        }
        self.begin();
        if self.broken {
            return Err(Gone);
        }
        let now = self.shared.clock.now();
        let flusher = self.flusher(now);
        let mut state = flusher.lock();
        state.outbox.push_file(file, offset, length);
        state.flush(&flusher.stream, now);
        // The budget of one flush is meant for a polling thread; this thread has nothing to poll.
        while !state.broken && !state.outbox.is_empty() && state.progress == now {
            state.progress = now.wrapping_sub(1);
            state.flush(&flusher.stream, now);
        }
        state.progress = now;
        drop(state);
        self.settle(&flusher)
    }

    /// Blocks until there is room again after [`Sent::Full`]. Release the interpreter before.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is, or took nothing for the time limit; when the request was
    /// interrupted; or when a foreign loop wanted the wait given up.
    pub fn wait_room(&mut self) -> Result<(), Gone> {
        if self.tie().is_some() {
            return self.wait_room_on_stream();
        }
        let Some(flusher) = self.flusher.clone() else { return Ok(()) };
        let patience = millis(self.shared.config.send_timeout);
        loop {
            let now = self.shared.clock.now();
            let mut state = flusher.lock();
            state.flush(&flusher.stream, now);
            let over = now.saturating_sub(state.progress) > patience;
            if state.broken || over {
                self.broken = true;
                return Err(Gone);
            }
            if state.outbox.queued() <= self.shared.output.total / 2 {
                return Ok(());
            }
            drop(state);
            if self.is_interrupted()
                || !self.shared.await_socket(flusher.stream.as_fd(), Interest::Write)
            {
                return Err(Gone);
            }
        }
    }

    /// Sends what the application of another worker has said, which is no sign of life of a call here.
    pub(crate) fn pass_on(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        self.began = false;
        self.send(bytes)
    }

    /// Whether little enough waits for the client that more may be sent.
    pub(crate) fn has_room(&mut self) -> Result<bool, Gone> {
        let total = self.shared.output.total;
        if let Some(tie) = self.tie() {
            return tie.has_room(total);
        }
        let Some(flusher) = &self.flusher else { return Ok(true) };
        let state = flusher.lock();
        self.broken |= state.broken;
        if self.broken { Err(Gone) } else { Ok(state.outbox.queued() <= total / 2) }
    }

    /// Notes that something is sent. Every piece after the first is a sign of life of a call.
    pub(crate) fn begin(&mut self) {
        if std::mem::replace(&mut self.began, true) {
            self.shared.beat_in_call();
        } else if self.deadline.as_ref().is_some_and(|deadline| !deadline.may_answer()) {
            self.broken = true;
        }
    }

    /// An answer of its own begins, if the application has not taken the connection over; says
    /// whether it goes to a stream.
    fn answers(&mut self) -> Result<bool, Gone> {
        match &self.beside {
            None => Ok(false),
            Some(Beside::Stream(_)) => Ok(true),
            Some(Beside::Upgrade(_)) => self.decline_upgrade().map(|()| false),
        }
    }

    /// The write side that is shared with whoever polls.
    fn flusher(&mut self, now: u64) -> Arc<Flusher> {
        let stream = &self.channel.stream;
        let make = || Arc::new(Flusher::new(Arc::clone(stream), now));
        Arc::clone(self.flusher.get_or_insert_with(make))
    }

    /// Keeps bytes for the client and has the socket watched for room.
    fn keep(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        if self.broken {
            return Err(Gone);
        }
        let now = self.shared.clock.now();
        let flusher = self.flusher(now);
        let shared = Arc::clone(&self.shared);
        let output = &shared.output;
        let mut state = flusher.lock();
        if !state.outbox.is_empty() {
            state.flush(&flusher.stream, now);
        }
        output.queue(&mut state, parts);
        if !state.broken {
            state.flush(&flusher.stream, now);
        }
        drop(state);
        self.settle(&flusher)
    }

    /// Looks at the outcome of a flush, and has the socket watched if something is left.
    fn settle(&mut self, flusher: &Arc<Flusher>) -> Result<Sent, Gone> {
        let mut state = flusher.lock();
        if state.broken {
            self.broken = true;
            return Err(Gone);
        }
        let full = state.outbox.queued() > self.shared.output.total;
        let watch = !state.outbox.is_empty() && !state.watching;
        state.watching |= watch;
        drop(state);
        if watch {
            self.shared.watch_flusher(&mut self.channel, flusher);
        }
        Ok(if full { Sent::Full } else { Sent::Taken })
    }
}
