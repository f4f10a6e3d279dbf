//! One TLS connection, from its first byte to its close_notify.
//!
//! ```text
//!   Waiting ──first byte──► Hello ──ClientHello──► Greeting ──finished──► Open
//!      │
//!      └── no TLS at all ──► Raw (an answer in plain text, then the end)
//! ```
//!
//! Nothing is kept for a connection that has not sent a byte, so silent ones cost no more than
//! plain ones. Sans-IO is rustls' part: it gets what the socket has, and gives what it is to take.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;

use oxicorn_os::stream::{Moved, Stream, read_file_at};
use rustls::server::{AcceptedAlert, Acceptor};
use rustls::{ProtocolVersion, ServerConnection};

use super::facts::Facts;
use super::socket::{Sink, Source, push};
use super::terminator::{Terminator, Unfinished};

/// Bytes that are encrypted before the socket is asked to take them.
const BATCH: usize = 32 * 1024;
/// Bytes of a file read at a time.
const PIECE: usize = 64 * 1024;
/// Reads from the socket before others have their turn: a little more than a caller's buffer takes.
/// In records of a byte each it would take many times as much.
const MOST_READS: usize = 24;
/// What a handshake record begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How far a handshake got.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// Bytes may be exchanged.
    Done(Box<Facts>),
    /// The socket has no more, or no room.
    NotNow,
    /// The client does not speak TLS; what it sent. What is said from now on goes as it is.
    Plain(Vec<u8>),
    /// It failed; why, in words for the log.
    Failed(String),
    /// The client is gone.
    Gone,
}

enum State {
    Waiting,
    Hello(Box<Acceptor>),
    Greeting(Box<ServerConnection>),
    Open(Box<ServerConnection>),
    Raw,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "Waiting",
            Self::Hello(_) => "Hello",
            Self::Greeting(_) => "Greeting",
            Self::Open(_) => "Open",
            Self::Raw => "Raw",
        })
    }
}

/// The state of TLS on one connection.
#[derive(Debug)]
pub(crate) struct Session {
    state: State,
    /// Counts it among the unfinished handshakes.
    unfinished: Option<Unfinished>,
    /// Bytes that were read from the socket, and rustls has not had yet.
    early: Vec<u8>,
    /// Decrypted bytes that were not read yet.
    unread: usize,
    /// The peer's close_notify came, and no read has told of it.
    has_ended: bool,
    /// Bytes that rustls has and the socket did not take.
    sealed: usize,
    /// The end of the handshake, such as tickets, was not offered to the socket: it goes out together
    /// with an answer, or when there is nothing to answer yet.
    is_holding: bool,
    /// Bytes at the begin of the next write that rustls has already.
    owed: usize,
    /// The end must not look like a proper one.
    is_spoiled: bool,
    said_goodbye: bool,
}

impl Session {
    pub(super) fn new(unfinished: Unfinished) -> Self {
        Self {
            state: State::Waiting,
            unfinished: Some(unfinished),
            early: Vec::new(),
            unread: 0,
            has_ended: false,
            sealed: 0,
            is_holding: false,
            owed: 0,
            is_spoiled: false,
            said_goodbye: false,
        }
    }

    /// Goes on with the handshake; `early` was read from the socket already.
    pub(crate) fn greet(
        &mut self,
        stream: &Stream,
        terminator: &Terminator,
        early: &[u8],
    ) -> Greeting {
        self.early.extend_from_slice(early);
        if matches!(self.state, State::Waiting) {
            if self.early.is_empty() {
                let mut first = [0; 4096];
                match stream.read(&mut first) {
                    Moved::Bytes(0) | Moved::Broken => return Greeting::Gone,
                    Moved::NotNow => return Greeting::NotNow,
                    Moved::Bytes(count) => {
                        self.early.extend_from_slice(first.get(..count).unwrap_or(&[]));
                    }
                }
            }
            if self.early.first() != Some(&HANDSHAKE) {
                self.state = State::Raw;
                self.unfinished = None;
                return Greeting::Plain(std::mem::take(&mut self.early));
            }
            self.state = State::Hello(Box::default());
        }
        if matches!(self.state, State::Hello(_))
            && let Some(greeting) = self.hear(stream, terminator)
        {
            return greeting;
        }
        self.shake_hands(stream)
    }

