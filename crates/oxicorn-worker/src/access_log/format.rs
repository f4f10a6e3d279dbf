//! The format of access lines: Python's `%(name)s` notation, compiled once.

use std::fmt;
use std::io::Write as _;

use super::AccessRecord;
use super::atom::{Atom, last_field};
use crate::json::Object;

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFormat {
    segments: Vec<Segment>,
    is_json: bool,
    needs: AccessNeeds,
}

/// What a format wants to know of an exchange beyond the cheap facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessNeeds {
    /// Fields of the request: [`AccessRecord::head`].
    pub request_fields: bool,
    /// Fields of the response: [`AccessRecord::response_fields`].
    pub response_fields: bool,
    /// The wall clock: [`AccessRecord::unix_secs`].
    pub wall_clock: bool,
    /// How long it took: [`AccessRecord::duration`].
    pub duration: bool,
    /// What names the request: [`AccessRecord::about`].
    pub about: bool,
    /// Keys of environ in lower case, to be compared without regard to case; their values go into
    /// [`AccessRecord::environ`] in this order.
    pub environ: Vec<String>,
}

impl AccessFormat {
    /// Compiles a format of gunicorn's notation: `%(name)s` with Python's flags, width and
    /// precision, where `d`, `i`, `u`, `x` and `f` go with atoms that are numbers.
    ///
    /// # Errors
    ///
    /// The text is not of that notation: the operator's fault.
    pub fn compile(text: &str) -> Result<Self, FormatError> {
        // One exchange is one line, whatever the operator typed.
        if text.contains(['\n', '\r']) {
            return Err(FormatError::LineBreak);
        }
        let (mut segments, mut needs) = (Vec::new(), AccessNeeds::default());
        let mut literal = String::new();
        let mut left = text;
        while let Some((before, after)) = left.split_once('%') {
            literal.push_str(before);
            let at = text.len() - after.len() - 1;
            if let Some(rest) = after.strip_prefix('%') {
                literal.push('%');
                left = rest;
                continue;
            }
            let (name, rest) = split_name(after).ok_or(FormatError::NoName { at })?;
            let atom = Atom::parse(name, &mut needs.environ);
            needs.add(&atom);
            let (layout, conversion, rest) = Layout::parse(rest).ok_or(FormatError::Cut { at })?;
            let show = match conversion {
                's' => Show::Text,
                'd' | 'i' | 'u' | 'x' | 'f' if !atom.is_number() => {
                    return Err(FormatError::NotANumber { name: name.to_owned(), conversion });
                }
                'd' | 'i' | 'u' => Show::Decimal,
                'x' => Show::Hexadecimal,
                'f' => Show::Fixed,
                _ => return Err(FormatError::Conversion { name: name.to_owned(), conversion }),
            };
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal).into()));
            }
            segments.push(if show == Show::Text && layout == Layout::default() {
                Segment::Atom(atom)
            } else {
                Segment::Formatted(atom, show, layout)
            });
            left = rest;
        }
        literal.push_str(left);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal.into()));
        }
        Ok(Self { segments, is_json: false, needs })
    }

    /// One JSON object for each exchange, with keys of our own.
    #[must_use]
    pub fn json() -> Self {
        let needs = AccessNeeds {
            request_fields: true,
            wall_clock: true,
            duration: true,
            about: true,
            ..AccessNeeds::default()
        };
        Self { segments: Vec::new(), is_json: true, needs }
    }

    /// What to collect of each exchange.
    #[must_use]
    pub fn needs(&self) -> &AccessNeeds {
        &self.needs
    }

    /// Appends the line for one finished exchange, without the newline.
    ///
    /// What a client chose (path, field, user name) is escaped on the way in, so one request can
    /// never write two lines. A value that is not there is `-`.
    pub fn write(&self, record: &AccessRecord<'_>, line: &mut Vec<u8>) {
        if self.is_json {
            write_json(record, line);
        }
        for segment in &self.segments {
            match segment {
                Segment::Atom(atom) => atom.write(record, line),
                Segment::Formatted(atom, show, layout) => layout.write(atom, *show, record, line),
                Segment::Literal(text) => line.extend_from_slice(text.as_bytes()),
            }
        }
    }
}

fn write_json(record: &AccessRecord<'_>, line: &mut Vec<u8>) {
    let field = |name: &[u8]| {
        record.head.and_then(|(head, bytes)| last_field(head, bytes, name)).unwrap_or_default()
    };
    Object::begin(line)
        .time("time", record.unix_secs)
        .number("pid", record.pid)
        .known("client", record.remote_addr)
        .known("method", record.method)
        .known("path", record.path)
        .known("query", record.query)
        .known("protocol", record.protocol)
        .number("status", record.status)
        .number("bytes", record.body_bytes)
        .number("duration_us", record.duration.as_micros())
        .known("host", field(b"host"))
        .known("referer", field(b"referer"))
        .known("user_agent", field(b"user-agent"))
        .about(record.about)
        .end();
}

