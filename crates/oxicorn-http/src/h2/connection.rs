//! The connection: bytes in, streams and bytes out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::server;

use super::pipe::{MOST_OUTPUT, Pipe};
use super::{Code, Flood, Meter, Stream};

/// Streams that a client may have reset, and that we must still know, at a time.
const RESET_STREAMS: usize = 64;
/// Streams that we may have to reset for the client's fault before the connection ends.
const FAULTY_STREAMS: usize = 128;
/// Bytes of a stream that `h2` may hold although the socket does not take them.
const STREAM_BUFFER: usize = 64 * 1024;
/// Bytes of bodies that may be on their way for a connection in all.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that may wait to be understood; above it nothing should be read.
const MOST_INPUT: usize = 64 * 1024;

/// What a client may do; each is told to it in SETTINGS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams at a time; default 100.
    pub streams: u32,
    /// Bytes of a body that may be on their way for one stream; default 65 535.
    pub window: u32,
    /// Bytes of a frame; default 16 384, the least that may be said.
    pub frame: u32,
    /// Bytes of the fields of a request, 32 added for each (RFC 9113, section 6.5.2); default 64 KiB,
    /// above it 431.
    pub header_list: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 100, window: 65_535, frame: 16_384, header_list: 64 * 1024 }
    }
}

/// How a look at the connection went.
#[derive(Debug)]
pub enum Progress {
    /// A request has begun.
    Stream(Box<Stream>),
    /// More bytes are needed, or room for output.
    Waiting,
    /// The connection is over: close it when what waits to be sent is out.
    Closed,
}

/// Notes that `h2` wants to be polled.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

enum State {
    Opening(server::Handshake<Pipe, Bytes>),
    Open(server::Connection<Pipe, Bytes>),
    Closed,
}

/// One client connection as the protocol sees it.
pub struct Connection {
    state: State,
    pipe: Pipe,
    meter: Meter,
    flag: Arc<Flag>,
    waker: Waker,
    is_leaving: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection on which nothing has arrived; it begins with the [preface](super::PREFACE).
    #[must_use]
    pub fn new(limits: Limits, now: u64) -> Self {
        let pipe = Pipe::default();
        let mut builder = server::Builder::new();
        builder
            .max_concurrent_streams(limits.streams)
            .initial_window_size(limits.window)
            .initial_connection_window_size(CONNECTION_WINDOW.max(limits.window))
            .max_frame_size(limits.frame)
            .max_header_list_size(limits.header_list)
            .max_concurrent_reset_streams(RESET_STREAMS)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(Some(FAULTY_STREAMS))
            .max_send_buffer_size(STREAM_BUFFER);
        let flag = Arc::new(Flag::default());
        Self {
            state: State::Opening(builder.handshake(pipe.clone())),
            pipe,
            meter: Meter::new(now),
            waker: Waker::from(Arc::clone(&flag)),
            flag,
            is_leaving: false,
        }
    }

    /// Takes in what the client sent; `now` is in milliseconds.
    ///
    /// # Errors
    ///
    /// The client sends what is nothing but work; [`end`](Self::end) the connection.
    pub fn receive(&mut self, bytes: &[u8], now: u64) -> Result<(), Flood> {
        let (preface, rest) = bytes.split_at(self.meter.preface().min(bytes.len()));
        self.take(preface, now)?;
        if !preface.is_empty() && !rest.is_empty() {
            // So that a client that begins with a flood can be told.
            let _ = self.advance();
        }
        self.take(rest, now)
    }

    fn take(&mut self, bytes: &[u8], now: u64) -> Result<(), Flood> {
        self.meter.advance(bytes, now)?;
        self.pipe.wire().input.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether more may be [received](Self::receive): not while the client takes no answers.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.pipe.wire().unread() < MOST_INPUT
    }

    /// Since when, in milliseconds, a head or a frame is on its way that is not whole.
    #[must_use]
    pub fn unfinished_since(&self) -> Option<u64> {
        self.meter.unfinished_since()
    }

    /// Works on what was received, and on what the streams want to send. To be called until it does
    /// not give a stream.
    pub fn advance(&mut self) -> Progress {
        let mut context = Context::from_waker(&self.waker);
        // `h2` may ask for another look at once.
        for _ in 0..32 {
            self.flag.0.store(false, Ordering::Release);
            let connection = match &mut self.state {
                State::Closed => return Progress::Closed,
                State::Opening(handshake) => match Pin::new(handshake).poll(&mut context) {
                    Poll::Pending => return Progress::Waiting,
                    Poll::Ready(Ok(mut connection)) => {
                        if self.is_leaving {
                            connection.graceful_shutdown();
                        }
                        self.state = State::Open(connection);
                        continue;
                    }
                    Poll::Ready(Err(_)) => {
                        self.state = State::Closed;
                        return Progress::Closed;
                    }
                },
                State::Open(connection) => connection,
            };
            match connection.poll_accept(&mut context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.meter.request();
                    let waker = self.waker.clone();
                    return Progress::Stream(Box::new(Stream::new(request, respond, waker)));
                }
                Poll::Ready(Some(Err(_)) | None) => {
                    self.state = State::Closed;
                    return Progress::Closed;
                }
                Poll::Pending if self.flag.0.load(Ordering::Acquire) => {}
                Poll::Pending => return Progress::Waiting,
            }
        }
        Progress::Waiting
    }

    /// Whether the streams should give more to be sent.
    #[must_use]
    pub fn wants_output(&self) -> bool {
        self.pipe.wire().unsent().len() < MOST_OUTPUT / 2
    }

    /// Whether bytes wait to be sent.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.pipe.wire().unsent().is_empty()
    }

    /// Offers the bytes that wait to `send`, which says how many of them are done with.
    pub fn transmit(&mut self, send: impl FnOnce(&[u8]) -> usize) {
        let mut wire = self.pipe.wire();
        let count = send(wire.unsent());
        wire.advance(count);
        drop(wire);
        self.meter.sent(count);
    }

    /// Notes that so many items of bodies were given to be sent, each as a whole.
    pub fn sent_items(&mut self, count: u64) {
        self.meter.items(count);
    }

    /// Takes no more requests and closes when those that there are have their answers; the client is
    /// told (RFC 9113, section 6.8).
    pub fn leave(&mut self) {
        if std::mem::replace(&mut self.is_leaving, true) {
            return;
        }
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Whether it was told to [`leave`](Self::leave).
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Ends the connection, whatever is open; the client is told why.
    pub fn end(&mut self, code: Code) {
        match &mut self.state {
            State::Open(connection) => {
                connection.abrupt_shutdown(code.into());
                // Writes the GOAWAY.
                while let Progress::Stream(_) = self.advance() {}
            }
            State::Opening(_) | State::Closed => {}
        }
        self.state = State::Closed;
    }
}
