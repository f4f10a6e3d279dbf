//! What an exchange does otherwise when its request came on a stream of HTTP/2.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use oxicorn_http::h1::encode::CONTINUE;
use oxicorn_os::epoll::Interest;

use super::tie::Tie;
use crate::channel::{body_patience, millis};
use crate::exchange::{Beside, BodyError, Exchange, Gone, Sent};

impl Exchange {
    /// The stream that the request came on, if it did.
    pub(crate) fn tie(&self) -> Option<&Arc<Tie>> {
        match &self.beside {
            Some(Beside::Stream(tie)) => Some(tie),
            _ => None,
        }
    }

    /// Sends on the stream.
    #[cold]
    pub(crate) fn put(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        let goes_on = self.began;
        self.begin();
        let now = self.shared.clock.coarse();
        let sent = match self.tie() {
            Some(tie) if !self.broken => tie.put(parts, &self.shared.output, now),
            _ => Err(Gone),
        };
        self.broken |= sent.is_err();
        self.look_now(goes_on);
        sent
    }

    /// Sends what was put, where the loop that would do so runs on this thread: a call that goes on
    /// may never let it.
    fn look_now(&self, goes_on: bool) {
        if goes_on
            && self.is_foreign()
            && let Some(tie) = self.tie()
        {
            self.shared.look_now(tie.key());
        }
    }

    /// Sends a part of a file on the stream.
    #[cold]
    pub(crate) fn put_file(&mut self, file: File, offset: u64, length: u64) -> Result<Sent, Gone> {
        self.begin();
        let now = self.shared.clock.coarse();
        let sent = match self.tie() {
            Some(tie) if !self.broken => {
                tie.put_file(file, offset, length, &self.shared.output, now)
            }
            _ => Err(Gone),
        };
        self.broken |= sent.is_err();
        self.look_now(true);
        sent
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
            if self.is_interrupted() || !self.shared.await_socket(waker.as_fd(), Interest::Read) {
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
                tie.inform(CONTINUE);
            }
            if waited > patience {
                return Err(BodyError::TooSlow);
            }
            if self.is_interrupted() || !self.shared.await_socket(waker.as_fd(), Interest::Read) {
                return Err(BodyError::Interrupted);
            }
        }
    }
}
