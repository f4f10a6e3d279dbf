//! What the master waits for: signals, notes and signs of life of its workers, their ends and stacks.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use oxicorn_arbiter::{BootFailure, Ending, Event, Signal};
use oxicorn_os::process::{self, signal_name};
use oxicorn_os::scoreboard::monotonic_ms;
use oxicorn_os::watch::{Found, read_pipe, wait_readable};
use oxicorn_worker::error_log;
use pyo3::prelude::*;

use super::{Inner, TICK};

/// What a worker writes to its private pipe when it accepts requests.
const READY: u8 = b'+';
/// What it writes when it wants to be replaced.
pub(crate) const RECYCLE: u8 = b'R';
/// What it writes when a request in it does not end.
pub(crate) const STUCK: u8 = b'S';
/// What it writes when it could not start.
const BOOT_FAILED: u8 = b'3';
/// What it writes when the application is not where it was said to be.
const APP_MISSING: u8 = b'4';

/// Stacks to which nothing was added for so long are whole.
const STACKS_SETTLE: Duration = Duration::from_millis(500);

impl Inner {
    /// Waits for something to happen, and tells the arbiter.
    pub(super) fn wait(&mut self) -> PyResult<()> {
        let now = Instant::now();
        let wait = match self.arbiter.poll_timeout(now) {
            Some(due) => due.saturating_duration_since(now).min(TICK),
            None => TICK,
        };
        let wait = match self.reminder {
            Some((_, due)) => due.saturating_duration_since(now).min(wait),
            None => wait,
        };
        let pipes = self.children.iter().filter_map(|child| child.notes.as_ref());
        let fds: Vec<_> = std::iter::once(&self.signals).chain(pipes).map(AsFd::as_fd).collect();
        let readable = wait_readable(&fds, wait)?;
        if readable.first() == Some(&true) {
            self.take_signals();
        }
        for at in 0..self.children.len() {
            self.take_notes(at);
        }
        while let Some((pid, ending)) = process::reap() {
            if self.successor == Some(pid) {
                self.successor = None;
                self.news.push_back(("successor gone", u64::from(pid), 0));
                continue;
            }
            // What it said comes before what became of it.
            if let Some(at) = self.children.iter().position(|child| child.pid == Some(pid)) {
                self.take_notes(at);
            }
            let ending = match ending {
                process::Ending::Exited(code) => Ending::Code(code),
                process::Ending::Signaled(process::KILL) if self.oom_kills.another() => {
                    Ending::OutOfMemory
                }
                process::Ending::Signaled(signal) => Ending::Signal(signal_name(signal)),
            };
            self.feed(Event::Exited { pid, ending });
        }
        self.credentials.iter().for_each(|each| each.refresh(Instant::now()));
        self.take_heartbeats();
        self.show_stacks();
        self.take_news();
        self.feed(Event::Tick);
        Ok(())
    }

    /// Signals that came together count once each.
    fn take_signals(&mut self) {
        let mut seen = Vec::new();
        while let Found::Bytes(bytes) = read_pipe(self.signals.as_fd()) {
            for byte in bytes {
                if !seen.contains(&byte) {
                    seen.push(byte);
                }
            }
        }
        for signal in seen.into_iter().filter_map(|byte| meaning(i32::from(byte))) {
            self.feed(Event::Signal(signal));
        }
    }

    fn take_notes(&mut self, at: usize) {
        let Some(child) = self.children.get_mut(at) else { return };
        let (Some(pid), Some(pipe)) = (child.pid, &child.notes) else { return };
        let notes = match read_pipe(pipe.as_fd()) {
            Found::Bytes(bytes) => bytes,
            Found::Nothing => return,
            Found::End => {
                child.notes = None;
                return;
            }
        };
        for note in notes {
            match note {
                READY => self.feed(Event::Ready { pid }),
                STUCK => self.feed(Event::Stuck { pid }),
                RECYCLE => self.feed(Event::Recycle { pid }),
                BOOT_FAILED => self.feed(Event::BootFailed { pid, failure: BootFailure::Worker }),
                APP_MISSING => self.feed(Event::BootFailed { pid, failure: BootFailure::App }),
                _ => {}
            }
        }
    }

    fn take_heartbeats(&mut self) {
        let (now, now_ms) = (Instant::now(), monotonic_ms());
        let beats: Vec<_> = self
            .children
            .iter()
            .filter_map(|child| {
                let ago =
                    Duration::from_millis(now_ms.saturating_sub(child.record.last_heartbeat()));
                Some((child.pid?, now.checked_sub(ago)?))
            })
            .collect();
        for (pid, at) in beats {
            self.feed(Event::Heartbeat { pid, at });
        }
    }

    fn take_news(&mut self) {
        if self.predecessor.is_some_and(|pid| std::os::unix::process::parent_id() != pid) {
            self.predecessor = None;
            self.news.push_back(("promoted", 0, 0));
        }
        let now = Instant::now();
        if let Some((every, due)) = &mut self.reminder
            && *due <= now
        {
            *due = now + *every;
            self.news.push_back(("remind", 0, 0));
        }
    }

    /// Shows the stacks that workers have written, when they are whole.
    fn show_stacks(&mut self) {
        let now = Instant::now();
        if now < self.next_look_at_stacks {
            return;
        }
        self.next_look_at_stacks = now + STACKS_SETTLE;
        for child in &mut self.children {
            if let (Some(pid), Some(stacks)) = (child.pid, &mut child.stacks) {
                log_stacks(pid, stacks.look());
            }
        }
    }

    /// Shows what a worker that has ended has left.
    pub(super) fn show_last_stacks(&mut self, age: u64) {
        let Some(child) = self.children.iter_mut().find(|child| child.age == age) else { return };
        if let (Some(pid), Some(stacks)) = (child.pid, &mut child.stacks) {
            log_stacks(pid, stacks.take());
        }
    }
}

/// Writes the stacks of a worker as one message, so that nothing comes in between.
fn log_stacks(pid: u32, found: std::io::Result<Vec<u8>>) {
    let text = match &found {
        Ok(text) => String::from_utf8_lossy(text.trim_ascii_end()),
        Err(error) => format!("  cannot be read: {error}").into(),
    };
    if !text.is_empty() {
        let text = format_args!("Stacks of worker (pid:{pid}):\n{text}");
        error_log::write(error_log::Level::Error, text);
    }
}

fn meaning(number: i32) -> Option<Signal> {
    match number {
        process::HUP => Some(Signal::Hup),
        process::INT => Some(Signal::Int),
        process::QUIT => Some(Signal::Quit),
        process::TERM => Some(Signal::Term),
        process::TTIN => Some(Signal::Ttin),
        process::TTOU => Some(Signal::Ttou),
        process::USR1 => Some(Signal::Usr1),
        process::USR2 => Some(Signal::Usr2),
        process::WINCH => Some(Signal::Winch),
        _ => None,
    }
}
