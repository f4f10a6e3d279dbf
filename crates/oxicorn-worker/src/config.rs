//! The numbers and switches that a worker runs with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oxicorn_http::proxy::Proxy;
use oxicorn_http::proxy::line::Gate;
use oxicorn_http::{Rules, h2};

use crate::RequestIds;
use crate::tls::Terminator;

/// What a worker needs to know; made from the settings, never changed while it runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Application threads; 1 runs the application on the calling thread, strictly one at a time.
    pub threads: usize,
    /// Idle time after which a kept-alive connection is closed; zero closes after each response.
    pub keepalive: Duration,
    /// Time for a whole request head; bytes do not extend it.
    pub head_timeout: Duration,
    /// Time after which a body must have come at [`body_rate`](Self::body_rate).
    pub body_grace: Duration,
    /// Least bytes per second of a body.
    pub body_rate: u64,
    /// Time without a byte taken by the client after which a response is given up.
    pub send_timeout: Duration,
    /// Most connections of this worker at a time.
    pub connections: usize,
    /// Most requests of one connection; 0 is no limit.
    pub keepalive_requests: u32,
    /// Time that a complete request may wait for an application thread; zero is no limit.
    pub queue_timeout: Duration,
    /// Time after which the stack of a request is logged; zero is never.
    pub request_timeout_log: Duration,
    /// Time after which a request is interrupted; zero is never.
    pub request_timeout: Duration,
    /// Time that an interrupted request has to end before it is given up.
    pub request_timeout_grace: Duration,
    /// Most complete requests that may wait; 0 is no limit.
    pub queue_limit: usize,
    /// Most WebSockets at a time; 0 treats a request for one like any other.
    pub websockets: usize,
    /// The path of health checks, which the application never sees.
    pub health_path: Option<String>,
    /// Requests after which the worker asks to be replaced; 0 is never.
    pub max_requests: u64,
    /// Whether the application is called only when the body is complete.
    pub request_buffering: bool,
    /// Bytes of a request body kept in memory; more goes to a file. So does what is above 64 KiB
    /// while bodies take 64 times as much already.
    pub body_memory: usize,
    /// Bytes of a response kept in memory for a slow client; more goes to a file.
    pub response_memory: usize,
    /// Bytes of a response kept for a slow client in all; above it the application waits.
    pub response_buffer_limit: u64,
    /// Where unlinked temporary files are made; the system's temporary directory if `None`.
    pub tmp_upload_dir: Option<PathBuf>,
    /// Value of the Server field; `None` leaves it out.
    pub server_header: Option<String>,
    /// Whether files are sent by the kernel.
    pub sendfile: bool,
    /// Time a graceful stop gives to what is open.
    pub graceful_timeout: Duration,
    /// Whether other workers accept from the same listeners.
    pub has_siblings: bool,
    /// What requests may be.
    pub rules: Rules,
    /// What requests of trusted peers may be.
    pub trusted_rules: Rules,
    /// Whether trusted peers may speak HTTP/2 without TLS, if they begin with it.
    pub http2_cleartext: bool,
    /// What a client of HTTP/2 may do.
    pub http2: h2::Limits,
    /// Names for requests, if anybody asks for them.
    pub request_ids: Option<Arc<RequestIds>>,
    /// Which forwarding fields are believed.
    pub proxy: Proxy,
    /// Who sends a PROXY header, if anybody does.
    pub gate: Option<Gate>,
    /// TLS, if the listeners speak it.
    pub tls: Option<Arc<Terminator>>,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Most handshakes at a time.
    pub handshakes: usize,
}

impl Config {
    /// Whether the time of a request is limited, or watched.
    #[must_use]
    pub fn limits_requests(&self) -> bool {
        !(self.request_timeout.is_zero() && self.request_timeout_log.is_zero())
    }

    /// What requests may be, given whether their peer is trusted.
    pub(crate) fn rules_for(&self, trusted: bool) -> &Rules {
        if trusted { &self.trusted_rules } else { &self.rules }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threads: 1,
            keepalive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            body_grace: Duration::from_secs(10),
            body_rate: 500,
            send_timeout: Duration::from_secs(30),
            connections: 1000,
            keepalive_requests: 0,
            queue_timeout: Duration::from_secs(30),
            request_timeout_log: Duration::ZERO,
            request_timeout: Duration::ZERO,
            request_timeout_grace: Duration::from_secs(5),
            queue_limit: 0,
            health_path: None,
            websockets: 1000,
            max_requests: 0,
            request_buffering: true,
            body_memory: 1 << 20,
            response_memory: 256 * 1024,
            response_buffer_limit: 1 << 30,
            tmp_upload_dir: None,
            server_header: Some("oxicorn".to_owned()),
            sendfile: true,
            graceful_timeout: Duration::from_secs(30),
            has_siblings: false,
            rules: Rules::default(),
            trusted_rules: Rules::default(),
            http2_cleartext: false,
            http2: h2::Limits::default(),
            request_ids: None,
            proxy: Proxy::default(),
            gate: None,
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            handshakes: 256,
        }
    }
}
