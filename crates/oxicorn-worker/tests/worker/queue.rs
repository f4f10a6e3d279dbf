//! Requests that wait for a thread: for how long, how many, and for whom.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_os::LogTarget;
use oxicorn_worker::access_log::{AccessFormat, AccessLog};
use oxicorn_worker::{Config, Control};

use crate::support::{Client, Running, eventually};

/// A client whose request occupies the only thread.
fn occupy(running: &Running) -> Client {
    let mut client = running.dial();
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    client
}

#[test]
fn a_request_that_waited_too_long_is_told_when_to_come_back() {
    let queue_timeout = Duration::from_millis(100);
    let running = Running::start(Config { queue_timeout, ..Config::default() });
    let mut busy = occupy(&running);
    let mut clients: Vec<_> = (0..10).map(|_| running.dial()).collect();
    for client in &mut clients {
        client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        let response = client.response();
        assert_eq!(response.status, 503);
        assert!(response.head.contains("Retry-After: "), "{}", response.head);
        assert!(client.is_closed());
    }
    running.app.release();
    assert_eq!(busy.response().status, 200);
    assert_eq!(running.app.calls.load(Ordering::SeqCst), 1);
    assert_eq!(busy.get("/after").body, b"/after");
}

#[test]
fn a_full_queue_refuses_at_once() {
    let running = Running::start(Config { queue_limit: 2, ..Config::default() });
    let mut busy = occupy(&running);
    let mut clients: Vec<_> = (0..6).map(|_| running.dial()).collect();
    let mut refused = 0;
    for client in &mut clients {
        client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Whichever of them were read first wait.
    std::thread::scope(|scope| {
        let answers: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(|| {
                    let status = client.response().status;
                    if status == 503 {
                        assert!(client.is_closed());
                    }
                    status
                })
            })
            .collect();
        eventually("four are refused", || {
            answers.iter().filter(|answer| answer.is_finished()).count() == 4
        });
        assert_eq!(running.app.calls.load(Ordering::SeqCst), 1);
        running.app.release();
        for answer in answers {
            refused += usize::from(answer.join().expect("no panic") == 503);
        }
    });
    assert_eq!(refused, 4);
    assert_eq!(busy.response().status, 200);
}

#[test]
fn a_request_whose_client_has_gone_does_not_begin() {
    let path = std::env::temp_dir().join(format!("oxicorn-gone-{}.log", std::process::id()));
    let format = AccessFormat::compile("%(h)s %(r)s %(s)s").expect("format");
    let log = AccessLog::open(format, LogTarget::File(path.clone())).expect("log");
    let control = Control { refused_log: Some(Arc::new(log)), ..Control::default() };
    let running = Running::start_with(Config::default(), control);
    let mut busy = occupy(&running);
    let mut stays = running.dial();
    let mut goes = running.dial();
    goes.send("GET /goes HTTP/1.1\r\nHost: a\r\n\r\n");
    // Long enough that it is no client that has only nothing more to say.
    std::thread::sleep(Duration::from_millis(1500));
    drop(goes);
    stays.send("GET /stays HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    running.app.release();
    assert_eq!(busy.response().status, 200);
    assert_eq!(stays.response().body, b"/stays");
    assert_eq!(running.app.calls.load(Ordering::SeqCst), 2);
    let written = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("a line", || written().ends_with('\n'));
    // Those that the application answered have theirs elsewhere.
    assert_eq!(written(), "127.0.0.1 GET /goes HTTP/1.1 499\n");
    std::fs::remove_file(path).expect("written");
}
