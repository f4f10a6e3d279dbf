//! HTTP/2 (RFC 9113): the `h2` crate as a machine that sees no socket.
//!
//! [`Connection`] takes in what the client sent, and gives [`Stream`]s, one for each request, and
//! bytes to be sent. `h2` believes that it reads and writes a socket; what it has is a
//! `pipe` in memory, and a waker that only notes that there is more to do, so nothing
//! here needs a runtime. Frames that cost a client nothing and us something are counted by a
//! [`Meter`] before `h2` sees them.
//!
//! A request becomes the same [`Head`](crate::Head) as one of HTTP/1, by the same rules
//! (`head.rs`), and a response comes in the text form of HTTP/1
//! (`response.rs`): whatever lies between knows one kind of each.
//!
//! One exception to the rule that a pure crate has no clock: `h2` reads it for streams that were
//! reset.

mod connection;
mod head;
mod meter;
mod pipe;
mod response;
mod stream;

pub use connection::{Connection, Limits, Progress};
pub use head::{Malformed, read_text, request_head};
pub use meter::{Flood, Meter};
pub use stream::{Arrived, Lost, Stream};

/// What a client with prior knowledge sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a stream or a connection is ended (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is done with.
    NoError,
    /// The client broke the protocol.
    ProtocolError,
    /// The application failed, or we did.
    InternalError,
    /// Nothing was done for it: the client may try again.
    RefusedStream,
    /// It is not wanted any more.
    Cancel,
    /// The client makes work for nothing.
    EnhanceYourCalm,
}

impl From<Code> for h2::Reason {
    fn from(code: Code) -> Self {
        match code {
            Code::NoError => Self::NO_ERROR,
            Code::ProtocolError => Self::PROTOCOL_ERROR,
            Code::InternalError => Self::INTERNAL_ERROR,
            Code::RefusedStream => Self::REFUSED_STREAM,
            Code::Cancel => Self::CANCEL,
            Code::EnhanceYourCalm => Self::ENHANCE_YOUR_CALM,
        }
    }
}
