//! The atoms of an access line: what each letter stands for, and how its value is found.

use std::io::Write as _;

use oxicorn_http::Head;

use super::AccessRecord;
use crate::About;
use crate::escape::escape;
use crate::local_time;

/// One `%(x)s` without its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// `a`
    UserAgent,
    /// `b`, `B`
    BodyBytes,
    /// `D`
    Microseconds,
    /// `{name}e`: an index into the keys that the format needs
    Environ(usize),
    /// `f`
    Referer,
    /// `h`
    RemoteAddr,
    /// `H`
    Protocol,
    /// `L`
    DecimalSeconds,
    /// `m`
    Method,
    /// `M`
    Milliseconds,
    /// `p`
    Pid,
    /// `q`
    Query,
    /// `r`
    RequestLine,
    /// `{name}i`
    RequestField(Box<[u8]>),
    /// `{name}o`
    ResponseField(Box<[u8]>),
    /// `s`
    Status,
    /// `t`
    Time,
    /// `T`
    Seconds,
    /// `u`
    User,
    /// `U`
    Path,
    /// `{request_id}x`, `{trace_id}x`, `{span_id}x`
    About(Box<str>),
    /// `l`, and whatever has no meaning
    Missing,
}

impl Atom {
    /// The atom of this name; `environ` collects the keys of `{name}e`.
    pub(super) fn parse(name: &str, environ: &mut Vec<String>) -> Self {
        if let Some((field, kind)) = name.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            return match kind {
                "i" => Self::RequestField(field.as_bytes().into()),
                "o" => Self::ResponseField(field.as_bytes().into()),
                "x" => Self::About(field.into()),
                "e" => {
                    let key = field.to_lowercase();
                    let at = environ.iter().position(|known| *known == key);
                    Self::Environ(at.unwrap_or_else(|| {
                        environ.push(key);
                        environ.len() - 1
                    }))
                }
                _ => Self::Missing,
            };
        }
        match name {
            "a" => Self::UserAgent,
            "b" | "B" => Self::BodyBytes,
            "D" => Self::Microseconds,
            "f" => Self::Referer,
            "h" => Self::RemoteAddr,
            "H" => Self::Protocol,
            "L" => Self::DecimalSeconds,
            "m" => Self::Method,
            "M" => Self::Milliseconds,
            "p" => Self::Pid,
            "q" => Self::Query,
            "r" => Self::RequestLine,
            "s" => Self::Status,
            "t" => Self::Time,
            "T" => Self::Seconds,
            "u" => Self::User,
            "U" => Self::Path,
            _ => Self::Missing,
        }
    }

    /// The value as a number, for atoms that are one.
    pub(super) fn number(&self, record: &AccessRecord<'_>) -> Option<u128> {
        Some(match self {
            Self::BodyBytes => record.body_bytes.into(),
            Self::Microseconds => record.duration.as_micros(),
            Self::Milliseconds => record.duration.as_millis(),
            Self::Pid => record.pid.into(),
            Self::Seconds => record.duration.as_secs().into(),
            Self::Status => record.status.into(),
            _ => return None,
        })
    }

    /// Whether [`number`](Self::number) has a value.
    pub(super) fn is_number(&self) -> bool {
        self.number(&AccessRecord::default()).is_some()
    }

    /// Appends the value: escaped if a client chose it, `-` if there is none.
    pub(super) fn write(&self, record: &AccessRecord<'_>, line: &mut Vec<u8>) {
        match self {
            Self::BodyBytes => write_decimal(record.body_bytes, line),
            Self::DecimalSeconds => {
                let time = record.duration;
                print(format_args!("{}.{:06}", time.as_secs(), time.subsec_micros()), line);
            }
            Self::Environ(at) => match record.environ.get(*at) {
                Some(Some(value)) => escape(value, line),
                _ => line.push(b'-'),
            },
            Self::About(name) => {
                let mut known = record.about.into_iter().flat_map(About::known);
                match known.find(|(known, _)| **known == **name) {
                    Some((_, value)) => escape(value.as_bytes(), line),
                    None => line.push(b'-'),
                }
            }
            Self::Method => known(record.method, line),
            Self::Microseconds => print(format_args!("{}", record.duration.as_micros()), line),
            Self::Milliseconds => print(format_args!("{}", record.duration.as_millis()), line),
            Self::Missing => line.push(b'-'),
            Self::Path => known(&decode_percent(record.path), line),
            Self::Pid => print(format_args!("<{}>", record.pid), line),
            Self::Protocol => known(record.protocol, line),
            // As gunicorn has it: no query is an empty one.
            Self::Query => escape(record.query, line),
            Self::Referer => request_field(record, b"referer", line),
            Self::RemoteAddr => known(record.remote_addr, line),
            Self::RequestField(name) => request_field(record, name, line),
            Self::RequestLine => request_line(record, line),
            Self::ResponseField(name) => response_field(record, name, line),
            Self::Seconds => write_decimal(record.duration.as_secs(), line),
            Self::Status if record.status == 0 => line.push(b'-'),
            Self::Status => write_decimal(record.status.into(), line),
            Self::Time => {
                line.push(b'[');
                local_time::write_common(record.unix_secs, line);
                line.push(b']');
            }
            Self::User => match record.head.and_then(|(head, bytes)| user(head, bytes)) {
                Some(user) => known(&user, line),
                None => line.push(b'-'),
            },
            Self::UserAgent => request_field(record, b"user-agent", line),
        }
    }
}

