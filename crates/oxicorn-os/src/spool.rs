//! Unlinked temporary files for bodies too large for memory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, open, unlink};

/// Makes a private file without a name in `directory`, readable and writable, mode 0600.
///
/// Where the file system cannot make one without a name, it is made with one and unlinked at once.
///
/// # Errors
///
/// The directory is missing, full, or not writable.
pub fn unlinked(directory: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(fd) = open(directory, flags | OFlags::TMPFILE, mode) {
        return Ok(File::from(fd));
    }
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let pid = rustix::process::getpid().as_raw_nonzero();
    let path = directory.join(format!(".oxicorn-{pid}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let fd = open(&path, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)?;
    unlink(&path)?;
    Ok(File::from(fd))
}
