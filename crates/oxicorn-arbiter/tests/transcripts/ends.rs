//! How it all ends.

use oxicorn_arbiter::Signal;

use crate::story::{Story, policy, seconds};

#[test]
fn term_lets_workers_finish_and_then_insists() {
    let mut story = Story::serving(policy(2));
    assert_eq!(story.signal(Signal::Term), ["close listeners", "finish 101", "finish 102"]);
    assert_eq!(story.leaves(102), ["reaped 102"]);
    assert_eq!(story.passes(seconds(29), &[]), Vec::<String>::new());
    assert_eq!(story.passes(seconds(1), &[]), ["kill 101"]);
    assert_eq!(
        story.dies(101, "SIGKILL"),
        [
            "warning Worker (pid:101) was sent SIGKILL! It had not finished within \
             `graceful_timeout` (30 s).",
            "report 101",
            "reaped 101",
            "info Shutting down: Master",
            "stop 0"
        ]
    );
    assert!(story.arbiter.is_stopped());
}

#[test]
fn int_is_quick_and_a_second_one_quicker() {
    let mut story = Story::serving(policy(2));
    assert_eq!(story.signal(Signal::Int), ["close listeners", "leave 101", "leave 102"]);
    assert_eq!(story.leaves(101), ["reaped 101"]);
    assert_eq!(story.signal(Signal::Int), ["kill 102"]);
    assert_eq!(
        story.dies(102, "SIGKILL"),
        [
            "warning Worker (pid:102) was sent SIGKILL! It had not left when the server had to stop.",
            "report 102",
            "reaped 102",
            "info Shutting down: Master",
            "stop 0"
        ]
    );
}

#[test]
fn quit_hastens_a_graceful_stop() {
    let mut story = Story::serving(policy(1));
    story.signal(Signal::Term);
    assert_eq!(story.signal(Signal::Quit), ["leave 101"]);
    assert_eq!(story.signal(Signal::Term), Vec::<String>::new());
    assert_eq!(story.passes(seconds(2), &[]), ["kill 101"]);
}

#[test]
fn a_worker_that_not_even_kill_ends_is_left() {
    let mut story = Story::serving(policy(1));
    story.signal(Signal::Quit);
    let done = story.passes(seconds(8), &[]);
    assert_eq!(
        done,
        [
            "kill 101",
            "critical Workers did not end after SIGKILL: leaving them",
            "info Shutting down: Master",
            "stop 0"
        ]
    );
}
