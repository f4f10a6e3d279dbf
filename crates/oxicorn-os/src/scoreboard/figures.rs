//! What a worker counts: requests by their fate, and how long they were in which phase.
//!
//! Times come from the worker's coarse clock, which is read anyway, so they are whole milliseconds,
//! and a phase that took less than one is not written at all: it is what the number of requests
//! leaves over. So a request that meets no delay costs nothing here.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where a request spends its time, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the first bytes of its head to the last.
    Head,
    /// From its head to the end of its body.
    Body,
    /// Complete, and waiting for an application thread.
    Queue,
    /// A thread that had something to do waited for the interpreter. Not per request: see
    /// [`Slot::waited_for_interpreter`](super::Slot::waited_for_interpreter).
    Interpreter,
    /// Inside the application.
    Application,
    /// From the end of the application's work until the client took the last byte.
    Send,
}

/// How many phases there are.
pub const PHASES: usize = 6;

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; PHASES] =
        [Self::Head, Self::Body, Self::Queue, Self::Interpreter, Self::Application, Self::Send];

    /// Its name for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Queue => "queue",
            Self::Interpreter => "interpreter",
            Self::Application => "application",
            Self::Send => "send",
        }
    }
}

/// What is counted beside time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Requests that the application was called for.
    Requests,
    /// Requests that were refused because they had waited too long, or too many waited.
    Refused,
    /// Requests that did not begin because their client had gone.
    Abandoned,
    /// Connections with a waiting request that were given to other workers.
    Given,
    /// Connections that were taken from other workers.
    Taken,
}

const COUNTS: usize = 5;

/// Buckets of a histogram: below 1 ms, then from each power of two to the next; the last one has no
/// end.
pub const BUCKETS: usize = 20;

const HISTOGRAM: usize = BUCKETS + 1;
pub(super) const WORDS: usize = COUNTS + PHASES * HISTOGRAM;

/// How often a phase took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of bucket 0: below 1 ms. Of bucket `i`: from `2^(i-1)` ms to below `2^i` ms.
    pub counts: [u64; BUCKETS],
    /// The sum of all times, in milliseconds.
    pub total_ms: u64,
}

/// All that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    counts: [u64; COUNTS],
    phases: [Histogram; PHASES],
}

impl Figures {
    /// One of the counters.
    #[must_use]
    pub fn count(&self, what: Count) -> u64 {
        self.counts[what as usize]
    }

    /// The histogram of a phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> &Histogram {
        &self.phases[phase as usize]
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.wrapping_add(count);
        }
        for (sum, phase) in self.phases.iter_mut().zip(other.phases) {
            sum.total_ms = sum.total_ms.wrapping_add(phase.total_ms);
            for (sum, count) in sum.counts.iter_mut().zip(phase.counts) {
                *sum = sum.wrapping_add(count);
            }
        }
    }
}

/// Where the words of a counter are among the figures.
pub(super) fn at(what: Count) -> usize {
    what as usize
}

/// Counts one time.
pub(super) fn record(words: &[AtomicU64], phase: Phase, ms: u64) {
    let at = COUNTS + phase as usize * HISTOGRAM;
    let bucket = (u64::BITS - ms.leading_zeros()) as usize;
    words[at + bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    words[at + BUCKETS].fetch_add(ms, Ordering::Relaxed);
}

/// Adds what one worker has counted to a sum.
pub(super) fn add(words: &[AtomicU64], sum: &[AtomicU64]) {
    for (sum, word) in sum.iter().zip(words) {
        sum.fetch_add(word.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Reads the figures, and fills in what was not written.
pub(super) fn read(words: &[AtomicU64]) -> Figures {
    let word = |at: usize| words[at].load(Ordering::Relaxed);
    let mut figures = Figures::default();
    for (at, count) in figures.counts.iter_mut().enumerate() {
        *count = word(at);
    }
    for (phase, histogram) in Phase::ALL.into_iter().zip(&mut figures.phases) {
        let start = COUNTS + phase as usize * HISTOGRAM;
        for (at, count) in histogram.counts.iter_mut().enumerate() {
            *count = word(start + at);
        }
        histogram.total_ms = word(start + BUCKETS);
        if phase != Phase::Interpreter {
            let written: u64 = histogram.counts.iter().fold(0, |sum, n| sum.saturating_add(*n));
            let requests = figures.counts[at(Count::Requests)];
            histogram.counts[0] += requests.saturating_sub(written);
        }
    }
    figures
}

/// Forgets everything.
pub(super) fn clear(words: &[AtomicU64]) {
    words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
}
