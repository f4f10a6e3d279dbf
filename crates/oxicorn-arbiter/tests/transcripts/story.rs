//! A master and its workers, to whom something happens.

use std::time::{Duration, Instant};

use oxicorn_arbiter::{Arbiter, Effect, Ending, Event, Level, Order, Policy, Signal};

/// A master whose workers get the process numbers 101, 102, … by their age.
pub(crate) struct Story {
    pub(crate) arbiter: Arbiter,
    pub(crate) now: Instant,
}

impl Story {
    pub(crate) fn begin(policy: Policy) -> Self {
        let now = Instant::now();
        let mut story = Self { arbiter: Arbiter::new(policy, now), now };
        let started = story.happens(Event::Start);
        let expected: Vec<_> =
            (1..=policy.workers).map(|age| format!("spawn {age} on 1")).collect();
        assert_eq!(started, expected);
        story
    }

    /// A full set of workers serves.
    pub(crate) fn serving(policy: Policy) -> Self {
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
    pub(crate) fn happens(&mut self, event: Event) -> Vec<String> {
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

    pub(crate) fn signal(&mut self, signal: Signal) -> Vec<String> {
        let mut done = self.happens(Event::Signal(signal));
        assert_eq!(done.remove(0), format!("info Handling signal: {}", signal.name()));
        done
    }

    pub(crate) fn ready(&mut self, pid: u32) -> Vec<String> {
        self.happens(Event::Ready { pid })
    }

    pub(crate) fn leaves(&mut self, pid: u32) -> Vec<String> {
        self.happens(Event::Exited { pid, ending: Ending::Code(0) })
    }

    pub(crate) fn dies(&mut self, pid: u32, signal: &'static str) -> Vec<String> {
        self.happens(Event::Exited { pid, ending: Ending::Signal(signal) })
    }

    /// Time goes by, and workers that are in order say so.
    pub(crate) fn passes(&mut self, time: Duration, alive: &[u32]) -> Vec<String> {
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

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn policy(workers: usize) -> Policy {
    Policy { workers, ..Policy::default() }
}
