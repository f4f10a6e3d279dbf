//! A request body on its way in: memory first, then an unlinked file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxicorn_os::spool;

use crate::Body;

/// Bytes of a body that count for nothing: every connection may hold them.
const SMALL: usize = 64 * 1024;
/// Bodies of the full size that a worker keeps in memory at a time.
const FULL_BODIES: usize = 64;
/// Buffers kept for the next large bodies: new memory costs more than the bytes that go into it.
const SPARE: usize = 8;
/// Larger ones are not kept: a worker must not hold what one upload needed for ever.
const SPARE_BYTES: usize = 1024 * 1024;
/// Least room that is worth reading into directly.
const DIRECT: usize = 16 * 1024;

/// Where a worker keeps request bodies.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// Most bytes of one body in memory.
    each: usize,
    stock: Arc<Stock>,
    /// Where the files are made.
    directory: PathBuf,
}

impl Shelf {
    pub(crate) fn new(each: usize, directory: PathBuf) -> Self {
        let left = AtomicUsize::new(each.saturating_mul(FULL_BODIES));
        Self { each, stock: Arc::new(Stock { left, spare: Mutex::default() }), directory }
    }

    /// Says in the log why a body could not be kept.
    pub(crate) fn complain(&self, error: &io::Error) {
        let directory = self.directory.display();
        log::error!(
            target: "oxicorn.error",
            "cannot keep a request body in `{directory}`: {error} (tmp_upload_dir)"
        );
    }
}

/// Memory for bodies beyond [`SMALL`] each.
#[derive(Debug)]
struct Stock {
    /// Bytes that may still be taken; when there are none, larger bodies go to files.
    left: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Stock {
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Body bytes received so far.
#[derive(Debug, Default)]
pub(crate) struct BodyStore {
    /// The first [`filled`](Self::filled) bytes count.
    memory: Vec<u8>,
    filled: usize,
    /// Bytes taken from the stock, which go back to it in the end.
    taken: usize,
    stock: Option<Arc<Stock>>,
    file: Option<File>,
    length: u64,
    /// Bytes that the head announced; 0 if it did not.
    announced: usize,
}

impl BodyStore {
    /// A body of which the head says that it will have this many bytes.
    pub(crate) fn announced(bytes: u64) -> Self {
        let mut store = Self::default();
        store.announced = usize::try_from(bytes).unwrap_or(usize::MAX);
        store
    }

    /// Bytes received so far.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Appends bytes; those that find no room in memory go to a file.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub(crate) fn append(&mut self, bytes: &[u8], shelf: &Shelf) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        let end = self.filled + bytes.len();
        if self.has_room(end, shelf) {
            if let Some(place) = self.memory.get_mut(self.filled..end) {
                place.copy_from_slice(bytes);
            } else {
                self.memory.truncate(self.filled);
                self.memory.extend_from_slice(bytes);
            }
            self.filled = end;
            return Ok(());
        }
        let mut file = spool::unlinked(&shelf.directory)?;
        file.write_all(self.in_memory().unwrap_or(&[]))?;
        file.write_all(bytes)?;
        self.give_back();
        self.file = Some(file);
        Ok(())
    }

    /// Where the rest of an announced body may be read to, if that is worth while; then call
    /// [`arrived`](Self::arrived).
    pub(crate) fn place(&mut self) -> Option<&mut [u8]> {
        let end = self.announced.min(self.memory.len());
        let is_worth_while = self.taken > 0 && end.saturating_sub(self.filled) >= DIRECT;
        if is_worth_while { self.memory.get_mut(self.filled..end) } else { None }
    }

    /// Counts bytes that were read to their [`place`](Self::place), and shows them.
    pub(crate) fn arrived(&mut self, count: usize) -> &[u8] {
        let start = self.filled;
        self.filled += count;
        self.length += count as u64;
        self.memory.get(start..self.filled).unwrap_or(&[])
    }

    /// Whether memory may hold `total` bytes; takes more room for it if there is.
    fn has_room(&mut self, total: usize, shelf: &Shelf) -> bool {
        let allowed = SMALL.min(shelf.each) + self.taken;
        if total <= allowed {
            return true;
        }
        // At once for all that was announced, else twice as much each time.
        let wanted = total.max(self.announced).max(2 * allowed).min(shelf.each);
        let is_larger = total.max(self.announced) > shelf.each;
        if is_larger || !shelf.stock.take(wanted - allowed) {
            return false;
        }
        self.taken += wanted - allowed;
        if self.stock.is_none() {
            self.stock = Some(Arc::clone(&shelf.stock));
            if let Some(mut spare) = shelf.stock.spare().pop() {
                if spare.len() < self.filled {
                    spare.resize(self.filled, 0);
                }
                if let (Some(to), Some(from)) =
                    (spare.get_mut(..self.filled), self.memory.get(..self.filled))
                {
                    to.copy_from_slice(from);
                }
                self.memory = spare;
            }
        }
        if self.memory.len() < wanted {
            self.memory.resize(wanted, 0);
        }
        true
    }

    /// The bytes received so far, unless they went to a file.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        if self.file.is_some() { None } else { self.memory.get(..self.filled) }
    }

