//! The access log: exactly one line per exchange, refused ones too.
//!
//! The format is gunicorn's, compiled once ([`AccessFormat`]); what it wants to know of an
//! exchange is known before the first request ([`AccessNeeds`]), so nothing is collected for
//! nothing. The exchange hands in an [`AccessRecord`] when it ends. Nothing else formats a line.

mod atom;
mod format;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oxicorn_http::Head;
use oxicorn_os::{LogFile, LogTarget};

use crate::About;
use crate::escape::write_message;
use crate::forward::{self, Refused, Said};

pub use format::{AccessFormat, AccessNeeds, FormatError};

/// The combined format, as gunicorn writes it by default.
pub const DEFAULT_FORMAT: &str = r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;

/// What there is to say of one exchange; everything is as the client sent it. An empty value is
/// one that is not known, as of a request that was refused before it was understood.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRecord<'a> {
    /// Address of the client without port; empty over a unix socket.
    pub remote_addr: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// The request target as sent.
    pub target: &'a [u8],
    /// The path of the target, still percent-encoded.
    pub path: &'a [u8],
    /// What follows the first `?` of the target.
    pub query: &'a [u8],
    /// `HTTP/1.1`
    pub protocol: &'a [u8],
    /// The request's fields, with the bytes that their spans point into.
    pub head: Option<(&'a Head, &'a [u8])>,
    /// Status code of the response; 0 if there was none.
    pub status: u16,
    /// Bytes of the body that went out, framing not counted.
    pub body_bytes: u64,
    /// Time from the request's first byte to the response's end.
    pub duration: Duration,
    /// Field lines of the response as sent: with or without status line, lines end with CRLF.
    pub response_fields: &'a [u8],
    /// Values for [`AccessNeeds::environ`], in the same order.
    pub environ: &'a [Option<Vec<u8>>],
    /// What names the request, if requests are named.
    pub about: Option<&'a About>,
    /// The process that served.
    pub pid: u32,
    /// Seconds since 1970 by the wall clock.
    pub unix_secs: i64,
}

impl<'a> AccessRecord<'a> {
    /// A record of the request with this head; what only the response knows is left to fill in.
    #[must_use]
    pub fn of_request(head: &'a Head, bytes: &'a [u8]) -> Self {
        Self {
            method: head.method.of(bytes),
            target: head.target.of(bytes),
            path: head.path(bytes),
            query: head.query.map_or(&[], |query| query.of(bytes)),
            protocol: match head.version {
                oxicorn_http::Version::Http10 => b"HTTP/1.0",
                oxicorn_http::Version::Http11 => b"HTTP/1.1",
                oxicorn_http::Version::Http2 => b"HTTP/2.0",
            },
            head: Some((head, bytes)),
            ..Self::default()
        }
    }
}

/// The access log: a format and the place where its lines go. Threads share it.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessFormat,
    /// A log whose lines are Python's may have none.
    file: Option<LogFile>,
    is_forwarded: AtomicBool,
}

impl AccessLog {
    /// Opens the access log.
    ///
    /// # Errors
    ///
    /// The place cannot be opened: the operator's fault.
    pub fn open(format: AccessFormat, target: LogTarget) -> io::Result<Self> {
        crate::local_time::load_zone();
        let file = Some(LogFile::open(target)?);
        Ok(Self { format, file, is_forwarded: AtomicBool::new(false) })
    }

    /// An access log without a place: its lines are [forwarded](Self::forward).
    #[must_use]
    pub fn elsewhere(format: AccessFormat) -> Self {
        Self { format, file: None, is_forwarded: AtomicBool::new(true) }
    }

    /// Leaves the lines to Python: those of refused requests are handed over, the others it makes
    /// itself where the application is called.
    pub fn forward(&self) {
        self.is_forwarded.store(true, Ordering::Relaxed);
    }

    /// Whether the lines are Python's.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        self.is_forwarded.load(Ordering::Relaxed)
    }

    /// What to collect of each exchange.
    #[must_use]
    pub fn needs(&self) -> &AccessNeeds {
        self.format.needs()
    }

    /// Whether writing a line may have to wait for a reader of a pipe or a terminal.
    pub(crate) fn may_block(&self) -> bool {
        self.file.as_ref().is_some_and(LogFile::may_block)
    }

    /// Writes the line of one finished exchange.
    pub fn record(&self, record: &AccessRecord<'_>) {
        if self.is_forwarded() {
            // More than Python can take are left out.
            let _ = forward::push(Said::Refused(Box::new(Refused::of(record))));
            return;
        }
        thread_local! {
            static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        self.format.write(record, &mut line);
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.append(&line);
        // A rare long line must not stay in memory for each thread.
        if line.capacity() <= 4096 {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
    }

    /// Writes a line that Python has made.
    pub fn write_line(&self, text: &str) {
        let mut line = Vec::with_capacity(text.len() + 1);
        write_message(format_args!("{text}"), &mut line);
        line.push(b'\n');
        self.append(&line);
    }

    fn append(&self, line: &[u8]) {
        if let Some(file) = &self.file {
            file.write(line);
        }
    }

    /// Opens the file again by its name, after log rotation.
    ///
    /// # Errors
    ///
    /// The file cannot be opened; the log goes on in the old one.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }

    /// Lets the workers' user reopen the file.
    ///
    /// # Errors
    ///
    /// The kernel refuses; only root may give files away.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.give_to(uid, gid))
    }

    /// Lines that could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.file.as_ref().map_or(0, LogFile::dropped)
    }
}
