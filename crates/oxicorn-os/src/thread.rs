//! What the kernel knows of another thread of this process.

use std::fs;
use std::time::Duration;

use nix::libc::clockid_t;
use nix::time::ClockId;

/// A thread of this process, to be looked at from another one.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    id: i32,
}

impl Thread {
    /// The calling thread.
    pub fn current() -> Self {
        Self { id: rustix::thread::gettid().as_raw_nonzero().get() }
    }

    /// The CPU time that the thread had, up to now also while it runs; `None` if it has ended.
    pub fn cpu_time(self) -> Option<Duration> {
        // The kernel's number for the CPU clock of one thread: see clock_getcpuclockid(3), which
        // makes the same of a process.
        const PER_THREAD: clockid_t = 4;
        const SCHEDULED: clockid_t = 2;
        let clock = ClockId::from_raw((!self.id << 3) | PER_THREAD | SCHEDULED);
        clock.now().ok().map(Duration::from)
    }

    /// Whether it runs or waits for a processor, and for nothing else; `false` if it has ended.
    pub fn is_runnable(self) -> bool {
        let path = format!("/proc/self/task/{}/stat", self.id);
        // The name before the state may hold any octet, but not the last parenthesis (proc(5)).
        let stat = fs::read(path).unwrap_or_default();
        let name_ends = stat.iter().rposition(|octet| *octet == b')');
        name_ends.is_some_and(|at| stat.get(at + 2) == Some(&b'R'))
    }
}

/// The CPU time that all threads of this process had, those that have ended too.
pub fn process_cpu_time() -> Duration {
    // It fails for no process that runs.
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_computes_gains_cpu_time() {
        let thread = Thread::current();
        let before = thread.cpu_time().expect("it runs");
        let all_before = process_cpu_time();
        while thread.cpu_time().expect("it runs") < before + Duration::from_millis(1) {
            hint::spin_loop();
        }
        assert!(process_cpu_time() > all_before);
        assert!(thread.is_runnable());
    }

    #[test]
    fn a_thread_that_waits_is_not_runnable_and_one_that_ended_is_nothing() {
        let (tell, told) = mpsc::channel();
        let (end, ending) = mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let _ = tell.send(Thread::current());
            let _ = ending.recv();
        });
        let thread = told.recv().expect("it says who it is");
        while thread.is_runnable() {
            std::thread::yield_now();
        }
        assert!(thread.cpu_time().is_some());
        drop(end);
        other.join().expect("it ends");
        while thread.cpu_time().is_some() {
            std::thread::yield_now();
        }
        assert!(!thread.is_runnable());
    }
}
