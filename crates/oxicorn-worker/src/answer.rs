//! Answers that the application has no part in, and the access-log lines of all answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxicorn_http::h1::encode::error_page;
use oxicorn_http::{Head, Reject};

use crate::access_log::{AccessLog, AccessRecord};
use crate::channel::{Channel, Stage, Then, millis};
use crate::exchange::Ended;
use crate::outbox::Outbox;
use crate::poller::Poller;
use crate::reactor::Shared;
use crate::{Deadline, Link, error_log};

impl Shared {
    /// Answers a refused request and gets ready to close (RFC 9112, section 9.6).
    pub(crate) fn refuse(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        reject: Reject,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        warn_of_reject(&channel.link, reject);
        self.answer(poller, channel, reject.status(), is_head)
    }

    /// Answers with a page of ours and closes.
    pub(crate) fn answer(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        status: u16,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let date = poller.date.at(poller.now);
        self.answer_at(poller.now, &date, channel, status, is_head)
    }

    pub(crate) fn answer_at(
        &self,
        now: u64,
        date: &[u8; 29],
        mut channel: Box<Channel>,
        status: u16,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let mut page = Vec::new();
        let server = self.config.server_header.as_deref().map(str::as_bytes);
        error_page(status, is_head, date, server, &mut page);
        self.log_unanswered(&channel, status, body_length(&page));
        channel.queued_at = 0;
        channel.pending = None;
        channel.carry = Vec::new();
        let mut outbox = Outbox::default();
        if outbox.push(&page, usize::MAX, &self.output.directory).is_err() {
            return self.end(channel);
        }
        channel.outbox = Some(Box::new(outbox));
        let until = now + millis(self.config.send_timeout);
        channel.enter(Stage::Flushing(Then::Linger), now, until);
        self.flush(now, channel, Then::Linger)
    }

    /// Writes the line of a request that was answered while the application still has it.
    pub(crate) fn log_answered(&self, deadline: &Deadline, status: u16, page: &[u8]) {
        let Some(log) = &self.control.access_log else { return };
        let record = request_record(&deadline.head, &deadline.bytes, &deadline.client);
        let (about, body_bytes) = (deadline.about.as_ref(), body_length(page));
        write_record(log, AccessRecord { status, body_bytes, about, ..record });
    }

    /// Writes the line of a request that the application does not see.
    pub(crate) fn log_unanswered(&self, channel: &Channel, status: u16, body_bytes: u64) {
        let request = channel.pending.as_ref();
        let request = request.map(|pending| (&pending.head, pending.bytes.as_slice()));
        self.log_own_answer(channel, request, status, body_bytes);
    }

    /// The same for one whose head, if it is known, is elsewhere.
    pub(crate) fn log_own_answer(
        &self,
        channel: &Channel,
        request: Option<(&Head, &[u8])>,
        status: u16,
        body_bytes: u64,
    ) {
        let Some(log) = &self.control.refused_log else { return };
        let remote_addr = channel.link.remote_addr.as_bytes();
        let record = match request {
            Some((head, bytes)) => request_record(head, bytes, remote_addr),
            None => AccessRecord { remote_addr, ..AccessRecord::default() },
        };
        let ids = self.config.request_ids.as_deref();
        let about = ids.map(|ids| ids.name(request, channel.link.trusted));
        let about = about.as_deref();
        write_record(log, AccessRecord { status, body_bytes, about, ..record });
    }
}

/// Bytes of a page of ours after its head.
fn body_length(page: &[u8]) -> u64 {
    let end = page.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    (page.len() - end) as u64
}

/// Says in the log why a request is refused.
pub(crate) fn warn_of_reject(link: &Link, reject: Reject) {
    let ip = &link.remote_addr;
    error_log::warn_of_client(format_args!("Invalid request from ip={ip}: {reject}"));
}

/// What the access log says of a request.
pub(crate) fn request_record<'a>(
    head: &'a Head,
    bytes: &'a [u8],
    remote_addr: &'a [u8],
) -> AccessRecord<'a> {
    AccessRecord { remote_addr, ..AccessRecord::of_request(head, bytes) }
}

/// Writes the line of an exchange that the application ended.
pub(crate) fn log_exchange(
    log: &AccessLog,
    request: AccessRecord<'_>,
    ended: &Ended,
    duration: Duration,
) {
    let record = AccessRecord {
        status: ended.status,
        body_bytes: ended.body_bytes,
        duration,
        response_fields: &ended.response_fields,
        environ: &ended.environ,
        ..request
    };
    write_record(log, record);
}

/// Adds when and where it happened, and writes the line.
fn write_record(log: &AccessLog, record: AccessRecord<'_>) {
    let unix_secs = if log.needs().wall_clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(wall.as_secs()).unwrap_or(0)
    } else {
        0
    };
    log.record(&AccessRecord { pid: std::process::id(), unix_secs, ..record });
}
