//! A worker under a foreign loop: the tests are the loop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxicorn_worker::{Config, Control, ForeignWorker, Ready};

use crate::support::{Client, Fake, eventually};

struct Loop {
    worker: ForeignWorker,
    app: Arc<Fake>,
    address: SocketAddr,
    parked: Arc<AtomicUsize>,
}

impl Loop {
    fn new(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("address");
        let app = Arc::new(Fake::default());
        let parked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&parked);
        let control = Control {
            park: Some(Box::new(move |_, _, _| {
                count.fetch_add(1, Ordering::SeqCst);
                false
            })),
            ..Control::default()
        };
        let worker = ForeignWorker::new(config, vec![listener.into()], app.clone(), control);
        Self { worker: worker.expect("worker"), app, address, parked }
    }

    /// Takes turns until a request is there.
    fn ready(&self) -> Ready {
        let mut found = None;
        eventually("a request", || {
            self.worker.turn();
            found = self.worker.next_ready();
            found.is_some()
        });
        found.expect("just seen")
    }

    fn serve_one(&self) {
        let ready = self.ready();
        self.worker.run(ready);
    }
}

#[test]
fn a_turn_takes_in_and_runs_nothing() {
    let host = Loop::new(Config::default());
    let mut client = Client::of(host.address);
    for path in ["/a", "/b"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let ready = host.ready();
        assert_eq!(host.app.running.load(Ordering::SeqCst), 0);
        host.worker.run(ready);
        assert_eq!(client.response().body, path.as_bytes());
    }
    assert_eq!(host.app.calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_request_that_nobody_runs_is_closed() {
    let host = Loop::new(Config::default());
    let mut client = Client::of(host.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    drop(host.ready());
    assert!(client.is_closed());
}

#[test]
fn a_wait_for_the_body_is_the_loops() {
    let host = Loop::new(Config { request_buffering: false, ..Config::default() });
    let mut client = Client::of(host.address);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    host.serve_one();
    // The loop wanted it given up, so the application did.
    assert_eq!(host.parked.load(Ordering::SeqCst), 1);
    assert_eq!(client.rest(), b"");
}

#[test]
fn accepting_pauses_and_goes_on() {
    let host = Loop::new(Config::default());
    host.worker.pause();
    let mut client = Client::of(host.address);
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    host.worker.turn();
    assert!(host.worker.next_ready().is_none());
    host.worker.resume();
    host.serve_one();
    assert_eq!(client.response().body, b"/a");
}

#[test]
fn a_drain_ends_when_the_last_request_is_answered() {
    let host = Loop::new(Config::default());
    let mut client = Client::of(host.address);
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let ready = host.ready();
    host.worker.drain(None);
    host.worker.turn();
    assert!(!host.worker.is_over());
    host.worker.run(ready);
    assert_eq!(client.response().body, b"/a");
    eventually("the end", || {
        host.worker.turn();
        host.worker.is_over()
    });
    assert!(client.is_closed());
}
