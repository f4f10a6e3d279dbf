//! Workers that die, fall silent, or want to go.

use std::time::Duration;

use oxicorn_arbiter::{BootFailure, Ending, Event, Policy};

use crate::story::{Story, policy, seconds};

const UNTOLD_KILL: &str = "was sent SIGKILL! Perhaps out of memory? (The master did not send it.)";

#[test]
fn a_worker_killed_from_outside_is_replaced_at_once() {
    let mut story = Story::serving(policy(2));
    story.passes(seconds(60), &[101, 102]);
    assert_eq!(
        story.dies(101, "SIGKILL"),
        [
            format!("error Worker (pid:101) {UNTOLD_KILL}"),
            "report 101".into(),
            "reaped 101".into(),
            "spawn 3 on 1".into()
        ]
    );
}

/// Workers that die one after the other, before or after they serve, and the waits in between.
fn assert_waits(serves: bool, waits: &[u64]) {
    let mut story = Story::serving(policy(1));
    let mut pid = 101;
    for wait in waits {
        assert_eq!(story.dies(pid, "SIGSEGV").last(), Some(&format!("reaped {pid}")));
        let due = story.arbiter.poll_timeout(story.now).expect("a wait");
        assert_eq!(due - story.now, Duration::from_millis(*wait));
        story.now = due;
        assert_eq!(story.happens(Event::Tick), [format!("spawn {} on 1", pid - 100 + 1)]);
        pid += 1;
        if serves {
            story.ready(pid);
        }
    }
}

#[test]
fn workers_that_die_young_come_back_ever_slower() {
    assert_waits(false, &[100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn workers_that_served_before_come_back_soon() {
    assert_waits(true, &[100, 200, 400, 500, 500, 500]);
}

#[test]
fn exit_codes_after_boot_never_stop_the_master() {
    let mut story = Story::serving(policy(1));
    for (code, pid) in [(3, 101), (4, 102), (1, 103)] {
        story.passes(seconds(60), &[pid]);
        assert_eq!(
            story.happens(Event::Exited { pid, ending: Ending::Code(code) }),
            [
                format!("error Worker (pid:{pid}) exited with code {code}."),
                format!("report {pid}"),
                format!("reaped {pid}"),
                format!("spawn {} on 1", pid - 99)
            ]
        );
        story.ready(pid + 1);
    }
}

#[test]
fn a_worker_that_wants_to_be_replaced_serves_until_it_is() {
    let mut story = Story::serving(policy(2));
    assert_eq!(
        story.happens(Event::Recycle { pid: 101 }),
        [
            "info Autorestarting worker (pid:101): its replacement boots first",
            "outgoing 101",
            "spawn 3 on 1"
        ]
    );
    assert!(story.happens(Event::Recycle { pid: 101 }).is_empty());
    assert_eq!(story.ready(103), ["finish 101"]);
    assert_eq!(story.leaves(101), ["reaped 101"]);
}

#[test]
fn a_young_worker_that_asked_to_be_replaced_is_no_reason_to_wait() {
    let mut story = Story::serving(policy(1));
    for pid in 101..105 {
        let spawned = format!("spawn {} on 1", pid - 99);
        assert_eq!(story.happens(Event::Recycle { pid })[2..], [spawned]);
        story.leaves(pid);
        story.ready(pid + 1);
    }
}

#[test]
fn a_worker_with_a_request_that_does_not_end_is_replaced_and_may_end_itself() {
    let mut story = Story::serving(policy(1));
    assert_eq!(
        story.happens(Event::Stuck { pid: 101 }),
        [
            "info Autorestarting worker (pid:101): its replacement boots first",
            "outgoing 101",
            "spawn 2 on 1"
        ]
    );
    assert!(story.happens(Event::Stuck { pid: 101 }).is_empty());
    assert_eq!(story.ready(102), ["finish 101"]);
    assert_eq!(
        story.dies(101, "SIGKILL"),
        [
            "error Worker (pid:101) was sent SIGKILL! It ended itself, as a request in it did not \
             end (`request_timeout`).",
            "report 101",
            "reaped 101"
        ]
    );
}

#[test]
fn a_silent_worker_shows_its_stack_and_is_killed() {
    let mut story = Story::serving(policy(2));
    assert!(story.passes(seconds(29), &[102]).is_empty());
    assert_eq!(
        story.passes(seconds(1), &[102]),
        ["critical WORKER TIMEOUT (pid:101)", "report 101", "abort 101", "spawn 3 on 1"]
    );
    assert!(story.passes(seconds(1), &[102]).is_empty());
    assert_eq!(story.passes(seconds(1), &[102]), ["kill 101"]);
    assert_eq!(
        story.dies(101, "SIGKILL"),
        [
            "error Worker (pid:101) was sent SIGKILL! It gave no sign of life within `timeout`, and \
             did not end on SIGABRT.",
            "reaped 101"
        ]
    );
}

#[test]
fn a_master_that_was_stopped_itself_blames_nobody() {
    let mut story = Story::serving(policy(1));
    story.now += seconds(3600);
    assert!(story.happens(Event::Tick).is_empty());
    assert!(story.passes(seconds(29), &[101]).is_empty());
}

#[test]
fn no_timeout_waits_for_ever() {
    let mut story = Story::serving(Policy { timeout: None, ..policy(1) });
    assert!(story.passes(seconds(3600), &[]).is_empty());
}

#[test]
fn strangers_are_reaped_and_forgotten() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.leaves(9999), ["debug Unknown child (pid:9999) reaped"]);
    assert!(story.happens(Event::Ready { pid: 9999 }).is_empty());
    assert!(story.happens(Event::Recycle { pid: 9999 }).is_empty());
    let failed = Event::BootFailed { pid: 9999, failure: BootFailure::App };
    assert!(story.happens(failed).is_empty());
}