    /// The complete body, for the application.
    ///
    /// # Errors
    ///
    /// The file cannot be rewound.
    pub(crate) fn body(&mut self) -> io::Result<Body<'_>> {
        match self.file.take() {
            Some(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Body::File(file, self.length))
            }
            None if self.filled == 0 => Ok(Body::Empty),
            None => Ok(Body::Memory(self.memory.get(..self.filled).unwrap_or(&[]))),
        }
    }

    /// Gives what was taken back to the stock, with the memory itself where it is of use there.
    fn give_back(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.filled = 0;
        if let Some(stock) = self.stock.take() {
            stock.left.fetch_add(self.taken, Ordering::Relaxed);
            self.taken = 0;
            let mut spare = stock.spare();
            if spare.len() < SPARE && memory.len() <= SPARE_BYTES {
                spare.push(memory);
            }
        }
    }
}

impl Drop for BodyStore {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shelf(each: usize) -> Shelf {
        Shelf::new(each, std::env::temp_dir())
    }

    #[test]
    fn a_body_above_the_limit_moves_to_a_file_and_stays_in_order() {
        let shelf = shelf(4);
        let mut store = BodyStore::default();
        for piece in [b"abc", b"def", b"ghi"] {
            store.append(piece, &shelf).expect("temporary file");
        }
        assert_eq!(store.len(), 9);
        let Body::File(mut file, 9) = store.body().expect("rewind") else { panic!("in memory") };
        let mut bytes = String::new();
        file.read_to_string(&mut bytes).expect("read");
        assert_eq!(bytes, "abcdefghi");
    }

    #[test]
    fn a_small_body_stays_in_memory() {
        let shelf = Shelf::new(4, PathBuf::from("/nonexistent"));
        let mut store = BodyStore::default();
        store.append(b"abc", &shelf).expect("no file needed");
        assert!(matches!(store.body(), Ok(Body::Memory(b"abc"))));
    }

    #[test]
    fn larger_bodies_share_what_there_is_and_give_it_back() {
        let shelf = shelf(2 * SMALL);
        let piece = vec![7; SMALL];
        let full = || {
            let mut store = BodyStore::announced(2 * SMALL as u64);
            store.append(&piece, &shelf).expect("memory or file");
            store.append(&piece, &shelf).expect("memory or file");
            store
        };
        // Each takes one SMALL of the shelf, which has room for FULL_BODIES of two.
        let mut stores: Vec<BodyStore> = (0..2 * FULL_BODIES).map(|_| full()).collect();
        assert!(stores.iter().all(|store| store.in_memory().is_some()));
        assert!(full().in_memory().is_none());
        stores.pop();
        assert!(full().in_memory().is_some());
    }

    #[test]
    fn the_rest_of_an_announced_body_is_read_to_its_place() {
        let shelf = shelf(4 * SMALL);
        for turn in 1..4 {
            let mut store = BodyStore::announced(3 * SMALL as u64);
            assert!(store.place().is_none());
            store.append(&vec![turn; 2 * SMALL], &shelf).expect("memory");
            let place = store.place().expect("room is there");
            assert_eq!(place.len(), SMALL);
            place[..10].fill(turn + 1);
            assert_eq!(store.arrived(10), [turn + 1; 10]);
            assert_eq!(store.len(), 2 * SMALL as u64 + 10);
            let Ok(Body::Memory(bytes)) = store.body() else { panic!("not in memory") };
            assert!(bytes[..2 * SMALL].iter().all(|&byte| byte == turn));
            assert_eq!(bytes[2 * SMALL..], [turn + 1; 10]);
        }
    }

    #[test]
    fn only_buffers_of_the_usual_size_are_kept() {
        let shelf = shelf(2 * SPARE_BYTES);
        for (bytes, kept) in [(SPARE_BYTES + 1, 0), (SPARE_BYTES, 1)] {
            let mut store = BodyStore::announced(bytes as u64);
            store.append(&vec![7; bytes], &shelf).expect("memory");
            drop(store);
            assert_eq!(shelf.stock.spare().len(), kept, "{bytes}");
        }
    }

    #[test]
    fn a_body_of_unknown_length_takes_room_as_it_grows() {
        let shelf = shelf(4 * SMALL);
        let before = shelf.stock.left.load(Ordering::Relaxed);
        let mut store = BodyStore::default();
        for _ in 0..4 {
            store.append(&vec![7; SMALL], &shelf).expect("memory");
        }
        assert_eq!(store.in_memory().map(<[u8]>::len), Some(4 * SMALL));
        assert_eq!(shelf.stock.left.load(Ordering::Relaxed), before - 3 * SMALL);
        store.append(b"x", &shelf).expect("temporary file");
        assert!(store.in_memory().is_none());
        assert_eq!(shelf.stock.left.load(Ordering::Relaxed), before);
    }
}
