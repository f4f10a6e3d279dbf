//! Health checks (`health_path`): answered by whoever polls, whatever the application is doing.

use std::sync::atomic::Ordering;

use oxicorn_http::h1::encode::{RequestFacts, ResponseHead};
use oxicorn_http::{Head, cgi};

use crate::channel::{Channel, Stage, Then, millis};
use crate::http2::StreamEnd;
use crate::outbox::Outbox;
use crate::reactor::Shared;

impl Shared {
    /// Whether a complete request is a health check, which the application never sees.
    ///
    /// The path counts as the application would see it, so that no spelling leads past this.
    pub(crate) fn is_health_check(&self, channel: &Channel, input: &[u8], head: &Head) -> bool {
        let Some(reserved) = &self.config.health_path else { return false };
        let path = match &channel.pending {
            Some(pending) => pending.head.path(&pending.bytes),
            None => head.path(input),
        };
        path == reserved.as_bytes()
            || cgi::decode_path(path).is_some_and(|path| path == reserved.as_bytes())
    }

    /// Answers it: 200, or 503 from a worker that drains, so that load balancers go elsewhere.
    pub(crate) fn answer_health_check(
        &self,
        now: u64,
        date: &[u8; 29],
        mut channel: Box<Channel>,
        input: &[u8],
        head: &Head,
    ) -> Option<Box<Channel>> {
        let pending = channel.pending.take();
        let (bytes, head) = match &pending {
            Some(pending) => (pending.bytes.as_slice(), &pending.head),
            None => (input, head),
        };
        let is_head = head.is_head(bytes);
        let draining = self.draining.load(Ordering::Relaxed);
        let (code, status, body): (_, _, &[u8]) = match head.method.of(bytes) {
            b"GET" | b"HEAD" if draining => (503, &b"503 Service Unavailable"[..], b"draining\n"),
            b"GET" | b"HEAD" => (200, b"200 OK", b"ok\n"),
            _ => (405, b"405 Method Not Allowed", b"only GET and HEAD\n"),
        };
        channel.requests = channel.requests.saturating_add(1);
        let read_whole = channel.machine.is_complete();
        let persistent = code == 200 && read_whole && head.persistent && self.keeps(&channel);
        let facts = RequestFacts { version: head.version, is_head, persistent };
        let about = self.name(&channel.link, Some((head, bytes)));
        let mut response = ResponseHead::default();
        let written = response
            .begin(facts.version, status)
            .and_then(|()| response.field(b"Content-Type", b"text/plain"))
            .and_then(|()| response.field(b"Cache-Control", b"no-store"))
            .and_then(|()| match code {
                405 => response.field(b"Allow", b"GET, HEAD"),
                503 => response.field(b"Retry-After", b"1"),
                _ => Ok(()),
            })
            .and_then(|()| match self.response_id(about.as_deref()) {
                Some((name, id)) => response.field(name, id),
                None => Ok(()),
            });
        let server = self.config.server_header.as_deref().map(str::as_bytes);
        let (_, persistent) = response.finish(facts, Some(body.len() as u64), date, server);
        if !is_head {
            response.buffer().extend_from_slice(body);
        }
        let sent = if is_head { 0 } else { body.len() as u64 };
        self.log_own_answer(&channel, Some((head, bytes)), code, sent, about.as_deref());
        if let Some(StreamEnd(tie)) = &channel.tie {
            tie.answer(response.buffer(), &self.output);
            return self.end(channel);
        }
        let mut outbox = Outbox::default();
        let kept = outbox.push(response.buffer(), usize::MAX, &self.output.directory);
        if written.is_err() || kept.is_err() {
            return self.end(channel);
        }
        channel.outbox = Some(Box::new(outbox));
        let nothing_comes = read_whole && !head.persistent && channel.carry.is_empty();
        let then = match (persistent, nothing_comes) {
            (true, _) => Then::Keep,
            (false, true) => Then::Close,
            (false, false) => Then::Linger,
        };
        channel.enter(Stage::Flushing(then), now, now + millis(self.config.send_timeout));
        self.flush(now, channel, then)
    }
}
