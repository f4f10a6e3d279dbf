//! What a slow client has still to take: memory first, then an unlinked file, in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use oxicorn_os::spool;
use oxicorn_os::stream::{Moved, Stream};

/// Bytes that one flush moves at most, so that one fast client does not keep the others waiting.
const FLUSH_BUDGET: u64 = 1 << 20;

/// One run of queued bytes.
#[derive(Debug)]
enum Segment {
    Memory { bytes: Vec<u8>, at: usize },
    File { file: Arc<File>, offset: u64, left: u64 },
}

/// How far a flush got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is out.
    All,
    /// Some is left; whether the client took any of it.
    Some { progress: bool },
    /// The connection is broken.
    Broken,
}

/// Queued output of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
    memory: usize,
    queued: u64,
    spool: Option<(Arc<File>, u64)>,
}

impl Outbox {
    /// Whether nothing is left to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes left to send.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// Queues bytes: in memory up to `memory_limit`, beyond that in a file in `directory`.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        memory_limit: usize,
        directory: &Path,
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let spooling = matches!(self.segments.back(), Some(Segment::File { .. }));
        if !spooling && self.memory + bytes.len() <= memory_limit {
            self.memory += bytes.len();
            self.queued += bytes.len() as u64;
            match self.segments.back_mut() {
                Some(Segment::Memory { bytes: last, .. }) => last.extend_from_slice(bytes),
                _ => {
                    let segment = Segment::Memory { bytes: bytes.to_vec(), at: 0 };
                    self.segments.push_back(segment);
                }
            }
            return Ok(());
        }
        self.spool(bytes, directory)
    }

    /// Appends to the spool file.
    fn spool(&mut self, bytes: &[u8], directory: &Path) -> io::Result<()> {
        if self.spool.is_none() {
            self.spool = Some((Arc::new(spool::unlinked(directory)?), 0));
        }
        let Some((file, end)) = &mut self.spool else { return Ok(()) };
        file.write_all_at(bytes, *end)?;
        let (start, length) = (*end, bytes.len() as u64);
        *end += length;
        self.queued += length;
        match self.segments.back_mut() {
            Some(Segment::File { file: last, offset, left })
                if Arc::ptr_eq(last, file) && *offset + *left == start =>
            {
                *left += length;
            }
            _ => {
                let file = Arc::clone(file);
                self.segments.push_back(Segment::File { file, offset: start, left: length });
            }
        }
        Ok(())
    }

    /// Queues a part of a file.
    pub(crate) fn push_file(&mut self, file: File, offset: u64, length: u64) {
        self.queued += length;
        self.segments.push_back(Segment::File { file: Arc::new(file), offset, left: length });
    }

    /// Sends what the socket takes now.
    pub(crate) fn flush(&mut self, stream: &Stream) -> Flushed {
        let mut moved = 0;
        while let Some(segment) = self.segments.front_mut() {
            if moved >= FLUSH_BUDGET {
                return Flushed::Some { progress: true };
            }
            let result = match segment {
                Segment::Memory { bytes, at } => stream.write(bytes.get(*at..).unwrap_or_default()),
                Segment::File { file, offset, left } => {
                    let count = usize::try_from((*left).min(FLUSH_BUDGET)).unwrap_or(usize::MAX);
                    stream.send_file(file.as_fd(), *offset, count)
                }
            };
            let count = match result {
                // A file that became shorter can never be sent whole.
                Moved::Bytes(0) | Moved::Broken => return Flushed::Broken,
                Moved::NotNow => return Flushed::Some { progress: moved > 0 },
                Moved::Bytes(count) => count as u64,
            };
            moved += count;
            self.queued -= count;
            self.advance(count);
        }
        if let Some((_, end)) = &mut self.spool {
            // Nothing refers to the file's contents any more: write over them.
            *end = 0;
        }
        Flushed::All
    }

    /// Notes that `count` bytes of the first segment are out.
    fn advance(&mut self, count: u64) {
        let done = match self.segments.front_mut() {
            Some(Segment::Memory { bytes, at }) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                *at += count;
                self.memory -= count;
                *at >= bytes.len()
            }
            Some(Segment::File { offset, left, .. }) => {
                *offset += count;
                *left -= count;
                *left == 0
            }
            None => false,
        };
        if done {
            self.segments.pop_front();
        }
    }
}
