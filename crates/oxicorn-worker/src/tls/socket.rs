//! A socket as rustls reads and writes it.

use std::io::{self, IoSlice, Read, Write};

use oxicorn_os::stream::{Moved, Stream};
use rustls::ServerConnection;

/// Has the socket take what it takes; `sealed` is what is left then.
pub(super) fn push(
    connection: &mut ServerConnection,
    stream: &Stream,
    sealed: &mut usize,
) -> io::Result<()> {
    let mut sink = Sink { stream, left: 0 };
    while connection.wants_write() {
        match connection.write_tls(&mut sink) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // At least: rustls may have had more than fits into one call.
                *sealed = sink.left.max(1);
                return Ok(());
            }
            Err(error) => {
                // Nobody takes the rest.
                *sealed = 0;
                return Err(error);
            }
        }
    }
    *sealed = 0;
    Ok(())
}

/// The socket for rustls to read from.
pub(super) struct Source<'a> {
    /// What was read from it before.
    pub(super) early: &'a mut Vec<u8>,
    pub(super) stream: &'a Stream,
    /// The socket had less than was asked for, so it has no more.
    pub(super) is_short: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let count = self.early.as_slice().read(buffer)?;
            if count == self.early.len() {
                *self.early = Vec::new();
            } else {
                self.early.drain(..count);
            }
            return Ok(count);
        }
        match self.stream.read(buffer) {
            Moved::Bytes(count) => {
                self.is_short = count < buffer.len();
                Ok(count)
            }
            Moved::NotNow => Err(io::ErrorKind::WouldBlock.into()),
            Moved::Broken => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

/// The socket for rustls to write to.
pub(super) struct Sink<'a> {
    pub(super) stream: &'a Stream,
    /// Of what was offered last, what the socket did not take.
    pub(super) left: usize,
}

impl Sink<'_> {
    fn sent(&mut self, offered: usize, moved: Moved) -> io::Result<usize> {
        match moved {
            Moved::Bytes(count) => {
                self.left = offered - count;
                Ok(count)
            }
            Moved::NotNow => {
                self.left = offered;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Moved::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let moved = self.stream.write(bytes);
        self.sent(bytes.len(), moved)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let moved = self.stream.write_parts(parts);
        self.sent(parts.iter().map(|part| part.len()).sum(), moved)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
