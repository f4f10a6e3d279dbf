//! The record of one worker: what it says of itself, what it counts, and its requests in flight.

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Scoreboard;
use super::figures::{self, Count, Figures, Phase};
use super::in_flight::{self, ENTRIES, ENTRY, InFlight, Ticket};

// The record, in words of eight bytes: first what the master polls, then what every request
// touches, each on a cache line.
const STATE: usize = 0;
const PID: usize = 1;
const GENERATION: usize = 2;
const HEARTBEAT: usize = 3;
const CONNECTIONS: usize = 4;
const TAKES: usize = 5;
const WAITING: usize = 6;
const BUSY: usize = 8;
const FIGURES: usize = 9;
const HEAD: usize = 144;
pub(super) const RECORD: usize = HEAD + ENTRIES * ENTRY;

const _: () = assert!(FIGURES + figures::WORDS <= HEAD, "the figures fit before the entries");

/// What a worker says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody uses the slot.
    Vacant,
    /// Forked; the application is being loaded.
    Booting,
    /// Accepts requests.
    Serving,
    /// Finishes what it has and accepts nothing.
    Draining,
}

impl State {
    fn word(self) -> u64 {
        match self {
            Self::Vacant => 0,
            Self::Booting => 1,
            Self::Serving => 2,
            Self::Draining => 3,
        }
    }

    fn of(word: u64) -> Self {
        match word {
            1 => Self::Booting,
            2 => Self::Serving,
            3 => Self::Draining,
            _ => Self::Vacant,
        }
    }

    /// Its name for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Booting => "booting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// A record as it was at one moment, more or less: its parts are read one after another.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the worker was doing.
    pub state: State,
    /// Its process; 0 before that is known.
    pub pid: u32,
    /// The generation of settings it runs with.
    pub generation: u64,
    /// When it last said that it gets on, on the clock of [`monotonic_ms`](super::monotonic_ms).
    pub heartbeat_ms: u64,
    /// Connections it holds.
    pub connections: u64,
    /// Complete requests that wait for a thread.
    pub waiting: u64,
    /// Requests that run.
    pub busy: u32,
    /// What it has counted since it was started.
    pub figures: Figures,
    /// The requests that run, the oldest first; at most [`ENTRIES`].
    pub in_flight: Vec<InFlight>,
}

/// The record of one worker.
#[derive(Clone, Copy)]
pub struct Slot {
    board: Scoreboard,
    record: &'static [AtomicU64],
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("pid", &self.pid()).field("state", &self.state()).finish()
    }
}

impl Slot {
    pub(super) fn new(board: Scoreboard, record: &'static [AtomicU64]) -> Self {
        Self { board, record }
    }

    /// The other workers that run with the same settings as this one, living or not.
    pub fn siblings(&self) -> impl Iterator<Item = Self> + use<> {
        let (own, generation) = (self.record, self.generation());
        self.board
            .used()
            .filter(move |slot| slot.generation() == generation && !ptr::eq(slot.record, own))
    }

    /// Prepares the record for a new worker; whatever a dead one left is forgotten.
    pub fn claim(&self, generation: u64, now_ms: u64) {
        self.record[HEAD..].chunks_exact(ENTRY).for_each(in_flight::free);
        figures::clear(self.figures());
        for word in [BUSY, CONNECTIONS, TAKES, WAITING, PID] {
            self.record[word].store(0, Ordering::Relaxed);
        }
        self.record[GENERATION].store(generation, Ordering::Relaxed);
        self.record[HEARTBEAT].store(now_ms, Ordering::Relaxed);
        self.set_state(State::Booting);
    }

    /// Gives the record back without keeping what was counted in it.
    pub(super) fn vacate(&self) {
        self.set_state(State::Vacant);
    }

    /// Notes whose record this is.
    pub fn set_pid(&self, pid: u32) {
        self.record[PID].store(u64::from(pid), Ordering::Release);
    }

    /// Whose record this is; 0 before it is known.
    #[must_use]
    pub fn pid(&self) -> u32 {
        u32::try_from(self.record[PID].load(Ordering::Acquire)).unwrap_or(0)
    }

