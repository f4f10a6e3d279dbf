//! Octets of a whole head in, [`Head`] out.
//!
//! Two ways to the same result. [`whole`] is for the head that arrived in one piece: httparse finds
//! the parts, and as it accepts more than this server does (a lone LF as line end, empty lines
//! without limit, any octet above SP in a target), every line is held against the octets around it.
//! It never refuses: what it does not like, or is not there yet, goes to the scan, whose word is
//! final, and then through [`split`]. What the fields mean is decided once, by [`Facts`].

use std::mem::MaybeUninit;

use super::facts::Facts;
use super::scan::METHOD_LIMIT;
use super::target;
use crate::head::mark;
use crate::octets::{has_underscore, is_target, trim};
use crate::{Field, Head, HeaderMap, Name, Reject, Rules, Span, Version};

/// Parses and decides a head that is whole in `input`; `None` when it is not, or not plainly right.
pub(super) fn whole(input: &[u8], head: &mut Head, rules: &Rules) -> Option<Result<(), Reject>> {
    let mut lines = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(len)) = request.parse_with_uninit_headers(input, &mut lines)
    else {
        return None;
    };
    let (method, target) = (request.method?, request.path?);
    let version = if request.version? == 0 { Version::Http10 } else { Version::Http11 };
    let limits = &rules.limits;

    let version_start = method.len() + 1 + target.len() + 1;
    let line_end = version_start + VERSION_LEN;
    let is_line_right = offset(input, method.as_bytes()) == 0
        && method.len() <= METHOD_LIMIT
        && line_end <= limits.request_line
        && input.get(line_end) == Some(&b'\r')
        && is_target(target.as_bytes());
    let is_head_right = len <= limits.head.min(u32::MAX as usize)
        && request.headers.len() <= limits.fields
        && input.get(len - 2) == Some(&b'\r');
    if !is_line_right || !is_head_right {
        return None;
    }

    head.fields.clear();
    head.marks = 0;
    let mut facts = Facts::default();
    let mut line_start = line_end + CRLF_LEN;
    for (at, line) in request.headers.iter().enumerate() {
        let (name, value) = (line.name.as_bytes(), line.value);
        let next = request.headers.get(at + 1);
        // The line ends where the next one begins; the last one where the empty line does.
        let next = next.map_or(len - CRLF_LEN, |next| offset(input, next.name.as_bytes()));
        let end = next - CRLF_LEN;
        let is_right = input.get(line_start + name.len()) == Some(&b':')
            && input.get(end) == Some(&b'\r')
            && end - line_start <= limits.field_size;
        if !is_right {
            return None;
        }
        push(head, &mut facts, name, line_start, value, offset(input, value), rules);
        line_start = next;
    }
    head.len = len;
    head.method = span(0, method.len());
    head.target = span(method.len() + 1, target.len());
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
        push(head, &mut facts, name, line_start, value, value_start, rules);
    }
    head.len = input.len();
    finish(input, head, &facts, rules)
}

/// Adds one field line, unless the policy says otherwise.
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
    rules: &Rules,
) {
    if has_underscore(name) && !rules.policy.forwarder_names.include(name) {
        match rules.policy.header_map {
            HeaderMap::Dangerous => {}
            HeaderMap::Drop => return,
            HeaderMap::Refuse => facts.note_underscore(),
        }
    }
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
    if name.eq_ignore_ascii_case(candidate) { known } else { Name::Other }
}

/// Where a part that was found in `input` begins in it.
fn offset(input: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - input.as_ptr().addr()
}

/// Offset of the first such octet, or the length.
fn until(octets: &[u8], octet: u8) -> usize {
    memchr::memchr(octet, octets).unwrap_or(octets.len())
}

/// Both numbers lie inside a head, whose length fits: see the limit of the whole head.
fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, len: len as u32 }
}

/// More fields than this are rare enough to take the other way.
const USUAL_FIELDS: usize = 100;
const VERSION_LEN: usize = b"HTTP/1.1".len();
const CRLF_LEN: usize = b"\r\n".len();
