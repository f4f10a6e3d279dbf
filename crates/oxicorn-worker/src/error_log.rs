//! The error log: what operators read to know how the server is.
//!
//! Everything that logs goes through the `log` crate and ends here, in lines of gunicorn's shape,
//! written without the interpreter. Set up once in the master before the first fork; the pid of a
//! line is that of the process that writes it. A message of several lines (a traceback) is one
//! write. A write that fails is counted and forgotten.
//!
//! `log` has no level above error: a message is critical by its target, [`CRITICAL`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use log::{LevelFilter, Log, Metadata, Record};
use oxicorn_os::{LogFile, LogTarget};

use crate::escape::write_message;
use crate::forward::{self, Said};
use crate::json::Object;
use crate::{About, local_time};

/// Target of the server's messages.
pub const ERROR: &str = "oxicorn.error";

/// Target that makes an error critical: `log::error!(target: CRITICAL, …)`.
pub const CRITICAL: &str = "oxicorn.critical";

/// How grave a message is, by gunicorn's names; least grave first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// For whoever hunts a fault.
    Debug,
    /// The normal course of things.
    #[default]
    Info,
    /// Something is odd, service goes on.
    Warning,
    /// Something failed.
    Error,
    /// The server cannot do its job.
    Critical,
}

impl Level {
    /// The name that a line shows; in lower case it is that of a logger's method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.level() {
            _ if metadata.target() == CRITICAL => Self::Critical,
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warning,
            log::Level::Info => Self::Info,
            log::Level::Debug | log::Level::Trace => Self::Debug,
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::Debug,
            Self::Info => LevelFilter::Info,
            Self::Warning => LevelFilter::Warn,
            Self::Error | Self::Critical => LevelFilter::Error,
        }
    }
}

/// The text is none of the five names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownLevel)
    }
}

/// Sets up the error log, or moves it when the settings were read again. With `json` each message
/// is one JSON object.
///
/// # Errors
///
/// The place cannot be opened: the operator's fault. The log stays where it was.
pub fn init(target: LogTarget, level: Level, json: bool) -> io::Result<()> {
    local_time::load_zone();
    LOG.file.redirect(target)?;
    LOG.level.store(level as u8, Ordering::Relaxed);
    LOG.json.store(json, Ordering::Relaxed);
    // Fails when it is set already, by this function.
    let _ = log::set_logger(&LOG);
    log::set_max_level(level.filter());
    Ok(())
}

/// Logs a message, whatever the language it comes from.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    if LOG.is_enabled(level) {
        LOG.write(level, message);
    }
}

/// Logs a message about one request: as JSON with its names as members. As text it says its id
/// itself, see [`id`].
pub fn write_about(level: Level, message: fmt::Arguments<'_>, about: Option<&About>) {
    if !LOG.is_enabled(level) {
        return;
    }
    if about.is_none() || forward::is_on() || !LOG.json.load(Ordering::Relaxed) {
        return LOG.write(level, message);
    }
    let mut line = Vec::with_capacity(256);
    let now = local_time::unix_secs(SystemTime::now());
    write_json(now, std::process::id(), level, message, about, &mut line);
    LOG.file.write(&line);
}

/// What a message about a request says of its id: ` request_id=…`; nothing if it has none, or if
/// the log has a member for it.
#[must_use]
pub fn id(about: Option<&About>) -> Id<'_> {
    Id(about.filter(|_| forward::is_on() || !LOG.json.load(Ordering::Relaxed)))
}

/// See [`id`].
#[derive(Clone, Copy, Debug)]
pub struct Id<'a>(Option<&'a About>);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |about| write!(f, " request_id={}", about.id))
    }
}

/// Logs a failure that has details, such as a traceback, in the request of this name.
pub fn write_failure(doing: &str, details: &str, about: Option<&About>) {
    if !LOG.is_enabled(Level::Error) {
        return;
    }
    if LOG.json.load(Ordering::Relaxed) {
        let mut line = Vec::with_capacity(1024);
        let now = local_time::unix_secs(SystemTime::now());
        let message = format_args!("{doing}\n{details}");
        write_json(now, std::process::id(), Level::Error, message, about, &mut line);
        LOG.file.write(&line);
    } else {
        let doing = first_line(doing, about);
        LOG.write_here(Level::Error, format_args!("{doing}\n{details}"));
    }
}