/// Appends a value that is never empty when there is one.
fn known(value: &[u8], line: &mut Vec<u8>) {
    match value {
        [] => line.push(b'-'),
        value => escape(value, line),
    }
}

fn print(value: std::fmt::Arguments<'_>, line: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail.
    let _ = line.write_fmt(value);
}

fn write_decimal(mut number: u64, line: &mut Vec<u8>) {
    let start = line.len();
    loop {
        line.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.get_mut(start..).unwrap_or_default().reverse();
}

fn request_line(record: &AccessRecord<'_>, line: &mut Vec<u8>) {
    if record.method.is_empty() && record.target.is_empty() {
        line.push(b'-');
        return;
    }
    known(record.method, line);
    line.push(b' ');
    known(record.target, line);
    line.push(b' ');
    known(record.protocol, line);
}

fn request_field(record: &AccessRecord<'_>, name: &[u8], line: &mut Vec<u8>) {
    match record.head.and_then(|(head, bytes)| last_field(head, bytes, name)) {
        Some(value) => escape(value, line),
        None => line.push(b'-'),
    }
}

/// The last of the request's fields of that name.
pub(super) fn last_field<'a>(head: &Head, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.fields
        .iter()
        .rev()
        .find(|field| {
            field.name.len as usize == name.len() && field.name.of(bytes).eq_ignore_ascii_case(name)
        })
        .map(|field| field.value.of(bytes))
}

fn response_field(record: &AccessRecord<'_>, name: &[u8], line: &mut Vec<u8>) {
    let fields = record.response_fields.rsplit(|byte| *byte == b'\n');
    let value = fields.filter_map(split_field).find(|(at, _)| at.eq_ignore_ascii_case(name));
    match value {
        Some((_, value)) => escape(value, line),
        None => line.push(b'-'),
    }
}

/// Name and value of a field line; a status line has a space before its colon, if it has one.
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

/// The user of Basic authentication (RFC 7617).
fn user(head: &Head, bytes: &[u8]) -> Option<Vec<u8>> {
    let value = last_field(head, bytes, b"authorization")?;
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = decode_base64(credentials.trim_ascii())?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    user.truncate(colon);
    Some(user)
}

/// Decodes base64 (RFC 4648, section 4), padding optional; `None` for a byte outside its alphabet.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | u32::from(base64_digit(*digit)?);
        }
        let [_, first, second, third] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => out.extend([first, second, third]),
            3 => out.extend([first, second]),
            2 => out.push(first),
            _ => return None,
        }
    }
    Some(out)
}

fn base64_digit(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Decodes `%HH`; what is none stays as it is, as in `PATH_INFO`.
fn decode_percent(path: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return path.into();
    }
    let mut out = Vec::with_capacity(path.len());
    let mut left = path;
    while let [byte, rest @ ..] = left {
        left = rest;
        match (byte, rest) {
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    left = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*byte),
        }
    }
    out.into()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_strictly_but_for_its_padding() {
        assert_eq!(decode_base64(b"QWxhZGRpbjpvcGVu").unwrap(), b"Aladdin:open");
        assert_eq!(decode_base64(b"YTpi").unwrap(), b"a:b");
        assert_eq!(decode_base64(b"YTo=").unwrap(), b"a:");
        assert_eq!(decode_base64(b"YQ==").unwrap(), b"a");
        assert_eq!(decode_base64(b"YQ").unwrap(), b"a");
        assert_eq!(decode_base64(b"").unwrap(), b"");
        assert_eq!(decode_base64(b"Y"), None);
        assert_eq!(decode_base64(b"Y*=="), None);
    }

    #[test]
    fn percent_signs_without_two_digits_are_kept() {
        assert_eq!(&*decode_percent(b"/a%20b%2"), b"/a b%2");
        assert_eq!(&*decode_percent(b"%zz%%41%"), b"%zz%A%");
        assert_eq!(&*decode_percent(b"/plain"), b"/plain");
    }

    #[test]
    fn decimals_are_written_in_order() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut line = Vec::new();
            write_decimal(number, &mut line);
            assert_eq!(line, number.to_string().as_bytes());
        }
    }
}
