//! How many workers there are, and how long they and their connections live.

use super::MOST;
use crate::setting::{Kind, Section, Setting, Support};
use crate::value::Unfit;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "workers",
        section: Section::WorkerProcesses,
        flags: &["-w", "--workers"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: 512 },
        default: "1",
        short: "Number of worker processes",
        long: "Two per core is a good start; memory is the usual limit. If the environment \
           has `WEB_CONCURRENCY`, that is the default.",
        support: Support::Works,
        apply: |settings, value| {
            settings.workers = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "worker_class",
        section: Section::WorkerProcesses,
        flags: &["-k", "--worker-class"],
        meta: "CLASS",
        kind: Kind::WorkerClass,
        default: "sync",
        short: "What runs requests: sync, gthread, gevent, tornado or eventlet",
        long: "All are the same engine, which takes slow clients off the application. `sync` and \
           `gthread` run it on threads; `gevent` and `eventlet` run each request in a greenlet, at \
           most `worker_connections` at a time, and patch the standard library first; `tornado` \
           runs it on the thread of Tornado's loop, or with more than one of `threads` beside it. \
           `geventwebsocket` is `gevent` for applications that expect gevent-websocket's \
           `wsgi.websocket`; its worker class for gunicorn and `flask_sockets.worker` mean it too. \
           With one thread the application runs strictly one request at a time, on the main thread.",
        support: Support::Works,
        apply: |settings, value| {
            settings.worker_class = value.worker_class()?;
            Ok(())
        },
    },
    Setting {
        name: "threads",
        section: Section::WorkerProcesses,
        flags: &["--threads"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: 512 },
        default: "1",
        short: "Threads of each worker that run the application",
        long: "Raise it for applications that are thread-safe and wait for databases or other \
           services.",
        support: Support::Works,
        apply: |settings, value| {
            settings.threads = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "worker_connections",
        section: Section::WorkerProcesses,
        flags: &["--worker-connections"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "1000",
        short: "Most connections of one worker at a time",
        long: "At the limit the kept-alive connection that was idle longest is closed first. \
           Open connections cost memory and a descriptor, never a thread.",
        support: Support::Works,
        apply: |settings, value| {
            settings.worker_connections = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "websocket_limit",
        section: Section::WorkerProcesses,
        flags: &["--websocket-limit"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "1000",
        short: "Most WebSockets of one worker at a time",
        long: "Each runs in a thread of its own beside `threads`, under gevent and eventlet in a \
           greenlet. Above it the answer is 503 with Retry-After, and the error log says so. With 0 a \
           request for a WebSocket is one like any other: its environ has no `gunicorn.socket`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.websocket_limit = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "max_requests",
        section: Section::WorkerProcesses,
        flags: &["--max-requests"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: u64::MAX },
        default: "0",
        short: "Requests after which a worker is replaced; 0 is never",
        long: "A remedy for applications that leak memory.",
        support: Support::Works,
        apply: |settings, value| {
            settings.max_requests = value.integer()?;
            Ok(())
        },
    },
    Setting {
        name: "max_requests_jitter",
        section: Section::WorkerProcesses,
        flags: &["--max-requests-jitter"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "0",
        short: "Most that chance adds to max_requests in each worker",
        long: "Keeps workers from being replaced all at once.",
        support: Support::Works,
        apply: |settings, value| {
            settings.max_requests_jitter = value.integer()?;
            Ok(())
        },
    },
    Setting {
        name: "timeout",
        section: Section::WorkerProcesses,
        flags: &["-t", "--timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "30",
        short: "Silence after which a worker is aborted and replaced; 0 is never",
        long: "With one thread this limits the time of one request. With more, it strikes when all \
           of them have been inside one call for so long. The log shows the requests and the \
           stacks of the worker that was stopped.",
        support: Support::Works,
        apply: |settings, value| {
            settings.timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "graceful_timeout",
        section: Section::WorkerProcesses,
        flags: &["--graceful-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "30",
        short: "Time that a stopping worker has for open requests",
        long: "After it the worker is killed. Make it longer than the longest request that \
           must survive a reload.",
        support: Support::Works,
        apply: |settings, value| {
            settings.graceful_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "keepalive",
        section: Section::WorkerProcesses,
        flags: &["--keep-alive"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "75",
        short: "Time to wait for the next request of a connection; 0 closes it",
        long: "Make it longer than the idle time of a load balancer in front, or that may use \
           a connection in the moment it is closed here. gunicorn's default is 2.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keepalive = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "keepalive_requests",
        section: Section::WorkerProcesses,
        flags: &["--keepalive-requests"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "0",
        short: "Requests after which a connection is closed; 0 is no limit",
        long: "Set it to spread long-lived connections over workers again from time to time.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keepalive_requests = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "boot_timeout",
        section: Section::WorkerProcesses,
        flags: &["--boot-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "0",
        short: "Time a worker has to load the application; 0 is no limit",
        long: "Set it if loading can hang, as on a service that does not answer. The log then \
           shows where, and the worker counts as one that could not start: at the first start \
           the server ends, at a reload the old workers stay.",
        support: Support::Works,
        apply: |settings, value| {
            settings.boot_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "request_timeout",
        section: Section::WorkerProcesses,
        flags: &["--request-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "0",
        short: "Time one request may take in the application; 0 is no limit",
        long: "After it the log shows where the request is, and \
           `oxicorn.errors.RequestTimeout` is raised there, and in no other request. If it is not \
           caught, the answer is 504, or a cut if something was sent. What waits in C, as for a \
           database, sees it only when it comes back. `environ[\"oxicorn.deadline\"]` tells what is \
           left and can give more. With one thread, keep it below `timeout`. Greenlets are \
           interrupted where they wait.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "request_timeout_log",
        section: Section::WorkerProcesses,
        flags: &["--request-timeout-log"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "0",
        short: "Time after which the log shows where a request is; 0 is never",
        long: "The request goes on. It works with and without `request_timeout`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_timeout_log = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "request_timeout_grace",
        section: Section::WorkerProcesses,
        flags: &["--request-timeout-grace"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "5",
        short: "Time to end for a request that is over `request_timeout`",
        long: "After it the client gets its 504 or cut all the same, the log shows all stacks of \
           the worker, and the worker is replaced: the new one boots first, and the old one \
           finishes its other requests.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_timeout_grace = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "worker_handoff",
        section: Section::WorkerProcesses,
        flags: &["--worker-handoff"],
        meta: "on|off",
        kind: Kind::Switch,
        default: "on",
        short: "Move requests that wait in a busy worker to one that is idle",
        long: "A kept-alive connection otherwise stays with its worker, also while that is busy \
           with a slow request. The connection moves as a whole, with what its client has sent; \
           of one with TLS or HTTP/2, which cannot move, the request alone. \
           Switch it off if requests of one connection must meet the same process.",
        support: Support::Works,
        apply: |settings, value| {
            settings.worker_handoff = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "queue_timeout",
        section: Section::WorkerProcesses,
        flags: &["--queue-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "30",
        short: "Time a complete request may wait for a thread; 0 is no limit",
        long: "After it the answer is 503 with Retry-After, and the application is not called. \
           Make it as short as the patience of clients: work for those who have given up only \
           keeps the others waiting.",
        support: Support::Works,
        apply: |settings, value| {
            settings.queue_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "queue_limit",
        section: Section::WorkerProcesses,
        flags: &["--queue-limit"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "0",
        short: "Most complete requests that wait in one worker; 0 is no limit",
        long: "Above it the answer is 503 with Retry-After, at once.",
        support: Support::Works,
        apply: |settings, value| {
            settings.queue_limit = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "health_path",
        section: Section::WorkerProcesses,
        flags: &["--health-path"],
        meta: "PATH",
        kind: Kind::Text,
        default: "",
        short: "Path of health checks that need no thread of the application",
        long: "GET and HEAD of it are answered with 200 and `ok`, also while all threads are busy, \
           and by a worker that is about to end with 503; other methods with 405. The \
           application never sees the path. It says that the server lives, not that the \
           application is well.",
        support: Support::Works,
        apply: |settings, value| {
            settings.health_path = value.optional_text()?.map(path).transpose()?;
            Ok(())
        },
    },
];

/// A path as the application sees it: decoded, without a query.
fn path(text: String) -> Result<String, Unfit> {
    let plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'?' | b'#' | b'%');
    if text.starts_with('/') && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(Unfit::from("a path that begins with / and has no ?, # or %"))
    }
}
