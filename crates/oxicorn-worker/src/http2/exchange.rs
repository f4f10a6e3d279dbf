//! What an exchange does otherwise when its request came on a stream of HTTP/2.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_http::h1::encode::CONTINUE;
use oxicorn_os::epoll::{Interest, wait_one};
use oxicorn_os::waker::Waker;

use super::tie::{End, Tie};
use crate::channel::{body_patience, millis};
use crate::exchange::{Beside, BodyError, Exchange, Gone, Sent};
use crate::flusher::OutputLimits;
use crate::reactor::Shared;

/// Between two looks at the connection of a call that holds up the loop and waits for its client.
const LOOK: Duration = Duration::from_millis(5);

impl Exchange {
    /// The stream that the request came on, if it did.
    pub(crate) fn tie(&self) -> Option<&Arc<Tie>> {
        match &self.beside {
            Some(Beside::Stream(tie)) => Some(tie),
            _ => None,
        }
    }

    /// Whether the client of a stream has closed its side, or does not want what it brings any more;
    /// `None` where there is no stream.
    pub(crate) fn is_stream_abandoned(&self) -> Option<bool> {
        self.look_now();
        self.tie().map(|tie| tie.is_abandoned())
    }

    /// Sends on the stream.
    #[cold]
    pub(crate) fn put(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        // A response in one piece is better sent with its end, when the call is over.
        let goes_on = self.began || self.shared.is_on_its_loop();
        self.put_by(goes_on, |tie, output, now| tie.put(parts, output, now))
    }

    /// Sends an interim response on the stream.
    pub(crate) fn inform(&self, bytes: &[u8]) {
        if let Some(tie) = self.tie() {
            tie.inform(bytes);
            self.look_now();
        }
    }

    /// Sends a part of a file on the stream.
    #[cold]
    pub(crate) fn put_file(&mut self, file: File, offset: u64, length: u64) -> Result<Sent, Gone> {
        self.put_by(true, |tie, output, now| tie.put_file(file, offset, length, output, now))
    }

    fn put_by(
        &mut self,
        at_once: bool,
        put: impl FnOnce(&Tie, &OutputLimits, u64) -> Result<Sent, Gone>,
    ) -> Result<Sent, Gone> {
        self.begin();
        let now = self.shared.clock.coarse();
        let sent = match self.tie() {
            Some(tie) if !self.broken => put(tie, &self.shared.output, now),
            _ => Err(Gone),
        };
        self.broken |= sent.is_err();
        if at_once {
            self.look_now();
        }
        sent
    }

    /// Works on the connection right here, where the loop that would do so may be what this call
    /// holds up.
    fn look_now(&self) {
        if self.shared.hosted
            && let Some(tie) = self.tie()
        {
            self.shared.look_now(tie.key());
        }
    }

    /// Waits until there is news of the stream, for half a second at most; `false` when a foreign
    /// loop wants the wait given up.
    fn await_news(&self, waker: &Waker) -> bool {
        if !self.shared.is_on_its_loop() {
            return self.shared.await_socket(waker.as_fd(), Interest::Read);
        }
        self.look_now();
        self.shared.beat_in_call();
        let _ = wait_one(waker.as_fd(), Interest::Read, LOOK);
        true
    }

    /// Waits until the client has taken enough. A client that takes nothing loses the stream.
    #[cold]
    pub(crate) fn wait_room_on_stream(&mut self) -> Result<(), Gone> {
        loop {
            let Some(tie) = self.tie() else { return Ok(()) };
            let waker = tie.waker()?;
            match tie.has_room(self.shared.output.total) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Gone) => {
                    self.broken = true;
                    return Err(Gone);
                }
            }
            if self.is_interrupted() || !self.await_news(&waker) {
                return Err(Gone);
            }
        }
    }

    /// Reads of a body that is still on its way.
    #[cold]
    pub(crate) fn read_stream(
        &mut self,
        into: &mut Vec<u8>,
        max: usize,
    ) -> Result<usize, BodyError> {
        let config = &self.shared.config;
        let reading = self.reading.get_or_insert_default();
        let left = body_patience(reading.received, config).saturating_sub(reading.waited);
        let patience = left.min(millis(config.send_timeout));
        let began = self.shared.clock.now();
        loop {
            let Some(tie) = self.tie().map(Arc::clone) else { return Ok(0) };
            let waker = tie.waker().map_err(|Gone| BodyError::Interrupted)?;
            let read = tie.read(into, max);
            self.broken |= read == Err(BodyError::Disconnected);
            let waited = self.shared.clock.now().saturating_sub(began);
            if let Some(count) = read? {
                let reading = self.reading.get_or_insert_default();
                reading.received += count as u64;
                reading.waited += waited;
                return Ok(count);
            }
            if self.expect_continue && !self.began {
                self.expect_continue = false;
                self.inform(CONTINUE);
            }
            if waited > patience {
                return Err(BodyError::TooSlow);
            }
            if self.is_interrupted() || !self.await_news(&waker) {
                return Err(BodyError::Interrupted);
            }
        }
    }
}

impl Shared {
    /// Ends the response on a stream.
    pub(crate) fn finish_stream(self: &Arc<Self>, tie: &Tie, end: End) {
        tie.finish(end);
        if self.hosted && self.draining.load(Ordering::Relaxed) {
            // A program that waits for its requests may never let the loop run again.
            self.look_now(tie.key());
        }
    }
}
