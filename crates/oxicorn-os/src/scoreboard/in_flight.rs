//! The requests that a worker is busy with: a table of entries, each guarded by a sequence word.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Requests of one worker that can be seen at a time; more are served but not listed.
pub const ENTRIES: usize = 64;

/// Longest prefix of a method that is kept.
pub const METHOD: usize = 16;
/// Longest prefix of a path that is kept.
pub const PATH: usize = 120;
/// Longest prefix of a client's address that is kept.
pub const CLIENT: usize = 48;

/// Longest prefix of a request's id that is kept: all of ours, a UUID, and those of cloud balancers.
pub const ID: usize = 48;

// One entry: four cache lines.
pub(super) const SEQUENCE: usize = 0;
const STARTED: usize = 1;
const LENGTHS: usize = 2;
const TEXTS: usize = 3;
const METHOD_AT: usize = TEXTS;
const PATH_AT: usize = METHOD_AT + METHOD / 8;
const CLIENT_AT: usize = PATH_AT + PATH / 8;
const ID_AT: usize = CLIENT_AT + CLIENT / 8;
pub(super) const ENTRY: usize = 32;

const _: () = assert!(ID_AT + ID / 8 <= ENTRY, "the texts fit into an entry");

const FREE: u64 = 0;
pub(super) const WRITING: u64 = 1;
const VALID: u64 = 2;
const STATE_BITS: u64 = 3;

/// One request that a worker is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// When it began, on the clock of [`monotonic_ms`](super::monotonic_ms).
    pub start_ms: u64,
    /// Its method, cut at [`METHOD`] bytes.
    pub method: Vec<u8>,
    /// Its path, cut at [`PATH`] bytes.
    pub path: Vec<u8>,
    /// Its client's address, cut at [`CLIENT`] bytes; empty over a unix socket.
    pub client: Vec<u8>,
    /// What it is called in the logs, cut at [`ID`] bytes; empty when requests have no ids.
    pub id: Vec<u8>,
}

/// Says which entry a request has; give it back to [`Slot::end`](super::Slot::end).
#[derive(Debug)]
#[must_use]
pub struct Ticket(pub(super) Option<u8>);

/// Forgets what an entry holds.
pub(super) fn free(entry: &[AtomicU64]) {
    entry[SEQUENCE].store(FREE, Ordering::Relaxed);
}

/// Fills in an entry that is the caller's; long texts are cut.
pub(super) fn write(entry: &[AtomicU64], now_ms: u64, texts: [&[u8]; 4]) {
    let [method, path, client, id] = texts;
    let method = prefix(method, METHOD);
    let path = prefix(path, PATH);
    let client = prefix(client, CLIENT);
    let id = prefix(id, ID);
    let round = entry[SEQUENCE].load(Ordering::Relaxed) & !STATE_BITS;
    entry[SEQUENCE].store(round | WRITING, Ordering::Relaxed);
    // A reader that sees any of the stores below also sees that writing had begun.
    fence(Ordering::Release);
    entry[STARTED].store(now_ms, Ordering::Relaxed);
    let lengths = method.len() | path.len() << 8 | client.len() << 16 | id.len() << 24;
    entry[LENGTHS].store(lengths as u64, Ordering::Relaxed);
    put(&entry[METHOD_AT..], method);
    put(&entry[PATH_AT..], path);
    put(&entry[CLIENT_AT..], client);
    put(&entry[ID_AT..], id);
    entry[SEQUENCE].store(round | VALID, Ordering::Release);
}

/// Takes what an entry holds off the list.
pub(super) fn finish(entry: &[AtomicU64]) {
    let round = entry[SEQUENCE].load(Ordering::Relaxed) & !STATE_BITS;
    entry[SEQUENCE].store(round.wrapping_add(STATE_BITS + 1) | FREE, Ordering::Release);
}

/// What an entry holds, if that is whole.
pub(super) fn read(entry: &[AtomicU64]) -> Option<InFlight> {
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
    let id = text(ID_AT, ID, lengths >> 24);
    // The loads above happen before the one below.
    fence(Ordering::Acquire);
    (entry[SEQUENCE].load(Ordering::Relaxed) == before).then_some(InFlight {
        start_ms,
        method,
        path,
        client,
        id,
    })
}

fn prefix(text: &[u8], most: usize) -> &[u8] {
    &text[..text.len().min(most)]
}

fn put(words: &[AtomicU64], text: &[u8]) {
    for (word, bytes) in words.iter().zip(text.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
    }
}
