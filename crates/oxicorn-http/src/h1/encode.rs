//! Responses as bytes: the head, checked while it is written, and the framed body.
//!
//! The head is built in one buffer: status line and the application's fields when it calls
//! `start_response`, the server's own fields when the first body bytes are known.

use crate::Version;

/// What a response must know of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The request's version; the response never uses chunked framing on 1.0.
    pub version: Version,
    /// Whether the method was HEAD.
    pub is_head: bool,
    /// Whether the connection may be kept, as far as request and server are concerned.
    pub persistent: bool,
}

/// Why a status or a field of the application is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadResponse {
    /// The status is not `ddd SP reason` with 200 to 599, or its reason has control characters.
    Status,
    /// A 1xx status.
    Informational,
    /// A field name that is not a token.
    FieldName,
    /// A field value with CR, LF, NUL or another control character but HTAB.
    FieldValue,
    /// A Content-Length that is not digits only, or a second one.
    ContentLength,
}

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

/// A response head being written.
#[derive(Debug, Default)]
pub struct ResponseHead {
    out: Vec<u8>,
    status: u16,
    content_length: Option<u64>,
}

impl ResponseHead {
    /// Starts over: the buffer is emptied and gets the status line.
    ///
    /// # Errors
    ///
    /// The status is refused; the application is at fault.
    pub fn begin(&mut self, version: Version, status: &[u8]) -> Result<(), BadResponse> {
        let _ = (version, status);
        self.out.clear();
        Ok(())
    }

    /// Appends one field of the application. Hop-by-hop fields are left out, but for
    /// `Connection: close`, which ends the connection after this response.
    ///
    /// # Errors
    ///
    /// The field is refused; the application is at fault.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        let _ = (name, value);
        Ok(())
    }

    /// The status code given to [`begin`](Self::begin).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The application's Content-Length, if it gave one.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether some fields were left out because they are hop-by-hop (for one warning).
    #[must_use]
    pub fn dropped_fields(&self) -> bool {
        false
    }

    /// Appends the server's fields and the empty line, and decides how the body is framed.
    ///
    /// `known_length` is the length of the whole body where the caller knows it (a list of one
    /// item) and the application said nothing. `date` is an IMF-fixdate. Returns the framing and
    /// whether the connection stays.
    pub fn finish(
        &mut self,
        request: RequestFacts,
        known_length: Option<u64>,
        date: &[u8],
        server: Option<&[u8]>,
    ) -> (BodyFraming, bool) {
        let _ = (request, known_length, date, server);
        (BodyFraming::None, false)
    }

    /// The bytes so far; body bytes may be appended to send head and body in one go.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

/// The interim response that lets a client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Frames the body of one response and counts it.
#[derive(Debug, Default)]
pub struct BodyWriter {
    framing: BodyFraming,
    sent: u64,
}

impl BodyWriter {
    /// A body to be framed in this way.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        Self { framing, sent: 0 }
    }

    /// How many of the next `len` bytes may go out: fewer when Content-Length is reached.
    #[must_use]
    pub fn allowed(&self, len: u64) -> u64 {
        let _ = self.framing;
        len
    }

    /// Appends what precedes `len` bytes of body on the wire, and counts them.
    pub fn before(&mut self, len: u64, out: &mut Vec<u8>) {
        let _ = out;
        self.sent += len;
    }

    /// Appends what follows these bytes on the wire (the CRLF of a chunk).
    pub fn after(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Appends the end of the body; `false` when bytes are missing, so the connection must close.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        true
    }

    /// Body bytes so far, framing not counted.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// A whole response of fixed text for a refused request or a failed application: status line,
/// Date, `Connection: close`, Content-Type, Content-Length and a short page without any byte of the request.
/// With `is_head` the page itself is left out.
pub fn error_page(
    status: u16,
    is_head: bool,
    date: &[u8],
    server: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let _ = (status, is_head, date, server, out);
}

/// A 103 response with these fields (RFC 8297), for `wsgi.early_hints`.
///
/// # Errors
///
/// A field is refused; nothing was appended.
pub fn early_hints(fields: &[(&[u8], &[u8])], out: &mut Vec<u8>) -> Result<(), BadResponse> {
    let _ = (fields, out);
    Ok(())
}
