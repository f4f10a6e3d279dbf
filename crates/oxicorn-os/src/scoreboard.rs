//! Memory that the master shares with its workers: who lives, and what each is doing.
//!
//! One record per worker slot, made of nothing but atomics. A worker alone writes its record and
//! takes no lock for it; the master reads at any time, also after the writer died in the middle of
//! a write. A request's entry is guarded by a sequence word (a seqlock): its low two bits say
//! whether the entry is free, being written, or valid, and a reader that finds it changed while it
//! read forgets what it saw.

use std::fmt;
use std::io;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nix::time::{ClockId, clock_gettime};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Requests of one worker that can be seen at a time; more are served but not listed.
pub const ENTRIES: usize = 64;

/// Longest prefix of a method that is kept.
pub const METHOD: usize = 16;
/// Longest prefix of a path that is kept.
pub const PATH: usize = 120;
/// Longest prefix of a client's address that is kept.
pub const CLIENT: usize = 48;

// The record, in words of eight bytes. The head takes two cache lines: what the master polls, and
// what every request touches.
const STATE: usize = 0;
const PID: usize = 1;
const GENERATION: usize = 2;
const HEARTBEAT: usize = 3;
const CONNECTIONS: usize = 4;
const TAKES: usize = 5;
const BUSY: usize = 8;
const REQUESTS: usize = 9;
const HEAD: usize = 16;

// One entry: four cache lines.
const SEQUENCE: usize = 0;
const STARTED: usize = 1;
const LENGTHS: usize = 2;
const TEXTS: usize = 3;
const METHOD_AT: usize = TEXTS;
const PATH_AT: usize = METHOD_AT + METHOD / 8;
const CLIENT_AT: usize = PATH_AT + PATH / 8;
const ENTRY: usize = 32;
const RECORD: usize = HEAD + ENTRIES * ENTRY;

const FREE: u64 = 0;
const WRITING: u64 = 1;
const VALID: u64 = 2;
const STATE_BITS: u64 = 3;

/// Milliseconds of the monotonic clock, the same for every process of the machine.
#[must_use]
pub fn monotonic_ms() -> u64 {
    // Through the C library: rustix reads the kernel's vDSO by itself, which valgrind cannot follow.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    now.tv_sec().unsigned_abs() * 1000 + now.tv_nsec().unsigned_abs() / 1_000_000
}

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
}

/// One request that a worker is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// When it began, on the clock of [`monotonic_ms`].
    pub start_ms: u64,
    /// Its method, cut at [`METHOD`] bytes.
    pub method: Vec<u8>,
    /// Its path, cut at [`PATH`] bytes.
    pub path: Vec<u8>,
    /// Its client's address, cut at [`CLIENT`] bytes; empty over a unix socket.
    pub client: Vec<u8>,
}

/// Says which entry a request has; give it back to [`Slot::end`].
#[derive(Debug)]
#[must_use]
pub struct Ticket(Option<u8>);

/// The shared memory. It stays mapped until the process ends.
#[derive(Clone, Copy)]
pub struct Scoreboard {
    words: &'static [AtomicU64],
}

impl fmt::Debug for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoreboard").field("slots", &self.slots()).finish()
    }
}

impl Scoreboard {
    /// Makes shared memory for so many workers. Memory is used only for slots that were touched.
    ///
    /// # Errors
    ///
    /// When the kernel gives no memory.
    pub fn create(slots: usize) -> io::Result<Self> {
        let words = slots.max(1) * RECORD;
        let bytes = words * size_of::<AtomicU64>();
        let memory = memfd_create("oxicorn-scoreboard", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, bytes as u64)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose an address nobody uses; the file has `bytes`
        // bytes, and nobody can shrink it, as its only descriptor is closed in this function.
        let address =
            unsafe { mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, &memory, 0) }?;
        // SAFETY: the mapping is page-aligned, zeroed, readable, writable, `words` long, never
        // unmapped, and touched only through atomics, here and in every process that inherits it.
        let words = unsafe { slice::from_raw_parts(address.cast::<AtomicU64>(), words) };
        Ok(Self { words })
    }

    /// How many workers fit.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.words.len() / RECORD
    }

    /// The record of one worker, or `None` beyond [`slots`](Self::slots).
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<Slot> {
        let record = self.words.chunks_exact(RECORD).nth(index)?;
        Some(Slot { record })
    }

    /// The other workers that run with the same settings as this one, living or not.
    pub fn siblings(&self, own: Slot) -> impl Iterator<Item = Slot> + use<> {
        let generation = own.generation();
        // The lowest free record is claimed first, so nobody ever was behind one that never was.
        self.words
            .chunks_exact(RECORD)
            .map(|record| Slot { record })
            .take_while(|slot| slot.generation() != 0)
            .filter(move |slot| {
                slot.generation() == generation && !ptr::eq(slot.record, own.record)
            })
    }
}

/// The record of one worker.
#[derive(Clone, Copy)]
pub struct Slot {
    record: &'static [AtomicU64],
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("pid", &self.pid()).field("state", &self.state()).finish()
    }
}

