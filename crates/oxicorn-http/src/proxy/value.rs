//! What a forwarded value may be: addresses, hosts, ports, schemes, prefixes. Nothing else is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::h1::target::is_authority;
use crate::octets::{HOST, TARGET, all, trim};

/// Longest host that is taken.
const HOST_LEN: usize = 255;

/// An address with or without a port: `v4`, `v4:port`, `v6`, `[v6]`, `[v6]:port`.
///
/// No zones, no names, no short or octal forms; an IPv4-mapped address is given as IPv4.
pub(super) fn address(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let port = match after {
            "" => None,
            after => Some(after.strip_prefix(':')?),
        };
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
    } else if let Some((address, port)) = text.split_once(':').filter(|(_, p)| !p.contains(':')) {
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), Some(port))
    } else {
        (text.parse::<IpAddr>().ok()?, None)
    };
    let port = match port {
        Some(port) => Some(number(port.as_bytes()).filter(|port| *port > 0)?),
        None => None,
    };
    Some((address.to_canonical(), port))
}

/// A number of up to five digits that fits a port.
pub(super) fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A port between 1 and 65535.
pub(super) fn port(text: &[u8]) -> Option<u16> {
    number(text).filter(|port| *port > 0)
}

/// Whether the scheme is https; `words` says that `on`, `ssl` and `off` are schemes, too.
pub(super) fn is_https(text: &[u8], words: bool) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is("https") || is("wss") => Some(true),
        () if is("http") || is("ws") => Some(false),
        () if words && (is("on") || is("ssl")) => Some(true),
        () if words && is("off") => Some(false),
        () => None,
    }
}

/// A host with its port, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'t> {
    pub(super) host: &'t [u8],
    pub(super) port: Option<u16>,
}

/// A registered name, an IPv4 address or an IPv6 address in brackets, with an optional port.
pub(super) fn authority(text: &[u8]) -> Option<Authority<'_>> {
    if text.is_empty() || text.len() > HOST_LEN || !is_authority(text) {
        return None;
    }
    let (host, port) = match text {
        [b'[', ..] => {
            let end = memchr::memchr(b']', text)? + 1;
            (&text[..end], text[end..].strip_prefix(b":"))
        }
        _ => match memchr::memchr(b':', text) {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        },
    };
    // Commas and semicolons are legal in a name, and never meant.
    let is_name = all(host, HOST) && !host.iter().any(|b| matches!(b, b',' | b';' | b'='));
    if host.first() != Some(&b'[') && !is_name {
        return None;
    }
    let port = match port {
        Some(port) => Some(self::port(port)?),
        None => None,
    };
    Some(Authority { host, port })
}

/// A prefix without its trailing slashes; empty for `/`.
///
/// It begins with one slash and has no empty start, dot segments, escapes, query or backslash:
/// applications put it in front of every link, where `//evil.test` would be another host.
pub(super) fn prefix(text: &[u8]) -> Option<&[u8]> {
    if text.first() != Some(&b'/') || text.starts_with(b"//") {
        return None;
    }
    let forbidden = |b: &u8| {
        matches!(b, b'?' | b'%' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if !all(text, TARGET) || text.iter().any(forbidden) {
        return None;
    }
    if text.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")) {
        return None;
    }
    let mut text = text;
    while let [rest @ .., b'/'] = text {
        text = rest;
    }
    Some(text)
}

/// The members of a list, empty ones left out; no quoting.
pub(super) fn members<'v>(
    lines: impl IntoIterator<Item = &'v [u8]>,
) -> impl Iterator<Item = &'v [u8]> {
    lines
        .into_iter()
        .flat_map(|line| line.split(|b| *b == b',').map(trim))
        .filter(|member| !member.is_empty())
}
