//! Workers that share a passage and a scoreboard: who runs what, and what goes along.
//!
//! Each has a listener of its own here, so that it is known where a connection begins.

use std::sync::atomic::Ordering;

use oxicorn_os::passage::Passage;
use oxicorn_os::scoreboard::{Scoreboard, monotonic_ms};
use oxicorn_worker::{Config, Control};

use crate::support::{Client, Running, eventually};

fn team(configs: impl IntoIterator<Item = Config>) -> Vec<Running> {
    let board = Scoreboard::create(8).expect("memory");
    let passage = Passage::new().expect("descriptors");
    let start = |(index, config): (usize, Config)| {
        let slot = board.slot(index).expect("room");
        slot.claim(1, monotonic_ms());
        let passage = passage.try_clone().expect("descriptors");
        let control = Control { slot: Some(slot), handoff: Some(passage), ..Control::default() };
        Running::start_with(Config { has_siblings: true, ..config }, control)
    };
    configs.into_iter().enumerate().map(start).collect()
}

fn threads(threads: usize) -> Config {
    Config { threads, ..Config::default() }
}

/// A worker and its sibling, with one thread each.
fn two() -> [Running; 2] {
    let mut team = team([threads(1), threads(1)]).into_iter();
    [team.next().expect("first"), team.next().expect("second")]
}

fn calls(running: &Running) -> usize {
    running.app.calls.load(Ordering::SeqCst)
}

/// Keeps all threads of a worker busy until they are released.
fn occupy(running: &Running, threads: usize) -> Vec<Client> {
    // A call may go on for a moment after its response is out.
    eventually("nothing runs", || running.app.running.load(Ordering::SeqCst) == 0);
    (1..=threads)
        .map(|count| {
            let mut client = running.dial();
            client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
            let inside = || running.app.running.load(Ordering::SeqCst) == count;
            eventually("a thread is inside", inside);
            client
        })
        .collect()
}

/// Ends what [`occupy`] began.
fn release(running: &Running, busy: Vec<Client>) {
    running.app.release();
    for mut client in busy {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn requests_of_kept_connections_go_to_an_idle_sibling() {
    for count in [1, 2] {
        let team = team([threads(count), threads(count)]);
        let mut clients: Vec<_> = (0..40).map(|_| team[0].dial()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/before").status, 200));
        let busy = occupy(&team[0], count);
        for round in ["/one", "/two"] {
            for client in &mut clients {
                client.send(format!("GET {round} HTTP/1.1\r\nHost: a\r\n\r\n"));
            }
            for client in &mut clients {
                assert_eq!(client.response().body, round.as_bytes());
            }
        }
        // At least: on a slow machine a connection may have moved before.
        assert!(calls(&team[1]) >= 80, "{}", calls(&team[1]));
        release(&team[0], busy);
    }
}

#[test]
fn what_was_pipelined_goes_along() {
    let [first, second] = two();
    let mut client = first.dial();
    let busy = occupy(&first, 1);
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    // The last one is not complete yet.
    client.send(&requests[..requests.len() - 7]);
    for n in 0..49 {
        assert_eq!(client.response().body, format!("/{n}").into_bytes());
    }
    client.send(&requests[requests.len() - 7..]);
    assert_eq!(client.response().body, b"/49");
    assert_eq!(calls(&second), 50);
    release(&first, busy);
}

#[test]
fn bodies_go_along_and_are_framed_as_before() {
    for request_buffering in [true, false] {
        let config = Config { request_buffering, ..Config::default() };
        let team = team([config.clone(), config]);
        let mut clients: Vec<_> = (0..4).map(|_| team[0].dial()).collect();
        let busy = occupy(&team[0], 1);
        let body = "0123456789".repeat(2000);
        clients[0]
            .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n{body}"));
        let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        clients[1].send(format!("{chunked}5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n"));
        clients[2].send(format!("{chunked}0\r\n\r\n"));
        clients[3].send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(clients[0].response().body, body.as_bytes());
        assert_eq!(clients[1].response().body, b"hello world");
        let empty = clients[2].response().body;
        assert!(empty == b"" || empty == b"/echo", "{empty:?}");
        assert_eq!(clients[3].response().status, 100);
        clients[3].send("body");
        assert_eq!(clients[3].response().body, b"body");
        for client in &mut clients {
            assert_eq!(client.get("/after").body, b"/after");
        }
        assert_eq!(calls(&team[0]), 1);
        release(&team[0], busy);
    }
}

#[test]
fn what_is_too_large_waits_and_holds_nobody_up() {
    let [first, second] = two();
    let (mut large, mut small) = (first.dial(), first.dial());
    let busy = occupy(&first, 1);
    let body = vec![b'x'; 100_000];
    large.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    large.send(&body);
    assert_eq!(small.get("/small").body, b"/small");
    assert_eq!(calls(&second), 1);
    release(&first, busy);
    assert_eq!(large.response().body, body);
    assert_eq!(calls(&second), 1);
}

#[test]
fn a_sibling_that_becomes_idle_later_is_offered_what_waits() {
    let [first, second] = two();
    let mut clients: Vec<_> = (0..20).map(|_| first.dial()).collect();
    let (busy, also_busy) = (occupy(&first, 1), occupy(&second, 1));
    for client in &mut clients {
        client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    release(&second, also_busy);
    for client in &mut clients {
        assert_eq!(client.response().body, b"/waits");
    }
    assert_eq!(calls(&second), 21);
    release(&first, busy);
}

#[test]
fn a_worker_that_drains_is_offered_nothing_and_offers_nothing() {
    let [first, mut second] = two();
    let mut kept = second.dial();
    kept.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
    second.worker.drain();
    let mut client = first.dial();
    let busy = occupy(&first, 1);
    client.send("GET /stays HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.send("345");
    assert_eq!(kept.response().status, 200);
    second.join();
    assert_eq!(calls(&second), 1);
    release(&first, busy);
    assert_eq!(client.response().body, b"/stays");

    let [mut first, second] = two();
    let mut client = first.dial();
    let busy = occupy(&first, 1);
    first.worker.drain();
    client.send("GET /stays HTTP/1.1\r\nHost: a\r\n\r\n");
    release(&first, busy);
    let response = client.response();
    assert!(response.head.contains("Connection: close"), "{}", response.head);
    first.join();
    assert_eq!(calls(&second), 0);
}

#[test]
fn requests_are_counted_on_across_workers() {
    let config = Config { keepalive_requests: 3, ..Config::default() };
    let team = team([config.clone(), config]);
    let mut client = team[0].dial();
    client.get("/one");
    let busy = occupy(&team[0], 1);
    assert!(!client.get("/two").head.contains("Connection: close"));
    assert!(client.get("/three").head.contains("Connection: close"));
    assert!(client.is_closed());
    assert!(calls(&team[1]) >= 2);
    release(&team[0], busy);
}

#[test]
fn many_workers_pass_connections_around_without_losing_a_request() {
    let team = team((0..4).map(|_| threads(2)));
    std::thread::scope(|scope| {
        for index in 0..24_usize {
            let home = &team[index % 2];
            scope.spawn(move || {
                let mut client = home.dial();
                for round in 0..30 {
                    let path = if (index + round) % 5 == 0 {
                        "/sleep/8".to_owned()
                    } else {
                        format!("/{index}/{round}")
                    };
                    assert_eq!(client.get(&path).body, path.into_bytes());
                }
            });
        }
    });
    assert_eq!(team.iter().map(calls).sum::<usize>(), 24 * 30);
    assert!(calls(&team[2]) + calls(&team[3]) > 0, "nothing moved");
}
