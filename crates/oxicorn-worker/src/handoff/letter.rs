//! What goes with a descriptor from one worker to another.
//!
//! A letter is for a process of the same program, so it has a version but no other care for the
//! future.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use oxicorn_http::proxy::Peer;
use oxicorn_http::proxy::line::Announced;

use crate::Link;
use crate::poller::plain;
use crate::tls::Facts;

const VERSION: u8 = 3;
/// Bytes of a letter before what differs: version, flags, listener, requests, two times, three
/// addresses, length of a head.
pub(super) const HEADER: usize = 1 + 1 + 2 + 4 + 8 + 8 + 3 * ADDRESS + 4;
/// Family, address, port.
const ADDRESS: usize = 1 + 16 + 2;

const IS_HTTPS: u8 = 1;
const TRUSTED: u8 = 2;
const IS_REQUEST: u8 = 4;
const IS_HTTP2: u8 = 8;
const HAS_BODY: u8 = 16;
const HAS_TLS_FACTS: u8 = 32;

/// What the bytes of a letter are, and what its descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// What a connection has sent and was not answered yet; the connection.
    Connection,
    /// One request, a head of this many bytes and a body that is as the application gets it; one end
    /// of a relay.
    Request { is_http2: bool, has_body: bool, head: usize },
}

/// What came with a descriptor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) link: Link,
    pub(crate) requests: u32,
    /// Since when its request waits, as the scoreboard counts.
    pub(crate) queued_at: u64,
    /// How long it had waited before.
    pub(crate) waited_before: u64,
    pub(crate) carries: Carries,
    pub(crate) bytes: Vec<u8>,
}

impl Letter {
    /// As it is sent; `room` is about how long it will be. More bytes may follow.
    pub(super) fn write(&self, room: usize) -> Option<Vec<u8>> {
        let mut letter = Vec::with_capacity(room);
        let link = &self.link;
        let mut flags = 0;
        let mut set = |flag: u8, holds: bool| flags |= if holds { flag } else { 0 };
        set(IS_HTTPS, link.is_https);
        set(TRUSTED, link.trusted);
        set(HAS_TLS_FACTS, link.tls.is_some());
        let mut head_length = 0;
        if let Carries::Request { is_http2, has_body, head } = self.carries {
            set(IS_REQUEST, true);
            set(IS_HTTP2, is_http2);
            set(HAS_BODY, has_body);
            head_length = u32::try_from(head).ok()?;
        }
        letter.extend([VERSION, flags]);
        letter.extend(u16::try_from(link.listener).ok()?.to_le_bytes());
        letter.extend(self.requests.to_le_bytes());
        letter.extend(self.queued_at.to_le_bytes());
        letter.extend(self.waited_before.to_le_bytes());
        match link.peer {
            Peer::Unix => put_address(&mut letter, None),
            Peer::Inet(ip, port) => put_address(&mut letter, Some((ip, port))),
        }
        let said = link.announced.as_ref();
        put_address(&mut letter, said.map(|said| (said.source, said.source_port)));
        put_address(&mut letter, said.map(|said| (said.destination, said.destination_port)));
        letter.extend(head_length.to_le_bytes());
        if let Some(facts) = &link.tls {
            put_facts(&mut letter, facts)?;
        }
        letter.extend_from_slice(&self.bytes);
        Some(letter)
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[version, flags], rest) = bytes.split_first_chunk()?;
        let (&listener, rest) = rest.split_first_chunk()?;
        let (&requests, rest) = rest.split_first_chunk()?;
        let (&queued_at, rest) = rest.split_first_chunk()?;
        let (&waited_before, rest) = rest.split_first_chunk()?;
        let (peer, rest) = take_address(rest)?;
        let (source, rest) = take_address(rest)?;
        let (destination, rest) = take_address(rest)?;
        let (&head, rest) = rest.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        let is_set = |flag: u8| flags & flag != 0;
        let (tls, bytes) = if is_set(HAS_TLS_FACTS) {
            let (facts, rest) = take_facts(rest)?;
            (Some(Arc::new(facts)), rest)
        } else {
            (None, rest)
        };
        let announced = source.zip(destination).map(|(source, destination)| Announced {
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
        });
        let client = source.or(peer);
        let link = Link {
            remote_addr: client.map_or_else(String::new, |(ip, _)| plain(ip)),
            remote_port: client.map(|(_, port)| port),
            listener: u16::from_le_bytes(listener).into(),
            is_https: is_set(IS_HTTPS),
            tls,
            peer: peer.map_or(Peer::Unix, |(ip, port)| Peer::Inet(ip, port)),
            announced,
            trusted: is_set(TRUSTED),
        };
        let request = Carries::Request {
            is_http2: is_set(IS_HTTP2),
            has_body: is_set(HAS_BODY),
            head: usize::try_from(u32::from_le_bytes(head)).ok()?,
        };
        Some(Self {
            link,
            requests: u32::from_le_bytes(requests),
            queued_at: u64::from_le_bytes(queued_at),
            waited_before: u64::from_le_bytes(waited_before),
            carries: if is_set(IS_REQUEST) { request } else { Carries::Connection },
            bytes: bytes.to_vec(),
        })
    }
}

