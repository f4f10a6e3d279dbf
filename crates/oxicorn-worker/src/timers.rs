//! Time limits of all connections in one structure.
//!
//! A connection has one deadline, which mostly moves forward; the heap holds at most one entry for
//! it that counts. An entry that comes up before its connection's deadline is put in again, so
//! that moving a deadline forward costs one store and no heap operation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slotmap::DefaultKey as Key;

/// Entries by time, in milliseconds of the worker's clock.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(u64, Key)>>);

impl Timers {
    /// Asks to look at `key` at this time.
    pub(crate) fn push(&mut self, at: u64, key: Key) {
        self.0.push(Reverse((at, key)));
    }

    /// The time of the next entry.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one entry whose time has come.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<(u64, Key)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_up_in_order_and_not_before_their_time() {
        let mut keys = slotmap::SlotMap::new();
        let (a, b) = (keys.insert(()), keys.insert(()));
        let mut timers = Timers::default();
        timers.push(20, a);
        timers.push(10, b);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(30), Some((10, b)));
        assert_eq!(timers.pop_due(30), Some((20, a)));
        assert_eq!(timers.pop_due(30), None);
    }
}