    /// The generation of settings the worker runs with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.record[GENERATION].load(Ordering::Relaxed)
    }

    /// Notes what the worker is doing.
    ///
    /// Of two workers that note a state and then look at each other's, at least one sees the other's.
    pub fn set_state(&self, state: State) {
        self.record[STATE].store(state.word(), Ordering::SeqCst);
    }

    /// What the worker is doing.
    #[must_use]
    pub fn state(&self) -> State {
        State::of(self.record[STATE].load(Ordering::SeqCst))
    }

    /// Notes how many threads run requests that may come from elsewhere; 0 while none may.
    pub fn set_takes(&self, threads: usize) {
        self.record[TAKES].store(threads as u64, Ordering::Relaxed);
    }

    /// How many requests from elsewhere the worker could begin at once: a hint, out of date as soon
    /// as it is read. Threads beyond [`ENTRIES`] do not count.
    #[must_use]
    pub fn idle_threads(&self) -> usize {
        if self.state() != State::Serving {
            return 0;
        }
        let takes = self.record[TAKES].load(Ordering::Relaxed);
        let takes = usize::try_from(takes).unwrap_or(0).min(ENTRIES);
        takes.saturating_sub(self.record[BUSY].load(Ordering::Relaxed).count_ones() as usize)
    }

    /// Tells the master that the worker gets on: `now_ms` is
    /// [`monotonic_ms`](super::monotonic_ms).
    pub fn heartbeat(&self, now_ms: u64) {
        self.record[HEARTBEAT].store(now_ms, Ordering::Relaxed);
    }

    /// The time of the last [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn last_heartbeat(&self) -> u64 {
        self.record[HEARTBEAT].load(Ordering::Relaxed)
    }

    /// Notes how many connections the worker holds, and how many complete requests wait.
    pub fn set_load(&self, connections: usize, waiting: usize) {
        self.record[CONNECTIONS].store(connections as u64, Ordering::Relaxed);
        self.record[WAITING].store(waiting as u64, Ordering::Relaxed);
    }

    /// Requests that the worker has begun.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counter(Count::Requests).load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn count(&self, what: Count) {
        self.counter(what).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts how long a request was in a phase, where that was a millisecond or more: shorter times
    /// are known from the number of requests.
    #[inline]
    pub fn spent(&self, phase: Phase, ms: u64) {
        if ms > 0 {
            figures::record(self.figures(), phase, ms);
        }
    }

    /// Counts how long a thread waited for the interpreter when it had something to do. Every wait
    /// that is measured has to be counted, however short.
    pub fn waited_for_interpreter(&self, ms: u64) {
        figures::record(self.figures(), Phase::Interpreter, ms);
    }

    /// Lists a request as begun. Any thread of the worker may call it; long texts are cut. `id` is
    /// empty when requests have none.
    pub fn begin(
        &self,
        now_ms: u64,
        method: &[u8],
        path: &[u8],
        client: &[u8],
        id: &[u8],
    ) -> Ticket {
        self.count(Count::Requests);
        let Some(index) = self.reserve() else { return Ticket(None) };
        in_flight::write(self.entry(usize::from(index)), now_ms, [method, path, client, id]);
        Ticket(Some(index))
    }

    /// Takes a request off the list.
    pub fn end(&self, ticket: Ticket) {
        let Some(index) = ticket.0 else { return };
        in_flight::finish(self.entry(usize::from(index)));
        self.record[BUSY].fetch_and(!(1 << index), Ordering::Release);
    }

    /// The requests that the worker is busy with now, the oldest first.
    ///
    /// Safe to call while the worker writes, and when it died doing so: an entry that is not
    /// whole is left out.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        let entries = self.record[HEAD..].chunks_exact(ENTRY);
        let mut found: Vec<_> = entries.filter_map(in_flight::read).collect();
        found.sort_by_key(|request| request.start_ms);
        found
    }

    /// All that can be seen.
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        Snapshot {
            state: self.state(),
            pid: self.pid(),
            generation: self.generation(),
            heartbeat_ms: self.last_heartbeat(),
            connections: self.record[CONNECTIONS].load(Ordering::Relaxed),
            waiting: self.record[WAITING].load(Ordering::Relaxed),
            busy: self.record[BUSY].load(Ordering::Relaxed).count_ones(),
            figures: figures::read(self.figures()),
            in_flight: self.in_flight(),
        }
    }

    pub(super) fn figures(&self) -> &'static [AtomicU64] {
        &self.record[FIGURES..FIGURES + figures::WORDS]
    }

    fn counter(&self, what: Count) -> &'static AtomicU64 {
        &self.record[FIGURES + figures::at(what)]
    }

    pub(super) fn entry(&self, index: usize) -> &'static [AtomicU64] {
        let at = HEAD + index * ENTRY;
        &self.record[at..at + ENTRY]
    }

    /// Takes the lowest free entry, which for one thread is always the same, warm one.
    fn reserve(&self) -> Option<u8> {
        let mut busy = self.record[BUSY].load(Ordering::Relaxed);
        loop {
            let index = busy.trailing_ones();
            if index as usize >= ENTRIES {
                return None;
            }
            match self.record[BUSY].compare_exchange_weak(
                busy,
                busy | 1 << index,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return u8::try_from(index).ok(),
                Err(now) => busy = now,
            }
        }
    }
}
