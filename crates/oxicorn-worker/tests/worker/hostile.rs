//! Clients at their worst, and faults of our own: what they may cost, and whom.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Running, eventually};
use oxicorn_worker::Config;

#[test]
fn pipelined_requests_are_answered_although_their_client_sends_no_more() {
    for threads in [1, 3] {
        let running = Running::start(Config { threads, ..Config::default() });
        let mut client = running.dial();
        let requests: String =
            (0..100).map(|n| format!("GET /sleep/{} HTTP/1.1\r\nHost: a\r\n\r\n", n % 4)).collect();
        client.send(requests);
        client.stream.shutdown(Shutdown::Write).expect("half-close");
        for n in 0..100 {
            assert_eq!(client.response().body, format!("/sleep/{}", n % 4).into_bytes());
        }
        assert!(client.is_closed());
    }
}

#[test]
fn the_time_for_a_head_does_not_run_while_the_request_before_it_does() {
    let head_timeout = Duration::from_millis(300);
    let running = Running::start(Config { head_timeout, ..Config::default() });
    let mut client = running.dial();
    client.send("GET /sleep/900 HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHo");
    thread::sleep(Duration::from_millis(10));
    client.send("st: a\r\n\r\n");
    assert_eq!(client.response().body, b"/sleep/900");
    assert_eq!(client.response().body, b"/next");
}

#[test]
fn a_panic_costs_its_connection_and_nothing_else() {
    for threads in [1, 2] {
        let mut running = Running::start(Config { threads, connections: 8, ..Config::default() });
        for _ in 0..21 {
            let mut client = running.dial();
            client.send("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.is_closed());
        }
        // The same for requests that come from the queue, while all threads are busy.
        for _ in 0..3 {
            let mut busy: Vec<_> = (0..threads).map(|_| running.dial()).collect();
            for client in &mut busy {
                client.send("GET /sleep/200 HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            eventually("the calls run", || running.app.running.load(Ordering::SeqCst) == threads);
            // What needs no application is answered, so the threads are known to be inside it.
            let mut bad = running.dial();
            bad.send("nonsense\r\n\r\n");
            assert_eq!(bad.response().status, 400);
            let mut queued = running.dial();
            queued.send("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(queued.is_closed());
            for client in &mut busy {
                assert_eq!(client.response().status, 200);
            }
        }
        assert_eq!(running.dial().get("/after").body, b"/after");
        running.worker.drain();
        running.join();
    }
}

#[test]
fn a_client_that_sends_on_after_the_last_response_still_gets_all_of_it() {
    let running = Running::start(Config { keepalive: Duration::ZERO, ..Config::default() });
    let size = 1_000_000;
    let mut client = running.dial();
    client.send(format!("GET /big/{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    eventually("the call is over", || {
        running.app.calls.load(Ordering::SeqCst) == 1
            && running.app.running.load(Ordering::SeqCst) == 0
    });
    thread::sleep(Duration::from_millis(50));
    client.send("GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(client.response().body.len(), size);
    assert!(client.is_closed());
    assert_eq!(running.app.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_unbuffered_body_must_come_at_the_least_rate() {
    let config = Config {
        request_buffering: false,
        body_grace: Duration::from_millis(200),
        body_rate: 1_000_000,
        ..Config::default()
    };
    let running = Running::start(config);
    let mut client = running.dial();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    let mut dripping = client.stream.try_clone().expect("clone");
    let drip = thread::spawn(move || {
        use std::io::Write;
        // Ends when the server closes, or far too late.
        for _ in 0..2000 {
            if dripping.write_all(b"x").is_err() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    });
    assert!(client.is_closed());
    assert!(drip.join().expect("no panic"));
}

#[test]
fn a_refused_head_request_gets_no_body_wherever_it_broke() {
    let head_timeout = Duration::from_millis(150);
    let grace = Duration::from_millis(150);
    let config = Config { head_timeout, body_grace: grace, ..Config::default() };
    let running = Running::start(config);
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let cases = [
        (format!("{head}Content-Length: x\r\n\r\n"), "", "400"),
        (chunked.clone(), "x\r\n", "400"),
        (chunked, "", "408"),
        (head.to_owned(), "", "408"),
    ];
    for (first, then, status) in cases {
        let mut client = running.dial();
        client.send(&first);
        thread::sleep(Duration::from_millis(20));
        client.send(then);
        let answer = String::from_utf8(client.rest()).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{first}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{first}: {answer}");
    }
    let mut client = running.dial();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    thread::sleep(Duration::from_millis(20));
    client.send("HEAD ");
    assert_ne!(client.response().body, b"");
}

#[test]
fn no_request_waits_for_a_poll_to_time_out_when_the_monitor_took_it_in() {
    let running = Running::start(Config::default());
    let mut clients: Vec<_> = (0..2).map(|_| running.dial()).collect();
    let mut stalls = 0;
    for round in 0..150_u32 {
        let start = Instant::now();
        for client in &mut clients {
            client.send(format!("GET /sleep/{} HTTP/1.1\r\nHost: a\r\n\r\n", 1 + round % 4));
            thread::sleep(Duration::from_micros(u64::from(round % 7) * 500));
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        // A poll waits for a second; a call takes milliseconds.
        stalls += u32::from(start.elapsed() > Duration::from_millis(700));
    }
    assert!(stalls < 5, "{stalls} of 150 rounds stalled");
}
