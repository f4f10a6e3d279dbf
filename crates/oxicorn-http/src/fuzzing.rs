//! One plain function per fuzz target: any bytes in, a panic when something does not hold.
//!
//! The targets in `fuzz/` are shells around these, and a test runs them on the corpus, so that they
//! cannot rot.

use crate::h1::encode::{BodyWriter, RequestFacts, ResponseHead};
use crate::proxy::line::{self, Line, Versions};
use crate::proxy::{Effective, Group, Hops, Proxy, TrustedPeers};
use crate::{Connection, Event, Head, Reject, Rules, Version, h2};

/// A head, whole and byte by byte: the two parsers must agree.
pub fn head(data: &[u8]) {
    let mut cuts = Vec::from_iter(1..data.len());
    cuts.truncate(LONGEST_DRIP);
    for rules in [Rules::default(), lenient()] {
        assert_eq!(tell(data, &[], &rules), tell(data, &cuts, &rules));
    }
}

/// Everything permitted.
fn lenient() -> Rules {
    let mut rules = Rules::default();
    rules.policy.permit_missing_host = true;
    rules.policy.permit_obsolete_folding = true;
    rules.policy.strip_header_spaces = true;
    rules.policy.permit_unconventional_http_version = true;
    rules.policy.casefold_http_method = true;
    rules
}

/// The body of a chunked request.
pub fn chunked(data: &[u8]) {
    head(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", data].concat());
}

/// A whole connection, cut as the first bytes say: their number, then the size of each piece.
pub fn connection(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else { return };
    let count = usize::from(count % 16).min(rest.len());
    let (sizes, wire) = rest.split_at(count);
    let cuts = sizes.iter().scan(0, |end, &size| {
        *end += usize::from(size);
        Some(*end).filter(|&end| end < wire.len())
    });
    let cuts = Vec::from_iter(cuts);
    for rules in [Rules::default(), lenient()] {
        assert_eq!(tell(wire, &[], &rules), tell(wire, &cuts, &rules));
    }
}

/// A response of an application that is up to no good; its lines are separated by 0xFF.
///
/// What goes out must read back as exactly what was accepted.
pub fn response(data: &[u8]) {
    let mut lines = data.split(|&b| b == 0xff);
    let first = lines.next().unwrap_or_default();
    let status = if first.is_empty() { b"200 OK" } else { first };
    let facts = RequestFacts {
        version: if data.len().is_multiple_of(2) { Version::Http11 } else { Version::Http10 },
        is_head: data.len().is_multiple_of(3),
        persistent: true,
    };
    let mut head = ResponseHead::default();
    if head.begin(facts.version, status).is_err() {
        return;
    }
    let mut accepted = 0;
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|&b| b == 0).unwrap_or(line.len()));
        accepted += usize::from(head.field(name, value.get(1..).unwrap_or_default()).is_ok());
    }
    let (framing, _) = head.finish(facts, None, &crate::date::imf_fixdate(0), Some(b"oxicorn"));
    let mut out = std::mem::take(head.buffer());
    let head_len = out.len();

    assert!(out.ends_with(b"\r\n\r\n"));
    assert!(!out.contains(&0), "NUL on the wire");
    let text = &out[..head_len - 2];
    let line_ends = text.windows(2).filter(|two| *two == b"\r\n").count();
    let breaks = text.iter().filter(|b| matches!(b, b'\r' | b'\n')).count();
    assert_eq!(breaks, line_ends * 2, "CR or LF inside a line");
    // Status line; what was accepted; Server, Date, Connection and one of framing.
    assert!(line_ends <= 1 + accepted + 4, "a line that nobody gave");

    let mut fields = vec![httparse::EMPTY_HEADER; line_ends];
    let mut parsed = httparse::Response::new(&mut fields);
    assert_eq!(parsed.parse(&out), Ok(httparse::Status::Complete(head_len)));
    assert_eq!(parsed.code, Some(head.status()));
    let count = |name: &str| {
        parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
    };
    let framings = count("content-length") + count("transfer-encoding");
    assert!(framings <= 1, "two framings");
    assert_eq!(count("connection") + count("keep-alive") + count("upgrade"), count("connection"));

    let mut body = BodyWriter::new(framing);
    let len = body.allowed(data.len() as u64);
    body.before(len, &mut out);
    body.after(&mut out);
    body.finish(&mut out);
    assert_eq!(body.sent(), len);
}

