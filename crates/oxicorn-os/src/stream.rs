//! A client's socket, TCP or Unix, never blocking.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType,
    acceptfrom_with, recv, send, sendmsg, shutdown, socketpair, sockopt,
};

/// What became of an attempt to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// This many bytes; when reading, 0 is the peer's end.
    Bytes(usize),
    /// Nothing now: wait until the descriptor is ready.
    NotNow,
    /// The connection is broken.
    Broken,
}

impl From<io::Result<usize>> for Moved {
    fn from(result: io::Result<usize>) -> Self {
        match result {
            Ok(count) => Self::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Self::NotNow,
            Err(_) => Self::Broken,
        }
    }
}

/// Reads a piece of a file from `offset`; its own position is not moved. `None` when it cannot be
/// read.
#[must_use]
pub fn read_file_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Option<usize> {
    io::pread(file, buffer, offset).ok()
}

/// A connected, non-blocking stream socket.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    /// Takes a connected socket, which must not block.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Two sockets that are connected to each other: ours, and one that blocks.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn pair() -> std::io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        io::ioctl_fionbio(&ours, true)?;
        Ok((Self(ours), other))
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn connected() -> std::io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Reads what there is into `buffer`.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Moved {
        recv(&self.0, buffer, RecvFlags::empty()).map(|(count, _)| count).into()
    }

    /// Whether the peer closed its side or the connection is broken; bytes that came before, and
    /// were not read yet, do not matter.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut polled = [PollFd::new(&self.0, ends)];
        // It never waits, so it cannot be interrupted; without an answer nothing is known.
        let _ = poll(&mut polled, Some(&Timespec::default()));
        polled[0].revents().intersects(ends)
    }

    /// Writes as much as the socket takes.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Moved {
        send(&self.0, bytes, SendFlags::NOSIGNAL).into()
    }

    /// Writes several pieces with one call, as much as the socket takes.
    pub fn write_parts(&self, parts: &[IoSlice<'_>]) -> Moved {
        sendmsg(&self.0, parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL).into()
    }

    /// Lets the kernel send up to `count` bytes of a file from `offset`.
    ///
    /// `Bytes(0)` means that the file ended early.
    pub fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> Moved {
        let mut at = offset;
        match rustix::fs::sendfile(&self.0, file, Some(&mut at), count) {
            // Not every file system can: copy a piece instead.
            Err(Errno::INVAL | Errno::NOSYS) => self.copy_file(file, offset, count),
            result => result.into(),
        }
    }

    /// Reads a piece of a file and writes it.
    fn copy_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> Moved {
        let mut piece = [0; 16 * 1024];
        let wanted = count.min(piece.len());
        let Some(part) = piece.get_mut(..wanted) else { return Moved::Broken };
        match io::pread(file, &mut *part, offset) {
            Ok(read) => part.get(..read).map_or(Moved::Broken, |bytes| self.write(bytes)),
            Err(_) => Moved::Broken,
        }
    }

    /// Tells the peer that no more bytes will come, and goes on reading.
    pub fn finish_writing(&self) {
        // A peer that is gone already needs no telling.
        let _ = shutdown(&self.0, Shutdown::Write);
    }

    /// Ends the connection both ways, also for a thread or a process that uses it too.
    pub fn cut(&self) {
        // A peer that is gone already is what is wanted.
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    /// Takes the descriptor out.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Why there is no connection to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// None is waiting (or another process took it).
    NotNow,
    /// The process or the system is out of descriptors or memory: pause.
    OutOfResources,
    /// The listener itself is unusable.
    Broken,
}

/// Has the connections of a listener send small pieces at once instead of holding them back until
/// the peer has acknowledged the ones before (Nagle's algorithm), which together with delayed
/// acknowledgements costs 40 ms. Accepted sockets inherit it. Does nothing for a Unix socket.
pub fn send_at_once(listener: BorrowedFd<'_>) {
    // Only a socket that knows no TCP refuses it.
    let _ = sockopt::set_tcp_nodelay(listener, true);
}

/// Accepts one connection from a non-blocking listener; the address is `None` for a Unix socket.
///
/// # Errors
///
/// See [`NoConnection`].
pub fn accept(listener: BorrowedFd<'_>) -> Result<(Stream, Option<SocketAddr>), NoConnection> {
    let (fd, address) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
        .map_err(|errno| match errno {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
                NoConnection::OutOfResources
            }
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK => NoConnection::Broken,
            // The rest concerns one connection that failed before it was accepted (accept(2)).
            _ => NoConnection::NotNow,
        })?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((Stream(fd), address))
}

/// Reads the bytes that are waiting in a non-blocking pipe; `None` at its end.
#[must_use]
pub fn read_pipe(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Option<usize> {
    match io::read(fd, buffer) {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(_) => Some(0),
    }
}
