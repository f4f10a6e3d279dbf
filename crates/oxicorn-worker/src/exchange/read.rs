//! A request's body on its way in, where it streams: the application was called at the head.

use std::os::fd::AsFd;

use oxicorn_http::h1::encode::CONTINUE;
use oxicorn_http::{Event, Head, Reject};
use oxicorn_os::epoll::Interest;
use oxicorn_os::stream::Moved;

use super::Exchange;
use crate::channel::{body_patience, millis};

/// Bytes read at a time while a body streams.
const STREAM_READ: usize = 64 * 1024;

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The client closed or reset the connection inside the body.
    Disconnected,
    /// The framing is broken; what follows is never parsed.
    Malformed(&'static str),
    /// The body is larger than the limit.
    TooLarge,
    /// The client was too slow.
    TooSlow,
    /// The request was interrupted, or a foreign loop wanted the wait given up; reading may go on.
    Interrupted,
}

/// How far the reading of a body is that streams.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Bytes that were taken out of their framing, and not read yet.
    decoded: Vec<u8>,
    /// Bytes of the body that came, and the milliseconds they were waited for.
    pub(crate) received: u64,
    pub(crate) waited: u64,
}

impl Exchange {
    /// Appends up to `max` body bytes to `into` and says how many; 0 at the end of the body.
    ///
    /// Only for a streaming body. Blocks until there is at least one byte: release the interpreter
    /// before. Sends `100 Continue` first when the client waits for it and no response was begun.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; the body is never presented as complete then.
    pub fn read_body(&mut self, into: &mut Vec<u8>, max: usize) -> Result<usize, BodyError> {
        if self.tie().is_some() {
            return self.read_stream(into, max);
        }
        let mut head = Head::default();
        loop {
            let reading = self.reading.get_or_insert_default();
            if !reading.decoded.is_empty() {
                let count = max.min(reading.decoded.len());
                into.extend(reading.decoded.drain(..count));
                return Ok(count);
            }
            let channel = &mut *self.channel;
            let rules = &self.shared.config.rules;
            let received = channel.machine.receive(&channel.carry, &mut head, rules);
            let received = received.map_err(body_error)?;
            let used = received.used;
            match received.event {
                Event::Body(bytes) => reading.decoded.extend_from_slice(bytes),
                Event::End => {
                    channel.carry.drain(..used);
                    return Ok(0);
                }
                Event::NeedMore | Event::Head if channel.machine.is_complete() => return Ok(0),
                Event::NeedMore | Event::Head => {
                    channel.carry.drain(..used);
                    self.receive_more()?;
                    continue;
                }
            }
            channel.carry.drain(..used);
        }
    }

    /// Waits for bytes from the client and adds them to what was read ahead.
    fn receive_more(&mut self) -> Result<(), BodyError> {
        if self.expect_continue && !self.began {
            self.expect_continue = false;
            self.channel.stream.say(CONTINUE);
        }
        let channel = &mut *self.channel;
        let reading = self.reading.get_or_insert_default();
        let start = channel.carry.len();
        let config = &self.shared.config;
        let left = body_patience(reading.received, config).saturating_sub(reading.waited);
        let patience = left.min(millis(config.send_timeout));
        let began = self.shared.clock.now();
        loop {
            channel.carry.resize(start + STREAM_READ, 0);
            let moved = channel.stream.read(channel.carry.get_mut(start..).unwrap_or_default());
            let count = if let Moved::Bytes(count) = moved { count } else { 0 };
            channel.carry.truncate(start + count);
            match moved {
                Moved::Bytes(0) | Moved::Broken => {
                    self.broken = true;
                    return Err(BodyError::Disconnected);
                }
                Moved::Bytes(_) => {
                    reading.received += count as u64;
                    reading.waited += self.shared.clock.now().saturating_sub(began);
                    return Ok(());
                }
                Moved::NotNow => {}
            }
            if self.shared.clock.now().saturating_sub(began) > patience {
                return Err(BodyError::TooSlow);
            }
            let interrupted = self.deadline.as_ref().is_some_and(|limit| limit.is_interrupted());
            if interrupted || !self.shared.await_socket(channel.stream.as_fd(), Interest::Read) {
                return Err(BodyError::Interrupted);
            }
        }
    }
}

/// A refused body as the application's read sees it.
fn body_error(reject: Reject) -> BodyError {
    match reject {
        Reject::BodyTooLarge => BodyError::TooLarge,
        Reject::BadRequest(what) => BodyError::Malformed(what),
        _ => BodyError::Malformed("bad trailers"),
    }
}
