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
        } else if self.sent > self.output.len() / 2 {
            // What was sent gives its room back even if the client never catches up.
            self.output.drain(..std::mem::take(&mut self.sent));
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
        } else if self.at > self.input.len() / 2 {
            self.input.drain(..std::mem::take(&mut self.at));
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_was_sent_gives_its_room_back_although_the_client_never_catches_up() {
        let mut pipe = Pipe::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut taken = 0;
        for _ in 0..1000 {
            let Poll::Ready(Ok(count)) = Pin::new(&mut pipe).poll_write(&mut context, &[0; 10_000])
            else {
                panic!("there is room")
            };
            taken += count;
            let mut wire = pipe.wire();
            let unsent = wire.unsent().len();
            wire.advance(unsent.saturating_sub(5000));
        }
        assert_eq!(taken, 10_000_000);
        let wire = pipe.wire();
        assert_eq!(wire.unsent().len(), 5000);
        assert!(wire.output.len() < 20_000, "{} bytes are kept", wire.output.len());
    }

    #[test]
    fn what_was_read_gives_its_room_back_although_there_is_always_more() {
        let mut pipe = Pipe::default();
        let mut context = Context::from_waker(Waker::noop());
        pipe.wire().input.extend_from_slice(&[1; 5000]);
        for round in 0..1000 {
            pipe.wire().input.extend_from_slice(&[u8::try_from(round % 250).unwrap(); 10_000]);
            let mut space = [0; 10_000];
            let mut into = ReadBuf::new(&mut space);
            assert!(Pin::new(&mut pipe).poll_read(&mut context, &mut into).is_ready());
            assert_eq!(into.filled().len(), 10_000);
            // The end of what came a round before, and the begin of what came in this one.
            assert_eq!(into.filled().last().copied(), u8::try_from(round % 250).ok());
        }
        let wire = pipe.wire();
        assert_eq!(wire.unread(), 5000);
        assert!(wire.input.len() < 20_000, "{} bytes are kept", wire.input.len());
    }
}
