//! A worker with a fake application on a loopback port, and a client for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oxicorn_http::h1::encode::{BodyWriter, ResponseHead};
use oxicorn_worker::{
    Application, Body, Config, Control, Deadline, Exchange, Request, Sent, Step, Worker,
};

/// What the fake application does, by path:
/// `/echo` answers with the body; `/sleep/MS` waits; `/hold` waits for [`Fake::release`]; `/big/N` answers N bytes in pieces of 64 KiB;
/// `/talk` takes the connection over if it may, sends back what comes and `over` behind it;
/// `/bug` panics as no application call may; anything else is answered with the path itself.
#[derive(Default)]
pub(crate) struct Fake {
    /// One at a time holds the interpreter.
    interpreter: Mutex<()>,
    pub(crate) calls: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    released: AtomicBool,
    /// What was to be shown or interrupted, and whether `/hold` lets itself be.
    pub(crate) overdue: Mutex<Vec<(String, Step)>>,
    pub(crate) obeys: AtomicBool,
}

impl Fake {
    /// Lets the calls of `/hold` go on.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }
}

impl Application for Fake {
    fn call(&self, request: Request<'_>, mut exchange: Exchange) -> Exchange {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        let path = String::from_utf8_lossy(request.head.path(request.bytes)).into_owned();
        if path == "/talk"
            && let Some(socket) = exchange.offer_socket().expect("descriptors")
        {
            let mut socket = UnixStream::from(socket);
            socket.write_all(SWITCH).expect("taken over");
            let mut copy = socket.try_clone().expect("descriptors");
            // A client that is gone ends both.
            let _ = std::io::copy(&mut copy, &mut socket).and_then(|_| socket.write_all(b"over"));
            self.running.fetch_sub(1, Ordering::SeqCst);
            return exchange;
        }
        let body = match request.body {
            Body::Empty => path.clone().into_bytes(),
            Body::Memory(bytes) => bytes.to_vec(),
            Body::File(mut file, length) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).expect("spooled body");
                assert_eq!(bytes.len() as u64, length);
                bytes
            }
            Body::Streaming => {
                let mut bytes = Vec::new();
                loop {
                    match exchange.read_body(&mut bytes, 1000) {
                        Ok(0) => break bytes,
                        Ok(_) => {}
                        Err(_) => {
                            self.running.fetch_sub(1, Ordering::SeqCst);
                            return exchange;
                        }
                    }
                }
            }
        };
        if path == "/bug" {
            self.running.fetch_sub(1, Ordering::SeqCst);
            panic!("a bug in the server");
        }
        if path == "/hold" {
            eventually("released", || self.released.load(Ordering::SeqCst));
        }
        if let Some(millis) = path.strip_prefix("/sleep/") {
            std::thread::sleep(Duration::from_millis(millis.parse().expect("number")));
        }
        let mut left = match path.strip_prefix("/big/") {
            Some(count) => count.parse().expect("number"),
            None => body.len(),
        };
        let mut head = ResponseHead::default();
        head.begin(exchange.facts().version, b"200 OK").expect("status");
        let facts = exchange.facts();
        let length = Some(left as u64);
        let (framing, persistent) = head.finish(facts, length, exchange.date(), None);
        let mut writer = BodyWriter::new(framing);
        let total = left;
        if !path.starts_with("/big/") {
            head.buffer().extend_from_slice(&body);
            left = 0;
        }
        let mut alive = exchange.send(head.buffer()).is_ok();
        let piece = vec![b'x'; 64 * 1024];
        while left > 0 && alive {
            let count = left.min(piece.len());
            match exchange.send(&piece[..count]) {
                Ok(Sent::Taken) => {}
                Ok(Sent::Full) => alive = exchange.wait_room().is_ok(),
                Err(_) => alive = false,
            }
            left -= count;
        }
        writer.before(total as u64, &mut Vec::new());
        exchange.set_status(200);
        exchange.finish(total as u64, persistent && alive);
        self.running.fetch_sub(1, Ordering::SeqCst);
        exchange
    }

    fn released(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn overdue(&self, deadline: &Deadline, step: Step) {
        self.overdue.lock().expect("no panic").push((deadline.to_string(), step));
        if step == Step::Interrupt && self.obeys.load(Ordering::SeqCst) {
            self.release();
        }
    }

    fn checkpoint(&self) -> bool {
        drop(self.interpreter.lock());
        true
    }

    fn attached(&self, thread: &mut dyn FnMut()) {
        thread();
    }
}

/// How `/talk` begins.
pub(crate) const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// A running worker.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<Fake>,
    pub(crate) worker: Worker,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_with(config, Control::default())
    }

    pub(crate) fn start_with(config: Config, control: Control) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("address");
        let app = Arc::new(Fake::default());
        let listeners = vec![listener.into()];
        let worker = Worker::new(config, listeners, app.clone(), control);
        let worker = worker.expect("worker");
        let serving = worker.clone();
        let thread = std::thread::spawn(move || serving.run().expect("threads"));
        Self { address, app, worker, thread: Some(thread) }
    }

    pub(crate) fn dial(&self) -> Client {
        Client::of(self.address)
    }

    /// Waits for the worker to end by itself.
    pub(crate) fn join(&mut self) {
        let thread = self.thread.take().expect("running");
        thread.join().expect("no panic");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.app.release();
        self.worker.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client that keeps what it read ahead.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as the client saw it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.fill(), "closed inside a head: {:?}", self.buffer);
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).expect("text");
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap_or(0);
        while self.buffer.len() < length {
            assert!(self.fill(), "closed inside a body");
        }
        let body = self.buffer.drain(..length).collect();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).expect("status");
        Response { status, head, body }
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                count > 0
            }
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer in time");
                false
            }
        }
    }
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
