//! The octets of field lines, for heads and for trailer sections alike.

use crate::Reject;
use crate::octets::{TCHAR, VALUE, is};

/// Sizes above which a field section is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldLimits {
    /// Number of lines.
    pub(super) count: usize,
    /// Octets of one line without its end.
    pub(super) line: usize,
    /// Offset that the section may not reach.
    pub(super) section: usize,
}

/// What one octet did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Part of a field name.
    Name,
    /// The colon after a name.
    Colon,
    /// Part of a value or of a line end.
    Other,
    /// The end of the empty line that ends the section.
    End,
}

/// How far the scan of a field section came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldScan {
    count: usize,
    line_start: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    #[default]
    Line,
    Name,
    Value,
    /// After the CR of a field line.
    ValueLf,
    /// After the CR of the empty line.
    EndLf,
}

impl FieldScan {
    /// Starts a section whose first octet is at this offset.
    pub(super) fn begin(&mut self, offset: usize) {
        *self = Self { line_start: offset, ..Self::default() };
    }

    /// Looks at one octet.
    pub(super) fn step(
        &mut self,
        octet: u8,
        offset: usize,
        limits: &FieldLimits,
    ) -> Result<Step, Reject> {
        if offset >= limits.section {
            return Err(Reject::FieldsTooLarge);
        }
        let is_content = matches!(self.state, State::Line | State::Name | State::Value);
        if is_content && octet != b'\r' && offset - self.line_start >= limits.line {
            return Err(Reject::FieldsTooLarge);
        }
        let (state, step) = match (self.state, octet) {
            (State::Line, b'\r') => (State::EndLf, Step::Other),
            (State::Line, b' ' | b'\t') => return bad("white space before a field name"),
            (State::Line, _) if is(octet, TCHAR) => {
                if self.count >= limits.count {
                    return Err(Reject::FieldsTooLarge);
                }
                self.count += 1;
                (State::Name, Step::Name)
            }
            (State::Name, b':') => (State::Value, Step::Colon),
            (State::Name, _) if is(octet, TCHAR) => (State::Name, Step::Name),
            (State::Line | State::Name, _) => return bad("field name is not a token"),
            (State::Value, b'\r') => (State::ValueLf, Step::Other),
            (State::Value, b'\n') => return bad("LF without CR"),
            (State::Value, _) if is(octet, VALUE) => (State::Value, Step::Other),
            (State::Value, _) => return bad("control character in a field value"),
            (State::ValueLf, b'\n') => {
                self.line_start = offset + 1;
                (State::Line, Step::Other)
            }
            (State::EndLf, b'\n') => (State::Line, Step::End),
            (State::ValueLf | State::EndLf, _) => return bad("CR without LF"),
        };
        self.state = state;
        Ok(step)
    }
}

fn bad(what: &'static str) -> Result<Step, Reject> {
    Err(Reject::BadRequest(what))
}
