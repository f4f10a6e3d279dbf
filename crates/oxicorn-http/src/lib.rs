//! The HTTP/1 machine: bytes in, events out; response heads and framed bodies as bytes. HTTP/2
//! ([`h2`]) is taken apart into the same.
//!
//! Pure: no sockets, no Python, no clock, no logging. A driver reads bytes from a socket and offers
//! them to [`h1::Connection::receive`]; what comes back is an [`Event`] or a [`Reject`]. The head
//! that an event announces is a set of offsets into the offered bytes ([`Head`]), so a request that
//! arrives whole is parsed once and copied nowhere.
//!
//! One request and its response, as a driver sees them:
//!
//! ```
//! use oxicorn_http::h1::encode::{BodyFraming, BodyWriter, RequestFacts, ResponseHead};
//! use oxicorn_http::{Connection, Event, Head, Rules, date};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
//!
//! // The client sends a request; the last bytes are late.
//! let wire = b"POST /greet HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
//! let received = connection.receive(&wire[..30], &mut head, &rules)?;
//! assert_eq!(received.event, Event::NeedMore);
//! let received = connection.receive(wire, &mut head, &rules)?;
//! assert_eq!(received.event, Event::Head);
//! assert_eq!(head.path(wire), b"/greet");
//! let body = &wire[received.used..];
//! let received = connection.receive(body, &mut head, &rules)?;
//! assert_eq!(received.event, Event::Body(b"hello"));
//! let received = connection.receive(&body[received.used..], &mut head, &rules)?;
//! assert_eq!(received.event, Event::End);
//!
//! // The application answers.
//! let facts = RequestFacts { version: head.version, is_head: false, persistent: head.persistent };
//! let mut response = ResponseHead::default();
//! response.begin(facts.version, b"200 OK")?;
//! response.field(b"Content-Type", b"text/plain")?;
//! let (framing, persistent) = response.finish(facts, Some(2), &date::imf_fixdate(0), None);
//! assert_eq!((framing, persistent), (BodyFraming::Length(2), true));
//! let mut body = BodyWriter::new(framing);
//! body.before(2, response.buffer());
//! response.buffer().extend_from_slice(b"hi");
//! body.after(response.buffer());
//! assert!(body.finish(response.buffer()));
//! assert_eq!(
//!     response.buffer(),
//!     b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
//!       Content-Length: 2\r\n\r\nhi"
//! );
//! connection.next_request();
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod cgi;
pub mod date;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod h1;
pub mod h2;
mod head;
mod octets;
pub mod proxy;
mod reject;
mod rules;
mod trace;

pub use h1::{Connection, Event, Received};
pub use head::{Field, Framing, Head, Name, Span, Version};
pub use reject::Reject;
pub use rules::{ForwarderNames, HeaderMap, Limits, Policy, Rules};
pub use trace::TraceParent;
