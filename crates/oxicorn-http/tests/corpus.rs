//! The wire cases of `corpus/`: each says what it must come to, however it is cut.

mod support;

use oxicorn_http::Rules;
use support::corpus::{Case, cases};
use support::{Outcome, latin1, say, say_in_pieces, say_slowly};

#[test]
fn cases_to_accept_are_accepted() {
    let cases = cases("accept");
    assert!(cases.len() > 50, "the corpus is missing");
    for case in cases {
        let name = &case.name;
        let outcome = say_every_way(&case);
        assert_eq!(outcome.reject, None, "{name}: refused");
        assert_eq!(outcome.left, 0, "{name}: bytes left");
        assert_eq!(complete(&outcome), case.number("requests"), "{name}: requests");
        assert_eq!(complete(&outcome), outcome.requests.len(), "{name}: incomplete request");
        let body: Vec<u8> = outcome.requests.iter().flat_map(|r| r.body.clone()).collect();
        assert_eq!(Some(latin1(&body).as_str()), case.fact("body"), "{name}: body");
        let last = outcome.requests.last().expect("a request");
        assert_eq!(Some(last.persistent.to_string().as_str()), case.fact("persistent"), "{name}");
        if let Some(target) = case.fact("target") {
            assert_eq!(last.target, target, "{name}: target");
        }
    }
}

#[test]
fn cases_to_reject_are_rejected() {
    let cases = cases("reject");
    assert!(cases.len() > 100, "the corpus is missing");
    for case in cases {
        let outcome = say_every_way(&case);
        assert_eq!(usize::from(outcome.status()), case.number("status"), "{}", case.name);
        assert_eq!(complete(&outcome), case.number("requests"), "{}: requests", case.name);
    }
}

/// Whole, byte by byte, and cut once everywhere (in long cases at some places): all the same.
fn say_every_way(case: &Case) -> Outcome {
    let (rules, bytes) = (Rules::default(), &case.bytes);
    let whole = say(bytes);
    assert_eq!(say_slowly(&rules, bytes), whole, "{}: byte by byte", case.name);
    let step = 1 + bytes.len() / 150;
    for cut in (0..=bytes.len()).step_by(step) {
        assert_eq!(say_in_pieces(&rules, bytes, &[cut]), whole, "{}: cut at {cut}", case.name);
    }
    whole
}

fn complete(outcome: &Outcome) -> usize {
    outcome.requests.iter().filter(|request| request.is_complete).count()
}
