//! The worker's clock: milliseconds since it started, and the Date field by the second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxicorn_os::scoreboard::monotonic_ms;

/// Monotonic milliseconds, with a coarse copy that costs one load.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// The system's monotonic milliseconds at `start`, which the scoreboard counts in.
    base: u64,
    coarse: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), base: monotonic_ms(), coarse: AtomicU64::new(0) }
    }

    /// When it said 0.
    pub(crate) fn zero(&self) -> Instant {
        self.start
    }

    /// Reads the clock, and moves the coarse copy forward.
    pub(crate) fn now(&self) -> u64 {
        self.micros() / 1000
    }

    /// The same in microseconds.
    pub(crate) fn micros(&self) -> u64 {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.coarse.store(now / 1000, Ordering::Relaxed);
        now
    }

    /// A reading as the scoreboard counts: the same for all processes.
    pub(crate) fn absolute(&self, reading: u64) -> u64 {
        self.base + reading
    }

    /// A time on the scoreboard as a reading of this clock, never 0.
    pub(crate) fn relative(&self, absolute: u64) -> u64 {
        absolute.saturating_sub(self.base).max(1)
    }

    /// The last reading by anyone; the monitor reads each millisecond while there is activity.
    pub(crate) fn coarse(&self) -> u64 {
        self.coarse.load(Ordering::Relaxed)
    }
}

/// The Date field's value, made once a second.
#[derive(Debug)]
pub(crate) struct DateCache {
    /// When the value is out of date, by the worker's clock.
    until: u64,
    value: [u8; 29],
}

impl DateCache {
    pub(crate) fn new() -> Self {
        Self { until: 0, value: oxicorn_http::date::imf_fixdate(0) }
    }

    /// The value at `now`, a recent reading of the worker's clock.
    pub(crate) fn at(&mut self, now: u64) -> [u8; 29] {
        if now >= self.until {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            self.value = oxicorn_http::date::imf_fixdate(wall.as_secs());
            self.until = now + 1000 - u64::from(wall.subsec_millis());
        }
        self.value
    }
}
