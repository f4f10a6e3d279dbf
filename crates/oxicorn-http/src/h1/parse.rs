//! Octets of a whole head in, [`Head`] out.
//!
//! Two ways to the same result. [`whole`] is for the head that arrived in one piece and has nothing
//! unusual in it; it passes over the octets once, mostly eight at a time. It never refuses: what it
//! does not like, or is not there yet, goes to the scan, whose word is final, and then through
//! [`split`]. What the fields mean is decided once, by [`Facts`].

use super::facts::Facts;
use super::target;
use crate::head::mark;
use crate::octets::{
    self, ends_plain_name, ends_target, has_underscore, is_name, run, token, trim, trim_end,
};
use crate::{Field, Head, HeaderMap, Name, Reject, Rules, Span, Version};

/// Parses and decides a head that is whole in `input`; `None` when it is not, or not plainly right.
pub(super) fn whole(input: &[u8], head: &mut Head, rules: &Rules) -> Option<Result<(), Reject>> {
    let limits = &rules.limits;
    let method_len = token(input, 0);
    let target_start = method_len + 1;
    let target_len = run(input, target_start, ends_target) - target_start;
    let version_start = target_start + target_len + 1;
    let line_end = version_start + VERSION_LEN;
    let version = match input.get(version_start - 1..line_end + CRLF_LEN)? {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    let is_line_right = (1..=limits.method).contains(&method_len)
        && input.get(method_len) == Some(&b' ')
        && target_len > 0
        && line_end <= limits.request_line;
    if !is_line_right {
        return None;
    }

    head.fields.clear();
    head.marks = 0;
    let mut facts = Facts::default();
    let mut count = 0;
    let mut line_start = line_end + CRLF_LEN;
    loop {
        let mut colon = run(input, line_start, ends_plain_name);
        let is_plain = input.get(colon) == Some(&b':');
        if !is_plain {
            colon = token(input, colon);
        }
        if colon == line_start {
            break;
        }
        let mut value_start = colon + 1;
        while let Some(b' ' | b'\t') = input.get(value_start) {
            value_start += 1;
        }
        let end = octets::value(input, value_start);
        count += 1;
        let is_right = input.get(colon) == Some(&b':')
            && input.get(end..end + CRLF_LEN)? == b"\r\n"
            && end - line_start <= limits.field_size
            && count <= limits.fields;
        if !is_right {
            return None;
        }
        let name = input.get(line_start..colon)?;
        let value = trim_end(input.get(value_start..end)?);
        if is_plain || is_permitted(name, &mut facts, rules) {
            push(head, &mut facts, name, line_start, value, value_start);
        }
        line_start = end + CRLF_LEN;
    }
    let len = line_start + CRLF_LEN;
    if input.get(line_start..len)? != b"\r\n" || len > limits.head.min(u32::MAX as usize) {
        return None;
    }
    head.len = len;
    head.method = span(0, method_len);
    head.target = span(target_start, target_len);
    head.version = version;
    Some(finish(input, head, &facts, rules))
}

/// Splits and decides a head that the scan found to be whole and right.
pub(super) fn split(input: &[u8], head: &mut Head, rules: &Rules) -> Result<(), Reject> {
    let mut start = 0;
    while input[start..].starts_with(b"\r\n") {
        start += CRLF_LEN;
    }
    let mut line_end = start + until(&input[start..], b'\r');
    let line = &input[start..line_end];
    let method_len = until(line, b' ');
    let target_start = method_len + 1;
    let target_len = until(&line[target_start..], b' ');
    head.method = span(start, method_len);
    head.target = span(start + target_start, target_len);
    head.version = if line.ends_with(b"0") { Version::Http10 } else { Version::Http11 };

    head.fields.clear();
    head.marks = 0;
    let mut facts = Facts::default();
    loop {
        let line_start = line_end + CRLF_LEN;
        let line_len = until(&input[line_start..], b'\r');
        if line_len == 0 {
            break;
        }
        line_end = line_start + line_len;
        let name_len = until(&input[line_start..line_end], b':');
        let name = &input[line_start..line_start + name_len];
        let mut value_start = line_start + name_len + 1;
        while matches!(input[value_start], b' ' | b'\t') {
            value_start += 1;
        }
        let value = trim(&input[value_start..line_end]);
        if is_permitted(name, &mut facts, rules) {
            push(head, &mut facts, name, line_start, value, value_start);
        }
    }
    head.len = input.len();
    finish(input, head, &facts, rules)
}

/// What the policy says of a name with `_`; all others are permitted.
fn is_permitted(name: &[u8], facts: &mut Facts<'_>, rules: &Rules) -> bool {
    if has_underscore(name) && !rules.policy.forwarder_names.include(name) {
        match rules.policy.header_map {
            HeaderMap::Dangerous => {}
            HeaderMap::Drop => return false,
            HeaderMap::Refuse => facts.note_underscore(),
        }
    }
    true
}

/// Adds one field line.
///
/// The parts come one by one because a pair of a slice and a span would travel through memory,
/// which costs more than all the rest of this.
#[inline(always)]
fn push<'i>(
    head: &mut Head,
    facts: &mut Facts<'i>,
    name: &[u8],
    name_start: usize,
    value: &'i [u8],
    value_start: usize,
) {
    let known = known(name);
    if known != Name::Other {
        facts.note(known, value);
    }
    head.marks |= mark(name);
    let (name, value) = (span(name_start, name.len()), span(value_start, value.len()));
    head.fields.push(Field { name, value, known });
}

/// Decides what the head means, now that all of it is known.
fn finish(input: &[u8], head: &mut Head, facts: &Facts<'_>, rules: &Rules) -> Result<(), Reject> {
    target::locate(input, head)?;
    facts.decide(head, &rules.policy)?;
    match head.framing {
        crate::Framing::Length(len) if len > rules.limits.body => Err(Reject::BodyTooLarge),
        _ => Ok(()),
    }
}

/// Recognises a field name by length and first letter, so that few names are compared whole.
#[inline]
fn known(name: &[u8]) -> Name {
    let (candidate, known): (&[u8], Name) = match (name.len(), name[0] | 0x20) {
        (4, b'h') => (b"host", Name::Host),
        (6, b'c') => (b"cookie", Name::Cookie),
        (6, b'e') => (b"expect", Name::Expect),
        (7, b'u') => (b"upgrade", Name::Upgrade),
        (10, b'c') => (b"connection", Name::Connection),
        (12, b'c') => (b"content-type", Name::ContentType),
        (14, b'c') => (b"content-length", Name::ContentLength),
        (17, b't') => (b"transfer-encoding", Name::TransferEncoding),
        _ => return Name::Other,
    };
    if is_name(name, candidate) { known } else { Name::Other }
}

/// Offset of the first such octet, or the length.
fn until(octets: &[u8], octet: u8) -> usize {
    memchr::memchr(octet, octets).unwrap_or(octets.len())
}

/// Both numbers lie inside a head, whose length fits: see the limit of the whole head.
fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, len: len as u32 }
}

const VERSION_LEN: usize = b"HTTP/1.1".len();
const CRLF_LEN: usize = b"\r\n".len();
