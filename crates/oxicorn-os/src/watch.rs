//! Waiting for a handful of descriptors, as the master does.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until something can be read, or the time is over; says of each descriptor whether it can.
///
/// One that was closed at the other end can be read, too: its end.
///
/// # Errors
///
/// When the kernel cannot wait; an interruption by a signal ends the wait without an error.
pub fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
}

/// What a non-blocking read of a pipe found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// The other end was closed.
    End,
}

/// Reads what a non-blocking pipe holds, up to 4 KiB.
#[must_use]
pub fn read_pipe(fd: BorrowedFd<'_>) -> Found {
    let mut bytes = vec![0; 4096];
    match rustix::io::read(fd, &mut bytes) {
        Ok(0) => Found::End,
        Ok(count) => {
            bytes.truncate(count);
            Found::Bytes(bytes)
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Found::Nothing,
        Err(_) => Found::End,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn bytes_then_nothing_then_the_end() -> io::Result<()> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK)?;
        assert_eq!(wait_readable(&[reader.as_fd()], Duration::ZERO)?, [false]);
        assert_eq!(read_pipe(reader.as_fd()), Found::Nothing);
        rustix::io::write(&writer, b"ab")?;
        assert_eq!(wait_readable(&[reader.as_fd()], Duration::from_secs(30))?, [true]);
        assert_eq!(read_pipe(reader.as_fd()), Found::Bytes(b"ab".to_vec()));
        drop(writer);
        assert_eq!(wait_readable(&[reader.as_fd()], Duration::from_secs(30))?, [true]);
        assert_eq!(read_pipe(reader.as_fd()), Found::End);
        Ok(())
    }
}
