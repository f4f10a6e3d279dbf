//! What the policy may permit, switch by switch, and what stays refused under all of them.

mod support;

use oxicorn_http::{Framing, Policy, Rules, Version};
use support::corpus::cases;
use support::{Outcome, say, say_in_pieces, say_slowly, say_under};

fn permitting(policy: Policy) -> Rules {
    Rules { policy, ..Rules::default() }
}

fn folding() -> Rules {
    permitting(Policy { permit_obsolete_folding: true, ..Policy::default() })
}

fn spaces() -> Rules {
    permitting(Policy { strip_header_spaces: true, ..Policy::default() })
}

fn versions() -> Rules {
    permitting(Policy { permit_unconventional_http_version: true, ..Policy::default() })
}

fn methods() -> Rules {
    permitting(Policy { casefold_http_method: true, ..Policy::default() })
}

fn everything() -> Rules {
    let mut rules = permitting(Policy {
        permit_obsolete_folding: true,
        strip_header_spaces: true,
        permit_unconventional_http_version: true,
        casefold_http_method: true,
        ..Policy::default()
    });
    rules.limits.method = rules.limits.request_line;
    rules
}

/// Whole, byte by byte and cut once everywhere: all the same.
fn say_every_way(rules: &Rules, bytes: &[u8]) -> Outcome {
    let whole = say_under(rules, bytes);
    assert_eq!(say_slowly(rules, bytes), whole, "byte by byte");
    for cut in 0..=bytes.len() {
        assert_eq!(say_in_pieces(rules, bytes, &[cut]), whole, "cut at {cut}");
    }
    whole
}

fn value(outcome: &Outcome, name: &str) -> String {
    let fields = &outcome.request().fields;
    let (_, value) = fields.iter().find(|(each, _)| each == name).expect("the field");
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn folded_lines_are_joined() {
    let wire = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n two\r\n\t three\r\nX-Next: 4\r\n\r\n";
    let outcome = say_every_way(&folding(), wire);
    assert_eq!(value(&outcome, "X-Long"), "one two three");
    assert_eq!(value(&outcome, "X-Next"), "4");
    assert!(outcome.request().fields.iter().all(|(_, value)| !value.contains(['\r', '\n'])));
    assert_eq!(say(wire).status(), 400);
}

#[test]
fn a_folded_content_type_is_joined() {
    let wire =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data;\r\n boundary=b\r\n\
                 Content-Length: 2\r\n\r\nok";
    let outcome = say_every_way(&folding(), wire);
    assert_eq!(value(&outcome, "Content-Type"), "multipart/form-data; boundary=b");
    assert_eq!(outcome.request().body, b"ok");
}

#[test]
fn what_decides_framing_is_never_folded() {
    for field in [
        "Content-Length:\r\n 5",
        "Content-Length: 1\r\n 5",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n , identity",
        "Connection: close\r\n , keep-alive",
        "Expect:\r\n 100-continue",
        "Upgrade: h2c\r\n , websocket",
        "Host: a\r\n b",
    ] {
        let wire = format!("GET / HTTP/1.1\r\nX: y\r\n{field}\r\n\r\n");
        assert_eq!(say_every_way(&everything(), wire.as_bytes()).status(), 400, "{field}");
    }
}

#[test]
fn the_first_line_and_an_empty_one_cannot_be_folded() {
    for wire in [
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\t\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\n z\r\n\r\n",
    ] {
        assert_eq!(say_every_way(&everything(), wire.as_bytes()).status(), 400, "{wire:?}");
    }
}

#[test]
fn a_folded_field_counts_as_one_line() {
    let folds = "\r\n x".repeat(3000);
    let wire = format!("GET / HTTP/1.1\r\nHost: a\r\nX: y{folds}\r\n\r\n");
    assert_eq!(say_under(&folding(), &wire).status(), 431);
    assert_eq!(say_slowly(&folding(), wire.as_bytes()).status(), 431);
}

#[test]
fn white_space_without_end_is_refused() {
    let spaces = " ".repeat(10_000);
    for before in ["X: y\r\n", "X"] {
        let wire = format!("GET / HTTP/1.1\r\nHost: a\r\n{before}{spaces}");
        assert_eq!(say_under(&everything(), &wire).status(), 400, "{before:?}");
        assert_eq!(say_slowly(&everything(), wire.as_bytes()).status(), 400, "{before:?}");
    }
}

#[test]
fn white_space_before_the_colon_is_dropped() {
    let wire = b"POST / HTTP/1.1\r\nHost : a\r\nX-Odd \t:  v \r\nContent-Length : 2\r\n\r\nok";
    let outcome = say_every_way(&spaces(), wire);
    assert_eq!(value(&outcome, "Host"), "a");
    assert_eq!(value(&outcome, "X-Odd"), "v");
    assert_eq!(outcome.request().framing, Framing::Length(2));
    assert_eq!(outcome.request().body, b"ok");
    assert_eq!(say(wire).status(), 400);
}

/// A name is what it says, with or without the white space: nothing is hidden behind it.
#[test]
fn white_space_hides_no_framing() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding : chunked",
        "Content-Length : 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length : 6",
        "Transfer-Encoding : chunked\r\nTransfer-Encoding: chunked",
        "Host : b",
        "X Y: z",
        " : z",
        ": z",
        "X :",
    ] {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let expected = if fields == "X :" { 200 } else { 400 };
        assert_eq!(say_every_way(&spaces(), wire.as_bytes()).status(), expected, "{fields}");
    }
}

