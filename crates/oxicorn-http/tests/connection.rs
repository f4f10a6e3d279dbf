//! The life of a connection: what is used, what the end means, what a refusal leaves behind.

mod support;

use oxicorn_http::h1::Eof;
use oxicorn_http::{Connection, Event, Framing, Head, HeaderMap, Reject, Rules, Version};
use support::{say, say_under};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn incomplete_head_is_not_used_and_then_used_whole() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    for end in 0..GET.len() {
        let received = connection.receive(&GET[..end], &mut head, &rules).expect("no refusal");
        assert_eq!((received.used, received.event), (0, Event::NeedMore));
    }
    let received = connection.receive(GET, &mut head, &rules).expect("no refusal");
    assert_eq!((received.used, received.event), (GET.len(), Event::Head));
}

#[test]
fn nothing_is_used_between_the_end_and_the_next_request() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    assert!(!connection.is_complete());
    connection.receive(GET, &mut head, &rules).expect("a head");
    assert!(!connection.is_complete());
    let end = connection.receive(GET, &mut head, &rules).expect("no refusal");
    assert_eq!((end.used, end.event), (0, Event::End));
    assert!(connection.is_complete());
    for _ in 0..2 {
        let waiting = connection.receive(GET, &mut head, &rules).expect("no refusal");
        assert_eq!((waiting.used, waiting.event), (0, Event::NeedMore));
    }
    connection.next_request();
    assert_eq!(connection.receive(GET, &mut head, &rules).expect("a head").event, Event::Head);
}

#[test]
fn unread_body_never_becomes_a_request() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\n";
    connection.receive(post, &mut head, &rules).expect("a head");
    connection.next_request();
    let received = connection.receive(GET, &mut head, &rules).expect("a body");
    assert_eq!(received.event, Event::Body(&GET[..26]));
}

#[test]
fn refusal_is_repeated_whatever_comes() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    let refused = connection.receive(b"\x16\x03", &mut head, &rules);
    assert!(matches!(refused, Err(Reject::BadRequest(_))));
    connection.next_request();
    assert_eq!(connection.receive(GET, &mut head, &rules), refused);
    assert_eq!(connection.receive(b"", &mut head, &rules), refused);
    assert_eq!(head.len, 0);
}

#[test]
fn whole_head_is_there_though_it_is_refused() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    let wire = b"POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n";
    assert_eq!(connection.receive(wire, &mut head, &rules), Err(Reject::BodyTooLarge));
    assert_eq!((head.len, head.path(wire)), (wire.len(), &b"/big"[..]));
}

#[test]
fn garbage_is_refused_before_its_line_ends() {
    let status = |wire: &[u8]| say(wire).status();
    assert_eq!(status(b"\x16"), 400);
    assert_eq!(status(b"GET / HTTP/1.1\n"), 400);
    assert_eq!(status(b"GET / HTTP/2"), 505);
    assert_eq!(status(&[b"GET /", &[b'a'; 8190][..]].concat()), 414);
    assert_eq!(status(&[b"GET / HTTP/1.1\r\n", &[b'a'; 8191][..]].concat()), 431);
}

#[test]
fn end_between_requests_is_clean_and_inside_one_is_not() {
    let (mut connection, mut head, rules) = (Connection::new(), Head::default(), Rules::default());
    assert_eq!(connection.eof(b""), Eof::Clean);
    assert_eq!(connection.eof(b"\r\n"), Eof::Clean);
    assert_eq!(connection.eof(b"GET / HT"), Eof::Truncated);
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.receive(post, &mut head, &rules).expect("a head");
    assert_eq!(connection.eof(b""), Eof::Truncated);
    connection.receive(b"0\r\n", &mut head, &rules).expect("no refusal");
    assert_eq!(connection.eof(b""), Eof::Truncated);
    connection.receive(b"\r\n", &mut head, &rules).expect("the end");
    assert_eq!(connection.eof(b""), Eof::Clean);
}

