//! The seam between the worker and the application: Python fills it, tests fake it.

use std::fs::File;
use std::sync::Arc;

use oxicorn_http::Head;
use oxicorn_http::proxy::line::Announced;
use oxicorn_http::proxy::{Effective, Peer};

use crate::tls::Facts;
use crate::{About, Deadline, Exchange, Step};

/// Facts about one connection, the same for all its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The peer's address as text without port, as a PROXY header announced it or else as the
    /// socket has it; empty over a unix socket.
    pub remote_addr: String,
    /// The client's port; `None` over a unix socket.
    pub remote_port: Option<u16>,
    /// Which of the listeners accepted it: an index into the names the application was given.
    pub listener: usize,
    /// Whether the client speaks TLS to us.
    pub is_https: bool,
    /// What is known of that, once the handshake is over.
    pub tls: Option<Arc<Facts>>,
    /// The other end of the socket.
    pub peer: Peer,
    /// What a PROXY header said.
    pub announced: Option<Announced>,
    /// Whether forwarding fields count.
    pub trusted: bool,
}

/// Where the body of a request is.
#[derive(Debug)]
pub enum Body<'a> {
    /// There is none (or it has no bytes).
    Empty,
    /// Whole, in memory; valid during the call only.
    Memory(&'a [u8]),
    /// Whole, in an unlinked temporary file positioned at its start; length in bytes.
    File(File, u64),
    /// Still on its way: read it through [`Exchange::read_body`].
    Streaming,
}

/// One request as the application gets it.
///
/// Everything borrowed here lives in a buffer that is used again as soon as the application
/// waits: copy what is needed before any application code runs.
#[derive(Debug)]
pub struct Request<'a> {
    /// The parsed head.
    pub head: &'a Head,
    /// What the spans of `head` point into.
    pub bytes: &'a [u8],
    /// Facts about the connection.
    pub link: &'a Link,
    /// What holds instead of the facts about the connection, if a proxy says so.
    pub effective: Option<&'a Effective>,
    /// What names it, if requests are named.
    pub about: Option<&'a About>,
    /// The body.
    pub body: Body<'a>,
    /// Length of the body in bytes where it is known: always, unless it is chunked and streaming.
    pub body_length: Option<u64>,
}

/// An application: called by the worker's threads, one exchange at a time each.
pub trait Application: Send + Sync {
    /// Runs one request to its end on the calling thread and gives the exchange back.
    ///
    /// It never panics for an error of the application: that is answered (500) or shown (a cut
    /// stream) before it returns. An exchange that comes back without
    /// [`finish`](Exchange::finish) is closed.
    fn call(&self, request: Request<'_>, exchange: Exchange) -> Exchange;

    /// Runs `wait` while the interpreter is released; the calling thread holds it before and after.
    fn released(&self, wait: &mut dyn FnMut());

    /// A request takes too long: shows where it is, and interrupts it with [`Step::Interrupt`],
    /// unless it ends in this moment. Called without the interpreter, on a thread that may wait for
    /// it; or with it, by a foreign loop.
    fn overdue(&self, deadline: &Deadline, step: Step);

    /// Lets pending signal handlers of the language run; called between requests on the main
    /// thread. `false` when one of them asks the process to end.
    fn checkpoint(&self) -> bool;

    /// Runs `thread` as an application thread: attached to the interpreter.
    fn attached(&self, thread: &mut dyn FnMut());
}
