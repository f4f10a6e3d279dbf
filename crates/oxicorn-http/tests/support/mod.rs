//! A peer to talk to the machine with: what it sends, how it is cut, and what came of it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

pub mod corpus;

use oxicorn_http::{Connection, Event, Framing, Head, Reject, Rules, Span, Version};

/// One request as the machine told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: Option<String>,
    pub version: Version,
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub persistent: bool,
    pub expect_continue: bool,
    pub upgrade: bool,
    pub body: Vec<u8>,
    pub is_complete: bool,
}

/// Everything that came of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub requests: Vec<Request>,
    pub reject: Option<Reject>,
    /// Bytes that were not used.
    pub left: usize,
}

impl Outcome {
    /// The status of the refusal; 200 when there was none.
    pub fn status(&self) -> u16 {
        self.reject.map_or(200, Reject::status)
    }

    /// The only request, which must be there and complete.
    pub fn request(&self) -> &Request {
        assert_eq!(self.reject, None, "refused");
        assert_eq!(self.requests.len(), 1, "not one request: {self:?}");
        assert!(self.requests[0].is_complete, "not complete");
        &self.requests[0]
    }
}

/// Offers everything at once.
pub fn say(bytes: impl AsRef<[u8]>) -> Outcome {
    say_under(&Rules::default(), bytes)
}

/// As [`say`], under these rules.
pub fn say_under(rules: &Rules, bytes: impl AsRef<[u8]>) -> Outcome {
    say_in_pieces(rules, bytes.as_ref(), &[])
}

/// Offers bytes that arrive in pieces which end at these offsets (and at the end).
pub fn say_in_pieces(rules: &Rules, bytes: &[u8], cuts: &[usize]) -> Outcome {
    let mut connection = Connection::new();
    let mut head = Head::default();
    let mut outcome = Outcome::default();
    let mut used = 0;
    let mut bytes = bytes.to_vec();
    let len = bytes.len();
    for &arrived in cuts.iter().chain([&len]) {
        loop {
            let offered = connection.amend(&mut bytes[used..arrived], rules);
            let input = &bytes[used..used + offered];
            let received = match connection.receive(input, &mut head, rules) {
                Ok(received) => received,
                Err(reject) => {
                    assert_eq!(outcome.reject.replace(reject).unwrap_or(reject), reject);
                    break;
                }
            };
            assert_eq!(outcome.reject, None, "an event after a refusal");
            assert!(received.used <= input.len(), "used more than was offered");
            used += received.used;
            match received.event {
                Event::NeedMore => break,
                Event::Head => outcome.requests.push(request(&head, input)),
                Event::Body(data) => {
                    assert!(!data.is_empty(), "an empty piece of body");
                    current(&mut outcome).body.extend_from_slice(data);
                }
                Event::End => {
                    current(&mut outcome).is_complete = true;
                    assert!(connection.is_complete());
                    connection.next_request();
                }
            }
        }
    }
    outcome.left = if outcome.reject.is_some() { 0 } else { bytes.len() - used };
    outcome
}

/// Offers the bytes one by one.
pub fn say_slowly(rules: &Rules, bytes: &[u8]) -> Outcome {
    say_in_pieces(rules, bytes, &(1..bytes.len()).collect::<Vec<_>>())
}

fn current(outcome: &mut Outcome) -> &mut Request {
    outcome.requests.last_mut().expect("a head comes first")
}

fn request(head: &Head, input: &[u8]) -> Request {
    let text = |span: Span| latin1(span.of(input));
    Request {
        method: text(head.method),
        target: text(head.target),
        path: latin1(head.path(input)),
        query: head.query.map(text),
        authority: head.authority.map(text),
        version: head.version,
        fields: head.fields.iter().map(|field| (text(field.name), text(field.value))).collect(),
        framing: head.framing,
        persistent: head.persistent,
        expect_continue: head.expect_continue,
        upgrade: head.upgrade,
        body: Vec::new(),
        is_complete: false,
    }
}

/// One character per byte, as WSGI reads them.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}
