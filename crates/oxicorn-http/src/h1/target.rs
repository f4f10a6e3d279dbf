//! The request target and its four forms (RFC 9112, section 3.2), and the grammar of an authority.

use std::net::Ipv6Addr;

use crate::octets::{self, HOST};
use crate::{Head, Reject, Span};

/// Finds path, query and authority in the target of `head`.
pub(super) fn locate(input: &[u8], head: &mut Head) -> Result<(), Reject> {
    let target = head.target.of(input);
    let method = head.method.of(input);
    head.authority = None;
    let path_start = match target {
        _ if method == b"CONNECT" => return Err(Reject::NotImplemented("CONNECT")),
        [b'/', ..] => 0,
        b"*" if method == b"OPTIONS" => 0,
        b"*" => return Err(Reject::BadRequest("target `*` with a method other than OPTIONS")),
        _ => {
            let (start, len) = absolute(target)
                .ok_or(Reject::BadRequest("target is neither a path nor an http URI"))?;
            if len == 0 || !is_authority(&target[start..start + len]) {
                return Err(Reject::BadRequest("invalid authority in the target"));
            }
            head.authority = Some(sub(head.target, start, start + len));
            start + len
        }
    };
    let question = memchr::memchr(b'?', &target[path_start..]).map(|at| path_start + at);
    head.path = sub(head.target, path_start, question.unwrap_or(target.len()));
    head.query = question.map(|at| sub(head.target, at + 1, target.len()));
    Ok(())
}

/// Whether this is `host [":" port]`; an empty one is (RFC 9110, section 7.2).
///
/// Userinfo is not part of it: no client sends it, and it is there to mislead.
pub(crate) fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let is_address = std::str::from_utf8(&rest[..end])
                .is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
            if !is_address {
                return false;
            }
            match &rest[end + 1..] {
                [] => return true,
                [b':', port @ ..] => (&rest[..end], port),
                _ => return false,
            }
        }
        _ => {
            let end = authority.iter().position(|&b| !octets::is(b, HOST));
            let Some(end) = end else { return true };
            match &authority[end..] {
                [b':', port @ ..] => (&authority[..end], port),
                _ => return has_escapes(authority),
            }
        }
    };
    !host.is_empty() && port.len() <= PORT_DIGITS && port.iter().all(u8::is_ascii_digit)
}

/// The rare authority with percent-encoded octets in its name; it may not have a port as well.
fn has_escapes(authority: &[u8]) -> bool {
    let mut rest = authority;
    while let Some((&octet, after)) = rest.split_first() {
        rest = match after {
            [high, low, after @ ..]
                if octet == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            _ if octets::is(octet, HOST) => after,
            _ => return false,
        };
    }
    true
}

/// Where the authority of an absolute-form is: its start and length.
fn absolute(target: &[u8]) -> Option<(usize, usize)> {
    let start = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })?
        .len();
    let rest = &target[start..];
    Some((start, memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())))
}

/// A part of a span, by offsets that lie inside it.
fn sub(whole: Span, start: usize, end: usize) -> Span {
    Span { start: whole.start + start as u32, len: (end - start) as u32 }
}

/// Digits of the largest port.
const PORT_DIGITS: usize = 5;