/// The first line of a failure, with the request's name where the log is text.
#[must_use]
pub fn first_line<'a>(doing: &'a str, about: Option<&About>) -> Cow<'a, str> {
    match about {
        Some(_) => format!("{doing}{}", id(about)).into(),
        None => doing.into(),
    }
}

/// Whether messages of this level are written.
#[must_use]
pub fn is_enabled(level: Level) -> bool {
    LOG.is_enabled(level)
}

/// Warns of something that a client provoked: at most ten lines a second, so that nobody can fill
/// the disk from outside. What was left out is summed up in one line.
///
/// Bytes of the client belong in [`Escaped`](crate::Escaped). `about` is the request, if it has a
/// name.
pub fn warn_of_client(message: fmt::Arguments<'_>, about: Option<&About>) {
    if !LOG.is_enabled(Level::Warning) {
        return;
    }
    let (admitted, suppressed) = PROVOKED.admit(uptime_secs());
    write_suppressed(suppressed);
    if admitted {
        write_about(Level::Warning, format_args!("{message}{}", id(about)), about);
    }
}

/// Writes the sum of what [`warn_of_client`] left out, if that second is over; for idle moments
/// and for the end of a process.
pub fn flush_suppressed() {
    write_suppressed(PROVOKED.settle(uptime_secs()));
}

/// Writes the line of a logger of Python's, which has decided on level and shape.
pub fn write_as_is(text: &str) {
    let mut line = Vec::with_capacity(text.len() + 1);
    write_message(format_args!("{text}"), &mut line);
    line.push(b'\n');
    LOG.file.write(&line);
}

/// Writes bytes as they are: `wsgi.errors`, whose lines are the application's in every format.
pub fn write_raw(bytes: &[u8]) {
    LOG.file.write(bytes);
}

/// Opens the file again by its name, after log rotation.
///
/// # Errors
///
/// The file cannot be opened; the log goes on in the old one.
pub fn reopen() -> io::Result<()> {
    LOG.file.reopen()
}

/// Lets the workers' user reopen the file.
///
/// # Errors
///
/// The kernel refuses; only root may give files away.
pub fn give_to(uid: u32, gid: u32) -> io::Result<()> {
    LOG.file.give_to(uid, gid)
}

/// Sends what the process prints to the file of the error log, if it has one, or where it went
/// before.
///
/// # Errors
///
/// The kernel refuses to duplicate a descriptor.
pub fn capture_output(captures: bool) -> io::Result<()> {
    LOG.file.capture_output(captures)
}

/// Lines that could not be written.
#[must_use]
pub fn dropped() -> u64 {
    LOG.file.dropped()
}

/// Admits a number of messages per second and counts the rest.
#[derive(Debug)]
pub struct RateLimiter {
    per_second: u64,
    second: AtomicU64,
    seen: AtomicU64,
}

impl RateLimiter {
    /// A limiter that admits `per_second` messages in each second.
    #[must_use]
    pub const fn new(per_second: u64) -> Self {
        Self { per_second, second: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }

    /// Whether a message at second `now` may go out, and how many of an earlier second could not.
    pub fn admit(&self, now: u64) -> (bool, u64) {
        let suppressed = self.settle(now);
        (self.seen.fetch_add(1, Ordering::Relaxed) < self.per_second, suppressed)
    }

    /// How many messages of a second before `now` were not admitted; told once.
    pub fn settle(&self, now: u64) -> u64 {
        // One of several threads wins the change of second and reports. A message that races with
        // it is counted in either second.
        if self.second.load(Ordering::Relaxed) == now
            || self.second.swap(now, Ordering::Relaxed) == now
        {
            return 0;
        }
        self.seen.swap(0, Ordering::Relaxed).saturating_sub(self.per_second)
    }
}

struct ErrorLog {
    file: LogFile,
    level: AtomicU8,
    json: AtomicBool,
}

impl ErrorLog {
    fn is_enabled(&self, level: Level) -> bool {
        level as u8 >= self.level.load(Ordering::Relaxed)
    }

    fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        if !forward::is_on() {
            return self.write_here(level, message);
        }
        if let Err(Said::Message(level, text)) =
            forward::push(Said::Message(level, message.to_string()))
        {
            self.write_here(level, format_args!("{text}"));
        }
    }

