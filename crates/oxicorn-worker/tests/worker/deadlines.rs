//! Time limits of requests, from the worker's side: who is interrupted, and who is given up.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxicorn_worker::{Config, Control, Step, Stuck};

use crate::support::{Running, eventually};

const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";

fn limits(threads: usize) -> Config {
    Config {
        threads,
        request_timeout: Duration::from_millis(100),
        request_timeout_grace: Duration::from_millis(100),
        ..Config::default()
    }
}

/// A worker that notes what it is told about requests that do not end.
fn watched(config: Config) -> (Running, Arc<Mutex<Vec<Stuck>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let stuck = move |what| note.lock().expect("no panic").push(what);
    let control = Control { stuck: Some(Box::new(stuck)), ..Control::default() };
    (Running::start_with(config, control), told)
}

#[test]
fn a_request_over_its_limit_is_interrupted() {
    for threads in [1, 3] {
        // What is not held keeps within it on a busy machine too, and what obeys has time to.
        let limits = Config {
            request_timeout: Duration::from_millis(500),
            request_timeout_grace: Duration::from_secs(60),
            ..limits(threads)
        };
        let (running, told) = watched(limits);
        running.app.obeys.store(true, Ordering::SeqCst);
        let mut client = running.dial();
        assert_eq!(client.get("/hold").body, b"/hold");
        let overdue = std::mem::take(&mut *running.app.overdue.lock().expect("no panic"));
        assert_eq!(overdue, [("GET /hold client=127.0.0.1".to_owned(), Step::Interrupt)]);
        // Nothing is known of the next ones.
        for _ in 0..20 {
            assert_eq!(client.get("/next").body, b"/next");
        }
        assert!(running.app.overdue.lock().expect("no panic").is_empty());
        assert!(told.lock().expect("no panic").is_empty());
    }
}

#[test]
fn a_request_that_takes_long_is_shown_and_left_alone() {
    let limits = Config { request_timeout_log: Duration::from_millis(50), ..Config::default() };
    let (running, told) = watched(limits);
    let mut client = running.dial();
    client.send(HOLD);
    eventually("shown", || !running.app.overdue.lock().expect("no panic").is_empty());
    running.app.release();
    assert_eq!(client.response().status, 200);
    let overdue = running.app.overdue.lock().expect("no panic");
    assert_eq!(*overdue, [("GET /hold client=127.0.0.1".to_owned(), Step::Show)]);
    assert!(told.lock().expect("no panic").is_empty());
}

#[test]
fn a_request_that_does_not_end_is_answered_and_told_of() {
    for threads in [1, 3] {
        let (running, told) = watched(limits(threads));
        let mut client = running.dial();
        client.send(HOLD);
        let response = client.response();
        assert_eq!(response.status, 504);
        assert!(response.head.contains("Connection: close"), "{}", response.head);
        assert!(client.is_closed());
        eventually("told", || *told.lock().expect("no panic") == [Stuck::Found]);
        running.app.release();
        eventually("it ended", || running.app.running.load(Ordering::SeqCst) == 0);
        // What it sent in the end went nowhere.
        assert!(client.is_closed());
    }
}

#[test]
fn a_worker_on_its_own_tells_nobody_and_goes_on() {
    let running = Running::start(limits(2));
    let mut stuck = running.dial();
    stuck.send(HOLD);
    assert_eq!(stuck.response().status, 504);
    assert_eq!(running.dial().get("/other").body, b"/other");
    running.app.release();
}

#[test]
fn a_worker_whose_only_thread_does_not_come_back_ends_without_it() {
    let (mut running, told) = watched(limits(1));
    let mut stuck = running.dial();
    stuck.send(HOLD);
    assert_eq!(stuck.response().status, 504);
    running.worker.drain();
    eventually("the process is to end", || told.lock().expect("no panic").contains(&Stuck::Holds));
    assert_eq!(*told.lock().expect("no panic"), [Stuck::Found, Stuck::Holds]);
    running.app.release();
    running.join();
}

#[test]
fn what_waits_for_a_thread_that_does_not_come_back_is_refused_at_the_end() {
    let (running, told) = watched(limits(1));
    let (mut stuck, mut waiting) = (running.dial(), running.dial());
    stuck.send(HOLD);
    eventually("the call runs", || running.app.running.load(Ordering::SeqCst) == 1);
    waiting.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(stuck.response().status, 504);
    eventually("told", || *told.lock().expect("no panic") == [Stuck::Found]);
    running.worker.drain();
    assert_eq!(waiting.response().status, 503);
    running.app.release();
}
