//! HTTP/1.0 and HTTP/1.1, server side.
//!
//! ```text
//!   ┌───────────────────────── next_request() ─────────────────────────┐
//!   ▼                                                                  │
//!  Head ── Event::Head ──► Length or Chunked ── Event::End ──► Complete
//!   │                        │  ▲ Event::Body │
//!   │                        │  └─────────────┘
//!   └──────── Reject ────────┴──► Refused (nothing after it is ever parsed)
//! ```
//!
//! A request without a body passes through Length, too: nothing is missing there.
//! `amend` puts right what the policy permits, `parse` and `scan` read a head, `target`, `facts` and
//! `framing` decide what it means, `decode` takes the framing off a chunked body, [`encode`] writes
//! the response.

mod amend;
mod connection;
mod decode;
pub mod encode;
mod facts;
mod fields;
mod framing;
mod parse;
mod scan;
pub(crate) mod target;

pub use connection::{Connection, Eof, Event, Received};

use crate::{Head, Reject, Rules};

/// Reads a head that is there as a whole; what the policy permits is put right in `text`. `None` if it
/// is more or less than a head.
///
/// # Errors
///
/// It is refused.
pub fn read_head(text: &mut [u8], rules: &Rules) -> Result<Option<Head>, Reject> {
    let (mut machine, mut head) = (Connection::new(), Head::default());
    let offered = machine.amend(text, rules);
    let received = machine.receive(text.get(..offered).unwrap_or(&[]), &mut head, rules)?;
    let is_whole = received.event == Event::Head && received.used == text.len();
    Ok(is_whole.then_some(head))
}
