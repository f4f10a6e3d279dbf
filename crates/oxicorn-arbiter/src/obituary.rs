//! How a worker's end is told in the log.

use crate::roster::{Stage, Why, Worker};
use crate::{Ending, Level, Policy};

const SILENT: &str = "It gave no sign of life within `timeout`";
const NOT_READY: &str = "It was not ready within `boot_timeout`";

/// What the log says of a worker that ended, unless it ended as it was told to.
pub(crate) fn obituary(
    pid: u32,
    worker: &Worker,
    ending: Ending,
    policy: &Policy,
) -> Option<(Level, String)> {
    let was = |signal: &str, why: &str| format!("Worker (pid:{pid}) was sent {signal}! {why}");
    match (worker.stage, ending) {
        (Stage::Aborted { why, .. }, Ending::Code(code)) => {
            let limit = if why == Why::Unready { NOT_READY } else { SILENT };
            Some((Level::Error, format!("Worker (pid:{pid}) exited with code {code}. {limit}.")))
        }
        (Stage::Killed { why: Why::Silent }, Ending::Signal(signal)) => {
            let why = format!("{SILENT}, and did not end on SIGABRT.");
            Some((Level::Error, was(signal, &why)))
        }
        (
            Stage::Killed { why: Why::Unready } | Stage::Aborted { why: Why::Unready, .. },
            Ending::Signal(signal),
        ) => Some((Level::Error, was(signal, &format!("{NOT_READY}.")))),
        (Stage::Leaving { .. }, Ending::Signal("SIGKILL")) if worker.is_stuck => {
            let why = "It ended itself, as a request in it did not end (`request_timeout`).";
            Some((Level::Error, was("SIGKILL", why)))
        }
        (Stage::Killed { why: Why::Slow }, Ending::Signal(signal)) => {
            let seconds = policy.graceful_timeout.as_secs();
            let why = format!("It had not finished within `graceful_timeout` ({seconds} s).");
            Some((Level::Warning, was(signal, &why)))
        }
        (Stage::Killed { why: Why::Hurried }, Ending::Signal(signal)) => {
            Some((Level::Warning, was(signal, "It had not left when the server had to stop.")))
        }
        (Stage::Aborted { .. }, Ending::Signal(signal)) => {
            Some((Level::Error, was(signal, &format!("{SILENT}."))))
        }
        (_, Ending::OutOfMemory) => {
            let why = "By the kernel, as there was no memory left (see its control group).";
            Some((Level::Error, was("SIGKILL", why)))
        }
        (_, Ending::Signal("SIGKILL")) => {
            let why = "Perhaps out of memory? (The master did not send it.)";
            Some((Level::Error, was("SIGKILL", why)))
        }
        (Stage::Leaving { .. }, Ending::Signal("SIGTERM" | "SIGQUIT")) => None,
        (_, Ending::Signal(signal)) => {
            Some((Level::Error, format!("Worker (pid:{pid}) was sent {signal}!")))
        }
        (Stage::Booting | Stage::Serving { .. }, Ending::Code(0)) => {
            Some((Level::Info, format!("Worker (pid:{pid}) exited with code 0.")))
        }
        (_, Ending::Code(0)) => None,
        (_, Ending::Code(_)) if worker.boot_failed => None,
        (_, Ending::Code(code)) => {
            Some((Level::Error, format!("Worker (pid:{pid}) exited with code {code}.")))
        }
    }
}
