//! A worker with a fake application over real sockets, rule by rule.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Running, eventually};
use oxicorn_worker::Config;

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let running = Running::start(Config::default());
    let mut client = running.dial();
    for path in ["/a", "/b", "/c"] {
        let response = client.get(path);
        assert_eq!((response.status, response.body.as_slice()), (200, path.as_bytes()));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for threads in [1, 3] {
        let running = Running::start(Config { threads, ..Config::default() });
        let mut client = running.dial();
        let requests: String =
            (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(requests);
        for n in 0..100 {
            assert_eq!(client.response().body, format!("/{n}").into_bytes());
        }
    }
}

#[test]
fn a_request_in_pieces_is_put_together() {
    let running = Running::start(Config::default());
    let mut client = running.dial();
    for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" {
        client.send([*byte]);
    }
    assert_eq!(client.response().body, b"hello");
}

#[test]
fn a_large_body_goes_through_a_file() {
    let running = Running::start(Config { body_memory: 1000, ..Config::default() });
    let mut client = running.dial();
    let body: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    client
        .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert_eq!(client.response().body, body);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(7000) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().body, body);
}

#[test]
fn an_unbuffered_body_is_read_by_the_application() {
    let running = Running::start(Config { request_buffering: false, ..Config::default() });
    let mut client = running.dial();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
    );
    assert_eq!(client.response().status, 100);
    client.send("abc");
    client.send("def");
    assert_eq!(client.response().body, b"abcdef");
    assert_eq!(client.get("/next").body, b"/next");
}

#[test]
fn a_refused_request_ends_its_connection_and_nothing_after_it_is_served() {
    let running = Running::start(Config::default());
    let mut client = running.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 400);
    assert!(response.head.contains("Connection: close"), "{}", response.head);
    assert!(client.is_closed());
    assert_eq!(running.app.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn a_slow_head_is_answered_with_408() {
    let head_timeout = Duration::from_millis(100);
    let running = Running::start(Config { head_timeout, ..Config::default() });
    let mut client = running.dial();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.response().status, 408);
    assert!(client.is_closed());
}

#[test]
fn idle_connections_are_closed_in_time() {
    let keepalive = Duration::from_millis(100);
    let running = Running::start(Config { keepalive, ..Config::default() });
    let mut client = running.dial();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
}

#[test]
fn at_the_limit_the_oldest_idle_connection_makes_room() {
    let running = Running::start(Config { connections: 2, ..Config::default() });
    let mut first = running.dial();
    first.get("/");
    std::thread::sleep(Duration::from_millis(5));
    let mut second = running.dial();
    second.get("/");
    let mut third = running.dial();
    assert_eq!(third.get("/third").body, b"/third");
    assert!(first.is_closed());
    assert_eq!(second.get("/second").body, b"/second");
}

#[test]
fn silent_connections_make_room_too() {
    let head_timeout = Duration::from_secs(600);
    let running = Running::start(Config { connections: 3, head_timeout, ..Config::default() });
    let mut silent: Vec<_> = (0..6).map(|_| running.dial()).collect();
    assert_eq!(running.dial().get("/served").body, b"/served");
    for client in silent.iter_mut().take(3) {
        assert!(client.is_closed());
    }
}

#[test]
fn a_slow_reader_holds_no_application_thread() {
    let running = Running::start(Config::default());
    let size = 50 << 20;
    let mut slow = running.dial();
    slow.send(format!("GET /big/{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut other = running.dial();
    assert_eq!(other.get("/quick").body, b"/quick");
    assert_eq!(slow.response().body.len(), size);
    assert_eq!(slow.get("/again").body, b"/again");
}

#[test]
fn the_monitor_takes_in_what_comes_while_the_only_thread_is_busy() {
    let running = Running::start(Config::default());
    let mut busy = running.dial();
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    // Answered without the application, so the monitor alone can do it.
    let mut bad = running.dial();
    bad.send("nonsense\r\n\r\n");
    assert_eq!(bad.response().status, 400);
    let mut waiting = running.dial();
    waiting.send("GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    running.app.release();
    assert_eq!(waiting.response().body, b"/after");
    assert_eq!(busy.response().status, 200);
    assert_eq!(running.app.most_running.load(Ordering::SeqCst), 1);
}

#[test]
fn other_threads_serve_while_one_is_busy() {
    let running = Running::start(Config { threads: 2, ..Config::default() });
    let mut busy = running.dial();
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    let mut clients: Vec<_> = (0..20).map(|_| running.dial()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/quick").body, b"/quick");
    }
    // The last quick call may be about to return; the busy one is still inside.
    eventually("only one runs", || running.app.running.load(Ordering::SeqCst) == 1);
    running.app.release();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn a_drain_lets_requests_finish_and_ends() {
    let mut running = Running::start(Config::default());
    let mut busy = running.dial();
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut idle = running.dial();
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    idle.send("");
    running.worker.drain();
    running.app.release();
    let response = busy.response();
    assert_eq!(response.status, 200);
    running.join();
    assert!(busy.is_closed());
}

#[test]
fn a_drain_serves_what_is_queued_at_the_listener_and_then_closes_it() {
    // Siblings are supposed to accept while this worker is busy, so it leaves its queue alone.
    let mut running = Running::start(Config { has_siblings: true, ..Config::default() });
    let mut busy = running.dial();
    busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    let mut queued = running.dial();
    queued.send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
    running.worker.drain();
    running.app.release();
    assert_eq!(busy.response().status, 200);
    let response = queued.response();
    assert_eq!(response.body, b"/queued");
    assert!(response.head.contains("Connection: close"), "{}", response.head);
    running.join();
    assert!(std::net::TcpStream::connect(running.address).is_err(), "still listening");
}

#[test]
fn a_panic_ends_one_connection_and_nothing_else() {
    for threads in [1, 3] {
        let running = Running::start(Config { threads, connections: 4, ..Config::default() });
        let mut other = running.dial();
        assert_eq!(other.get("/before").status, 200);
        // More than there are places: each must be given back.
        for _ in 0..8 {
            let mut client = running.dial();
            client.send("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.is_closed());
        }
        assert_eq!(other.get("/after").body, b"/after");
        // A thread is busy for long afterwards, so that one is read by the monitor and queued.
        let mut busy = running.dial();
        busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
        let mut queued = running.dial();
        queued.send("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n");
        running.app.release();
        assert!(queued.is_closed());
        assert_eq!(busy.response().status, 200);
        assert_eq!(other.get("/again").body, b"/again");
    }
}
