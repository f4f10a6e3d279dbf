//! Where log lines go: a file opened for appending, or one of the standard streams.
//!
//! A line is one `write`, so lines of several processes and threads are never mixed in a file
//! (`O_APPEND`). A write that fails is counted and forgotten: a full disk or a closed pipe costs
//! log lines, never a request. What a line says is decided elsewhere.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::{DupFlags, Errno};

use crate::epoll::{Interest, wait_one};

/// What the operator named as the place of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// A file, made with mode 0640 if it is not there.
    File(PathBuf),
    /// The standard error stream, whatever it is at the time of a write.
    Stderr,
    /// The standard output stream, whatever it is at the time of a write.
    Stdout,
}

/// A place to append lines to; can be reopened and moved while other threads write.
///
/// Safe to use after a fork: nothing is buffered, and the descriptor of a file keeps its number
/// for life, so the number may be handed to others.
#[derive(Debug)]
pub struct LogFile {
    place: RwLock<Place>,
    /// The last write ended inside a line: the next one must begin on a line of its own.
    torn: AtomicBool,
    /// The process's output streams go to the file too, also after it was reopened.
    captures_output: AtomicBool,
    /// Where those streams went before.
    streams: Mutex<Option<[OwnedFd; 2]>>,
    /// Known to be a file, whose writes never wait for a reader.
    is_regular: AtomicBool,
    dropped: AtomicU64,
}

impl LogFile {
    /// A log on the standard error stream.
    #[must_use]
    pub const fn stderr() -> Self {
        Self::at(Place::Stderr)
    }

    /// Opens the place that the operator named.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending: the operator's fault.
    pub fn open(target: LogTarget) -> io::Result<Self> {
        Ok(Self::at(Place::open(target, None)?))
    }

    /// Appends `line`, which ends with its newline, in one write.
    pub fn write(&self, line: &[u8]) {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        let fd = place.as_fd();
        if self.torn.load(Ordering::Relaxed) {
            if !matches!(write_some(fd, b"\n"), Ok(1)) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.torn.store(false, Ordering::Relaxed);
        }
        let mut left = line;
        while !left.is_empty() {
            match write_some(fd, left) {
                Ok(written) if written > 0 => left = left.get(written..).unwrap_or_default(),
                _ => {
                    self.torn.store(left.len() < line.len(), Ordering::Relaxed);
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Whether a write may have to wait for a reader: a pipe or a terminal without room.
    ///
    /// A caller that holds something others need lets go of it before such a write.
    pub fn may_block(&self) -> bool {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_regular.load(Ordering::Relaxed) {
            return false;
        }
        let fd = place.as_fd();
        let regular = fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        self.is_regular.store(regular, Ordering::Relaxed);
        !regular && !wait_one(fd, Interest::Write, Duration::ZERO)
    }

    /// Opens the same file again by its name, for log rotation; a stream stays as it is.
    ///
    /// # Errors
    ///
    /// The file cannot be opened; the log goes on where it was.
    pub fn reopen(&self) -> io::Result<()> {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        let Place::File { path, fd, owner } = &mut *place else {
            return Ok(());
        };
        let fresh = open_append(path, *owner)?;
        rustix::io::dup3(&fresh, fd, DupFlags::CLOEXEC)?;
        self.torn.store(false, Ordering::Relaxed);
        self.is_regular.store(false, Ordering::Relaxed);
        self.direct_output(&place)
    }

    /// Moves the log to another place.
    ///
    /// # Errors
    ///
    /// The new place cannot be opened; the log goes on where it was.
    pub fn redirect(&self, target: LogTarget) -> io::Result<()> {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        let owner = place.owner();
        match (&mut *place, Place::open(target, owner)?) {
            (Place::File { path, fd, .. }, Place::File { path: new_path, fd: new_fd, .. }) => {
                rustix::io::dup3(&new_fd, fd, DupFlags::CLOEXEC)?;
                *path = new_path;
            }
            (old, new) => *old = new,
        }
        self.torn.store(false, Ordering::Relaxed);
        self.is_regular.store(false, Ordering::Relaxed);
        self.direct_output(&place)
    }

    /// Gives a log file to the user that the workers run as, so that they can reopen it.
    ///
    /// # Errors
    ///
    /// The kernel refuses: only root may give files away.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if let Place::File { fd, owner, .. } = &mut *place {
            std::os::unix::fs::fchown(&*fd, Some(uid), Some(gid))?;
            *owner = Some((uid, gid));
        }
        Ok(())
    }

    /// Makes the process's standard output and error streams go to this log while it is a file, or
    /// where they went before.
    ///
    /// # Errors
    ///
    /// The kernel refuses to duplicate a descriptor.
    pub fn capture_output(&self, captures: bool) -> io::Result<()> {
        self.captures_output.store(captures, Ordering::Relaxed);
        self.direct_output(&self.place.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many lines could not be written, in this process and up to its fork.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn direct_output(&self, place: &Place) -> io::Result<()> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Place::File { fd, .. } if self.captures_output.load(Ordering::Relaxed) => {
                if streams.is_none() {
                    *streams =
                        Some([keep(rustix::stdio::stdout())?, keep(rustix::stdio::stderr())?]);
                }
                rustix::stdio::dup2_stdout(fd)?;
                rustix::stdio::dup2_stderr(fd)?;
            }
            _ => {
                if let Some([stdout, stderr]) = streams.take() {
                    rustix::stdio::dup2_stdout(&stdout)?;
                    rustix::stdio::dup2_stderr(&stderr)?;
                }
            }
        }
        Ok(())
    }

    const fn at(place: Place) -> Self {
        Self {
            place: RwLock::new(place),
            torn: AtomicBool::new(false),
            captures_output: AtomicBool::new(false),
            streams: Mutex::new(None),
            is_regular: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }
    }
}

/// A target that is open.
#[derive(Debug)]
enum Place {
    File { path: PathBuf, fd: OwnedFd, owner: Option<(u32, u32)> },
    Stderr,
    Stdout,
}

impl Place {
    fn open(target: LogTarget, owner: Option<(u32, u32)>) -> io::Result<Self> {
        Ok(match target {
            LogTarget::File(path) => {
                // Absolute, so that a later change of directory does not move the log.
                let path = std::path::absolute(path)?;
                let fd = open_append(&path, owner)?.into();
                Self::File { path, fd, owner }
            }
            LogTarget::Stderr => Self::Stderr,
            LogTarget::Stdout => Self::Stdout,
        })
    }

    fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Self::File { owner, .. } => *owner,
            Self::Stderr | Self::Stdout => None,
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File { fd, .. } => fd.as_fd(),
            Self::Stderr => rustix::stdio::stderr(),
            Self::Stdout => rustix::stdio::stdout(),
        }
    }
}

