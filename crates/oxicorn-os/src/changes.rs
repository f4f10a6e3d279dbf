//! Noticing that files of a directory changed, by inotify.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

/// Readable when something in one of the watched directories has changed.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Watches nothing yet.
    ///
    /// # Errors
    ///
    /// The kernel has no inotify, or the user has too many of them.
    pub fn new() -> io::Result<Self> {
        Ok(Self(init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches the entries of a directory, but not those of directories in it.
    ///
    /// # Errors
    ///
    /// There is no such directory, or the user watches too many.
    pub fn watch(&self, directory: &Path) -> io::Result<()> {
        // A file that is open for writing changes when it is closed: half of it is of no use.
        let flags = WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        add_watch(&self.0, directory, flags)?;
        Ok(())
    }

    /// Whether anything changed since the last call.
    #[must_use]
    pub fn take(&self) -> bool {
        let mut events = [0_u8; 4096];
        let mut any = false;
        // It does not block: nothing more to read is an error.
        while rustix::io::read(&self.0, &mut events).is_ok_and(|count| count > 0) {
            any = true;
        }
        any
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_replacing_is_noticed_once() {
        let directory =
            std::env::temp_dir().join(format!("oxicorn-changes-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let changes = Changes::new().expect("inotify");
        changes.watch(&directory).expect("a watch");
        assert!(!changes.take());
        std::fs::write(directory.join("a"), "1").expect("a file");
        assert!(changes.take());
        assert!(!changes.take());
        std::fs::rename(directory.join("a"), directory.join("b")).expect("another name");
        assert!(changes.take());
        assert!(changes.watch(&directory.join("b")).is_err());
        std::fs::remove_dir_all(&directory).expect("an end");
    }
}
