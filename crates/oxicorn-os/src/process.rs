//! Processes: waiting for them, signalling them, and who they run as.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgid, getuid, initgroups, setgid, setgroups, setuid};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::OsError;

/// The number of SIGHUP.
pub const HUP: i32 = nix::sys::signal::Signal::SIGHUP as i32;
/// The number of SIGINT.
pub const INT: i32 = nix::sys::signal::Signal::SIGINT as i32;
/// The number of SIGQUIT.
pub const QUIT: i32 = nix::sys::signal::Signal::SIGQUIT as i32;
/// The number of SIGABRT.
pub const ABRT: i32 = nix::sys::signal::Signal::SIGABRT as i32;
/// The number of SIGKILL.
pub const KILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
/// The number of SIGUSR1.
pub const USR1: i32 = nix::sys::signal::Signal::SIGUSR1 as i32;
/// The number of SIGUSR2.
pub const USR2: i32 = nix::sys::signal::Signal::SIGUSR2 as i32;
/// The number of SIGTERM.
pub const TERM: i32 = nix::sys::signal::Signal::SIGTERM as i32;
/// The number of SIGTTIN.
pub const TTIN: i32 = nix::sys::signal::Signal::SIGTTIN as i32;
/// The number of SIGTTOU.
pub const TTOU: i32 = nix::sys::signal::Signal::SIGTTOU as i32;
/// The number of SIGWINCH.
pub const WINCH: i32 = nix::sys::signal::Signal::SIGWINCH as i32;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It left with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// Takes note of one child that ended, whichever; `None` when none has.
#[must_use]
pub fn reap() -> Option<(u32, Ending)> {
    loop {
        let (pid, status) = match wait(WaitOptions::NOHANG) {
            Ok(found) => found?,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        };
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        if let Some(code) = status.exit_status() {
            return Some((pid, Ending::Exited(code)));
        }
        if let Some(signal) = status.terminating_signal() {
            return Some((pid, Ending::Signaled(signal)));
        }
    }
}

/// Sends a signal to one process, by number; a process that is gone is not an error.
///
/// # Errors
///
/// When the number is not a signal, or the process is not ours to signal.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A signal's name, as `SIGKILL`.
#[must_use]
pub fn signal_name(signal: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(signal).map_or("a real-time signal", |known| known.as_str())
}

/// Asks the kernel to send TERM to this process when its parent dies.
///
/// # Errors
///
/// When the kernel cannot.
pub fn follow_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?)
}

/// Names the calling thread as `top` and `pgrep` show it; cut at 15 bytes. The main thread's
/// name is the process's.
pub fn set_thread_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // Cosmetic: a process without its name works as well.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Who a process is to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, if it has one: its groups are looked up by it.
    name: Option<String>,
    uid: Uid,
    gid: Gid,
}

impl Identity {
    /// Looks up a user and a group, each by name or number; what is missing stays as it is.
    ///
    /// # Errors
    ///
    /// When there is no such user or group.
    pub fn resolve(user: Option<&str>, group: Option<&str>) -> Result<Self, OsError> {
        let (name, uid) = match user {
            None => (None, getuid()),
            Some(user) => {
                find_user(user).map_err(|source| OsError::new("find user", user, source))?
            }
        };
        let gid = match group {
            None => getgid(),
            Some(group) => {
                find_group(group).map_err(|source| OsError::new("find group", group, source))?
            }
        };
        Ok(Self { name, uid, gid })
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The group's number.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Becomes that user and group, for good; with `all_groups` a member of all the user's groups,
    /// otherwise of no other.
    ///
    /// Groups first, then the group, then the user, since each step needs the right to do the
    /// next. Nothing is done when nothing would change.
    ///
    /// # Errors
    ///
    /// When any step fails, or the way back to root is still open: do not go on then.
    pub fn assume(&self, all_groups: bool) -> Result<(), OsError> {
        let (uid, gid) = (getuid(), getgid());
        if (self.uid, self.gid) == (uid, gid) {
            return Ok(());
        }
        let failed = |doing: &'static str, what: u32| {
            move |source: nix::Error| OsError::new(doing, what.to_string(), io::Error::from(source))
        };
        if uid.is_root() {
            let name = self.name.as_deref().filter(|_| all_groups);
            let name = name.and_then(|name| CString::new(name).ok());
            match name {
                Some(name) => initgroups(&name, self.gid),
                None => setgroups(&[self.gid]),
            }
            .map_err(failed("take the groups of user", self.uid()))?;
        }
        setgid(self.gid).map_err(failed("become group", self.gid()))?;
        setuid(self.uid).map_err(failed("become user", self.uid()))?;
        let became = (getuid(), getgid()) == (self.uid, self.gid);
        let can_return = !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok();
        if !became || can_return {
            return Err(OsError::new(
                "become user",
                self.uid().to_string(),
                io::ErrorKind::PermissionDenied,
            ));
        }
        Ok(())
    }
}

fn find_user(user: &str) -> io::Result<(Option<String>, Uid)> {
    if let Ok(number) = user.parse() {
        let uid = Uid::from_raw(number);
        return Ok((User::from_uid(uid)?.map(|found| found.name), uid));
    }
    let found = User::from_name(user)?.ok_or(io::ErrorKind::NotFound)?;
    Ok((Some(found.name), found.uid))
}

fn find_group(group: &str) -> io::Result<Gid> {
    if let Ok(number) = group.parse() {
        return Ok(Gid::from_raw(number));
    }
    Ok(Group::from_name(group)?.ok_or(io::ErrorKind::NotFound)?.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let by_number = Identity::resolve(Some("0"), Some("0")).expect("root");
        let by_name = Identity::resolve(Some("root"), Some("root")).expect("root");
        assert_eq!(by_number, by_name);
        let error = Identity::resolve(Some("no-such-user"), None).expect_err("unknown");
        assert!(error.to_string().starts_with("cannot find user `no-such-user`: "));
    }

    #[test]
    fn staying_who_we_are_needs_no_rights() {
        Identity::resolve(None, None).expect("us").assume(false).expect("nothing to do");
    }

    #[test]
    fn signals_have_names() {
        assert_eq!((signal_name(9), signal_name(15)), ("SIGKILL", "SIGTERM"));
        assert_eq!(signal_name(63), "a real-time signal");
    }

    #[test]
    fn the_dead_are_not_signalled_and_numbers_are_checked() {
        kill(u32::MAX >> 1, 15).expect("nobody has that number");
        assert!(kill(0, 15).is_err(), "0 would mean the whole process group");
        assert!(kill(std::process::id(), 1000).is_err());
    }
}
