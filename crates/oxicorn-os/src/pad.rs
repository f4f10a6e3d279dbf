//! Text that another process writes at any moment of its life, readable when that is over.
//!
//! What writes piece by piece, and cannot do otherwise (a signal handler), would be mixed with
//! other lines if it wrote to a log. Here it is read when it is whole.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FallocateFlags, fallocate, fstat};

/// Most bytes taken at a time.
const MOST: u64 = 1 << 20;

/// The reader's side of some memory that is written to as to a file.
#[derive(Debug)]
pub struct Pad {
    memory: OwnedFd,
    /// Bytes that were taken.
    taken: u64,
    /// Bytes that were there at the last look.
    seen: u64,
}

impl Pad {
    /// Reads what is written to this descriptor of some memory (`memfd_create(2)`).
    #[must_use]
    pub fn new(memory: OwnedFd) -> Self {
        Self { memory, taken: 0, seen: 0 }
    }

    /// Takes what was written since the last time, if nothing was added since the last look: look
    /// so rarely that a writer has come to its end in between.
    ///
    /// # Errors
    ///
    /// When the kernel cannot read it.
    pub fn look(&mut self) -> io::Result<Vec<u8>> {
        let length = self.length()?;
        let is_settled = length == self.seen;
        self.seen = length;
        if is_settled { self.take() } else { Ok(Vec::new()) }
    }

    /// Takes what was written since the last time, at most 1 MiB: for when the writer is gone.
    ///
    /// # Errors
    ///
    /// When the kernel cannot read it.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        let count = self.length()?.saturating_sub(self.taken).min(MOST);
        let mut text = vec![0; usize::try_from(count).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = text.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            // Not with the offset, which is the writer's.
            match rustix::io::pread(&self.memory, rest, self.taken + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        text.truncate(filled);
        self.taken += filled as u64;
        if filled > 0 {
            // Gives the memory back; without that it is given back with the rest.
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.memory, hole, 0, self.taken);
        }
        Ok(text)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(fstat(self.memory.as_fd())?.st_size).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn pad() -> (File, Pad) {
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).expect("memory for a test");
        let file = File::from(memory.try_clone().expect("a descriptor"));
        (file, Pad::new(memory))
    }

    #[test]
    fn each_text_is_taken_once() -> io::Result<()> {
        let (mut writer, mut pad) = pad();
        assert!(pad.take()?.is_empty());
        writer.write_all(b"first")?;
        assert_eq!(pad.take()?, b"first");
        assert!(pad.take()?.is_empty());
        writer.write_all(b"second")?;
        drop(writer);
        assert_eq!(pad.take()?, b"second");
        Ok(())
    }

    #[test]
    fn a_text_is_not_taken_while_it_grows() -> io::Result<()> {
        let (mut writer, mut pad) = pad();
        writer.write_all(b"one ")?;
        assert!(pad.look()?.is_empty());
        writer.write_all(b"line")?;
        assert!(pad.look()?.is_empty());
        assert_eq!(pad.look()?, b"one line");
        assert!(pad.look()?.is_empty());
        Ok(())
    }

    #[test]
    fn a_long_text_is_taken_in_parts() -> io::Result<()> {
        let (mut writer, mut pad) = pad();
        writer.write_all(&vec![b'x'; (MOST + 3) as usize])?;
        assert_eq!(pad.take()?.len() as u64, MOST);
        assert_eq!(pad.take()?, b"xxx");
        Ok(())
    }
}
