//! What a slow client has still to take: memory first, then an unlinked file, in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use oxicorn_os::spool;
use oxicorn_os::stream::Moved;

use crate::wire::Wire;

/// Bytes that one flush moves at most, so that one fast client does not keep the others waiting.
const FLUSH_BUDGET: u64 = 1 << 20;

/// The same for a piece of a file that the kernel takes without a copy: what a socket has room for goes
/// in one call (10 MiB in 8 calls rather than 13, and 4 waits rather than 6), in half a millisecond.
const FILE_BUDGET: u64 = 4 << 20;

/// Bytes after which the spool goes on in a new file, so that what was sent gives its room back
/// even if the client never catches up.
#[cfg(not(test))]
const SPOOL_FILE: u64 = 64 << 20;
#[cfg(test)]
const SPOOL_FILE: u64 = 1 << 20;

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

    /// Bytes of these that are in memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory
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
                Some(Segment::Memory { bytes: last, at }) => {
                    // What was sent gives its room back even if the client never catches up.
                    if *at > last.len() / 2 {
                        last.drain(..std::mem::take(at));
                    }
                    last.extend_from_slice(bytes);
                }
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
        if self.spool.as_ref().is_none_or(|(_, end)| *end >= SPOOL_FILE) {
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
    pub(crate) fn flush(&mut self, stream: &Wire) -> Flushed {
        let mut moved = 0;
        while let Some(segment) = self.segments.front_mut() {
            if moved >= FLUSH_BUDGET {
                return Flushed::Some { progress: true };
            }
            let result = match segment {
                Segment::Memory { bytes, at } => stream.write(bytes.get(*at..).unwrap_or_default()),
                Segment::File { file, offset, left } => {
                    let most = if stream.is_secured() { FLUSH_BUDGET } else { FILE_BUDGET };
                    let count = usize::try_from((*left).min(most)).unwrap_or(usize::MAX);
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
        // Never written over: the socket may still send from the file's pages.
        self.spool = None;
        Flushed::All
    }

    /// Takes up to `most` of the next bytes out; none when a file became shorter.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(crate) fn take(&mut self, into: &mut Vec<u8>, most: usize) -> io::Result<()> {
        while into.len() < most
            && let Some(segment) = self.segments.front()
        {
            let start = into.len();
            let room = most - start;
            let count = match segment {
                Segment::Memory { bytes, at } => {
                    let bytes = bytes.get(*at..).unwrap_or_default();
                    into.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                    into.len() - start
                }
                Segment::File { file, offset, left } => {
                    let room = usize::try_from(*left).map_or(room, |left| left.min(room));
                    into.resize(start + room, 0);
                    let count = file.read_at(into.get_mut(start..).unwrap_or_default(), *offset)?;
                    into.truncate(start + count);
                    count
                }
            };
            if count == 0 {
                break;
            }
            self.queued -= count as u64;
            self.advance(count as u64);
        }
        if self.is_empty() {
            self.spool = None;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use oxicorn_os::stream::Stream;

    use super::*;

    /// Both ends of a connection; the first never blocks.
    fn connection() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (stream, _) = listener.accept().expect("accept");
        stream.set_nonblocking(true).expect("non-blocking");
        (Wire::plain(Stream::new(stream.into())), peer)
    }

    #[test]
    fn what_the_socket_took_from_a_file_does_not_change_when_more_is_kept() {
        let directory = std::env::temp_dir();
        let (stream, mut peer) = connection();
        let mut outbox = Outbox::default();
        for letter in *b"abc" {
            outbox.push(&[letter; 30_000], 0, &directory).expect("temporary file");
            assert_eq!(outbox.flush(&stream), Flushed::All, "more than the socket takes");
        }
        drop((outbox, stream));
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("read");
        let expected: Vec<u8> = b"abc".iter().flat_map(|letter| [*letter; 30_000]).collect();
        assert!(got == expected, "the client got something else");
    }

    #[test]
    fn memory_that_is_sent_gives_its_room_back_although_the_client_never_catches_up() {
        let directory = std::env::temp_dir();
        let mut outbox = Outbox::default();
        outbox.push(b"x", usize::MAX, &directory).expect("into memory");
        for _ in 0..1000 {
            outbox.push(&[b'x'; 1000], 2000, &directory).expect("into memory");
            outbox.take(&mut Vec::new(), 1000).expect("from memory");
        }
        let kept: usize = outbox
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Memory { bytes, .. } => bytes.len(),
                Segment::File { .. } => panic!("it had room in memory"),
            })
            .sum();
        assert_eq!((outbox.queued(), outbox.memory()), (1, 1));
        assert!(kept < 5000, "{kept} bytes for one");
    }

    #[test]
    fn a_file_that_is_sent_gives_its_room_back_although_the_client_never_catches_up() {
        let directory = std::env::temp_dir();
        let (stream, mut peer) = connection();
        let mut outbox = Outbox::default();
        let piece = vec![b'x'; 256 * 1024];
        let mut received = vec![0; piece.len()];
        // A lead that is never made up for.
        for _ in 0..40 {
            outbox.push(&piece, 0, &directory).expect("temporary file");
        }
        for _ in 0..100 {
            outbox.push(&piece, 0, &directory).expect("temporary file");
            assert_ne!(outbox.flush(&stream), Flushed::Broken);
            peer.read_exact(&mut received).expect("read");
            assert!(!outbox.is_empty());
            let mut on_disk = 0;
            let mut files: Vec<*const File> = Vec::new();
            for segment in &outbox.segments {
                if let Segment::File { file, .. } = segment
                    && !files.contains(&Arc::as_ptr(file))
                {
                    files.push(Arc::as_ptr(file));
                    on_disk += file.metadata().expect("metadata").len();
                }
            }
            assert!(
                on_disk <= outbox.queued() + 2 * SPOOL_FILE,
                "{on_disk} for {}",
                outbox.queued()
            );
        }
    }
}
