//! Chunked bodies: framing octets out, data through (RFC 9112, section 7.1).
//!
//! An automaton that uses up every octet it is offered, so nothing of a body needs to be kept.
//!
//! ```text
//!   Size ──► Spaces ──► Extension          data left           ┌──── size 0 ────► Trailers ──► end
//!    ▲ └────────┬──────────┘ CR                                │
//!    │          ▼                                              │
//!    │        SizeLf ───────────► Data ──► DataCr ──► DataLf   │
//!    │          └──────────────────────────────────────────────┘
//!    └──────────────────────────────────────────────┘
//! ```

use super::fields::{FieldLimits, FieldScan, Step};
use crate::cgi::hex;
use crate::octets::{VALUE, is};
use crate::{Limits, Reject};

/// What a chunked body came to after some octets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'i> {
    /// All octets are used and say nothing yet.
    NeedMore,
    /// Data, and the number of octets used up to its end.
    Data(&'i [u8], usize),
    /// The end of the body, and the number of octets used.
    End(usize),
}

/// A chunked body being received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Digits of the chunk size.
    digits: u8,
    /// The chunk size; inside data, what is left of it.
    size: u64,
    /// Data octets announced so far.
    total: u64,
    /// Octets of the extensions of this chunk, and of all.
    extension: usize,
    extensions: usize,
    trailers: Trailers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Spaces,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

impl Chunked {
    /// Goes on with the body; called again with what was not used.
    pub(super) fn advance<'i>(
        &mut self,
        input: &'i [u8],
        limits: &Limits,
    ) -> Result<Decoded<'i>, Reject> {
        for (at, &octet) in input.iter().enumerate() {
            match self.state {
                State::Data => {
                    let rest = &input[at..];
                    let len = usize::try_from(self.size).map_or(rest.len(), |s| s.min(rest.len()));
                    self.size -= len as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Decoded::Data(&rest[..len], at + len));
                }
                State::Trailers => {
                    if self.trailers.step(octet, limits)? == Step::End {
                        return Ok(Decoded::End(at + 1));
                    }
                }
                _ => self.framing(octet, limits)?,
            }
        }
        Ok(Decoded::NeedMore)
    }

    fn framing(&mut self, octet: u8, limits: &Limits) -> Result<(), Reject> {
        self.state = match (self.state, octet) {
            (State::Size, _) if hex(octet).is_some() => {
                if self.digits == SIZE_DIGITS {
                    return bad("chunk size of more than 16 digits");
                }
                self.digits += 1;
                self.size = self.size << 4 | u64::from(hex(octet).unwrap_or_default());
                State::Size
            }
            (State::Size, _) if self.digits == 0 => return bad("missing chunk size"),
            (State::Size | State::Extension, b'\r') => {
                self.total = self
                    .total
                    .checked_add(self.size)
                    .filter(|&total| total <= limits.body)
                    .ok_or(Reject::BodyTooLarge)?;
                State::SizeLf
            }
            (State::Size | State::Spaces, b' ' | b'\t') => {
                self.count_extension(limits)?;
                State::Spaces
            }
            (State::Size | State::Spaces, b';') => {
                self.count_extension(limits)?;
                State::Extension
            }
            (State::Size | State::Spaces, _) => return bad("invalid chunk size"),
            (State::Extension, _) if is(octet, VALUE) => {
                self.count_extension(limits)?;
                State::Extension
            }
            (State::Extension, _) => return bad("control character in a chunk extension"),
            (State::SizeLf, b'\n') if self.size == 0 => State::Trailers,
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                self.extension = 0;
                State::Data
            }
            (State::SizeLf, _) => return bad("CR without LF after a chunk size"),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr | State::DataLf, _) => return bad("chunk data not followed by CRLF"),
            (state @ (State::Data | State::Trailers), _) => state,
        };
        Ok(())
    }

    fn count_extension(&mut self, limits: &Limits) -> Result<(), Reject> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > limits.chunk_extension || self.extensions > limits.chunk_extensions {
            return Err(Reject::BadRequest("chunk extensions above the limit"));
        }
        Ok(())
    }
}

/// The trailer section: checked like the fields of a head, then forgotten.
///
/// Trailers are never merged into the head. Those that could change what the head said are refused,
/// as their sender means to deceive somebody (RFC 9110, section 6.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trailers {
    scan: FieldScan,
    offset: usize,
    /// The current name in lower case, as far as a forbidden one can be long.
    name: [u8; NAME_ROOM],
    name_len: usize,
}

impl Trailers {
    fn step(&mut self, octet: u8, limits: &Limits) -> Result<Step, Reject> {
        let limits = FieldLimits {
            count: limits.trailer_fields,
            line: limits.field_size,
            section: limits.trailers,
        };
        let step = self.scan.step(octet, self.offset, &limits)?;
        self.offset += 1;
        match step {
            Step::Name => {
                if let Some(room) = self.name.get_mut(self.name_len) {
                    *room = octet.to_ascii_lowercase();
                }
                self.name_len += 1;
            }
            Step::Colon => {
                let name = self.name.get(..self.name_len).unwrap_or_default();
                if FORBIDDEN.contains(&name) {
                    return Err(Reject::BadRequest("forbidden trailer"));
                }
                self.name_len = 0;
            }
            Step::End | Step::Other => {}
        }
        Ok(step)
    }
}

fn bad(what: &'static str) -> Result<(), Reject> {
    Err(Reject::BadRequest(what))
}

const FORBIDDEN: [&[u8]; 6] =
    [b"authorization", b"content-length", b"host", b"te", b"trailer", b"transfer-encoding"];
const NAME_ROOM: usize = b"transfer-encoding".len();
/// Digits of the largest size that fits in 64 bits.
const SIZE_DIGITS: u8 = 16;
