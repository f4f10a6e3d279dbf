//! The fuzz targets on the corpus and on mutations of it, the same ones in every run.

mod support;

use oxicorn_http::fuzzing;
use support::corpus::cases;

const SEED: u64 = 0x6f78_6963_6f72_6e01;
const MUTATIONS: u32 = 30;

#[test]
fn heads() {
    run(fuzzing::head);
}

#[test]
fn chunked_bodies() {
    run(|bytes| {
        // Most of the corpus is heads; what follows them is of use here.
        let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        fuzzing::chunked(&bytes[body..]);
    });
}

#[test]
fn connections() {
    run(fuzzing::connection);
}

#[test]
fn responses() {
    run(fuzzing::response);
    run(|bytes| {
        // Requests look little like a status and fields; this is nearer.
        let mut data = b"200 OK\xff".to_vec();
        data.extend(bytes.iter().map(|&b| match b {
            b':' => 0,
            b'\n' => 0xff,
            other => other,
        }));
        fuzzing::response(&data);
        data.retain(|&b| b != b'\r' && b != b' ');
        data.splice(..6, *b"200 OK");
        fuzzing::response(&data);
    });
}

#[test]
fn forwarding_fields() {
    let values = include_str!("proxy_cases.txt").lines().filter_map(|line| line.split(": ").nth(1));
    let seeds = values.flat_map(|value| {
        (0..64_u8).map(move |pick| [&[pick, pick / 8], value.as_bytes()].concat())
    });
    mutations(seeds, 3, fuzzing::forwarding);
}

#[test]
fn proxy_lines() {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\0\x51\x03\0\x01a";
    let seeds = [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / ".to_vec(), v2.to_vec()];
    mutations(seeds.into_iter(), 20_000, fuzzing::proxy_line);
}

#[test]
fn http2_connections() {
    // SETTINGS, two requests (one of them with a body), WINDOW_UPDATE, PING, RST_STREAM.
    let head = b"\x82\x86\x84\x41\x01a\x40\x01x\x01y\x60\x03a=1";
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let frames = [
        frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        frame(1, 5, 1, head),
        frame(1, 4, 3, b"\x83\x86\x84\x41\x01a\x5c\x011"),
        frame(0, 1, 3, b"x"),
        frame(8, 0, 0, &[0, 0, 1, 0]),
        frame(6, 0, 0, b"12345678"),
        frame(1, 1, 5, &head[..4]),
        frame(9, 4, 5, &head[4..]),
        frame(3, 0, 5, &[0, 0, 0, 8]),
    ];
    let seeds = (1..=frames.len()).map(|count| frames[..count].concat());
    mutations(seeds, 2000, fuzzing::http2);
}

fn run(target: impl Fn(&[u8])) {
    let cases = cases("accept").into_iter().chain(cases("reject"));
    mutations(cases.map(|case| case.bytes), MUTATIONS, target);
}

fn mutations(seeds: impl Iterator<Item = Vec<u8>>, times: u32, target: impl Fn(&[u8])) {
    let mut random = Random(SEED);
    for seed in seeds {
        target(&seed);
        // Long cases are about limits; mutations of short ones find more in the same time.
        let times = if seed.len() > 2000 { 2 } else { times };
        for _ in 0..times {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut bytes, &mut random);
            }
            target(&bytes);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: &[u8] = b"\r\n\t :;,0159aAzZ_-*%/?#[]@\0\x7f\x80\xff";
    let at = random.below(bytes.len().max(1));
    let octet = TELLING[random.below(TELLING.len())];
    match random.below(5) {
        _ if bytes.is_empty() => bytes.push(octet),
        0 => bytes[at] = octet,
        1 => bytes.insert(at, octet),
        2 => {
            bytes.remove(at);
        }
        3 => bytes.truncate(at),
        _ => {
            let end = bytes.len().min(at + 1 + random.below(40));
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}

/// A small generator of even quality (splitmix64): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((number ^ (number >> 31)) % limit as u64) as usize
    }
}
