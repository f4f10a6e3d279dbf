//! Responses as bytes: the head, checked while it is written, and the framed body.
//!
//! The head is built in one buffer: status line and the application's fields when it calls
//! `start_response`, the server's own fields when the first body bytes are known. Nothing that the
//! application gives can put CR, LF or NUL on the wire.

mod body;
mod head;
mod page;

use crate::Version;
use crate::octets::{is_clean_value, is_token};

pub use body::{BodyFraming, BodyWriter};
pub use head::{ResponseHead, early_hints};
pub use page::error_page;

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

impl std::fmt::Display for BadResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Status => "status is not three digits from 200 to 599, a space and a reason",
            Self::Informational => "an application cannot send a 1xx status",
            Self::FieldName => "field name is not a token",
            Self::FieldValue => "control character in a field value",
            Self::ContentLength => "Content-Length is repeated or not a decimal number",
        })
    }
}

impl std::error::Error for BadResponse {}

/// The interim response that lets a client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Checks one field of the application before any byte of it is written.
fn check_field(name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
    if !is_token(name) {
        return Err(BadResponse::FieldName);
    }
    if !is_clean_value(value) {
        return Err(BadResponse::FieldValue);
    }
    Ok(())
}

/// Appends one field line.
fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + b": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
fn put_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
