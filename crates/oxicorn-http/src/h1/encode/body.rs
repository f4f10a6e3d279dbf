//! The framed body of a response: what goes around each piece, and how many bytes may go.

/// How the end of a response body is shown to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body goes out, whatever the application yields (HEAD, 204, 304).
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked (HTTP/1.1 without a length).
    Chunked,
    /// Until the connection closes (HTTP/1.0 without a length).
    UntilClose,
}

/// Frames the body of one response and counts it.
///
/// A piece goes out as [`before`](Self::before), its bytes, [`after`](Self::after); the bytes need
/// not pass through here.
#[derive(Debug, Default)]
pub struct BodyWriter {
    framing: BodyFraming,
    sent: u64,
    /// A chunk was begun, so its CRLF is due.
    in_chunk: bool,
    is_finished: bool,
}

impl BodyWriter {
    /// A body to be framed in this way.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        Self { framing, ..Self::default() }
    }

    /// How many of the next `len` bytes may go out: fewer when Content-Length is reached.
    #[must_use]
    pub fn allowed(&self, len: u64) -> u64 {
        match self.framing {
            BodyFraming::None => 0,
            BodyFraming::Length(total) => len.min(total.saturating_sub(self.sent)),
            BodyFraming::Chunked | BodyFraming::UntilClose => len,
        }
    }

    /// Whether all is out that Content-Length promised, or there is no body.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.allowed(1) == 0
    }

    /// Appends what precedes `len` bytes of body on the wire, and counts them.
    ///
    /// For no bytes it appends nothing: a chunk of size zero would end the body.
    pub fn before(&mut self, len: u64, out: &mut Vec<u8>) {
        debug_assert!(len <= self.allowed(len), "more bytes than `allowed` said");
        self.sent = self.sent.saturating_add(len);
        self.in_chunk = self.framing == BodyFraming::Chunked && len > 0;
        if self.in_chunk {
            put_hex(out, len);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends what follows these bytes on the wire (the CRLF of a chunk).
    pub fn after(&self, out: &mut Vec<u8>) {
        if self.in_chunk {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the end of the body; `false` when bytes are missing, so the connection must close.
    ///
    /// Only for a body that the application ended itself: one that was cut short must not get the
    /// last chunk, or the client would take it for whole.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        if self.framing == BodyFraming::Chunked && !self.is_finished {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.is_finished = true;
        match self.framing {
            BodyFraming::Length(total) => self.sent == total,
            BodyFraming::None | BodyFraming::Chunked | BodyFraming::UntilClose => true,
        }
    }

    /// Body bytes so far, framing not counted.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

fn put_hex(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 16];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    out.extend_from_slice(&digits[start..]);
}
