//! HTTP/1.0 and HTTP/1.1, server side.
//!
//! ```text
//!          head        body              end            next_request()
//!   Head ───────► Body ─────► … Body ───────► Complete ───────────────► Head
//!     └── any Reject ──► Refused (nothing after it is ever parsed)
//! ```

mod connection;
mod decode;
pub mod encode;
mod facts;
mod fields;
mod framing;
mod parse;
mod scan;
mod target;

pub use connection::{Connection, Eof, Event, Received};
