//! Every system call of oxicorn.
//!
//! Knows nothing of HTTP or of workers: descriptors, sockets, files, processes. The master uses
//! [`listener`], [`pidfile`] and [`process`]; a worker [`epoll`], [`stream`], [`waker`] and
//! [`spool`], which never block unless a name says `wait`; the [`scoreboard`], the [`passage`] and
//! what is [`published`] are what they share.

pub mod changes;
pub mod epoll;
mod error;
#[expect(
    unsafe_code,
    reason = "a number handed over by another process becomes an owned descriptor"
)]
pub mod inherit;
pub mod listener;
mod log_file;
pub mod memory;
pub mod pad;
pub mod passage;
pub mod pidfile;
pub mod process;
pub mod published;
#[expect(unsafe_code, reason = "a shared mapping becomes a slice of atomics")]
pub mod scoreboard;
pub mod spool;
pub mod stream;
pub mod thread;
pub mod waker;
pub mod watch;

pub use error::OsError;
pub use log_file::{LogFile, LogTarget};
