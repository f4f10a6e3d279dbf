//! The HTTP/1 machine: bytes in, events out; response heads and framed bodies as bytes.
//!
//! Pure: no sockets, no Python, no clock, no logging. A driver reads bytes from a socket and offers
//! them to [`h1::Connection::receive`]; what comes back is an [`Event`] or a [`Reject`]. The head
//! that an event announces is a set of offsets into the offered bytes ([`Head`]), so a request that
//! arrives whole is parsed once and copied nowhere.
#![forbid(unsafe_code)]

pub mod cgi;
pub mod date;
pub mod h1;
mod head;
mod octets;
mod reject;
mod rules;

pub use h1::{Connection, Event, Received};
pub use head::{Field, Framing, Head, Name, Span, Version};
pub use reject::Reject;
pub use rules::{HeaderMap, Limits, Policy, Rules};