impl Slot {
    /// Prepares the record for a new worker; whatever a dead one left is forgotten.
    pub fn claim(&self, generation: u64, now_ms: u64) {
        for entry in self.record[HEAD..].chunks_exact(ENTRY) {
            entry[SEQUENCE].store(FREE, Ordering::Relaxed);
        }
        self.record[BUSY].store(0, Ordering::Relaxed);
        self.record[REQUESTS].store(0, Ordering::Relaxed);
        self.record[CONNECTIONS].store(0, Ordering::Relaxed);
        self.record[TAKES].store(0, Ordering::Relaxed);
        self.record[PID].store(0, Ordering::Relaxed);
        self.record[GENERATION].store(generation, Ordering::Relaxed);
        self.record[HEARTBEAT].store(now_ms, Ordering::Relaxed);
        self.set_state(State::Booting);
    }

    /// Gives the record back after its worker was reaped.
    pub fn vacate(&self) {
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

    /// Tells the master that the worker gets on: `now_ms` is [`monotonic_ms`].
    pub fn heartbeat(&self, now_ms: u64) {
        self.record[HEARTBEAT].store(now_ms, Ordering::Relaxed);
    }

    /// The time of the last [`heartbeat`](Self::heartbeat).
    #[must_use]
    pub fn last_heartbeat(&self) -> u64 {
        self.record[HEARTBEAT].load(Ordering::Relaxed)
    }

    /// Notes how many connections the worker holds.
    pub fn set_connections(&self, count: u64) {
        self.record[CONNECTIONS].store(count, Ordering::Relaxed);
    }

    /// How many connections the worker holds.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.record[CONNECTIONS].load(Ordering::Relaxed)
    }

    /// Requests that the worker has begun.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.record[REQUESTS].load(Ordering::Relaxed)
    }

    /// Lists a request as begun. Any thread of the worker may call it; long texts are cut.
    pub fn begin(&self, now_ms: u64, method: &[u8], path: &[u8], client: &[u8]) -> Ticket {
        self.record[REQUESTS].fetch_add(1, Ordering::Relaxed);
        let Some(index) = self.reserve() else { return Ticket(None) };
        let entry = self.entry(usize::from(index));
        let method = prefix(method, METHOD);
        let path = prefix(path, PATH);
        let client = prefix(client, CLIENT);
        let round = entry[SEQUENCE].load(Ordering::Relaxed) & !STATE_BITS;
        entry[SEQUENCE].store(round | WRITING, Ordering::Relaxed);
        // A reader that sees any of the stores below also sees that writing had begun.
        fence(Ordering::Release);
        entry[STARTED].store(now_ms, Ordering::Relaxed);
        let lengths = method.len() | path.len() << 8 | client.len() << 16;
        entry[LENGTHS].store(lengths as u64, Ordering::Relaxed);
        write(&entry[METHOD_AT..], method);
        write(&entry[PATH_AT..], path);
        write(&entry[CLIENT_AT..], client);
        entry[SEQUENCE].store(round | VALID, Ordering::Release);
        Ticket(Some(index))
    }

    /// Takes a request off the list.
    pub fn end(&self, ticket: Ticket) {
        let Some(index) = ticket.0 else { return };
        let sequence = &self.entry(usize::from(index))[SEQUENCE];
        let round = sequence.load(Ordering::Relaxed) & !STATE_BITS;
        sequence.store(round.wrapping_add(STATE_BITS + 1) | FREE, Ordering::Release);
        self.record[BUSY].fetch_and(!(1 << index), Ordering::Release);
    }

    /// The requests that the worker is busy with now, the oldest first.
    ///
    /// Safe to call while the worker writes, and when it died doing so: an entry that is not
    /// whole is left out.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        let mut found: Vec<_> = self.record[HEAD..].chunks_exact(ENTRY).filter_map(read).collect();
        found.sort_by_key(|request| request.start_ms);
        found
    }

    fn entry(&self, index: usize) -> &'static [AtomicU64] {
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

fn prefix(text: &[u8], most: usize) -> &[u8] {
    &text[..text.len().min(most)]
}

fn write(words: &[AtomicU64], text: &[u8]) {
    for (word, bytes) in words.iter().zip(text.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
    }
}

