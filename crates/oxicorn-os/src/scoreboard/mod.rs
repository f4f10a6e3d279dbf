//! Memory that the master shares with its workers: who lives, what each is doing, and what it did.
//!
//! One record per worker slot, made of nothing but atomics. A worker alone writes its record and
//! takes no lock for it; the master reads at any time, also after the writer died in the middle of
//! a write. A request's entry is guarded by a sequence word (a seqlock): its low two bits say
//! whether the entry is free, being written, or valid, and a reader that finds it changed while it
//! read forgets what it saw.
//!
//! ```text
//! board    magic, sizes, figures of workers that are gone
//! record   state, figures (counters and histograms of phases), entries of requests in flight
//! ```

mod figures;
mod in_flight;
mod slot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, read_dir, read_link};
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

pub use figures::{BUCKETS, Count, Figures, Histogram, PHASES, Phase};
pub use in_flight::{CLIENT, ENTRIES, ID, InFlight, METHOD, PATH, Ticket};
pub use slot::{Slot, Snapshot, State};

// The board's own words, before the records.
const MAGIC: usize = 0;
const RECORD_WORDS: usize = 1;
const SLOTS: usize = 2;
const GONE: usize = 8;
const RECORDS: usize = 144;

/// "oxicorn", and a version that changes with the layout.
const SIGNATURE: u64 = u64::from_le_bytes(*b"oxicorn\x02");
const NAME: &str = "oxicorn-scoreboard";

const _: () = assert!(GONE + figures::WORDS <= RECORDS, "the figures fit before the records");

/// Milliseconds of the monotonic clock, the same for every process of the machine.
#[must_use]
pub fn monotonic_ms() -> u64 {
    // Through the C library: rustix reads the kernel's vDSO by itself, which valgrind cannot follow.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    now.tv_sec().unsigned_abs() * 1000 + now.tv_nsec().unsigned_abs() / 1_000_000
}

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
    /// Its descriptor stays open: through it [`Reading::of_process`] finds the memory.
    ///
    /// # Errors
    ///
    /// When the kernel gives no memory.
    pub fn create(slots: usize) -> io::Result<Self> {
        let slots = slots.max(1);
        let words = RECORDS + slots * slot::RECORD;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create(NAME, flags)?;
        ftruncate(&memory, bytes_of(words))?;
        // Without it nobody else will read here, and nothing else is lost.
        let _ = fcntl_add_seals(&memory, FIXED);
        let memory: &'static OwnedFd = Box::leak(Box::new(memory));
        let board = Self { words: map(memory, words, ProtFlags::READ | ProtFlags::WRITE)? };
        board.words[RECORD_WORDS].store(slot::RECORD as u64, Ordering::Relaxed);
        board.words[SLOTS].store(slots as u64, Ordering::Relaxed);
        board.words[MAGIC].store(SIGNATURE, Ordering::Release);
        Ok(board)
    }

    /// How many workers fit.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.records().count()
    }

    /// The record of one worker, or `None` beyond [`slots`](Self::slots).
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<Slot> {
        self.records().nth(index)
    }

    /// Gives the record back of a worker that was reaped; what it had served still counts.
    pub fn retire(&self, slot: Slot) {
        figures::add(slot.figures(), &self.words[GONE..GONE + figures::WORDS]);
        slot.vacate();
    }

    /// What can be seen of the workers that are there now.
    #[must_use]
    pub fn workers(&self) -> Vec<Snapshot> {
        self.used().map(Slot::snapshot).filter(|seen| seen.state != State::Vacant).collect()
    }

    /// What all workers have done, also those that are gone. While one of them is reaped, its part
    /// may be missing, or be there twice.
    #[must_use]
    pub fn totals(&self) -> Figures {
        let mut totals = figures::read(&self.words[GONE..GONE + figures::WORDS]);
        for worker in self.workers() {
            totals.add(&worker.figures);
        }
        totals
    }

    fn records(&self) -> impl Iterator<Item = Slot> + use<> {
        let board = *self;
        let words: &'static [AtomicU64] = self.words;
        words[RECORDS..].chunks_exact(slot::RECORD).map(move |record| Slot::new(board, record))
    }

    /// The records that were ever claimed: the lowest free one is claimed first, so nobody ever was
    /// behind one that never was.
    fn used(&self) -> impl Iterator<Item = Slot> + use<> {
        self.records().take_while(|slot| slot.generation() != 0)
    }
}

