//! One request with its response, as the thread that runs the application sees it.
//!
//! The exchange owns the connection while the application runs: nobody else reads from it.
//! Whatever is sent is taken at once: what the socket does not take is kept and flushed by
//! whoever polls, so a slow client never holds the thread that runs the application.

use std::fs::File;

use oxicorn_http::h1::encode::RequestFacts;

/// The client is gone (or was cut off for being too slow); the response cannot be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Where sent bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// Taken by the socket, or kept within the limits: go on.
    Taken,
    /// Kept, but the limit is reached: call [`Exchange::wait_room`] before sending more.
    Full,
}

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
}

/// One request with its response.
#[derive(Debug)]
pub struct Exchange {
    facts: RequestFacts,
}

impl Exchange {
    /// What the response must know of its request.
    #[must_use]
    pub fn facts(&self) -> RequestFacts {
        self.facts
    }

    /// The Date field's value now, cached by the second.
    #[must_use]
    pub fn date(&self) -> [u8; 29] {
        oxicorn_http::date::imf_fixdate(0)
    }

    /// The value of the Server field, if one is sent.
    #[must_use]
    pub fn server_header(&self) -> Option<&[u8]> {
        None
    }

    /// Sends bytes that are framed already.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send(&mut self, bytes: &[u8]) -> Result<Sent, Gone> {
        let _ = bytes;
        Err(Gone)
    }

    /// Sends several pieces in order with one call, without joining them first.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_parts(&mut self, parts: &[&[u8]]) -> Result<Sent, Gone> {
        let _ = parts;
        Err(Gone)
    }

    /// Sends `length` bytes of a file from `offset` by the kernel; the file is kept open (a duplicate of its
    /// descriptor) until they are out, and its own position is not moved.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is.
    pub fn send_file(&mut self, file: File, offset: u64, length: u64) -> Result<Sent, Gone> {
        let _ = (file, offset, length);
        Err(Gone)
    }

    /// Blocks until there is room again after [`Sent::Full`]. Release the interpreter before.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is, or took nothing for the time limit.
    pub fn wait_room(&mut self) -> Result<(), Gone> {
        Err(Gone)
    }

    /// Appends up to `max` body bytes to `into` and says how many; 0 at the end of the body.
    ///
    /// Only for a streaming body. Blocks until there is at least one byte: release the interpreter
    /// before. Sends `100 Continue` first when the client waits for it and no response was begun.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; the body is never presented as complete then.
    pub fn read_body(&mut self, into: &mut Vec<u8>, max: usize) -> Result<usize, BodyError> {
        let _ = (into, max);
        Ok(0)
    }

    /// Notes the response's status for the access log and the counters.
    pub fn set_status(&mut self, status: u16) {
        let _ = status;
    }

    /// The names of request environ keys, and of response fields, that the access log wants:
    /// see [`keep`](Self::keep).
    #[must_use]
    pub fn wants_response_fields(&self) -> bool {
        false
    }

    /// Ends the response: `body_bytes` of body went out, and the connection stays if `persistent`.
    ///
    /// Not calling it (or `persistent == false`) closes the connection; an incomplete response
    /// must always be closed so that the client sees the cut.
    pub fn finish(&mut self, body_bytes: u64, persistent: bool) {
        let _ = (body_bytes, persistent);
    }
}