/// Forwarding fields: the first byte picks the rules, the second the field, the rest is its value.
///
/// A stranger changes nothing; what a trusted peer says is taken only when it is well formed.
pub fn forwarding(data: &[u8]) {
    const NAMES: [&str; 6] = [
        "X-Forwarded-For",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
    ];
    let [rules, name, value @ ..] = data else { return };
    let value: Vec<u8> =
        value.iter().map(|b| if b.is_ascii_control() { b' ' } else { *b }).collect();
    let name = NAMES[usize::from(*name) % NAMES.len()].as_bytes();
    let wire = [b"GET / HTTP/1.1\r\nHost: a\r\n", name, b": ", &value, b"\r\n\r\n"].concat();
    let mut head = Head::default();
    if Connection::new().receive(&wire, &mut head, &Rules::default()).is_err() {
        return;
    }
    let is = |bit: u8| rules & bit != 0;
    let proxy = Proxy::Group(Group {
        trusted: TrustedPeers::new(false, true, [([10, 0, 0, 0].into(), 8)]),
        rfc7239: is(1),
        x_for: if is(2) { Hops::Auto } else { Hops::AtMost(2) },
        forwarded: if is(2) { Hops::Auto } else { Hops::AtMost(2) },
        x_proto: 1,
        x_host: 1,
        x_port: 1,
        x_prefix: 1,
        count_only: is(4) && !is(2),
        strict: is(8),
        ..Group::default()
    });
    let stranger = proxy.evaluate(false, &head, &wire).expect("a stranger is never refused");
    if let Some(stranger) = stranger {
        let stripped = stranger.stripped.clone();
        assert_eq!(stranger, Effective { stripped, ..Effective::default() });
    }
    if let Ok(Some(effective)) = proxy.evaluate(true, &head, &wire) {
        let clean = |text: &[u8]| !text.iter().any(|b| b"@/\\\" ,;<>?#".contains(b));
        assert!(effective.host.is_none_or(|host| clean(&host) && !host.is_empty()));
        assert_ne!(effective.server_port, Some(0));
        assert!(effective.prefix.is_none_or(|prefix| !prefix.starts_with(b"//")));
    }
}

/// The first bytes of a connection as a PROXY header, whole and cut anywhere.
pub fn proxy_line(data: &[u8]) {
    let versions = Versions { v1: true, v2: true };
    let whole = line::read(data, versions);
    if let Ok(Line::Whole { used, .. }) = whole {
        assert!(used > 0 && used <= data.len());
    }
    for cut in 0..data.len().min(128) {
        match line::read(&data[..cut], versions) {
            Ok(Line::NeedMore) => {}
            // More bytes never change what was understood.
            told => assert_eq!(told, whole),
        }
    }
}

/// A connection of HTTP/2 after its preface; each piece of 61 bytes comes for itself. Every request is
/// answered, and its body read.
///
/// Nothing panics, a head is one that HTTP/1 could have had, and the connection comes to rest.
pub fn http2(data: &[u8]) {
    let mut connection = h2::Connection::new(h2::Limits::default(), 0);
    let _ = connection.receive(h2::PREFACE, 0);
    let mut streams = Vec::new();
    for (now, piece) in (0..).zip(data.chunks(61)) {
        if connection.receive(piece, now).is_err() {
            connection.end(h2::Code::EnhanceYourCalm);
        }
        while let h2::Progress::Stream(stream) = connection.advance() {
            streams.push(stream);
        }
        for stream in &mut streams {
            if let Ok((head, bytes)) = stream.head(&Rules::default()) {
                assert_eq!(head.len, bytes.len());
                let mut again = Head::default();
                let parsed = Connection::new().receive(&bytes, &mut again, &Rules::default());
                assert!(parsed.is_ok(), "a head that HTTP/1 would refuse");
                assert_eq!((again.target, again.fields), (head.target, head.fields));
            }
            while let h2::Arrived::Bytes(bytes) = stream.receive() {
                stream.release(bytes.len());
            }
            if !stream.is_reset()
                && stream.respond(b"HTTP/2.0 200 OK\r\nA: b\r\n\r\n", false).is_ok()
            {
                let room = stream.room(100);
                let _ = stream.send(vec![b'x'; room], true);
            }
        }
        connection.transmit(<[u8]>::len);
    }
    assert!(streams.len() <= data.len() / 9 + 1, "a stream without a frame");
}

/// What a machine told of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Heads (their bytes and what they mean), body bytes and ends, in order.
    events: Vec<Telling>,
    reject: Option<Reject>,
}

#[derive(Debug, PartialEq, Eq)]
enum Telling {
    Head(Box<Head>),
    Body(Vec<u8>),
    End,
}

fn tell(wire: &[u8], cuts: &[usize], rules: &Rules) -> Told {
    let (mut connection, mut head) = (Connection::new(), Head::default());
    let mut told = Told::default();
    let mut used = 0;
    let (mut wire, len) = (wire.to_vec(), wire.len());
    for &arrived in cuts.iter().chain([&len]) {
        loop {
            let offered = connection.amend(&mut wire[used..arrived], rules);
            match connection.receive(&wire[used..used + offered], &mut head, rules) {
                Err(reject) => {
                    told.reject = Some(reject);
                    return told;
                }
                Ok(received) => {
                    used += received.used;
                    match received.event {
                        Event::NeedMore => break,
                        Event::Head => told.events.push(Telling::Head(Box::new(head.clone()))),
                        Event::Body(data) => match told.events.last_mut() {
                            Some(Telling::Body(body)) => body.extend_from_slice(data),
                            _ => told.events.push(Telling::Body(data.to_vec())),
                        },
                        Event::End => {
                            told.events.push(Telling::End);
                            connection.next_request();
                        }
                    }
                }
            }
        }
    }
    told
}

/// Bytes that are offered one by one; the rest comes at once, to stay fast.
const LONGEST_DRIP: usize = 4096;
