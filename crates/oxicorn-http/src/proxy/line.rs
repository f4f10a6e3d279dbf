//! The PROXY protocol, versions 1 and 2: what a balancer says of a connection before its first byte.
//!
//! Strict: whatever is not exactly as the protocol says is a fault, and the connection ends without
//! an answer. `UNKNOWN`, `LOCAL` and unspecified families are health checks and the like: the
//! address of the socket stays.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::value::number;
use super::{Peer, TrustedPeers};

/// The longest line of version 1, its end included.
const V1_LEN: usize = 107;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2.
const V2_HEAD: usize = 16;
/// The longest variable part of version 2 that is taken.
const V2_LEN: usize = 4096;

/// Which versions are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The line of text.
    pub v1: bool,
    /// The binary header.
    pub v2: bool,
}

/// What was said of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The client's address.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// The address that the client connected to.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: u16,
}

impl Announced {
    /// `TCP4` or `TCP6`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.source.is_ipv4() { "TCP4" } else { "TCP6" }
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Too few to know.
    NeedMore,
    /// No PROXY header.
    Absent,
    /// A whole one.
    Whole {
        /// Its length.
        used: usize,
        /// What it says; `None` when the address of the socket stays.
        announced: Option<Announced>,
    },
}

/// Why a connection ends at its first bytes; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineFault(pub &'static str);

/// Who must, or may, say so.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// Versions that are understood.
    pub versions: Versions,
    /// The peers that may send a header.
    pub from: TrustedPeers,
    /// Every connection must have a header; otherwise those without one pass as they are.
    pub required: bool,
}

impl Gate {
    /// What the first bytes of a connection from `peer` are.
    ///
    /// # Errors
    ///
    /// A [`LineFault`] is the peer's: the connection ends without an answer.
    pub fn read(&self, peer: &Peer, input: &[u8]) -> Result<Line, LineFault> {
        let may = self.from.includes(peer);
        if self.required && !may {
            return Err(LineFault("the peer may send no PROXY header, and one is required"));
        }
        match read(input, self.versions)? {
            Line::Absent if self.required => Err(LineFault("no PROXY header")),
            Line::Whole { .. } if !may => Err(LineFault("the peer may send no PROXY header")),
            line => Ok(line),
        }
    }

    /// The peer whose forwarding fields are judged after the header.
    ///
    /// A balancer passes on what clients send, so where a header is required its own address must
    /// not open the door to theirs. gunicorn judges the socket.
    #[must_use]
    pub fn peer(&self, socket: Peer, announced: Option<&Announced>) -> Peer {
        match announced {
            Some(said) if self.required => Peer::Inet(said.source, said.source_port),
            _ => socket,
        }
    }
}

/// Reads a PROXY header at the start of `input`.
///
/// # Errors
///
/// A [`LineFault`] is the peer's.
pub fn read(input: &[u8], versions: Versions) -> Result<Line, LineFault> {
    if versions.v1 && begins(input, b"PROXY ") {
        return if input.len() < b"PROXY ".len() { Ok(Line::NeedMore) } else { v1(input) };
    }
    if versions.v2 && begins(input, SIGNATURE) {
        return if input.len() < V2_HEAD { Ok(Line::NeedMore) } else { v2(input) };
    }
    Ok(Line::Absent)
}

/// Whether `input` begins with `start`, or is itself the beginning of it.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let len = input.len().min(start.len());
    input[..len] == start[..len]
}

fn v1(input: &[u8]) -> Result<Line, LineFault> {
    let window = &input[..input.len().min(V1_LEN)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < V1_LEN { Ok(Line::NeedMore) } else { fault("line too long") };
    };
    let Some(line) = window[..end].strip_suffix(b"\r") else {
        return fault("line end is not CR LF");
    };
    let Ok(line) = std::str::from_utf8(line) else { return fault("line is not text") };
    let mut parts = line.split(' ');
    parts.next();
    let protocol = parts.next().unwrap_or("");
    if protocol == "UNKNOWN" {
        return Ok(Line::Whole { used: end + 1, announced: None });
    }
    let mut next = || parts.next().ok_or(LineFault("a part is missing"));
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (next()?, next()?);
    if parts.next().is_some() {
        return fault("more parts than there are");
    }
    let (Some(source), Some(destination)) = (ip(protocol, source), ip(protocol, destination))
    else {
        return fault("not an address of the protocol named");
    };
    let (Some(source_port), Some(destination_port)) = (port(source_port), port(destination_port))
    else {
        return fault("not a port");
    };
    let announced = Announced { source, source_port, destination, destination_port };
    Ok(Line::Whole { used: end + 1, announced: Some(announced) })
}

fn ip(protocol: &str, text: &str) -> Option<IpAddr> {
    match protocol {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// A port without leading zeros; zero is one.
fn port(text: &str) -> Option<u16> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }
    number(text.as_bytes())
}

fn v2(input: &[u8]) -> Result<Line, LineFault> {
    let (version, command) = (input[12] >> 4, input[12] & 0xf);
    let (family, transport) = (input[13] >> 4, input[13] & 0xf);
    let len = usize::from(u16::from_be_bytes([input[14], input[15]]));
    if version != 2 {
        return fault("version is not 2");
    }
    if command > 1 {
        return fault("command is neither LOCAL nor PROXY");
    }
    if len > V2_LEN {
        return fault("header too long");
    }
    let Some(body) = input.get(V2_HEAD..V2_HEAD + len) else { return Ok(Line::NeedMore) };
    let used = V2_HEAD + len;
    if command == 0 {
        return Ok(Line::Whole { used, announced: None });
    }
    let (addresses, announced) = match (family, transport) {
        (0, 0) => (0, None),
        (1, 1) => (12, ipv4(body)),
        (2, 1) => (36, ipv6(body)),
        _ => return fault("neither TCP over IPv4 nor over IPv6"),
    };
    let Some(tlvs) = body.get(addresses..) else { return fault("addresses are cut short") };
    // What follows an unspecified family is not defined, and is skipped.
    if family != 0 {
        check_tlvs(tlvs)?;
    }
    Ok(Line::Whole { used, announced })
}

fn ipv4(body: &[u8]) -> Option<Announced> {
    let (source, rest) = body.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    let (source_port, destination_port) = ports(rest)?;
    let (source, destination) = (IpAddr::from(*source), IpAddr::from(*destination));
    Some(Announced { source, source_port, destination, destination_port })
}

fn ipv6(body: &[u8]) -> Option<Announced> {
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let (source_port, destination_port) = ports(rest)?;
    let (source, destination) = (IpAddr::from(*source), IpAddr::from(*destination));
    Some(Announced { source, source_port, destination, destination_port })
}

fn ports(rest: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *rest.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The extensions must fill the rest exactly.
fn check_tlvs(mut rest: &[u8]) -> Result<(), LineFault> {
    while !rest.is_empty() {
        let Some((&[_, high, low], after)) = rest.split_first_chunk::<3>() else {
            return Err(LineFault("an extension is cut short"));
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        rest = after.get(len..).ok_or(LineFault("an extension is longer than the header"))?;
    }
    Ok(())
}

fn fault(what: &'static str) -> Result<Line, LineFault> {
    Err(LineFault(what))
}
