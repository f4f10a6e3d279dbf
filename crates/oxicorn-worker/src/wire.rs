//! How bytes get to a client and back: as they are, or through TLS.
//!
//! The rest of the worker reads and writes here as on a socket, and sees the same bytes either way.
//! The ways differ in two points. After a read, TLS may hold more bytes that came, for which the
//! socket has no event: [`Wire::has_more`]. And what a write takes may wait inside for the socket;
//! the write then reports less than it took, so that its caller comes again with the rest.
//! [`Session`] knows that it has those bytes. So a caller must go on with what was not reported.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxicorn_os::stream::{Moved, Stream};

use crate::tls::{Greeting, Session, Terminator};

/// Most pieces that one write takes.
pub(crate) const MOST_PARTS: usize = 4;

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    session: Option<Box<Mutex<Session>>>,
}

impl Wire {
    /// Bytes go as they are.
    pub(crate) fn plain(stream: Stream) -> Self {
        Self { stream, session: None }
    }

    /// Bytes go through TLS, after [`greet`](Self::greet).
    pub(crate) fn secured(stream: Stream, session: Session) -> Self {
        Self { stream, session: Some(Box::new(Mutex::new(session))) }
    }

    fn session(&self) -> Option<MutexGuard<'_, Session>> {
        // Every update leaves the session usable, or broken for its peer only.
        Some(self.session.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it is a TLS connection, also before and after that is spoken.
    pub(crate) fn is_secured(&self) -> bool {
        self.session.is_some()
    }

    /// Goes on with the handshake; `early` was read from the socket already.
    pub(crate) fn greet(&self, terminator: &Terminator, early: &[u8]) -> Greeting {
        match self.session() {
            Some(mut session) => session.greet(&self.stream, terminator, early),
            None => Greeting::Gone,
        }
    }

    /// Whether the client has sent something of its handshake.
    pub(crate) fn has_begun(&self) -> bool {
        self.session().is_some_and(|session| session.has_begun())
    }

    /// Reads from the socket what is not TLS: what comes before it.
    pub(crate) fn read_raw(&self, buffer: &mut [u8]) -> Moved {
        self.stream.read(buffer)
    }

    /// Reads what there is into `buffer`, which is not empty.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Moved {
        match self.session() {
            None => self.stream.read(buffer),
            Some(mut session) => session.read(&self.stream, buffer),
        }
    }

    /// Whether a read has a result although the socket may have no event.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.session().is_some_and(|session| session.has_more())
    }

    /// Whether something waits for room in the socket that no caller knows of.
    #[inline]
    pub(crate) fn wants_room(&self) -> bool {
        self.session().is_some_and(|session| session.wants_room())
    }

    /// Writes as much as goes.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> Moved {
        match self.session() {
            None => self.stream.write(bytes),
            Some(mut session) => session.write(&self.stream, &[bytes]),
        }
    }

    /// Writes several pieces, at most [`MOST_PARTS`], as much as goes.
    pub(crate) fn write_parts(&self, parts: &[&[u8]]) -> Moved {
        if let Some(mut session) = self.session() {
            return session.write(&self.stream, parts);
        }
        let mut slices = [IoSlice::new(&[]); MOST_PARTS];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        self.stream.write_parts(slices.get(..parts.len()).unwrap_or(&slices))
    }

    /// Says something that fits into the socket's buffer, on a connection that was quiet; a client
    /// that is gone shows later.
    pub(crate) fn say(&self, bytes: &[u8]) {
        match self.session() {
            None => {
                let _ = self.stream.write(bytes);
            }
            Some(mut session) => session.say(&self.stream, bytes),
        }
    }

    /// Sends up to `count` bytes of a file from `offset`. `Bytes(0)` means that it ended early.
    pub(crate) fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> Moved {
        match self.session() {
            None => self.stream.send_file(file, offset, count),
            Some(mut session) => session.send_file(&self.stream, file, offset, count),
        }
    }

    /// Whether the peer closed its side or the connection is broken.
    pub(crate) fn is_over(&self) -> bool {
        self.stream.is_over()
    }

    /// What was sent is not whole: the end of the connection must not look like its proper end.
    pub(crate) fn spoil(&self) {
        if let Some(mut session) = self.session() {
            session.spoil();
        }
    }

    /// Tells the peer that no more bytes will come, and goes on reading. `false` if that waits for
    /// room in the socket, and is to be tried again.
    #[must_use]
    pub(crate) fn finish_writing(&self) -> bool {
        let waits = self.say_goodbye();
        if !waits {
            self.stream.finish_writing();
        }
        !waits
    }

    /// Ends TLS properly, before the connection is closed. `true` if that waits for room in the
    /// socket, and is to be tried again.
    pub(crate) fn say_goodbye(&self) -> bool {
        self.session().is_some_and(|mut session| session.say_goodbye(&self.stream))
    }

    /// Ends the connection both ways.
    pub(crate) fn cut(&self) {
        self.stream.cut();
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