fn put_address(letter: &mut Vec<u8>, address: Option<(IpAddr, u16)>) {
    let (family, octets, port) = match address {
        None => (0, [0; 16], 0),
        Some((IpAddr::V4(ip), port)) => {
            let [a, b, c, d] = ip.octets();
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], port)
        }
        Some((IpAddr::V6(ip), port)) => (6, ip.octets(), port),
    };
    letter.push(family);
    letter.extend(octets);
    letter.extend(port.to_le_bytes());
}

#[expect(clippy::type_complexity, reason = "an address that may be missing, and the rest")]
fn take_address(bytes: &[u8]) -> Option<(Option<(IpAddr, u16)>, &[u8])> {
    let (&[family], rest) = bytes.split_first_chunk()?;
    let (octets, rest) = rest.split_first_chunk::<16>()?;
    let (&port, rest) = rest.split_first_chunk()?;
    let [a, b, c, d, ..] = *octets;
    let ip = match family {
        0 => None,
        4 => Some(Ipv4Addr::new(a, b, c, d).into()),
        6 => Some(Ipv6Addr::from(*octets).into()),
        _ => return None,
    };
    Some((ip.map(|ip| (ip, u16::from_le_bytes(port))), rest))
}

/// Bytes that the facts of a TLS connection take.
pub(super) fn length_of(facts: &Facts) -> usize {
    let protocol = facts.protocol.as_ref().map_or(0, Vec::len);
    let variables = facts.variables.iter().map(|(key, value)| 8 + key.len() + value.len());
    1 + 4 + protocol + 4 + variables.sum::<usize>()
}

fn put_facts(letter: &mut Vec<u8>, facts: &Facts) -> Option<()> {
    letter.push(u8::from(facts.protocol.is_some()));
    put_text(letter, facts.protocol.as_deref().unwrap_or_default())?;
    letter.extend(u32::try_from(facts.variables.len()).ok()?.to_le_bytes());
    for (key, value) in &facts.variables {
        put_text(letter, key.as_bytes())?;
        put_text(letter, value.as_bytes())?;
    }
    Some(())
}

fn take_facts(bytes: &[u8]) -> Option<(Facts, &[u8])> {
    let (&[has_protocol], rest) = bytes.split_first_chunk()?;
    let (protocol, rest) = take_text(rest)?;
    let (&count, mut rest) = rest.split_first_chunk()?;
    let protocol = (has_protocol != 0).then(|| protocol.to_vec());
    let mut facts = Facts { protocol, variables: Vec::new() };
    for _ in 0..u32::from_le_bytes(count) {
        let (key, after) = take_text(rest)?;
        let (value, after) = take_text(after)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        facts.variables.push((text(key)?.into(), text(value)?));
        rest = after;
    }
    Some((facts, rest))
}

fn put_text(letter: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    letter.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
    letter.extend_from_slice(text);
    Some(())
}

fn take_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One with everything in it, and one with as little as possible.
    fn letters() -> [Letter; 2] {
        let facts = Facts {
            protocol: Some(b"h2".to_vec()),
            variables: vec![
                ("SSL_PROTOCOL".into(), "TLSv1.3".to_owned()),
                ("SSL_CLIENT_S_DN".into(), "CN=Zoë".to_owned()),
            ],
        };
        let rich = Link {
            remote_addr: "203.0.113.9".to_owned(),
            remote_port: Some(4711),
            listener: 3,
            is_https: true,
            tls: Some(Arc::new(facts)),
            peer: Peer::Inet(Ipv6Addr::LOCALHOST.into(), 1234),
            announced: Some(Announced {
                source: Ipv4Addr::new(203, 0, 113, 9).into(),
                source_port: 4711,
                destination: Ipv4Addr::new(10, 0, 0, 1).into(),
                destination_port: 443,
            }),
            trusted: true,
        };
        let request = Carries::Request { is_http2: true, has_body: true, head: 18 };
        let letter = |link, carries| Letter {
            link,
            requests: 7,
            queued_at: 1 << 40,
            waited_before: 12,
            carries,
            bytes: b"GET / HTTP/1.1\r\n\r\nbody".to_vec(),
        };
        [letter(rich, request), letter(Link::default(), Carries::Connection)]
    }

    #[test]
    fn what_is_written_is_read() {
        for letter in letters() {
            let bytes = letter.write(0).expect("it has few bytes");
            assert_eq!(Letter::read(&bytes), Some(letter));
        }
    }

    #[test]
    fn the_announced_length_is_enough() {
        for letter in letters() {
            let facts = letter.link.tls.as_deref().map_or(0, length_of);
            let bytes = letter.write(0).expect("it has few bytes");
            assert_eq!(bytes.len(), HEADER + facts + letter.bytes.len());
        }
    }

    #[test]
    fn a_letter_that_is_cut_inside_its_head_is_none() {
        for letter in letters() {
            let bytes = letter.write(0).expect("it has few bytes");
            for count in 0..bytes.len() - letter.bytes.len() {
                assert_eq!(Letter::read(&bytes[..count]), None, "{count}");
            }
        }
    }
}
