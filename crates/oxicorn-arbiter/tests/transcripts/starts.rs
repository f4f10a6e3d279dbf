//! Workers that boot, or do not.

use std::time::Instant;

use oxicorn_arbiter::{Arbiter, BootFailure, Effect, Ending, Event, Policy};

use crate::story::{Story, policy, seconds};

#[test]
fn a_first_start_that_fails_stops_everything() {
    for (failure, code, reason) in [
        (BootFailure::Worker, 3, "Worker failed to boot."),
        (BootFailure::App, 4, "App failed to load."),
    ] {
        let mut story = Story::begin(policy(2));
        assert_eq!(
            story.happens(Event::BootFailed { pid: 101, failure }),
            [
                format!("error Worker (pid:101) exited with code {code}."),
                "close listeners".into(),
                "finish 102".into(),
                "error Shutting down: Master".into(),
                format!("error Reason: {reason}"),
            ]
        );
        let left = Event::Exited { pid: 101, ending: Ending::Code(code) };
        assert_eq!(story.happens(left), ["reaped unbooted 101"]);
        assert_eq!(story.leaves(102), ["reaped 102".to_owned(), format!("stop {code}")]);
    }
}

#[test]
fn a_first_worker_that_crashes_while_it_boots_stops_the_start() {
    let mut story = Story::begin(policy(1));
    let done = story.dies(101, "SIGSEGV");
    assert_eq!(done.first().map(String::as_str), Some("error Worker (pid:101) was sent SIGSEGV!"));
    assert_eq!(done.last().map(String::as_str), Some("stop 3"));
}

#[test]
fn a_first_worker_that_does_not_become_ready_ends_the_start() {
    let policy = Policy { boot_timeout: Some(seconds(10)), ..policy(1) };
    let mut story = Story::begin(policy);
    assert_eq!(story.passes(seconds(9), &[]), [""; 0]);
    assert_eq!(
        story.passes(seconds(1), &[]),
        [
            "critical WORKER BOOT TIMEOUT (pid:101)",
            "report 101",
            "abort 101",
            "close listeners",
            "error Shutting down: Master",
            "error Reason: Worker failed to boot.",
        ]
    );
    assert_eq!(story.passes(seconds(2), &[]), ["kill 101"]);
    assert_eq!(
        story.dies(101, "SIGKILL"),
        [
            "error Worker (pid:101) was sent SIGKILL! It was not ready within `boot_timeout`.",
            "reaped 101",
            "stop 3",
        ]
    );
}

#[test]
fn a_worker_that_boots_for_long_is_not_silent() {
    let mut story = Story::begin(policy(1));
    assert!(story.passes(seconds(600), &[]).is_empty());
    assert_eq!(story.ready(101), ["settle 1"]);
    assert!(story.passes(seconds(29), &[]).is_empty());
}

#[test]
fn a_replacement_that_cannot_boot_is_tried_again() {
    let mut story = Story::serving(policy(2));
    story.passes(seconds(60), &[101, 102]);
    story.dies(101, "SIGKILL");
    let failed = Event::BootFailed { pid: 103, failure: BootFailure::Worker };
    assert_eq!(
        story.happens(failed),
        ["error Worker (pid:103) exited with code 3.", "error Reason: Worker failed to boot."]
    );
    let left = Event::Exited { pid: 103, ending: Ending::Code(3) };
    assert_eq!(story.happens(left), ["reaped unbooted 103"]);
    assert_eq!(story.passes(seconds(1), &[102]), ["spawn 4 on 1"]);
}

#[test]
fn a_fork_that_fails_is_tried_again() {
    let now = Instant::now();
    let mut arbiter = Arbiter::new(policy(1), now);
    assert_eq!(arbiter.handle(Event::Start, now), [Effect::Spawn { age: 1, generation: 1 }]);
    assert!(arbiter.handle(Event::ForkFailed { age: 1 }, now).is_empty());
    let due = arbiter.poll_timeout(now).expect("a wait");
    assert_eq!(arbiter.handle(Event::Tick, due), [Effect::Spawn { age: 2, generation: 1 }]);
}
