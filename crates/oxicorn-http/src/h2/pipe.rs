//! A socket in memory: what `h2` reads was received before, and what it writes waits to be sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may wait to be sent; above it `h2` has to wait.
pub(super) const MOST_OUTPUT: usize = 128 * 1024;

/// What has come in, and what is to go out.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) input: Vec<u8>,
    /// Bytes of `input` that were read.
    at: usize,
    pub(super) output: Vec<u8>,
    /// Bytes of `output` that were sent.
    pub(super) sent: usize,
}

impl Wire {
    /// Bytes that were received and not read yet.
    pub(super) fn unread(&self) -> usize {
        self.input.len() - self.at
    }

    /// Bytes that wait to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or(&[])
    }

    /// Notes that so many bytes were sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.output.len() {
            // A connection that is idle keeps no buffer.
            (self.output, self.sent) = (Vec::new(), 0);
        }
    }

    fn read(&mut self, most: usize) -> &[u8] {
        let start = self.at;
        self.at += most.min(self.unread());
        self.input.get(start..self.at).unwrap_or(&[])
    }

    fn forget_read(&mut self) {
        if self.at == self.input.len() {
            (self.input, self.at) = (Vec::new(), 0);
        }
    }

    fn room(&self) -> usize {
        MOST_OUTPUT.saturating_sub(self.unsent().len())
    }
}

/// The end that `h2` has.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe(Arc<Mutex<Wire>>);

impl Pipe {
    pub(super) fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.wire();
        if wire.unread() == 0 {
            // Whoever brings more polls again.
            return Poll::Pending;
        }
        into.put_slice(wire.read(into.remaining()));
        wire.forget_read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.wire();
        let room = wire.room();
        if room == 0 {
            // Whoever sends polls again.
            return Poll::Pending;
        }
        let mut taken = 0;
        for part in parts {
            let count = part.len().min(room - taken);
            wire.output.extend_from_slice(part.get(..count).unwrap_or(&[]));
            taken += count;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
