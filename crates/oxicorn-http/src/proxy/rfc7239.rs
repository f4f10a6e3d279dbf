//! The `Forwarded` field of RFC 7239: all its lines as one list of elements.

use crate::octets::{TCHAR, all, is};

/// One element: what one proxy wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) for_: Option<Vec<u8>>,
    pub(super) proto: Option<Vec<u8>>,
    pub(super) host: Option<Vec<u8>>,
}

/// Most elements that are taken; no chain of proxies is as long.
const ELEMENTS: usize = 64;

/// Parses the lines as one list; `None` if anything in it is malformed.
///
/// Each line is parsed by itself: a quote that one line leaves open is its own fault, and can never
/// swallow what a proxy added in another.
pub(super) fn parse<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    for line in lines {
        let mut rest = line;
        loop {
            rest = skip_space(rest);
            let (element, after) = element(rest)?;
            elements.extend(element);
            if elements.len() > ELEMENTS {
                return None;
            }
            match skip_space(after) {
                [] => break,
                [b',', after @ ..] => rest = after,
                _ => return None,
            }
        }
    }
    Some(elements)
}

/// One element and what follows it; none for an empty member of the list.
fn element(mut rest: &[u8]) -> Option<(Option<Element>, &[u8])> {
    let mut element = Element::default();
    let mut seen: Vec<&[u8]> = Vec::new();
    loop {
        if matches!(rest, [b';', ..]) {
            rest = skip_space(&rest[1..]);
            continue;
        }
        if matches!(rest, [] | [b',', ..]) {
            return Some(((!seen.is_empty()).then_some(element), rest));
        }
        let equals = rest.iter().position(|b| !is(*b, TCHAR))?;
        let (name, after) = rest.split_at(equals);
        let after = after.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let (value, after) = value(after)?;
        if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        seen.push(name);
        match () {
            () if name.eq_ignore_ascii_case(b"for") => element.for_ = Some(value),
            () if name.eq_ignore_ascii_case(b"proto") => element.proto = Some(value),
            () if name.eq_ignore_ascii_case(b"host") => element.host = Some(value),
            () => {}
        }
        rest = skip_space(after);
        if !matches!(rest, [] | [b',' | b';', ..]) {
            return None;
        }
    }
}

/// A token or a quoted string, and what follows it.
///
/// Addresses with a port must be quoted, as they are no tokens; many proxies forget it, so `:`,
/// `[` and `]` are taken in a token as well.
fn value(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = input.strip_prefix(b"\"") else {
        let end = input.iter().position(|b| matches!(b, b',' | b';' | b' ' | b'\t'));
        let (token, rest) = input.split_at(end.unwrap_or(input.len()));
        let is_token = |part: &[u8]| all(part, TCHAR);
        let is_valid = token.split(|b| matches!(b, b':' | b'[' | b']')).all(is_token);
        return (!token.is_empty() && is_valid).then(|| (token.to_vec(), rest));
    };
    let mut value = Vec::new();
    let mut octets = quoted.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Some((value, &quoted[at + 1..])),
            b'\\' => value.push(*octets.next()?.1),
            octet => value.push(*octet),
        }
    }
    None
}

fn skip_space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}
