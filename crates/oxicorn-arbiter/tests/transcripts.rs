//! Stories of a server, told as what happens and what is done about it.

use std::time::{Duration, Instant};

use oxicorn_arbiter::{Arbiter, BootFailure, Effect, Ending, Event, Level, Order, Policy, Signal};

/// A master whose workers get the process numbers 101, 102, … by their age.
struct Story {
    arbiter: Arbiter,
    now: Instant,
}

impl Story {
    fn begin(policy: Policy) -> Self {
        let now = Instant::now();
        let mut story = Self { arbiter: Arbiter::new(policy, now), now };
        let started = story.happens(Event::Start);
        let expected: Vec<_> =
            (1..=policy.workers).map(|age| format!("spawn {age} on 1")).collect();
        assert_eq!(started, expected);
        story
    }

    /// A full set of workers serves.
    fn serving(policy: Policy) -> Self {
        let mut story = Self::begin(policy);
        for worker in 1..=policy.workers {
            let done = story.ready(100 + worker as u32);
            let settles =
                if worker == policy.workers { vec!["settle 1".to_owned()] } else { vec![] };
            assert_eq!(done, settles);
        }
        story
    }

    /// What is done, one line each; forks succeed at once.
    fn happens(&mut self, event: Event) -> Vec<String> {
        let mut done = Vec::new();
        let mut effects = self.arbiter.handle(event, self.now);
        while !effects.is_empty() {
            let mut answers = Vec::new();
            for effect in effects {
                if let Effect::Spawn { age, .. } = effect {
                    let pid = 100 + u32::try_from(age).expect("few workers");
                    answers.extend(self.arbiter.handle(Event::Forked { age, pid }, self.now));
                }
                done.push(describe(&effect));
            }
            effects = answers;
        }
        done
    }

    fn signal(&mut self, signal: Signal) -> Vec<String> {
        let mut done = self.happens(Event::Signal(signal));
        assert_eq!(done.remove(0), format!("info Handling signal: {}", signal.name()));
        done
    }

    fn ready(&mut self, pid: u32) -> Vec<String> {
        self.happens(Event::Ready { pid })
    }

    fn leaves(&mut self, pid: u32) -> Vec<String> {
        self.happens(Event::Exited { pid, ending: Ending::Code(0) })
    }

    fn dies(&mut self, pid: u32, signal: &'static str) -> Vec<String> {
        self.happens(Event::Exited { pid, ending: Ending::Signal(signal) })
    }

    /// Time goes by, and workers that are in order say so.
    fn passes(&mut self, time: Duration, alive: &[u32]) -> Vec<String> {
        let end = self.now + time;
        let mut done = Vec::new();
        while self.now < end {
            self.now = (self.now + Duration::from_secs(1)).min(end);
            for pid in alive {
                done.extend(self.happens(Event::Heartbeat { pid: *pid, at: self.now }));
            }
            done.extend(self.happens(Event::Tick));
        }
        done
    }
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Log(level, text) => {
            let level = match level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warning => "warning",
                Level::Error => "error",
                Level::Critical => "critical",
            };
            format!("{level} {text}")
        }
        Effect::Spawn { age, generation } => format!("spawn {age} on {generation}"),
        Effect::Send { pid, order } => {
            let order = match order {
                Order::Finish => "finish",
                Order::Leave => "leave",
                Order::Abort => "abort",
                Order::Kill => "kill",
                Order::ReopenLogs => "reopen",
            };
            format!("{order} {pid}")
        }
        Effect::Outgoing { pid } => format!("outgoing {pid}"),
        Effect::Reload => "reload".into(),
        Effect::Settle { generation } => format!("settle {generation}"),
        Effect::Abandon { generation } => format!("abandon for {generation}"),
        Effect::ReopenLogs => "reopen logs".into(),
        Effect::Upgrade => "upgrade".into(),
        Effect::CloseListeners => "close listeners".into(),
        Effect::WorkersChanged { old, new } => format!("workers {old} to {new}"),
        Effect::ReportRequests { pid, .. } => format!("report {pid}"),
        Effect::Reaped { pid, boot_failed: false, .. } => format!("reaped {pid}"),
        Effect::Reaped { pid, .. } => format!("reaped unbooted {pid}"),
        Effect::Stop { code } => format!("stop {code}"),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn policy(workers: usize) -> Policy {
    Policy { workers, ..Policy::default() }
}

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
fn a_worker_that_boots_for_long_is_not_silent() {
    let mut story = Story::begin(policy(1));
    assert!(story.passes(seconds(600), &[]).is_empty());
    assert_eq!(story.ready(101), ["settle 1"]);
    assert!(story.passes(seconds(29), &[]).is_empty());
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

#[test]
fn a_fork_that_fails_is_tried_again() {
    let now = Instant::now();
    let mut arbiter = Arbiter::new(policy(1), now);
    assert_eq!(arbiter.handle(Event::Start, now), [Effect::Spawn { age: 1, generation: 1 }]);
    assert!(arbiter.handle(Event::ForkFailed { age: 1 }, now).is_empty());
    let due = arbiter.poll_timeout(now).expect("a wait");
    assert_eq!(arbiter.handle(Event::Tick, due), [Effect::Spawn { age: 2, generation: 1 }]);
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
fn usr2_asks_for_an_upgrade_unless_the_end_has_begun() {
    let mut story = Story::serving(policy(1));
    assert_eq!(story.signal(Signal::Usr2), ["upgrade"]);
    story.signal(Signal::Term);
    assert!(story.signal(Signal::Usr2).is_empty());
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