#[test]
fn other_versions_are_served_as_the_nearest_one() {
    for (written, served) in [
        ("HTTP/0.9", Version::Http10),
        ("HTTP/1.0", Version::Http10),
        ("HTTP/1.2", Version::Http11),
        ("HTTP/1.9", Version::Http11),
        ("HTTP/2.0", Version::Http11),
    ] {
        let wire = format!("GET / {written}\r\nHost: a\r\n\r\n");
        let outcome = say_every_way(&versions(), wire.as_bytes());
        assert_eq!(outcome.request().version, served, "{written}");
    }
    for written in ["HTTP/1.10", "HTTP/2", "http/1.2", "HTTP/a.b", "HTTQ/1.2", ""] {
        let wire = format!("GET / {written}\r\nHost: a\r\n\r\n");
        assert!(say_every_way(&versions(), wire.as_bytes()).status() >= 400, "{written}");
    }
}

/// What HTTP/1.0 does not know stays refused under older numbers, and HTTP/2 is not guessed.
#[test]
fn an_old_version_has_no_transfer_coding() {
    let wire = b"POST / HTTP/0.9\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(say_every_way(&versions(), wire).status(), 400);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(say_every_way(&everything(), preface).status(), 400);
}

#[test]
fn methods_become_upper_case() {
    let outcome = say_every_way(&methods(), b"\r\npost /Path HTTP/1.0\r\nX-Name: lower\r\n\r\n");
    assert_eq!(outcome.request().method, "POST");
    assert_eq!(outcome.request().target, "/Path");
    assert_eq!(value(&outcome, "X-Name"), "lower");
    assert_eq!(say_under(&methods(), b"connect a:1 HTTP/1.1\r\nHost: a\r\n\r\n").status(), 501);
    assert_eq!(say_under(&methods(), b"options * HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
}

#[test]
fn a_method_may_be_long_if_its_limit_says_so() {
    let wire = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(200));
    assert_eq!(say(&wire).status(), 501);
    assert_eq!(say_every_way(&everything(), wire.as_bytes()).status(), 200);
    let wire = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(9000));
    assert_eq!(say_under(&everything(), &wire).status(), 414);
}

#[test]
fn the_next_request_is_amended_too_and_bodies_are_not() {
    let wire = b"post / HTTP/1.2\r\nHost : a\r\nContent-Length: 12\r\n\r\nget \r\n x : y\
                 get /two HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n";
    let outcome = say_every_way(&everything(), wire);
    assert_eq!(outcome.reject, None);
    let [first, second] = outcome.requests.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(first.body, b"get \r\n x : y");
    assert_eq!((second.method.as_str(), second.target.as_str()), ("GET", "/two"));
}

/// Whatever is permitted: a case of the corpus that is refused is refused, or it is one of those
/// that a switch is for.
#[test]
fn smuggling_stays_refused() {
    let permitted = [
        "folded-value",
        "folded-value-with-tab",
        "method-of-33-bytes",
        "space-before-colon",
        "tab-before-colon",
        "version-0.9",
        "version-1.2",
        "version-2.0-in-text",
    ];
    let mut served = Vec::new();
    for case in cases("reject") {
        let outcome = say_in_pieces(&everything(), &case.bytes, &[case.bytes.len() / 2]);
        if outcome.reject.is_none() {
            served.push(case.name.clone());
        } else {
            let complete = outcome.requests.iter().filter(|each| each.is_complete).count();
            assert_eq!(complete, case.number("requests"), "{}", case.name);
        }
    }
    served.sort();
    assert_eq!(served, permitted);
}

#[test]
fn what_is_right_stays_as_it_is() {
    for case in cases("accept") {
        if case.name.contains("lower-case") {
            continue;
        }
        assert_eq!(say_under(&everything(), &case.bytes), say(&case.bytes), "{}", case.name);
    }
}
