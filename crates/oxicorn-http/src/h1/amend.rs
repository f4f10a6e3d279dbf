//! What the policy permits beyond the rules, put right before the parser sees it.
//!
//! The strict parser stays the only judge: here the octets of a head are rewritten in place, never
//! moved, so that what was permitted is correct afterwards. Whatever is not amended meets the
//! parser as it was sent and is refused. Two parsers that could disagree about the framing of a
//! request never exist.
//!
//! An automaton like the [`scan`](super::scan), so that it does not matter how the head is cut.
//! Octets whose fate is open (will a folded line follow?) are held back from the parser meanwhile.

use crate::{Policy, Rules};

/// How far one head was amended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amender {
    /// Offset of the next octet to look at.
    offset: usize,
    /// Where the current part begins: the version, or a field line.
    start: usize,
    /// Where the name of the current field ends.
    name_end: usize,
    /// The first octet that the parser must not see yet.
    held: Option<usize>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the request line.
    #[default]
    Start,
    Method,
    Target,
    Version,
    /// After the version.
    LineEnd,
    /// At the beginning of the first field line, which nothing can be folded into.
    FirstLine,
    /// At the beginning of a later line.
    Line,
    Name,
    /// In the white space between a name and its colon.
    NameSpace,
    Value,
    /// After the CR of a field line.
    ValueLf,
    /// In the white space at the beginning of a folded line.
    Fold,
    /// The head is over, or wrong: the rest is as it was sent.
    Over,
}

impl Policy {
    /// Whether heads may have to be amended.
    pub(super) fn amends(&self) -> bool {
        self.permit_obsolete_folding
            || self.strip_header_spaces
            || self.permit_unconventional_http_version
            || self.casefold_http_method
    }
}

impl Amender {
    /// Amends the octets that came since the last call, and says how many of all the parser may
    /// see.
    ///
    /// `input` begins where the first call's did, with what was amended there.
    pub(super) fn advance(&mut self, input: &mut [u8], rules: &Rules) -> usize {
        while self.state != State::Over && self.offset < input.len() {
            self.state = self.step(input, &rules.policy);
            self.offset += 1;
            // What is held back counts against no limit of the parser.
            let is_long =
                self.held.is_some_and(|start| self.offset - start > rules.limits.field_size);
            if is_long || self.state == State::Over {
                self.state = State::Over;
                self.held = None;
            }
        }
        self.held.unwrap_or(input.len()).min(input.len())
    }

    fn step(&mut self, input: &mut [u8], policy: &Policy) -> State {
        let octet = input[self.offset];
        match (self.state, octet) {
            (State::Start, b'\r' | b'\n') => State::Start,
            (State::Method, b' ') => State::Target,
            (State::Target, b' ') => {
                self.start = self.offset + 1;
                self.held = policy.permit_unconventional_http_version.then_some(self.start);
                State::Version
            }
            (State::LineEnd, b'\r') => State::LineEnd,
            (State::LineEnd, b'\n') => State::FirstLine,
            // An empty line ends the head.
            (State::FirstLine | State::Line, b'\r') => State::Over,
            (State::Line, b' ' | b'\t') if self.may_fold(input, policy) => State::Fold,
            (State::FirstLine | State::Line, b' ' | b'\t') => State::Over,
            (State::Name, b':') => {
                self.name_end = self.offset;
                State::Value
            }
            (State::Name, b' ' | b'\t') if policy.strip_header_spaces => {
                self.name_end = self.offset;
                self.held = Some(self.offset);
                State::NameSpace
            }
            (State::NameSpace, b' ' | b'\t') => State::NameSpace,
            (State::NameSpace, b':') => {
                // The colon and the white space change places.
                input[self.name_end..=self.offset].fill(b' ');
                input[self.name_end] = b':';
                self.held = None;
                State::Value
            }
            (State::Value, b'\r') => {
                self.held = policy.permit_obsolete_folding.then_some(self.offset);
                State::ValueLf
            }
            (State::ValueLf, b'\n') => State::Line,
            (State::Fold, b' ' | b'\t') => State::Fold,
            (_, b'\r' | b'\n') | (State::NameSpace | State::ValueLf | State::LineEnd, _) => {
                State::Over
            }
            (State::Start | State::Method, _) => {
                if policy.casefold_http_method {
                    input[self.offset].make_ascii_uppercase();
                }
                State::Method
            }
            (State::Version, _) => self.version(input, policy),
            (State::FirstLine | State::Line, _) => {
                self.start = self.offset;
                self.held = None;
                State::Name
            }
            (State::Fold, _) => {
                let line_end = self.held.take().unwrap_or(self.offset);
                input[line_end..self.offset].fill(b' ');
                State::Value
            }
            (state @ (State::Target | State::Name | State::Value | State::Over), _) => state,
        }
    }

    /// A version that is not served becomes the nearest one that is (RFC 9110, section 2.5).
    fn version(&mut self, input: &mut [u8], policy: &Policy) -> State {
        let version = &mut input[self.start..=self.offset];
        if version.len() < b"HTTP/1.1".len() {
            return State::Version;
        }
        if policy.permit_unconventional_http_version
            && let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version
            && major.is_ascii_digit()
            && minor.is_ascii_digit()
        {
            *minor = if (*major, *minor) < (b'1', b'1') { b'0' } else { b'1' };
            *major = b'1';
        }
        self.held = None;
        State::LineEnd
    }

    /// Whether the field before may go on in a further line: not if the server acts upon it, as
    /// another reader may take the first line for all of it.
    fn may_fold(&self, input: &[u8], policy: &Policy) -> bool {
        const NEVER: [&[u8]; 6] = [
            b"Connection",
            b"Content-Length",
            b"Expect",
            b"Host",
            b"Transfer-Encoding",
            b"Upgrade",
        ];
        let name = &input[self.start..self.name_end];
        policy.permit_obsolete_folding && !NEVER.iter().any(|each| name.eq_ignore_ascii_case(each))
    }
}
