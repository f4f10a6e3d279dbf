//! Responses that go out together: when they are held, and that no call can keep them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxicorn_http::h1::encode::{BodyWriter, ResponseHead};
use oxicorn_worker::{Application, Config, Control, Deadline, Exchange, Request, Step, Worker};

use crate::support::eventually;

/// Connections of a burst: all are ready before the first of them is looked at.
const CLIENTS: usize = 100;
/// Which of them has the request that takes long, in bursts that have one.
const SLOW: usize = 90;

/// An application that is its own client: `/burst` sends a request on each of [`CLIENTS`] connections.
/// A call for one of them looks whether the one before has its response, if it is to.
#[derive(Default)]
struct Burst {
    clients: Mutex<Vec<TcpStream>>,
    /// Whose requests had their calls.
    called: Mutex<Vec<usize>>,
    looks: AtomicBool,
    held: AtomicUsize,
    has_slow: AtomicBool,
    /// Where `/slow` waits: in its call, or after its response is whole.
    waits_at_end: AtomicBool,
    is_slow: AtomicBool,
    released: AtomicBool,
}

impl Burst {
    fn send(&self) {
        for (number, mut client) in self.clients.lock().unwrap().iter().enumerate() {
            let is_slow = number == SLOW && self.has_slow.load(Ordering::SeqCst);
            let path = if is_slow { "slow".into() } else { number.to_string() };
            client
                .write_all(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
                .unwrap();
        }
    }

    fn look_at(&self, number: usize) {
        if !is_answered(&self.clients.lock().unwrap()[number]) {
            self.held.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn called(&self) -> usize {
        self.called.lock().unwrap().len()
    }

    fn be_slow(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
        eventually("released", || self.released.load(Ordering::SeqCst));
        self.is_slow.store(false, Ordering::SeqCst);
    }
}

/// Whether something has come for a client.
fn is_answered(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let peeked = client.peek(&mut [0]);
    client.set_nonblocking(false).unwrap();
    match peeked {
        Ok(count) => count > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

impl Application for Burst {
    fn call(&self, request: Request<'_>, mut exchange: Exchange) -> Exchange {
        let path = String::from_utf8_lossy(request.head.path(request.bytes)).into_owned();
        let waits_at_end = self.waits_at_end.load(Ordering::SeqCst);
        match path.strip_prefix('/').unwrap() {
            "burst" => self.send(),
            "slow" if waits_at_end => {}
            "slow" => self.be_slow(),
            number => {
                let number: usize = number.parse().unwrap();
                if number > 0 && self.looks.load(Ordering::SeqCst) {
                    self.look_at(number - 1);
                }
                self.called.lock().unwrap().push(number);
            }
        }
        let mut head = ResponseHead::default();
        head.begin(exchange.facts().version, b"200 OK").unwrap();
        let (framing, persistent) = head.finish(exchange.facts(), Some(2), exchange.date(), None);
        BodyWriter::new(framing).before(2, &mut Vec::new());
        head.buffer().extend_from_slice(b"ok");
        let sent = exchange.send_last(head.buffer());
        if path == "/slow" && waits_at_end {
            self.be_slow();
        }
        exchange.set_status(200);
        exchange.finish(2, persistent && sent.is_ok());
        exchange
    }

    fn released(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn overdue(&self, _: &Deadline, _: Step) {}

    fn checkpoint(&self) -> bool {
        true
    }

    fn attached(&self, thread: &mut dyn FnMut()) {
        thread();
    }
}

/// Runs `test` with a worker, the application, and a client that asks for bursts.
fn with_bursts(threads: usize, test: impl FnOnce(&Worker, &Burst, &mut TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let app = Arc::new(Burst::default());
    let config = Config { threads, ..Config::default() };
    let worker = Worker::new(config, vec![listener.into()], app.clone(), Control::default());
    let worker = worker.unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| worker.run().unwrap());
        let _stop = Stop(&worker, &app);
        let mut asks = dial(address);
        *app.clients.lock().unwrap() = (0..CLIENTS).map(|_| dial(address)).collect();
        test(&worker, &app, &mut asks);
    });
}

/// Ends the worker also when a test fails.
struct Stop<'a>(&'a Worker, &'a Burst);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.1.released.store(true, Ordering::SeqCst);
        self.0.stop();
    }
}

fn dial(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client
}

fn ask_for_burst(client: &mut TcpStream) {
    client.write_all(b"GET /burst HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_response(client);
}

/// Reads the one response that the client waits for.
fn read_response(mut client: &TcpStream) {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\nok") {
        let mut piece = [0; 1000];
        let count = client.read(&mut piece).unwrap();
        assert_ne!(count, 0, "closed: {text:?}");
        text.extend_from_slice(&piece[..count]);
    }
    assert!(text.starts_with(b"HTTP/1.1 200 OK\r\n"), "{text:?}");
}

/// The clients of a burst, beside which the application may go on.
fn clients_of(app: &Burst) -> Vec<TcpStream> {
    app.clients.lock().unwrap().iter().map(|client| client.try_clone().unwrap()).collect()
}

#[test]
fn responses_to_many_are_held_for_a_moment_and_all_arrive() {
    with_bursts(1, |_, app, asks| {
        app.looks.store(true, Ordering::SeqCst);
        for bursts in 1.. {
            ask_for_burst(asks);
            eventually("all calls", || app.called() == bursts * CLIENTS);
            clients_of(app).iter().for_each(read_response);
            // A processor that others have may make any call a slow one.
            if app.held.load(Ordering::SeqCst) > 0 {
                break;
            }
            assert!(bursts < 1000, "nothing was ever held");
        }
    });
}

#[test]
fn a_call_that_takes_long_keeps_no_response_of_others() {
    for (threads, waits_at_end) in [(1, false), (1, true), (2, false), (2, true)] {
        with_bursts(threads, |_, app, asks| {
            app.waits_at_end.store(waits_at_end, Ordering::SeqCst);
            for _ in 0..5 {
                app.has_slow.store(false, Ordering::SeqCst);
                for _ in 0..3 {
                    ask_for_burst(asks);
                    clients_of(app).iter().for_each(read_response);
                }
                app.has_slow.store(true, Ordering::SeqCst);
                app.released.store(false, Ordering::SeqCst);
                let called = app.called();
                ask_for_burst(asks);
                eventually("the slow call", || app.is_slow.load(Ordering::SeqCst));
                // Which are before it nobody promises, and with another thread all are in the end.
                let mut first = app.called.lock().unwrap().split_off(called);
                if waits_at_end {
                    first.push(SLOW);
                }
                let clients = clients_of(app);
                first.iter().for_each(|number| read_response(&clients[*number]));
                assert!(app.is_slow.load(Ordering::SeqCst));
                app.released.store(true, Ordering::SeqCst);
                let rest = (0..CLIENTS).filter(|number| !first.contains(number));
                rest.for_each(|number| read_response(&clients[number]));
            }
        });
    }
}

#[test]
fn what_is_held_when_the_worker_drains_arrives() {
    for _ in 0..10 {
        with_bursts(1, |worker, app, asks| {
            for _ in 0..3 {
                ask_for_burst(asks);
                clients_of(app).iter().for_each(read_response);
            }
            let called = app.called();
            ask_for_burst(asks);
            eventually("some calls", || app.called() > called + CLIENTS / 2);
            worker.drain();
            clients_of(app).iter().for_each(read_response);
        });
    }
}
