//! Every system call of oxicorn.
//!
//! Nothing here knows what HTTP or a worker is. The master uses [`listener`], [`pidfile`] and
//! [`process`]; the [`scoreboard`] is what it shares with its workers.

mod error;
#[expect(
    unsafe_code,
    reason = "a number handed over by another process becomes an owned descriptor"
)]
pub mod inherit;
pub mod listener;
pub mod pidfile;
pub mod process;
#[expect(unsafe_code, reason = "a shared mapping becomes a slice of atomics")]
pub mod scoreboard;

pub use error::OsError;