fn read(entry: &[AtomicU64]) -> Option<InFlight> {
    let before = entry[SEQUENCE].load(Ordering::Acquire);
    if before & STATE_BITS != VALID {
        return None;
    }
    let start_ms = entry[STARTED].load(Ordering::Relaxed);
    let lengths = entry[LENGTHS].load(Ordering::Relaxed);
    let text = |at: usize, most: usize, length: u64| {
        let words = &entry[at..at + most / 8];
        let mut bytes: Vec<u8> =
            words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate((length & 0xff) as usize);
        bytes
    };
    let method = text(METHOD_AT, METHOD, lengths);
    let path = text(PATH_AT, PATH, lengths >> 8);
    let client = text(CLIENT_AT, CLIENT, lengths >> 16);
    // The loads above happen before the one below.
    fence(Ordering::Acquire);
    (entry[SEQUENCE].load(Ordering::Relaxed) == before).then_some(InFlight {
        start_ms,
        method,
        path,
        client,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn slot() -> Slot {
        let slot = Scoreboard::create(2).expect("memory for a test").slot(1).expect("two slots");
        slot.claim(1, 7);
        slot
    }

    #[test]
    fn slots_are_counted() {
        let board = Scoreboard::create(3).expect("memory for a test");
        assert_eq!(board.slots(), 3);
        assert!(board.slot(2).is_some());
        assert!(board.slot(3).is_none());
    }

    #[test]
    fn a_request_is_listed_from_begin_to_end() {
        let slot = slot();
        let first = slot.begin(10, b"GET", b"/a?b=1", b"127.0.0.1");
        let second = slot.begin(20, b"POST", &[b'x'; 500], b"");
        let seen = slot.in_flight();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].method, b"GET");
        assert_eq!(seen[0].path, b"/a?b=1");
        assert_eq!(seen[0].client, b"127.0.0.1");
        assert_eq!((seen[1].start_ms, seen[1].path.len()), (20, PATH));
        slot.end(first);
        assert_eq!(slot.in_flight().len(), 1);
        slot.end(second);
        assert!(slot.in_flight().is_empty());
        assert_eq!(slot.requests(), 2);
    }

    #[test]
    fn more_requests_than_entries_are_counted_only() {
        let slot = slot();
        let tickets: Vec<_> =
            (0..ENTRIES as u64 + 5).map(|n| slot.begin(n, b"GET", b"/", b"")).collect();
        assert_eq!(slot.in_flight().len(), ENTRIES);
        tickets.into_iter().for_each(|ticket| slot.end(ticket));
        assert!(slot.in_flight().is_empty());
        assert_eq!(slot.requests(), ENTRIES as u64 + 5);
    }

    #[test]
    fn a_writer_that_died_in_the_middle_is_not_believed() {
        let slot = slot();
        let _ticket = slot.begin(1, b"GET", b"/", b"");
        slot.entry(0)[SEQUENCE].store(WRITING, Ordering::Relaxed);
        assert!(slot.in_flight().is_empty());
        slot.claim(2, 9);
        let _ticket = slot.begin(1, b"GET", b"/next", b"");
        assert_eq!(slot.in_flight()[0].path, b"/next");
        assert_eq!((slot.generation(), slot.last_heartbeat()), (2, 9));
    }

    #[test]
    fn a_reader_never_sees_two_requests_mixed() {
        let slot = slot();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let ticket = slot.begin(
                            u64::from(letter),
                            &[letter; 9],
                            &[letter; 99],
                            &[letter; 20],
                        );
                        slot.end(ticket);
                    }
                });
            }
            for _ in 0..20_000 {
                for request in slot.in_flight() {
                    let letter = request.method[0];
                    assert_eq!(request.start_ms, u64::from(letter));
                    assert!(request.path.iter().chain(&request.client).all(|byte| *byte == letter));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn idle_threads_are_those_that_take_and_run_nothing() {
        let slot = slot();
        slot.set_takes(2);
        assert_eq!(slot.idle_threads(), 0, "it does not serve yet");
        slot.set_state(State::Serving);
        assert_eq!(slot.idle_threads(), 2);
        let tickets: Vec<_> = (0..3).map(|_| slot.begin(1, b"GET", b"/", b"")).collect();
        assert_eq!(slot.idle_threads(), 0);
        tickets.into_iter().for_each(|ticket| slot.end(ticket));
        slot.set_takes(0);
        assert_eq!(slot.idle_threads(), 0);
        slot.set_takes(ENTRIES + 9);
        assert_eq!(slot.idle_threads(), ENTRIES);
    }

    #[test]
    fn siblings_have_the_same_settings_and_are_others() {
        let board = Scoreboard::create(6).expect("memory for a test");
        let slots: Vec<_> = (0..6).filter_map(|index| board.slot(index)).collect();
        for (slot, generation) in slots.iter().zip([1, 2, 1, 1]) {
            slot.claim(generation, 7);
            slot.set_pid(u32::try_from(generation).expect("small") * 10);
        }
        let pids: Vec<_> = board.siblings(slots[2]).map(|slot| slot.pid()).collect();
        assert_eq!(pids, [10, 10]);
        assert_eq!(board.siblings(slots[1]).count(), 0);
    }

    #[test]
    fn states_survive_the_trip() {
        let slot = slot();
        for state in [State::Booting, State::Serving, State::Draining, State::Vacant] {
            slot.set_state(state);
            assert_eq!(slot.state(), state);
        }
        slot.set_pid(4711);
        slot.set_connections(3);
        slot.heartbeat(monotonic_ms());
        assert_eq!((slot.pid(), slot.connections()), (4711, 3));
    }
}
