//! Descriptors that another process left open for us.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// Takes over a descriptor by its number, as given by a service manager or on the command line.
///
/// What is returned is the number's own duplicate with close-on-exec set; the number itself stays
/// open (and becomes close-on-exec too), so whoever else knows it finds it as it was.
///
/// # Errors
///
/// When nothing is open under that number.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1; whether it is open at all is told by the first call made on
    // it below, and the borrow ends with this function, in which nothing can close it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let own = fcntl_dupfd_cloexec(borrowed, 3)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_number_that_is_not_open_is_refused() {
        assert!(adopt(-1).is_err());
        assert!(adopt(1_000_000).is_err());
    }

    #[test]
    fn the_number_stays_open() -> io::Result<()> {
        let (reader, _writer) = rustix::pipe::pipe()?;
        drop(adopt(reader.as_raw_fd())?);
        assert!(rustix::io::fcntl_getfd(&reader)?.contains(FdFlags::CLOEXEC));
        Ok(())
    }
}
