//! Answers that the application has no part in, and the access-log lines of all answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxicorn_http::h1::encode::error_page;
use oxicorn_http::{Head, Reject};

use crate::access_log::{AccessLog, AccessRecord};
use crate::channel::{Channel, Stage, Then, millis};
use crate::exchange::Ended;
use crate::http2::StreamEnd;
use crate::outbox::Outbox;
use crate::poller::Poller;
use crate::reactor::Shared;
use crate::{About, Deadline, Link, error_log};

impl Shared {
    /// Answers a refused request and gets ready to close (RFC 9112, section 9.6).
    pub(crate) fn refuse(
        &self,
        poller: &mut Poller,
        channel: Box<Channel>,
        reject: Reject,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let about = self.name_unanswered(&channel);
        warn_of_reject(&channel.link, reject, about.as_deref());
        let date = poller.date.at(poller.now);
        self.answer_named(poller.now, &date, channel, (reject.status(), is_head), about)
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
        channel: Box<Channel>,
        status: u16,
        is_head: bool,
    ) -> Option<Box<Channel>> {
        let about = self.name_unanswered(&channel);
        self.answer_named(now, date, channel, (status, is_head), about)
    }

    /// The same for a request that has its name.
    pub(crate) fn answer_named(
        &self,
        now: u64,
        date: &[u8; 29],
        mut channel: Box<Channel>,
        (status, is_head): (u16, bool),
        about: Option<Box<About>>,
    ) -> Option<Box<Channel>> {
        let page = self.page(status, is_head, date, about.as_deref());
        self.log_unanswered(&channel, status, body_length(&page), about.as_deref());
        if let Some(StreamEnd(tie)) = &channel.tie {
            tie.answer(&page, &self.output);
            return self.end(channel);
        }
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

    /// A page of ours, with the request's name if responses say that.
    pub(crate) fn page(
        &self,
        status: u16,
        is_head: bool,
        date: &[u8; 29],
        about: Option<&About>,
    ) -> Vec<u8> {
        let mut page = Vec::new();
        let server = self.config.server_header.as_deref().map(str::as_bytes);
        error_page(status, is_head, date, server, self.response_id(about), &mut page);
        page
    }

    /// The field that says a request's name, if responses say that.
    pub(crate) fn response_id<'a>(
        &'a self,
        about: Option<&'a About>,
    ) -> Option<(&'a [u8], &'a [u8])> {
        let name = self.config.request_ids.as_deref()?.response_field()?;
        Some((name.as_bytes(), about?.id.as_bytes()))
    }

    /// Names a request that the application does not see, if requests have names.
    pub(crate) fn name(&self, link: &Link, request: Option<(&Head, &[u8])>) -> Option<Box<About>> {
        Some(self.config.request_ids.as_deref()?.name(request, link.trusted))
    }

    /// The same for one whose head, if it is known, is in its channel.
    pub(crate) fn name_unanswered(&self, channel: &Channel) -> Option<Box<About>> {
        self.name(&channel.link, head_of(channel))
    }

    /// Writes the line of a request that was answered while the application still has it.
    pub(crate) fn log_answered(&self, deadline: &Deadline, status: u16, page: &[u8]) {
        let Some(log) = &self.control.access_log else { return };
        let record = request_record(&deadline.head, &deadline.bytes, &deadline.client);
        let (about, body_bytes) = (deadline.about.as_ref(), body_length(page));
        write_record(log, AccessRecord { status, body_bytes, about, ..record });
    }

    /// Writes the line of a request that the application does not see.
    pub(crate) fn log_unanswered(
        &self,
        channel: &Channel,
        status: u16,
        body_bytes: u64,
        about: Option<&About>,
    ) {
        self.log_own_answer(channel, head_of(channel), status, body_bytes, about);
    }

    /// The same for one whose head, if it is known, is elsewhere.
    pub(crate) fn log_own_answer(
        &self,
        channel: &Channel,
        request: Option<(&Head, &[u8])>,
        status: u16,
        body_bytes: u64,
        about: Option<&About>,
    ) {
        let Some(log) = &self.control.refused_log else { return };
        let remote_addr = channel.link.remote_addr.as_bytes();
        let record = match request {
            Some((head, bytes)) => request_record(head, bytes, remote_addr),
            None => AccessRecord { remote_addr, ..AccessRecord::default() },
        };
        write_record(log, AccessRecord { status, body_bytes, about, ..record });
    }
}

/// The head of a channel's request, if it was read and kept.
fn head_of(channel: &Channel) -> Option<(&Head, &[u8])> {
    let pending = channel.pending.as_ref()?;
    Some((&pending.head, pending.bytes.as_slice()))
}

/// Bytes of a page of ours after its head.
fn body_length(page: &[u8]) -> u64 {
    let end = page.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    (page.len() - end) as u64
}

/// Says in the log why a request is refused.
pub(crate) fn warn_of_reject(link: &Link, reject: Reject, about: Option<&About>) {
    let ip = &link.remote_addr;
    error_log::warn_of_client(format_args!("Invalid request from ip={ip}: {reject}"), about);
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
    let noted = ended.noted.as_deref();
    let record = AccessRecord {
        status: ended.status,
        body_bytes: ended.body_bytes,
        duration,
        response_fields: noted.map_or(&[], |noted| &noted.response_fields),
        environ: noted.map_or(&[], |noted| &noted.environ),
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
