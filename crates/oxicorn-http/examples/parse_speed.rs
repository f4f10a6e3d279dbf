//! Prints how long one head takes, in nanoseconds: `cargo run --release --example parse_speed`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the figures are what this program is for, and they are times"
)]

use std::hint::black_box;
use std::time::Instant;

use oxicorn_http::h1::encode::{RequestFacts, ResponseHead};
use oxicorn_http::proxy::{Gunicorn, Proxy, TrustedPeers};
use oxicorn_http::{Connection, Event, Head, Rules, Version};

fn main() {
    println!("request,   3 fields: {:6.1} ns", request(&three_fields()));
    println!("request,  15 fields: {:6.1} ns", request(&fifteen_fields()));
    println!("request,  15 fields, in two pieces: {:6.1} ns", in_two_pieces(&fifteen_fields()));
    println!("trust, 15 fields: {:6.1} ns", trust());
    println!("response,  2 fields: {:6.1} ns", response());
}

/// One request without a body on a kept-alive connection.
fn request(bytes: &[u8]) -> f64 {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    nanoseconds(|| {
        let received = connection.receive(black_box(bytes), &mut head, &rules);
        assert!(matches!(received, Ok(received) if received.event == Event::Head));
        let end = connection.receive(&[], &mut head, &rules);
        assert!(matches!(end, Ok(received) if received.event == Event::End));
        black_box(&head);
        connection.next_request();
    })
}

fn in_two_pieces(bytes: &[u8]) -> f64 {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    nanoseconds(|| {
        for piece in [&bytes[..bytes.len() - 1], bytes, &[]] {
            assert!(connection.receive(black_box(piece), &mut head, &rules).is_ok());
        }
        black_box(&head);
        connection.next_request();
    })
}

/// What a request of a trusted peer pays for gunicorn's rules.
fn trust() -> f64 {
    let secure = [("X-FORWARDED-PROTOCOL", "ssl"), ("X-FORWARDED-PROTO", "https")];
    let secure = secure.into_iter().chain([("X-FORWARDED-SSL", "on")]);
    let secure = secure.map(|(name, value)| (name.into(), value.into())).collect();
    let proxy = Proxy::Gunicorn(Gunicorn::new(TrustedPeers::default(), secure));
    let (bytes, mut head) = (fifteen_fields(), Head::default());
    assert!(Connection::new().receive(&bytes, &mut head, &Rules::default()).is_ok());
    nanoseconds(|| {
        let judged = proxy.evaluate(black_box(true), black_box(&head), black_box(&bytes));
        assert!(matches!(judged, Ok(None)));
    })
}

fn response() -> f64 {
    let mut head = ResponseHead::default();
    let facts = RequestFacts { version: Version::Http11, is_head: false, persistent: true };
    nanoseconds(|| {
        assert!(head.begin(Version::Http11, black_box(b"200 OK")).is_ok());
        assert!(head.field(b"Content-Type", black_box(b"text/plain; charset=utf-8")).is_ok());
        assert!(head.field(b"Content-Length", black_box(b"13")).is_ok());
        head.finish(facts, None, b"Thu, 01 Jan 1970 00:00:00 GMT", Some(b"oxicorn"));
        black_box(head.buffer());
    })
}

/// The best of several runs: what disturbs a run only ever makes it slower.
fn nanoseconds(mut once: impl FnMut()) -> f64 {
    const TIMES: u32 = 200_000;
    let mut best = f64::INFINITY;
    for _ in 0..15 {
        let start = Instant::now();
        for _ in 0..TIMES {
            once();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(TIMES));
    }
    best
}

fn three_fields() -> Vec<u8> {
    b"GET /hello?name=world HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nUser-Agent: bench/1.0\r\n\
      Accept: */*\r\n\r\n"
        .to_vec()
}

fn fifteen_fields() -> Vec<u8> {
    b"GET /articles/2026/some-title?page=2&sort=new HTTP/1.1\r\nHost: www.example.org\r\n\
      User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
      Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
      Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
      Referer: https://www.example.org/articles/\r\nDNT: 1\r\nConnection: keep-alive\r\n\
      Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1\r\n\
      Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
      Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
        .to_vec()
}
