//! A request refused for the client's fault: status, reason, and the fixed page to answer.

use std::fmt;

/// Why a request was refused. The connection always closes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// Syntax or framing in doubt; the text says what, for the log only: 400.
    BadRequest(&'static str),
    /// The body is larger than the limit: 413.
    BodyTooLarge,
    /// The head or the body took too long: 408.
    Timeout,
    /// The request line is longer than the limit: 414.
    RequestLineTooLong,
    /// Too many fields, or a field or the head too long: 431.
    FieldsTooLarge,
    /// An expectation other than `100-continue`: 417.
    ExpectationFailed,
    /// A method above the limit, CONNECT, or a transfer coding that is not known: 501.
    NotImplemented(&'static str),
    /// A version other than HTTP/1.0 and HTTP/1.1: 505.
    VersionNotSupported,
}

impl Reject {
    /// The status code to answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::RequestLineTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::FieldsTooLarge => 431,
            Self::NotImplemented(_) => 501,
            Self::VersionNotSupported => 505,
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRequest(what) | Self::NotImplemented(what) => what,
            Self::Timeout => "request took too long",
            Self::BodyTooLarge => "request body above the limit",
            Self::RequestLineTooLong => "request line above the limit",
            Self::ExpectationFailed => "unknown expectation",
            Self::FieldsTooLarge => "request fields above the limit",
            Self::VersionNotSupported => "protocol version not supported",
        })
    }
}

impl std::error::Error for Reject {}