/// Opens a log for appending, and gives it to its owner when root does so.
///
/// A symbolic link is followed unless root would follow one that somebody else may have planted;
/// `/dev/stdout` and links in directories of root's own stay usable.
fn open_append(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    let is_root = rustix::process::geteuid().is_root();
    if is_root && !is_only_roots(path.parent().unwrap_or(Path::new("/"))) {
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    }
    let file = options.open(path)?;
    if let (true, Some((uid, gid))) = (is_root, owner) {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// Whether nobody but root can put a name into this directory.
fn is_only_roots(directory: &Path) -> bool {
    std::fs::metadata(directory).is_ok_and(|at| at.uid() == 0 && at.mode() & 0o022 == 0)
}

/// Another descriptor of a standard stream, not to be confused with one.
fn keep(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)
}

/// One write; a signal that interrupts it before the first byte does not count.
fn write_some(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::write(fd, bytes) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory of its own for each test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}.{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(path: &Path) -> LogFile {
        LogFile::open(LogTarget::File(path.to_owned())).unwrap()
    }

    #[test]
    fn a_log_is_appended_to_and_private_to_user_and_group() {
        let scratch = Scratch::new("oxicorn-log-append");
        let path = scratch.file("a.log");
        at(&path).write(b"one\n");
        at(&path).write(b"two\n");
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn reopening_makes_a_new_file_under_the_same_descriptor() {
        let scratch = Scratch::new("oxicorn-log-reopen");
        let (path, rotated) = (scratch.file("a.log"), scratch.file("a.log.1"));
        let log = at(&path);
        let descriptor = || log.place.read().unwrap().as_fd().as_raw_fd();
        let before = descriptor();
        log.write(b"old\n");
        fs::rename(&path, &rotated).unwrap();
        log.write(b"still old\n");
        log.reopen().unwrap();
        log.write(b"new\n");
        assert_eq!(descriptor(), before);
        assert_eq!(fs::read(&rotated).unwrap(), b"old\nstill old\n");
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
    }

    #[test]
    fn a_failed_reopen_keeps_the_old_file() {
        let scratch = Scratch::new("oxicorn-log-lost");
        let inner = scratch.file("inner");
        fs::create_dir(&inner).unwrap();
        let log = at(&inner.join("a.log"));
        let moved = scratch.file("moved");
        fs::rename(&inner, &moved).unwrap();
        assert!(log.reopen().is_err());
        log.write(b"kept\n");
        assert_eq!(fs::read(moved.join("a.log")).unwrap(), b"kept\n");
    }

    #[test]
    fn moving_a_log_leaves_the_old_file_alone() {
        let scratch = Scratch::new("oxicorn-log-move");
        let (first, second) = (scratch.file("1.log"), scratch.file("2.log"));
        let log = at(&first);
        log.write(b"one\n");
        log.redirect(LogTarget::File(second.clone())).unwrap();
        log.write(b"two\n");
        log.reopen().unwrap();
        log.write(b"three\n");
        assert_eq!(fs::read(&first).unwrap(), b"one\n");
        assert_eq!(fs::read(&second).unwrap(), b"two\nthree\n");
    }

    #[test]
    fn writes_to_a_full_disk_are_counted_and_forgotten() {
        let log = at(Path::new("/dev/full"));
        log.write(b"lost\n");
        log.write(b"lost\n");
        assert_eq!(log.dropped(), 2);
    }

    #[test]
    fn lines_of_many_threads_are_whole_while_the_log_is_reopened() {
        let scratch = Scratch::new("oxicorn-log-threads");
        let path = scratch.file("a.log");
        let log = at(&path);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    for line in 0..500 {
                        log.write(format!("{thread} {line} {}\n", "x".repeat(200)).as_bytes());
                    }
                });
            }
            for rotation in 0..20 {
                fs::rename(&path, scratch.file(&format!("a.log.{rotation}"))).unwrap();
                log.reopen().unwrap();
            }
        });
        let mut text = String::new();
        for entry in fs::read_dir(&scratch.0).unwrap() {
            File::open(entry.unwrap().path()).unwrap().read_to_string(&mut text).unwrap();
        }
        assert_eq!(text.lines().count(), 2000);
        assert!(text.lines().all(|line| line.ends_with(&"x".repeat(200))));
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn root_follows_no_link_that_others_could_have_planted() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = Scratch::new("oxicorn-log-link");
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o777)).unwrap();
        let (victim, link) = (scratch.file("victim"), scratch.file("a.log"));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(LogFile::open(LogTarget::File(link.clone())).is_err());
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(LogFile::open(LogTarget::File(link)).is_ok());
    }
}
