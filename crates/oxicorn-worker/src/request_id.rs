//! What names a request in the logs: its id, and its caller's place in a trace.
//!
//! An id that a trusted peer sends is kept when it fits a log line; every other request gets one of
//! ours: 16 hexadecimal digits that tell the process, and 16 that count.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use oxicorn_http::{Field, Head, TraceParent};

const REQUEST_ID: &str = "request_id";
const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

/// Most bytes of an id that is kept.
const MOST: usize = 200;

/// What names one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The id: letters, digits and a few marks, never empty.
    pub id: String,
    /// The caller's place in a trace, if it is in one.
    pub trace: Option<TraceParent>,
}

impl About {
    /// The names that a log has for what is known, with their values.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let trace = self.trace.as_ref().map(|trace| (TRACE_ID, text(&trace.trace_id)));
        let span = self.trace.as_ref().map(|trace| (SPAN_ID, text(&trace.span_id)));
        [Some((REQUEST_ID, self.id.as_str())), trace, span].into_iter().flatten()
    }
}

/// Hexadecimal digits as text.
fn text(digits: &[u8]) -> &str {
    str::from_utf8(digits).unwrap_or_default()
}

/// Names the requests of one process.
#[derive(Debug)]
pub struct RequestIds {
    /// The field that brings an id, as it is sent.
    field: String,
    /// Whether responses say the id, in the same field.
    responds: bool,
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// Names for requests of this process; make it after the fork, or two processes give the same.
    #[must_use]
    pub fn new(field: String, responds: bool) -> Self {
        // Random by itself, but for what a fork has copied.
        let process = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        Self { field, responds, process, count: AtomicU64::new(0) }
    }

    /// The field that brings an id.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The field that responses say the id in, if they do.
    #[must_use]
    pub fn response_field(&self) -> Option<&str> {
        self.responds.then_some(self.field.as_str())
    }

    /// Names a request; one that was not understood has no head.
    pub(crate) fn name(&self, head: Option<(&Head, &[u8])>, is_trusted: bool) -> Box<About> {
        let only = |name: &[u8]| head.and_then(|(head, bytes)| only_field(head, bytes, name));
        let sent = only(self.field.as_bytes()).filter(|id| is_trusted && is_id(id));
        let id = match sent.map(str::from_utf8) {
            Some(Ok(id)) => id.to_owned(),
            _ => {
                let count = self.count.fetch_add(1, Ordering::Relaxed);
                format!("{:016x}{count:016x}", self.process)
            }
        };
        Box::new(About { id, trace: only(b"traceparent").and_then(TraceParent::parse) })
    }
}

/// The request's field of that name, if there is exactly one.
pub(crate) fn only_field<'a>(head: &Head, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_named = |field: &&Field| field.name.of(bytes).eq_ignore_ascii_case(name);
    let mut found = head.fields.iter().filter(is_named);
    let only = found.next()?;
    found.next().is_none().then(|| only.value.of(bytes))
}

/// Whether an id can stand in any log, whatever its form is.
fn is_id(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~:;=+/@".contains(byte);
    (1..=MOST).contains(&text.len()) && text.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_process_differ_and_are_32_digits() {
        let ids = RequestIds::new("X-Request-ID".to_owned(), false);
        let other = RequestIds::new("X-Request-ID".to_owned(), false);
        let names = [ids.name(None, true).id, ids.name(None, true).id, other.name(None, true).id];
        for name in &names {
            assert_eq!(name.len(), 32);
            assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }

    #[test]
    fn an_id_is_what_any_log_can_hold() {
        assert!(is_id(b"Root=1-67891233-abcdef012345678912345678;Self=1-6"));
        assert!(is_id(b"4f9c0a3e-5b2d-4c8e-9f1a-0123456789ab"));
        assert!(is_id(&[b'a'; 200]) && !is_id(&[b'a'; 201]));
        for text in [&b""[..], b"a b", b"a\"b", b"a\\b", b"a\nb", b"\xfc", b"a%20", b"<b>"] {
            assert!(!is_id(text), "{}", text.escape_ascii());
        }
    }
}