/// Nobody can change the size, so that who maps it never touches what is not there.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// The scoreboard of another server's processes, to be read only. It stays readable when they are
/// gone.
#[derive(Debug)]
pub struct Reading {
    /// Never given away, so that nothing outlives the mapping.
    board: Scoreboard,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let words = self.board.words;
        // SAFETY: `open` mapped exactly these words for this value alone, and what its functions
        // return has copies only.
        let unmapped = unsafe { munmap(words.as_ptr().cast_mut().cast(), size_of_val(words)) };
        debug_assert!(unmapped.is_ok(), "it was mapped");
    }
}

impl Reading {
    /// Finds the scoreboard of a server by the process id of its master, or of one of its workers.
    ///
    /// The kernel asks for the rights that a debugger of that process would need.
    ///
    /// # Errors
    ///
    /// There is no such process, it may not be looked into, or it has no scoreboard of this version.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        for entry in read_dir(format!("/proc/{pid}/fd"))? {
            let path = entry?.path();
            // It may be closed in the meantime.
            let Ok(target) = read_link(&path) else { continue };
            if target.to_string_lossy().starts_with(&format!("/memfd:{NAME}")) {
                return Self::open(&File::open(path)?);
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the process has no scoreboard"))
    }

    fn open(memory: &File) -> io::Result<Self> {
        let other = || io::Error::new(io::ErrorKind::InvalidData, "another version's scoreboard");
        if !fcntl_get_seals(memory)?.contains(FIXED) {
            return Err(other());
        }
        let size = usize::try_from(fstat(memory)?.st_size).map_err(|_| other())?;
        let words = size / size_of::<AtomicU64>();
        if words <= RECORDS {
            return Err(other());
        }
        let words = map(memory, words, ProtFlags::READ)?;
        let reading = Self { board: Scoreboard { words } };
        let word = |at: usize| words[at].load(Ordering::Acquire);
        let fits = (words.len() - RECORDS) / slot::RECORD;
        let same = word(MAGIC) == SIGNATURE
            && word(RECORD_WORDS) == slot::RECORD as u64
            && word(SLOTS) == fits as u64;
        if same { Ok(reading) } else { Err(other()) }
    }

    /// What can be seen of the workers that are there now.
    #[must_use]
    pub fn workers(&self) -> Vec<Snapshot> {
        self.board.workers()
    }

    /// What all workers have done; see [`Scoreboard::totals`].
    #[must_use]
    pub fn totals(&self) -> Figures {
        self.board.totals()
    }
}

fn bytes_of(words: usize) -> u64 {
    words as u64 * size_of::<AtomicU64>() as u64
}

/// Maps memory that has so many words, until it is unmapped or this process ends.
fn map(
    memory: impl std::os::fd::AsFd,
    words: usize,
    access: ProtFlags,
) -> io::Result<&'static [AtomicU64]> {
    let bytes = words * size_of::<AtomicU64>();
    // SAFETY: a null hint lets the kernel choose an address nobody uses. The file has `bytes` bytes
    // and keeps them: its creator gives no one else a descriptor that can write, or it is sealed.
    let address = unsafe { mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, memory, 0) }?;
    // SAFETY: the mapping is page-aligned, readable, `words` long, unmapped by nobody but the
    // `Reading` that it was made for, and touched only through atomics, here and in every process
    // that has it; who maps it without the right to write has no function that writes (`Reading`).
    Ok(unsafe { slice::from_raw_parts(address.cast::<AtomicU64>(), words) })
}
