//! Many connections, random delays, pipelining and hang-ups: every answer must be the right one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Running, eventually};
use oxicorn_worker::Config;

/// A small generator with a printed seed, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// One client's life: a few requests in random shapes, perhaps cut off in the middle.
fn client(running: &Running, random: &mut Random, served: &AtomicUsize) {
    let mut client = running.dial();
    for _ in 0..=random.next(6) {
        match random.next(10) {
            0 => {
                client.send("GET /cut HTTP/1.1\r\nHo");
                return;
            }
            1 => {
                client.send("GET /sleep/3 HTTP/1.1\r\nHost: a\r\n\r\n");
                return;
            }
            2 => {
                assert_eq!(client.get("/sleep/2").body, b"/sleep/2");
                served.fetch_add(1, Ordering::Relaxed);
            }
            3 => {
                let count = 2 + random.next(30);
                let requests: String =
                    (0..count).map(|n| format!("GET /p{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
                client.send(requests);
                for n in 0..count {
                    assert_eq!(client.response().body, format!("/p{n}").into_bytes());
                }
            }
            4 => {
                let size = random.next(300_000) as usize;
                client.send(format!(
                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
                ));
                client.send(vec![b'y'; size]);
                let expected = if size == 0 { 5 } else { size };
                assert_eq!(client.response().body.len(), expected);
            }
            5 => {
                let size = random.next(3_000_000) as usize;
                assert_eq!(client.get(&format!("/big/{size}")).body.len(), size);
            }
            6 => {
                client.send("GET /big/5000000 HTTP/1.1\r\nHost: a\r\n\r\n");
                return;
            }
            _ => {
                let path = format!("/{}", random.next(1_000_000));
                for piece in [format!("GET {path} HTT"), "P/1.1\r\nHost: a\r\n\r\n".to_owned()] {
                    client.send(piece);
                    if random.next(4) == 0 {
                        thread::sleep(Duration::from_micros(random.next(1500)));
                    }
                }
                assert_eq!(client.response().body, path.into_bytes());
                served.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn stress(threads: usize, seed: u64) {
    let running = Arc::new(Running::start(Config { threads, ..Config::default() }));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let (running, served) = (Arc::clone(&running), Arc::clone(&served));
            thread::spawn(move || {
                let mut random = Random(seed.wrapping_mul(number + 1) | 1);
                for _ in 0..80 {
                    client(&running, &mut random, &served);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap_or_else(|_| panic!("a wrong answer; threads {threads}, seed {seed}"));
    }
    assert!(served.load(Ordering::Relaxed) > 100);
    // Afterwards it is quiet, nothing is stuck, and the worker still serves.
    eventually("every call ends", || running.app.running.load(Ordering::SeqCst) == 0);
    assert_eq!(running.dial().get("/after").body, b"/after");
    if threads == 1 {
        assert_eq!(running.app.most_running.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn one_thread_survives_a_storm_of_clients() {
    stress(1, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn four_threads_survive_a_storm_of_clients() {
    stress(4, 0x2545_f491_4f6c_dd1d);
}