impl AccessNeeds {
    fn add(&mut self, atom: &Atom) {
        match atom {
            Atom::Referer | Atom::RequestField(_) | Atom::User | Atom::UserAgent => {
                self.request_fields = true;
            }
            Atom::About(_) => self.about = true,
            Atom::ResponseField(_) => self.response_fields = true,
            Atom::Time => self.wall_clock = true,
            Atom::DecimalSeconds | Atom::Microseconds | Atom::Milliseconds | Atom::Seconds => {
                self.duration = true;
            }
            Atom::BodyBytes
            | Atom::Environ(_)
            | Atom::Method
            | Atom::Missing
            | Atom::Path
            | Atom::Pid
            | Atom::Protocol
            | Atom::Query
            | Atom::RemoteAddr
            | Atom::RequestLine
            | Atom::Status => {}
        }
    }
}

/// What is wrong with a format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// A conversion that has no meaning here.
    Conversion {
        /// The atom.
        name: String,
        /// The letter after it.
        conversion: char,
    },
    /// The text ends inside an atom.
    Cut {
        /// Byte offset of its `%`.
        at: usize,
    },
    /// A line break.
    LineBreak,
    /// A `%` without `(name)`.
    NoName {
        /// Its byte offset.
        at: usize,
    },
    /// A number is asked of an atom that is none.
    NotANumber {
        /// The atom.
        name: String,
        /// The letter after it.
        conversion: char,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversion { name, conversion } => {
                write!(f, "expected `s` or `d` after the atom, got `%({name}){conversion}`")
            }
            Self::Cut { at } => write!(f, "the atom is not complete, at byte {at}"),
            Self::LineBreak => f.write_str("a line break would make two lines of one request"),
            Self::NoName { at } => {
                write!(f, "expected `%(name)s`, or `%%` for a percent sign, at byte {at}")
            }
            Self::NotANumber { name, conversion } => {
                write!(f, "the atom is not a number: `%({name}){conversion}`; use `%({name})s`")
            }
        }
    }
}

impl std::error::Error for FormatError {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Atom(Atom),
    Formatted(Atom, Show, Layout),
    Literal(Box<str>),
}

/// The conversion of an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Decimal,
    Fixed,
    Hexadecimal,
    Text,
}

/// Flags, width and precision of Python's notation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layout {
    is_left: bool,
    is_zero_padded: bool,
    /// What precedes a number that is not negative: `+` or a space.
    sign: Option<u8>,
    width: usize,
    precision: Option<usize>,
}

impl Layout {
    /// Takes what stands between the name and the conversion, and the conversion; returns the rest.
    fn parse(text: &str) -> Option<(Self, char, &str)> {
        let mut layout = Self::default();
        let mut rest = text;
        while let Some(flag @ ('-' | '0' | '+' | ' ' | '#')) = rest.chars().next() {
            match flag {
                '-' => layout.is_left = true,
                '0' => layout.is_zero_padded = true,
                '+' => layout.sign = Some(b'+'),
                ' ' => layout.sign = layout.sign.or(Some(b' ')),
                _ => {}
            }
            rest = rest.get(1..)?;
        }
        (layout.width, rest) = split_number(rest)?;
        if let Some(precise) = rest.strip_prefix('.') {
            let (precision, after) = split_number(precise)?;
            layout.precision = Some(precision);
            rest = after;
        }
        // Python takes C's length letters and ignores them.
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        let conversion = rest.chars().next()?;
        Some((layout, conversion, rest.get(conversion.len_utf8()..)?))
    }

    fn write(self, atom: &Atom, show: Show, record: &AccessRecord<'_>, line: &mut Vec<u8>) {
        let start = line.len();
        let number = if show == Show::Text { None } else { atom.number(record) };
        line.extend(self.sign.filter(|_| number.is_some()));
        let digits = line.len();
        // Writing to a `Vec` cannot fail.
        let _ = match (number, show) {
            (Some(number), Show::Fixed) if self.precision != Some(0) => {
                write!(line, "{number}.{:0<1$}", "", self.precision.unwrap_or(6))
            }
            (Some(number), Show::Hexadecimal) => {
                write!(line, "{number:00$x}", self.precision.unwrap_or(0))
            }
            (Some(number), _) => write!(line, "{number:00$}", self.precision.unwrap_or(0)),
            (None, _) => {
                atom.write(record, line);
                line.truncate(start.saturating_add(self.precision.unwrap_or(usize::MAX)));
                Ok(())
            }
        };
        let missing = self.width.saturating_sub(line.len() - start);
        if self.is_left {
            line.resize(line.len() + missing, b' ');
            return;
        }
        let (at, pad) = match number {
            Some(_) if self.is_zero_padded => (digits, b'0'),
            _ => (start, b' '),
        };
        line.splice(at..at, std::iter::repeat_n(pad, missing));
    }
}

/// `(name)` at the start, where the name may have balanced parentheses of its own.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            _ if depth == 0 => return None,
            ')' if depth == 1 => return Some((text.get(1..at)?, text.get(at + 1..)?)),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The number at the start, 0 if there is none; `None` if it is absurd for a log line.
fn split_number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    (number <= MOST_COLUMNS).then_some((number, rest))
}

/// Widths above this are typing errors.
const MOST_COLUMNS: usize = 4096;
