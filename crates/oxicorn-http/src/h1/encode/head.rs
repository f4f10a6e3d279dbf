//! The head of a response, in one buffer.

use super::{BadResponse, BodyFraming, RequestFacts, check_field, put_decimal, put_field};
use crate::Version;
use crate::h1::framing;
use crate::octets::{is_clean_value, is_name, list};

/// A response head being written.
///
/// [`begin`](Self::begin), then [`field`](Self::field) as often as needed, then
/// [`finish`](Self::finish). The buffer is kept from one response to the next.
#[derive(Debug, Default)]
pub struct ResponseHead {
    out: Vec<u8>,
    status: u16,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
    wants_close: bool,
    has_dropped: bool,
}

impl ResponseHead {
    /// Starts over: the buffer is emptied and gets the status line.
    ///
    /// # Errors
    ///
    /// The status is refused; the application is at fault.
    pub fn begin(&mut self, version: Version, status: &[u8]) -> Result<(), BadResponse> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        *self = Self { out, ..Self::default() };
        self.status = parse_status(status)?;
        self.out.extend_from_slice(match version {
            Version::Http10 => b"HTTP/1.0 ",
            Version::Http11 => b"HTTP/1.1 ",
            // Nobody sees it but who makes frames of it.
            Version::Http2 => b"HTTP/2.0 ",
        });
        self.out.extend_from_slice(status);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Appends one field of the application. Hop-by-hop fields are left out, but for
    /// `Connection: close`, which ends the connection after this response.
    ///
    /// # Errors
    ///
    /// The field is refused; the application is at fault.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        check_field(name, value)?;
        match recognise(name) {
            Known::Connection => {
                let (mut closes, mut others) = (false, false);
                for option in list(value) {
                    let is_close = option.eq_ignore_ascii_case(b"close");
                    closes |= is_close;
                    others |= !is_close;
                }
                self.wants_close |= closes;
                self.has_dropped |= others;
            }
            Known::ContentLength => {
                // Written by `finish`, which knows whether this response may have one.
                let length = framing::digits(value).flatten().ok_or(BadResponse::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(BadResponse::ContentLength);
                }
            }
            Known::HopByHop => self.has_dropped = true,
            Known::Date => {
                self.has_date = true;
                put_field(&mut self.out, name, value);
            }
            Known::Server => {
                self.has_server = true;
                put_field(&mut self.out, name, value);
            }
            Known::Other => put_field(&mut self.out, name, value),
        }
        Ok(())
    }

    /// Appends a field of the server's own, unless the application gave one of that name.
    pub fn field_unless_given(&mut self, name: &[u8], value: &[u8]) {
        let is_given = |line: &[u8]| {
            line.split_at_checked(name.len()).is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name) && rest.starts_with(b":")
            })
        };
        if !self.out.split(|octet| *octet == b'\n').any(is_given) {
            put_field(&mut self.out, name, value);
        }
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
        self.has_dropped
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
        let (framing, length) = self.framing(request, known_length);
        // A response ends its stream in HTTP/2, and nothing else.
        let persistent = request.version == Version::Http2
            || (request.persistent && !self.wants_close && framing != BodyFraming::UntilClose);

        if let Some(server) = server.filter(|_| !self.has_server) {
            put_field(&mut self.out, b"Server", server);
        }
        if !self.has_date {
            put_field(&mut self.out, b"Date", date);
        }
        if !persistent {
            self.out.extend_from_slice(b"Connection: close\r\n");
        } else if request.version == Version::Http10 {
            self.out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        if let Some(length) = length {
            self.out.extend_from_slice(b"Content-Length: ");
            put_decimal(&mut self.out, length);
            self.out.extend_from_slice(b"\r\n");
        } else if framing == BodyFraming::Chunked {
            self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
        (framing, persistent)
    }

    /// The bytes so far; body bytes may be appended to send head and body in one go.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The framing of the body, and the Content-Length to send (RFC 9110, section 8.6).
    fn framing(
        &self,
        request: RequestFacts,
        known_length: Option<u64>,
    ) -> (BodyFraming, Option<u64>) {
        if self.status == 204 {
            return (BodyFraming::None, None);
        }
        if self.status == 304 {
            return (BodyFraming::None, self.content_length);
        }
        if request.is_head {
            // An application may yield nothing for HEAD where it has bytes for GET; a length of
            // zero that it did not claim itself could then be wrong.
            let known_length = known_length.filter(|&length| length > 0);
            return (BodyFraming::None, self.content_length.or(known_length));
        }
        match (self.content_length.or(known_length), request.version) {
            (Some(length), _) => (BodyFraming::Length(length), Some(length)),
            (None, Version::Http11) => (BodyFraming::Chunked, None),
            // In HTTP/2 that is the end of the stream.
            (None, Version::Http10 | Version::Http2) => (BodyFraming::UntilClose, None),
        }
    }
}

/// A 103 response with these fields (RFC 8297), for `wsgi.early_hints`.
///
/// Hop-by-hop fields and Content-Length are left out: there is no body here to be described.
///
/// # Errors
///
/// A field is refused; nothing was appended.
pub fn early_hints(fields: &[(&[u8], &[u8])], out: &mut Vec<u8>) -> Result<(), BadResponse> {
    for (name, value) in fields {
        check_field(name, value)?;
    }
    out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
    for (name, value) in fields {
        if matches!(recognise(name), Known::Date | Known::Server | Known::Other) {
            put_field(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `ddd SP reason`, 200 to 599. The reason may be empty, the SP may not be missing.
fn parse_status(status: &[u8]) -> Result<u16, BadResponse> {
    let (code, reason) = status.split_first_chunk::<4>().ok_or(BadResponse::Status)?;
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', units @ b'0'..=b'9', b' '] = *code else {
        return Err(BadResponse::Status);
    };
    if !is_clean_value(reason) {
        return Err(BadResponse::Status);
    }
    let digit = |octet: u8| u16::from(octet - b'0');
    match digit(hundreds) * 100 + digit(tens) * 10 + digit(units) {
        100..=199 => Err(BadResponse::Informational),
        code @ 200..=599 => Ok(code),
        _ => Err(BadResponse::Status),
    }
}

/// Fields of the application that are not just passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Connection,
    ContentLength,
    Date,
    /// Meant for one connection, which is the server's to manage (PEP 3333, "Other HTTP
    /// Features"). Never sent, so they cannot contradict the framing.
    HopByHop,
    Other,
    Server,
}

fn recognise(name: &[u8]) -> Known {
    let (candidate, known): (&[u8], Known) = match name.len() {
        2 => (b"te", Known::HopByHop),
        4 => (b"date", Known::Date),
        6 => (b"server", Known::Server),
        7 if name[0] | 0x20 == b't' => (b"trailer", Known::HopByHop),
        7 => (b"upgrade", Known::HopByHop),
        8 => (b"trailers", Known::HopByHop),
        10 if name[0] | 0x20 == b'k' => (b"keep-alive", Known::HopByHop),
        10 => (b"connection", Known::Connection),
        14 => (b"content-length", Known::ContentLength),
        16 => (b"proxy-connection", Known::HopByHop),
        17 => (b"transfer-encoding", Known::HopByHop),
        18 => (b"proxy-authenticate", Known::HopByHop),
        19 => (b"proxy-authorization", Known::HopByHop),
        _ => return Known::Other,
    };
    if is_name(name, candidate) { known } else { Known::Other }
}