    /// Reads the ClientHello; gives nothing when it is there and the handshake goes on.
    fn hear(&mut self, stream: &Stream, terminator: &Terminator) -> Option<Greeting> {
        for read in 0.. {
            let State::Hello(acceptor) = &mut self.state else { break };
            if read >= MOST_READS && self.early.is_empty() {
                return Some(Greeting::NotNow);
            }
            let mut source = Source { early: &mut self.early, stream, is_short: false };
            match acceptor.read_tls(&mut source) {
                Ok(0) => return Some(Greeting::Gone),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Some(Greeting::NotNow);
                }
                Err(_) => return Some(Greeting::Gone),
            }
            let accepted = match acceptor.accept() {
                Ok(None) => continue,
                Ok(Some(accepted)) => accepted,
                Err((error, alert)) => return Some(self.refuse(stream, &error, Some(alert))),
            };
            let config = match terminator.config(&accepted.client_hello()) {
                Ok(config) => config,
                Err(error) => {
                    return Some(self.refuse(stream, &error, None));
                }
            };
            match accepted.into_connection(config) {
                Ok(connection) => self.state = State::Greeting(Box::new(connection)),
                Err((error, alert)) => return Some(self.refuse(stream, &error, Some(alert))),
            }
        }
        None
    }

    /// Ends a handshake at its begin, with the alert that says why, if the fault is the client's.
    fn refuse(
        &mut self,
        stream: &Stream,
        error: &rustls::Error,
        alert: Option<AcceptedAlert>,
    ) -> Greeting {
        if let Some(mut alert) = alert {
            // A client that takes no alert is told less.
            let _ = alert.write_all(&mut Sink { stream, left: 0 });
        }
        self.unfinished = None;
        self.state = State::Raw;
        Greeting::Failed(error.to_string())
    }

    fn shake_hands(&mut self, stream: &Stream) -> Greeting {
        for read in 0.. {
            let State::Greeting(connection) = &mut self.state else { break };
            // With TLS 1.3 its client waits for nothing more, and has often sent a request already.
            self.is_holding = !connection.is_handshaking()
                && connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
            if !self.is_holding && push(connection, stream, &mut self.sealed).is_err() {
                return Greeting::Gone;
            }
            if !connection.is_handshaking() {
                let facts = Box::new(Facts::of(connection));
                if let State::Greeting(connection) = std::mem::replace(&mut self.state, State::Raw)
                {
                    self.state = State::Open(connection);
                }
                self.unfinished = None;
                return Greeting::Done(facts);
            }
            if read >= MOST_READS && self.early.is_empty() {
                return Greeting::NotNow;
            }
            let mut source = Source { early: &mut self.early, stream, is_short: false };
            match connection.read_tls(&mut source) {
                Ok(0) => return Greeting::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Greeting::NotNow;
                }
                Err(_) => return Greeting::Gone,
            }
            match connection.process_new_packets() {
                Ok(state) => {
                    self.unread = state.plaintext_bytes_to_read();
                    self.has_ended = state.peer_has_closed();
                }
                Err(error) => {
                    // The alert that says why.
                    let _ = push(connection, stream, &mut self.sealed);
                    self.unfinished = None;
                    self.state = State::Raw;
                    return Greeting::Failed(error.to_string());
                }
            }
        }
        Greeting::Gone
    }

    /// Whether the client has sent something of its handshake.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Waiting)
    }

    /// Reads what came into `buffer`, first what is decrypted already.
    pub(crate) fn read(&mut self, stream: &Stream, buffer: &mut [u8]) -> Moved {
        let moved = self.read_on(stream, buffer);
        if self.is_holding && matches!(moved, Moved::NotNow | Moved::Bytes(0)) {
            // There is nothing to answer.
            self.is_holding = false;
            if let State::Open(connection) = &mut self.state
                && push(connection, stream, &mut self.sealed).is_err()
            {
                return Moved::Broken;
            }
        }
        moved
    }

    fn read_on(&mut self, stream: &Stream, buffer: &mut [u8]) -> Moved {
        let connection = match &mut self.state {
            State::Open(connection) => connection,
            State::Raw => return stream.read(buffer),
            State::Waiting | State::Hello(_) | State::Greeting(_) => return Moved::NotNow,
        };
        let mut filled = take(connection, &mut self.unread, buffer);
        if filled > 0 {
            return Moved::Bytes(filled);
        }
        if std::mem::take(&mut self.has_ended) {
            return Moved::Bytes(0);
        }
        for read in 0.. {
            if self.sealed > 0 && push(connection, stream, &mut self.sealed).is_err() {
                return Moved::Broken;
            }
            if read >= MOST_READS && self.early.is_empty() {
                break;
            }
            let mut source = Source { early: &mut self.early, stream, is_short: false };
            let result = connection.read_tls(&mut source);
            let is_short = source.is_short;
            match result {
                // The end, with a close_notify or without: what the request lacks is known.
                Ok(0) => {
                    self.has_ended = filled > 0;
                    return Moved::Bytes(filled);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if filled > 0 { Moved::Bytes(filled) } else { Moved::NotNow };
                }
                Err(_) if filled > 0 => return Moved::Bytes(filled),
                Err(_) => return Moved::Broken,
            }
            let Ok(state) = connection.process_new_packets() else {
                let _ = push(connection, stream, &mut self.sealed);
                (self.is_spoiled, self.said_goodbye) = (true, true);
                return Moved::Broken;
            };
            if connection.wants_write() && !self.is_holding {
                // An answer to what came, such as a new key's acknowledgement.
                let _ = push(connection, stream, &mut self.sealed);
            }
            self.unread = state.plaintext_bytes_to_read();
            filled +=
                take(connection, &mut self.unread, buffer.get_mut(filled..).unwrap_or(&mut []));
            if state.peer_has_closed() {
                self.has_ended = filled > 0;
                return Moved::Bytes(filled);
            }
            if filled == buffer.len() || filled > 0 && is_short {
                break;
            }
        }
        // The socket has an event for the rest.
        if filled > 0 { Moved::Bytes(filled) } else { Moved::NotNow }
    }

    /// Whether a read has a result although the socket may have no event.
    pub(crate) fn has_more(&self) -> bool {
        let is_open = matches!(self.state, State::Open(_));
        is_open && (self.unread > 0 || self.has_ended || !self.early.is_empty())
    }

    /// Whether something waits for room in the socket.
    pub(crate) fn wants_room(&self) -> bool {
        self.sealed > 0
    }

    /// Writes pieces in order; see the head of `wire.rs` for what the count means.
    pub(crate) fn write(&mut self, stream: &Stream, parts: &[&[u8]]) -> Moved {
        let connection = match &mut self.state {
            State::Open(connection) => connection,
            State::Raw => {
                let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
                return stream.write_parts(&slices);
            }
            State::Waiting | State::Hello(_) | State::Greeting(_) => return Moved::Broken,
        };
        self.is_holding = false;
        if self.sealed > 0 && push(connection, stream, &mut self.sealed).is_err() {
            return Moved::Broken;
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if self.sealed > 0 {
            return settle(&mut self.owed, self.sealed, 0, total);
        }
        let mut taken = self.owed.min(total);
        self.owed -= taken;
        while taken < total {
            let began = taken;
            let mut skip = taken;
            for part in parts {
                let rest = part.get(skip.min(part.len())..).unwrap_or(&[]);
                skip = skip.saturating_sub(part.len());
                let room = BATCH - (taken - began).min(BATCH);
                let piece = rest.get(..rest.len().min(room)).unwrap_or(rest);
                match connection.writer().write(piece) {
                    Ok(count) => taken += count,
                    Err(_) => return Moved::Broken,
                }
                if piece.len() < rest.len() {
                    break;
                }
            }
            if push(connection, stream, &mut self.sealed).is_err() {
                return Moved::Broken;
            }
            if self.sealed > 0 {
                self.owed = taken - began;
                return settle(&mut self.owed, self.sealed, began, total);
            }
        }
        Moved::Bytes(taken)
    }

    /// Says something small on a quiet connection.
    pub(crate) fn say(&mut self, stream: &Stream, bytes: &[u8]) {
        match &mut self.state {
            State::Open(connection) => {
                // Its own buffer takes it.
                let _ = connection.writer().write_all(bytes);
                let _ = push(connection, stream, &mut self.sealed);
            }
            State::Raw => {
                let _ = stream.write(bytes);
            }
            State::Waiting | State::Hello(_) | State::Greeting(_) => {}
        }
    }

    /// Sends a part of a file, as far as goes.
    pub(crate) fn send_file(
        &mut self,
        stream: &Stream,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Moved {
        let mut piece = vec![0; count.min(PIECE)];
        let mut sent = 0;
        while sent < count {
            let wanted = (count - sent).min(piece.len());
            let buffer = piece.get_mut(..wanted).unwrap_or(&mut []);
            let Some(read) = read_file_at(file, buffer, offset + sent as u64) else {
                return Moved::Broken;
            };
            if read == 0 {
                break;
            }
            match self.write(stream, &[piece.get(..read).unwrap_or(&[])]) {
                Moved::Bytes(written) => {
                    sent += written;
                    if written < read {
                        break;
                    }
                }
                Moved::NotNow if sent == 0 => return Moved::NotNow,
                Moved::NotNow => break,
                Moved::Broken => return Moved::Broken,
            }
        }
        Moved::Bytes(sent)
    }

    pub(crate) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    /// Sends close_notify (RFC 8446, section 6.1), if that is the truth. `true` if it waits for room
    /// in the socket: then this has to be called again.
    pub(crate) fn say_goodbye(&mut self, stream: &Stream) -> bool {
        let State::Open(connection) = &mut self.state else { return false };
        if self.is_spoiled {
            return false;
        }
        if !std::mem::replace(&mut self.said_goodbye, true) {
            connection.send_close_notify();
        }
        push(connection, stream, &mut self.sealed).is_ok() && self.sealed > 0
    }
}

/// Takes decrypted bytes.
fn take(connection: &mut ServerConnection, unread: &mut usize, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while *unread > 0 {
        let rest = buffer.get_mut(filled..).unwrap_or(&mut []);
        match connection.reader().read(rest) {
            Ok(count @ 1..) => {
                filled += count;
                *unread = unread.saturating_sub(count);
            }
            _ => break,
        }
    }
    filled
}

/// How many of the `offered` bytes can be called written: `before`, and of those that are `owed` as
/// many as must be out while `sealed` bytes wait for the socket, which are those and what TLS adds.
/// The last one never can: without it the caller would not come back.
fn settle(owed: &mut usize, sealed: usize, before: usize, offered: usize) -> Moved {
    let out = *owed - (*owed).min(sealed.max(1));
    let done = out.min(offered - before);
    *owed -= done;
    if before + done > 0 { Moved::Bytes(before + done) } else { Moved::NotNow }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
