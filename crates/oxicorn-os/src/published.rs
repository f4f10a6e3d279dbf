//! Bytes that one process publishes, and those that it forks read: in memory, never on disk.
//!
//! Two places take turns, and a count says which of them is whole. A reader that finds the count
//! changed under it reads again, so it gets what was published at some time, and never a mixture.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{pread, pwrite};

const NAME: &str = "oxicorn-published";
/// Most bytes that can be published.
pub const MOST: usize = 8 << 20;
/// Where the first place begins, after the count.
const PLACES: u64 = 4096;
/// Reads that a writer may spoil.
const ATTEMPTS: usize = 16;

/// The memory; a forked process has the same.
#[derive(Debug)]
pub struct Published {
    memory: OwnedFd,
}

impl Published {
    /// Makes it, with nothing published.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { memory: memfd_create(NAME, MemfdFlags::CLOEXEC)? })
    }

    /// How often something was published; 0 is never.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.number_at(0).unwrap_or(0)
    }

    /// Publishes bytes in place of those before. One process at a time does.
    ///
    /// # Errors
    ///
    /// They are more than [`MOST`], or memory is short.
    pub fn publish(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self.count() + 1;
        let place = place(count);
        self.write_all(&(bytes.len() as u64).to_le_bytes(), place)?;
        self.write_all(bytes, place + 8)?;
        self.write_all(&count.to_le_bytes(), 0)
    }

    /// What was published last, with the count by then; `None` if nothing was.
    #[must_use]
    pub fn read(&self) -> Option<(u64, Vec<u8>)> {
        for _ in 0..ATTEMPTS {
            let count = self.count();
            if count == 0 {
                return None;
            }
            let length = usize::try_from(self.number_at(place(count))?).ok()?;
            let mut bytes = vec![0; length.min(MOST)];
            let is_whole = self.read_all(&mut bytes, place(count) + 8).is_some();
            // The next one goes to the other place: only the one after that spoils this.
            if is_whole && self.count() <= count + 1 {
                return Some((count, bytes));
            }
        }
        None
    }

    fn number_at(&self, offset: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read_all(&mut bytes, offset)?;
        Some(u64::from_le_bytes(bytes))
    }

    fn read_all(&self, into: &mut [u8], offset: u64) -> Option<()> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match pread(&self.memory, rest, offset + done as u64) {
                Ok(0) | Err(_) => return None,
                Ok(count) => done += count,
            }
        }
        Some(())
    }

    fn write_all(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            done += pwrite(&self.memory, rest, offset + done as u64)?;
        }
        Ok(())
    }
}

/// Where what is published for the so-many-th time is.
fn place(count: u64) -> u64 {
    PLACES + (count % 2) * (MOST as u64 + 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_read() {
        let published = Published::new().expect("memory");
        assert_eq!(published.read(), None);
        for (count, text) in (1..).zip(["one", "", "three, which is longer"]) {
            published.publish(text.as_bytes()).expect("published");
            assert_eq!(published.read(), Some((count, text.as_bytes().to_vec())));
        }
    }

    #[test]
    fn a_reader_beside_a_writer_never_gets_a_mixture() {
        let published = Published::new().expect("memory");
        published.publish(&[0; 100]).expect("published");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..2000_u32 {
                    let length = 100 + usize::try_from(round % 50).expect("small") * 100;
                    let bytes = vec![u8::try_from(round % 251).expect("small"); length];
                    published.publish(&bytes).expect("published");
                }
            });
            for _ in 0..2000 {
                let Some((_, bytes)) = published.read() else { continue };
                assert!(bytes.iter().all(|byte| Some(byte) == bytes.first()), "a mixture");
            }
        });
    }
}
