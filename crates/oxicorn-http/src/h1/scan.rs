//! The octets of a request head, one after the other: the judge of every head that is not plainly
//! right.
//!
//! An automaton that keeps its place, so a head that drips in is looked at once, and that refuses
//! at the first octet that cannot be right: garbage is answered before its line ends. It knows
//! syntax and limits only; what the fields mean is decided when the head is whole. Lines end in
//! CRLF and in nothing else (RFC 9112, section 2.2 allows a lone LF; smuggling lives on it).

use super::fields::{FieldLimits, FieldScan, Step};
use crate::octets::{TARGET, TCHAR, is};
use crate::{Limits, Reject};

/// How far the scan of one head came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadScan {
    /// Offset of the next octet to look at.
    offset: usize,
    /// Octets of the current part: the method, the version, or the number of empty lines.
    seen: usize,
    /// Where the request line begins.
    line_start: usize,
    state: State,
    fields: FieldScan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the request line; `seen` empty lines were skipped.
    #[default]
    Start,
    /// After the CR of an empty line before the request line.
    StartLf,
    Method,
    /// After the SP that ends the method.
    TargetStart,
    Target,
    /// Inside `HTTP/1.x`, of which `seen` octets are there.
    Version,
    /// After the version.
    LineCr,
    /// After the CR of the request line.
    LineLf,
    Fields,
}

impl HeadScan {
    /// Whether nothing was scanned yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.offset == 0
    }

    /// Looks at the octets that came since the last call; `Some` is the length of the whole head.
    ///
    /// `input` begins where the first call's did.
    pub(super) fn advance(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, Reject> {
        let field_limits = FieldLimits {
            count: limits.fields,
            line: limits.field_size,
            section: limits.head.min(u32::MAX as usize),
        };
        while let Some(&octet) = input.get(self.offset) {
            if self.state == State::Fields {
                let step = self.fields.step(octet, self.offset, &field_limits)?;
                self.offset += 1;
                if step == Step::End {
                    return Ok(Some(self.offset));
                }
            } else {
                self.request_line(octet, limits, field_limits.section)?;
                self.offset += 1;
            }
        }
        Ok(None)
    }

    fn request_line(&mut self, octet: u8, limits: &Limits, head: usize) -> Result<(), Reject> {
        let is_content =
            !matches!(self.state, State::Start | State::StartLf | State::LineCr | State::LineLf);
        let is_long =
            is_content && octet != b'\r' && self.offset - self.line_start >= limits.request_line;
        if is_long || self.offset >= head {
            return Err(Reject::RequestLineTooLong);
        }
        self.state = match (self.state, octet) {
            (State::Start, b'\r') if self.seen < EMPTY_LINES => State::StartLf,
            (State::Start, b'\r') => return bad("empty lines before the request line"),
            (State::Start, _) if is(octet, TCHAR) => {
                self.line_start = self.offset;
                self.seen = 1;
                State::Method
            }
            (State::Start, _) => return bad("request does not begin with a method"),
            (State::StartLf, b'\n') => {
                self.seen += 1;
                State::Start
            }
            (State::Method, b' ') => State::TargetStart,
            (State::Method, _) if !is(octet, TCHAR) => return bad("method is not a token"),
            (State::Method, _) if self.seen >= limits.method => {
                return Err(Reject::NotImplemented("method above the limit"));
            }
            (State::Method, _) => {
                self.seen += 1;
                State::Method
            }
            (State::TargetStart | State::Target, _) if is(octet, TARGET) => State::Target,
            (State::Target, b' ') => {
                self.seen = 0;
                State::Version
            }
            (State::Target, b'\r' | b'\n') => return bad("request line without version"),
            (State::TargetStart | State::Target, _) => {
                return bad("byte not allowed in the target");
            }
            (State::Version, _) => {
                check_version(self.seen, octet)?;
                self.seen += 1;
                if self.seen == VERSION.len() { State::LineCr } else { State::Version }
            }
            (State::LineCr, b'\r') => State::LineLf,
            (State::LineCr, _) => return bad("request line does not end after the version"),
            (State::LineLf, b'\n') => {
                self.fields.begin(self.offset + 1);
                State::Fields
            }
            (State::StartLf | State::LineLf, _) => return bad("CR without LF"),
            (State::Fields, _) => State::Fields,
        };
        Ok(())
    }
}

/// Checks one octet of `HTTP/1.0` or `HTTP/1.1`: other digits are other versions.
fn check_version(at: usize, octet: u8) -> Result<(), Reject> {
    let is_right =
        if at == VERSION.len() - 1 { matches!(octet, b'0' | b'1') } else { octet == VERSION[at] };
    match octet {
        _ if is_right => Ok(()),
        b'0'..=b'9' if VERSION[at].is_ascii_digit() => Err(Reject::VersionNotSupported),
        _ => bad("malformed protocol version"),
    }
}

fn bad(what: &'static str) -> Result<(), Reject> {
    Err(Reject::BadRequest(what))
}

const VERSION: &[u8; 8] = b"HTTP/1.1";
/// Empty lines that may precede a request line (RFC 9112, section 2.2 asks for one at least).
const EMPTY_LINES: usize = 4;