    fn write_here(&self, level: Level, message: fmt::Arguments<'_>) {
        let mut line = Vec::with_capacity(256);
        let now = local_time::unix_secs(SystemTime::now());
        if self.json.load(Ordering::Relaxed) {
            write_json(now, std::process::id(), level, message, None, &mut line);
        } else {
            write_line(now, std::process::id(), level, message, &mut line);
        }
        self.file.write(&line);
    }
}

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries have to say below a warning is not about this server.
        let is_ours = metadata.target().starts_with("oxicorn");
        (is_ours || metadata.level() <= log::Level::Warn) && self.is_enabled(Level::of(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(Level::of(record.metadata()), *record.args());
        }
    }

    fn flush(&self) {}
}

static LOG: ErrorLog = ErrorLog {
    file: LogFile::stderr(),
    level: AtomicU8::new(Level::Info as u8),
    json: AtomicBool::new(false),
};

static PROVOKED: RateLimiter = RateLimiter::new(10);

fn write_line(
    unix_secs: i64,
    pid: u32,
    level: Level,
    message: fmt::Arguments<'_>,
    line: &mut Vec<u8>,
) {
    line.push(b'[');
    local_time::write_iso(unix_secs, line);
    write_message(format_args!("] [{pid}] [{}] ", level.name()), line);
    write_message(message, line);
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
}

fn write_json(
    unix_secs: i64,
    pid: u32,
    level: Level,
    message: fmt::Arguments<'_>,
    about: Option<&About>,
    line: &mut Vec<u8>,
) {
    let message = message.to_string();
    Object::begin(line)
        .time("time", unix_secs)
        .text("level", level.name().to_ascii_lowercase().as_bytes())
        .number("pid", pid)
        .text("message", message.trim_end().as_bytes())
        .about(about)
        .end();
}

fn write_suppressed(count: u64) {
    if count > 0 {
        LOG.write(
            Level::Warning,
            format_args!("Suppressed {count} more warnings about clients in the same second"),
        );
    }
}

/// Whole seconds since the first call, from 1 on: 0 is the second before there was a message.
fn uptime_secs() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, message: fmt::Arguments<'_>) -> String {
        let mut line = Vec::new();
        write_line(1_795_376_646, 77, level, message, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_has_gunicorns_shape() {
        let line = line(Level::Warning, format_args!("Listening at: {}", "x"));
        let (time, rest) = line.split_at(27);
        assert!(time.starts_with("[2026-11-2") && time.ends_with(']'), "{time}");
        assert_eq!(rest, " [77] [WARNING] Listening at: x\n");
    }

    #[test]
    fn a_traceback_stays_one_message() {
        let line =
            line(Level::Error, format_args!("Error handling request GET /\nTraceback\n  a\n"));
        assert!(line.ends_with("[ERROR] Error handling request GET /\nTraceback\n  a\n"));
    }

    #[test]
    fn the_critical_target_is_above_error() {
        let critical = Metadata::builder().level(log::Level::Error).target(CRITICAL).build();
        let error = Metadata::builder().level(log::Level::Error).target(ERROR).build();
        assert_eq!(Level::of(&critical), Level::Critical);
        assert_eq!(Level::of(&error), Level::Error);
        assert!(Level::Critical > Level::Error);
    }

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        let log = ErrorLog {
            file: LogFile::stderr(),
            level: AtomicU8::new(Level::Debug as u8),
            json: AtomicBool::new(false),
        };
        let from =
            |target, level| log.enabled(&Metadata::builder().level(level).target(target).build());
        assert!(from(ERROR, log::Level::Debug));
        assert!(from("rustls::conn", log::Level::Warn));
        assert!(!from("rustls::conn", log::Level::Info));
    }

    #[test]
    fn level_names_are_gunicorns_in_any_case() {
        assert_eq!("warning".parse(), Ok(Level::Warning));
        assert_eq!("CRITICAL".parse(), Ok(Level::Critical));
        assert_eq!("loud".parse::<Level>(), Err(UnknownLevel));
    }

    #[test]
    fn a_flood_is_cut_and_summed_up() {
        let limiter = RateLimiter::new(2);
        let second_one: Vec<_> = (0..5).map(|_| limiter.admit(1)).collect();
        assert_eq!(second_one, [(true, 0), (true, 0), (false, 0), (false, 0), (false, 0)]);
        assert_eq!(limiter.admit(2), (true, 3));
        assert_eq!(limiter.settle(3), 0);
        assert_eq!(limiter.admit(3), (true, 0));
    }
}
