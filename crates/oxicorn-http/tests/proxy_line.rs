//! The PROXY protocol, byte by byte.

use oxicorn_http::proxy::line::{Announced, Line, LineFault, Versions, read};

const BOTH: Versions = Versions { v1: true, v2: true };
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, family], &len, body].concat()
}

fn ipv4(tlvs: &[u8]) -> Vec<u8> {
    [&[203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80], tlvs].concat()
}

fn ipv6(tlvs: &[u8]) -> Vec<u8> {
    let mut body = [0; 36];
    (body[0], body[1], body[15], body[31]) = (0x20, 1, 9, 1);
    (body[33], body[35]) = (7, 80);
    [&body, tlvs].concat()
}

/// What a whole header says: `source:port destination:port`, or `stays`.
fn told(input: &[u8]) -> String {
    match read(input, BOTH) {
        Err(LineFault(_)) => "fault".to_owned(),
        Ok(Line::NeedMore) => "more".to_owned(),
        Ok(Line::Absent) => "absent".to_owned(),
        Ok(Line::Whole { used, announced }) => {
            assert_eq!(used, input.len(), "all of it is used");
            announced.map_or(
                "stays".to_owned(),
                |Announced { source, source_port, destination, destination_port }| {
                    format!("{source} {source_port} {destination} {destination_port}")
                },
            )
        }
    }
}

#[test]
fn version_1() {
    let cases: [(&[u8], &str); 32] = [
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80\r\n", "203.0.113.9 4660 10.0.0.1 80"),
        (b"PROXY TCP6 2001:db8::9 ::1 4660 80\r\n", "2001:db8::9 4660 ::1 80"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 0 65535\r\n", "1.1.1.1 0 2.2.2.2 65535"),
        (b"PROXY UNKNOWN\r\n", "stays"),
        (b"PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n", "stays"),
        (b"PROXY UNKNOWN anything at all\r\n", "stays"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80 \r\n", "fault"),
        (b"PROXY TCP4  203.0.113.9 10.0.0.1 4660 80\r\n", "fault"),
        (b"PROXY\tTCP4 203.0.113.9 10.0.0.1 4660 80\r\n", "absent"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80 1\r\n", "fault"),
        (b"PROXY TCP4 ::1 ::1 4660 80\r\n", "fault"),
        (b"PROXY TCP6 1.1.1.1 1.1.1.1 4660 80\r\n", "fault"),
        (b"PROXY TCP4 ::ffff:1.1.1.1 1.1.1.1 4660 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 04660 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 -1 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 +1 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 a 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113.09 10.0.0.1 1 80\r\n", "fault"),
        (b"PROXY TCP4 203.0.113 10.0.0.1 1 80\r\n", "fault"),
        (b"PROXY TCP4 localhost 10.0.0.1 1 80\r\n", "fault"),
        (b"PROXY UDP4 203.0.113.9 10.0.0.1 1 80\r\n", "fault"),
        (b"PROXY tcp4 203.0.113.9 10.0.0.1 1 80\r\n", "fault"),
        (b"PROXY \r\n", "fault"),
        (b"proxy TCP4 203.0.113.9 10.0.0.1 1 80\r\n", "absent"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 1 80", "more"),
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 1 80\r", "more"),
        (b"PRO", "more"),
        (b"GET / HTTP/1.1\r\n", "absent"),
        (b"PROXY TCP4 \xff 10.0.0.1 1 80\r\n", "fault"),
    ];
    for (input, expected) in cases {
        assert_eq!(told(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn version_1_has_at_most_107_bytes() {
    let line = |len: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(len - 16)).into_bytes();
    assert_eq!(told(&line(107)), "stays");
    assert_eq!(told(&line(108)), "fault");
    assert_eq!(told(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92]].concat()), "more");
    assert_eq!(told(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat()), "fault");
}

#[test]
fn version_2() {
    let cases: [(Vec<u8>, &str); 24] = [
        (v2(0x21, 0x11, &ipv4(b"")), "203.0.113.9 4660 10.0.0.1 80"),
        (v2(0x21, 0x21, &ipv6(b"")), "2001::9 7 ::1 80"),
        (v2(0x21, 0x11, &ipv4(b"\x03\0\x04abcd")), "203.0.113.9 4660 10.0.0.1 80"),
        (v2(0x21, 0x11, &ipv4(b"\x04\0\0\x05\0\x01a")), "203.0.113.9 4660 10.0.0.1 80"),
        (v2(0x21, 0x11, &ipv4(b"\x03\0")), "fault"),
        (v2(0x21, 0x11, &ipv4(b"\x03")), "fault"),
        (v2(0x21, 0x11, &ipv4(b"\x03\0\x05abcd")), "fault"),
        (v2(0x21, 0x11, &ipv4(b"\x03\xff\xff")), "fault"),
        (v2(0x21, 0x21, &ipv6(b"\x03\0\x01")), "fault"),
        (v2(0x20, 0x00, b""), "stays"),
        (v2(0x20, 0x11, &ipv4(b"")), "stays"),
        (v2(0x20, 0x31, b"anything"), "stays"),
        (v2(0x21, 0x00, b""), "stays"),
        (v2(0x21, 0x00, b"anything"), "stays"),
        (v2(0x21, 0x11, &ipv4(b"")[..11]), "fault"),
        (v2(0x21, 0x21, &ipv6(b"")[..35]), "fault"),
        (v2(0x21, 0x12, &ipv4(b"")), "fault"),
        (v2(0x21, 0x22, &ipv6(b"")), "fault"),
        (v2(0x21, 0x31, &[0; 216]), "fault"),
        (v2(0x22, 0x11, &ipv4(b"")), "fault"),
        (v2(0x11, 0x11, &ipv4(b"")), "fault"),
        (v2(0x31, 0x11, &ipv4(b"")), "fault"),
        (v2(0x21, 0x11, &[0; 4097]), "fault"),
        (v2(0x20, 0x00, &[0; 4096]), "stays"),
    ];
    for (input, expected) in cases {
        assert_eq!(told(&input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn every_cut_of_a_good_header_needs_more() {
    let v1 = b"PROXY TCP6 2001:db8::9 ::1 4660 80\r\n".to_vec();
    for whole in [v1, v2(0x21, 0x11, &ipv4(b"\x03\0\x04abcd")), v2(0x20, 0, b"")] {
        for cut in 0..whole.len() {
            assert_eq!(told(&whole[..cut]), "more", "{}", whole[..cut].escape_ascii());
        }
    }
}

#[test]
fn what_follows_is_left_alone() {
    let wire = [v2(0x21, 0x11, &ipv4(b"")), b"GET / HTTP/1.1\r\n".to_vec()].concat();
    assert!(matches!(read(&wire, BOTH), Ok(Line::Whole { used: 28, announced: Some(_) })));
    let wire = b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n";
    assert_eq!(read(wire, BOTH), Ok(Line::Whole { used: 15, announced: None }));
}

#[test]
fn a_version_that_is_off_is_not_seen() {
    let (v1, v2_only) = (Versions { v1: true, v2: false }, Versions { v1: false, v2: true });
    assert_eq!(read(&v2(0x20, 0, b""), v1), Ok(Line::Absent));
    assert_eq!(read(b"PROXY UNKNOWN\r\n", v2_only), Ok(Line::Absent));
    assert_eq!(read(b"PROXY UNKNOWN\r\n", Versions::default()), Ok(Line::Absent));
}
