//! A request body on its way in: memory first, then an unlinked file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use oxicorn_os::spool;

use crate::Body;

/// Body bytes received so far.
#[derive(Debug, Default)]
pub(crate) struct BodyStore {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl BodyStore {
    /// Bytes received so far.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Appends bytes; from `memory_limit` on they go to a file in `directory`.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub(crate) fn append(
        &mut self,
        bytes: &[u8],
        memory_limit: usize,
        directory: &Path,
    ) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        if self.memory.len() + bytes.len() <= memory_limit {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let mut file = spool::unlinked(directory)?;
        file.write_all(&self.memory)?;
        file.write_all(bytes)?;
        self.memory = Vec::new();
        self.file = Some(file);
        Ok(())
    }

    /// The bytes received so far, unless they went to a file.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(self.memory.as_slice())
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
            None if self.memory.is_empty() => Ok(Body::Empty),
            None => Ok(Body::Memory(&self.memory)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_body_above_the_limit_moves_to_a_file_and_stays_in_order() {
        let directory = std::env::temp_dir();
        let mut store = BodyStore::default();
        for piece in [b"abc", b"def", b"ghi"] {
            store.append(piece, 4, &directory).expect("temporary file");
        }
        assert_eq!(store.len(), 9);
        let Body::File(mut file, 9) = store.body().expect("rewind") else { panic!("in memory") };
        let mut bytes = String::new();
        file.read_to_string(&mut bytes).expect("read");
        assert_eq!(bytes, "abcdefghi");
    }

    #[test]
    fn a_small_body_stays_in_memory() {
        let mut store = BodyStore::default();
        store.append(b"abc", 4, Path::new("/nonexistent")).expect("no file needed");
        assert!(matches!(store.body(), Ok(Body::Memory(b"abc"))));
    }
}
