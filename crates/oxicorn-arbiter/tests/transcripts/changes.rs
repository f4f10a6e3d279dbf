//! What the operator asks for while it serves.

use oxicorn_arbiter::{BootFailure, Event, Policy, Signal};

use crate::story::{Story, policy, seconds};

#[test]
fn reload_retires_the_old_set_when_the_new_one_serves() {
    let mut story = Story::serving(policy(2));
    assert_eq!(story.signal(Signal::Hup), ["reload"]);
    assert_eq!(
        story.happens(Event::Reloaded(policy(3))),
        ["workers 2 to 3", "spawn 3 on 2", "spawn 4 on 2", "spawn 5 on 2"]
    );
    assert!(story.ready(103).is_empty());
    assert!(story.ready(104).is_empty());
    assert_eq!(story.ready(105), ["finish 101", "finish 102", "settle 2"]);
    assert_eq!(story.leaves(101), ["reaped 101"]);
}

#[test]
fn settings_that_are_refused_change_nothing() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.signal(Signal::Hup), ["reload"]);
    assert!(story.passes(seconds(5), &[101]).is_empty());
}

#[test]
fn a_reload_that_cannot_boot_leaves_the_old_set() {
    let mut story = Story::serving(policy(1));
    story.signal(Signal::Hup);
    story.happens(Event::Reloaded(policy(2)));
    let failed = Event::BootFailed { pid: 102, failure: BootFailure::App };
    assert_eq!(
        story.happens(failed),
        [
            "error Worker (pid:102) exited with code 4.",
            "finish 103",
            "abandon for 1",
            "error Reload failed: App failed to load. The old workers stay.",
            "workers 2 to 1"
        ]
    );
    let failed = Event::BootFailed { pid: 103, failure: BootFailure::App };
    assert!(story.happens(failed).is_empty(), "told once");
    story.leaves(102);
    story.leaves(103);
    assert!(story.passes(seconds(9), &[101]).is_empty());
    // And the next one may succeed.
    story.signal(Signal::Hup);
    assert_eq!(story.happens(Event::Reloaded(policy(1))), ["workers 1 to 1", "spawn 4 on 3"]);
    assert_eq!(story.ready(104), ["finish 101", "settle 3"]);
}

#[test]
fn a_second_reload_replaces_the_first() {
    let mut story = Story::serving(policy(1));
    story.signal(Signal::Hup);
    story.happens(Event::Reloaded(policy(1)));
    story.signal(Signal::Hup);
    // No third process before the second one is gone.
    assert_eq!(story.happens(Event::Reloaded(policy(1))), ["finish 102", "workers 1 to 1"]);
    assert_eq!(story.leaves(102), ["reaped 102", "spawn 3 on 3"]);
    assert_eq!(story.ready(103), ["finish 101", "settle 3"]);
}

#[test]
fn a_reload_before_the_first_set_is_ready_waits() {
    let mut story = Story::begin(policy(1));
    assert!(story.signal(Signal::Hup).is_empty());
    assert!(story.signal(Signal::Hup).is_empty());
    assert_eq!(story.ready(101), ["settle 1", "reload"]);
}

#[test]
fn ttin_and_ttou_change_the_number() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.signal(Signal::Ttin), ["workers 1 to 2", "spawn 2 on 1"]);
    story.ready(102);
    assert_eq!(story.signal(Signal::Ttou), ["workers 2 to 1", "finish 101"]);
    assert!(story.signal(Signal::Ttou).is_empty(), "never below one");
}

#[test]
fn usr1_reaches_everybody() {
    let mut story = Story::serving(policy(2));
    assert_eq!(story.signal(Signal::Usr1), ["reopen logs", "reopen 101", "reopen 102"]);
}

#[test]
fn winch_means_something_to_daemons_only() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.signal(Signal::Winch), ["debug SIGWINCH ignored: not running as a daemon"]);
    let mut story = Story::serving(Policy { daemon: true, ..policy(1) });
    assert_eq!(story.signal(Signal::Winch), ["workers 1 to 0", "finish 101"]);
    assert_eq!(story.leaves(101), ["reaped 101"]);
    story.signal(Signal::Hup);
    assert_eq!(story.happens(Event::Reloaded(policy(1))), ["workers 0 to 1", "spawn 2 on 2"]);
}

#[test]
fn usr2_asks_for_an_upgrade_unless_the_end_has_begun() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.signal(Signal::Usr2), ["upgrade"]);
    story.signal(Signal::Term);
    assert!(story.signal(Signal::Usr2).is_empty());
}
