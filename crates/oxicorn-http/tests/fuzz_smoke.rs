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

fn run(target: impl Fn(&[u8])) {
    let mut random = Random(SEED);
    for case in cases("accept").into_iter().chain(cases("reject")) {
        target(&case.bytes);
        // Long cases are about limits; mutations of short ones find more in the same time.
        let times = if case.bytes.len() > 2000 { 2 } else { MUTATIONS };
        for _ in 0..times {
            let mut bytes = case.bytes.clone();
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
