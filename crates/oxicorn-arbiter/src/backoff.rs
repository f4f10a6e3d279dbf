//! How long to wait before the next worker when the last ones did not live.

use std::time::{Duration, Instant};

/// A worker that dies before this age counts as one that does not live.
pub(crate) const YOUNG: Duration = Duration::from_secs(10);

const FIRST: Duration = Duration::from_millis(100);
/// For workers that do not come to serve.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);
/// For workers that did serve: a request that is the death of each must not keep the others out.
pub(crate) const LONGEST_SERVED: Duration = Duration::from_millis(500);
const FORGET: Duration = Duration::from_secs(30);

/// Doubles the wait with every early death, and forgets when none came for a while.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Notes an early death, after which the wait is `longest` at most.
    pub(crate) fn fail(&mut self, now: Instant, longest: Duration) {
        let wait = match self.last {
            Some((at, wait)) if now.saturating_duration_since(at) < FORGET => {
                (wait * 2).min(longest)
            }
            _ => FIRST,
        };
        self.last = Some((now, wait));
    }

    /// Starts anew.
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }

    /// When the next worker may be forked, if that is not now.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.last.map(|(at, wait)| at + wait).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_five_seconds_and_forgets() {
        let start = Instant::now();
        let mut now = start;
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(now), None);
        let mut waits = Vec::new();
        for _ in 0..8 {
            backoff.fail(now, LONGEST);
            let until = backoff.until(now).expect("a wait");
            waits.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.fail(now, LONGEST_SERVED);
        assert_eq!(backoff.until(now), Some(now + LONGEST_SERVED));
        now += FORGET;
        backoff.fail(now, LONGEST);
        assert_eq!(backoff.until(now), Some(now + FIRST));
        backoff.reset();
        assert_eq!(backoff.until(now), None);
    }
}