#[test]
fn parts_of_the_target_are_found() {
    let outcome = say("GET http://u.example:80/a%20b?c=d?e HTTP/1.1\r\nHost: t\r\n\r\n");
    let request = outcome.request();
    assert_eq!(request.path, "/a%20b");
    assert_eq!(request.query.as_deref(), Some("c=d?e"));
    assert_eq!(request.authority.as_deref(), Some("u.example:80"));
    let outcome = say("GET http://u.example?q HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(outcome.request().path, "/");
    assert_eq!(outcome.request().query.as_deref(), Some("q"));
    let outcome = say("GET /? HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(outcome.request().query.as_deref(), Some(""));
    assert_eq!(say(GET).request().query, None);
}

#[test]
fn values_are_trimmed_of_space_and_tab_only() {
    let outcome = say("GET / HTTP/1.1\r\nHost: a\r\nX-A: \t b\u{85}\t \r\nX-B:  \r\n\r\n");
    let fields = &outcome.request().fields;
    assert_eq!(fields[1], ("X-A".to_owned(), support::latin1("b\u{85}".as_bytes())));
    assert_eq!(fields[2], ("X-B".to_owned(), String::new()));
}

#[test]
fn policy_decides_about_underscores() {
    let wire = "GET / HTTP/1.1\r\nHost: a\r\nX_A: b\r\nA-Long-Name_Of_Many: c\r\n\r\n";
    let mut rules = Rules::default();
    assert_eq!(say_under(&rules, wire).request().fields.len(), 1);
    rules.policy.header_map = HeaderMap::Dangerous;
    assert_eq!(say_under(&rules, wire).request().fields.len(), 3);
    rules.policy.header_map = HeaderMap::Refuse;
    assert_eq!(say_under(&rules, wire).status(), 400);
}

#[test]
fn field_left_out_counts_against_the_limit() {
    let mut rules = Rules::default();
    rules.limits.fields = 2;
    let wire = "GET / HTTP/1.1\r\nHost: a\r\nX_A: b\r\nX_B: b\r\n\r\n";
    assert_eq!(say_under(&rules, wire).reject, Some(Reject::FieldsTooLarge));
}

#[test]
fn more_fields_than_usual_are_served_when_the_limit_permits() {
    let mut rules = Rules::default();
    rules.limits.fields = 1000;
    let wire = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(900));
    assert_eq!(say_under(&rules, wire).request().fields.len(), 901);
}

#[test]
fn missing_host_is_served_when_the_policy_permits() {
    let mut rules = Rules::default();
    rules.policy.permit_missing_host = true;
    assert_eq!(say_under(&rules, "GET / HTTP/1.1\r\n\r\n").status(), 200);
    assert_eq!(say_under(&rules, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n").status(), 400);
}

#[test]
fn expectation_counts_only_with_a_body_on_1_1() {
    let expects = |line: &str, framing: &str| {
        let wire =
            format!("POST / HTTP/1.{line}\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n");
        say(wire).requests[0].expect_continue
    };
    assert!(expects("1", "Content-Length: 5\r\n"));
    assert!(expects("1", "Transfer-Encoding: chunked\r\n"));
    assert!(!expects("1", "Content-Length: 0\r\n"));
    assert!(!expects("1", ""));
    assert!(!expects("0", "Content-Length: 5\r\n"));
}

#[test]
fn upgrade_is_flagged_when_both_fields_say_so() {
    let upgrades =
        |fields: &str| say(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).request().upgrade;
    assert!(upgrades("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"));
    assert!(!upgrades("Upgrade: websocket\r\n"));
    assert!(!upgrades("Connection: upgrade\r\n"));
}

#[test]
fn framing_is_as_sent() {
    let framing = |fields: &str| {
        let outcome = say(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(outcome.requests[0].version, Version::Http11);
        outcome.requests[0].framing
    };
    assert_eq!(framing(""), Framing::None);
    assert_eq!(framing("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(framing("content-length: 1073741824\r\n"), Framing::Length(1 << 30));
    assert_eq!(framing("transfer-encoding: CHUNKED\r\n"), Framing::Chunked);
}
