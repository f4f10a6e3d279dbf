//! The file that says which process is the master.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use crate::OsError;

/// A pidfile that names this process; [`remove`](Self::remove) it at the end.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    pid: u32,
}

impl Pidfile {
    /// The process that a pidfile names, if it is alive and not this one.
    #[must_use]
    pub fn running(path: &Path) -> Option<u32> {
        let pid = read(path)?;
        (pid != std::process::id() && is_alive(pid)).then_some(pid)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, OsError> {
        let pid = std::process::id();
        write(path, pid)
            .map_err(|source| OsError::new("write pidfile", path.display().to_string(), source))?;
        Ok(Self { path: path.into(), pid })
    }

    /// Removes the file if it still names this process.
    pub fn remove(self) {
        if read(&self.path) == Some(self.pid) {
            // It may be gone by now; there is nothing else to do about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // A process of somebody else's is alive, too.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

fn write(path: &Path, pid: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_os_string();
    name.push(format!(".{pid}"));
    let draft = path.with_file_name(name);
    let written = fill(&draft, pid).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The draft may not exist; the error that matters is the first one.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn fill(draft: &Path, pid: u32) -> io::Result<()> {
    // A new file only, so that a link laid out for us in a shared directory is not followed.
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(draft)?;
    writeln!(file, "{pid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_us_until_removed() {
        let path = std::env::temp_dir().join(format!("oxicorn-{}.pid", std::process::id()));
        let pidfile = Pidfile::create(&path).expect("write");
        assert_eq!(read(&path), Some(std::process::id()));
        assert_eq!(Pidfile::running(&path), None);
        // Process 1 always lives.
        fs::write(&path, "1\n").expect("write");
        assert_eq!(Pidfile::running(&path), Some(1));
        pidfile.remove();
        assert!(path.exists(), "it names another process");
        fs::write(&path, "4194305\n").expect("write");
        assert_eq!(Pidfile::running(&path), None, "beyond the largest process number");
        Pidfile::create(&path).expect("replaces a stale file").remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_told() {
        let error = Pidfile::create(Path::new("/nonexistent/a.pid")).expect_err("no directory");
        assert_eq!(
            error.to_string(),
            "cannot write pidfile `/nonexistent/a.pid`: no such file or directory"
        );
    }
}
