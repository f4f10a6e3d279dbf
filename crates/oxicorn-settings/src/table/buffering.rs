//! What is kept for clients, and how slow they may be.

use super::MOST;
use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "request_buffering",
        section: Section::Buffering,
        flags: &["--request-buffering"],
        meta: "on|off",
        kind: Kind::Switch,
        default: "on",
        short: "Call the application when the whole request body is there",
        long: "So a slow upload holds no thread. Switch it off if the application must see \
           the body while it comes.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_buffering = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "body_memory",
        section: Section::Buffering,
        flags: &["--body-memory"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "1048576",
        short: "Bytes of a request body kept in memory; more goes to a file",
        long: "All bodies of a worker together take 64 times as much at most: while they do, \
               those above 64 KiB go to files. Raise it if many bodies are a little larger than \
               this and memory is plenty.",
        support: Support::Works,
        apply: |settings, value| {
            settings.body_memory = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "tmp_upload_dir",
        section: Section::Buffering,
        flags: &["--tmp-upload-dir"],
        meta: "DIR",
        kind: Kind::Text,
        default: "",
        short: "Directory of the temporary files of large bodies and responses",
        long: "The system's temporary directory if unset. Choose a file system with room for \
           the bodies that may come at once.",
        support: Support::Works,
        apply: |settings, value| {
            settings.tmp_upload_dir = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "response_buffer_limit",
        section: Section::Buffering,
        flags: &["--response-buffer-limit"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: u64::MAX },
        default: "1073741824",
        short: "Bytes of a response kept for a slow client",
        long: "Above it the application waits for the client. Lower it if temporary space is \
           scarce.",
        support: Support::Works,
        apply: |settings, value| {
            settings.response_buffer_limit = value.integer()?;
            Ok(())
        },
    },
    Setting {
        name: "client_head_timeout",
        section: Section::Buffering,
        flags: &["--client-head-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "10",
        short: "Time a client has for a whole request head",
        long: "Bytes do not extend it. Raise it only for clients on very bad lines.",
        support: Support::Works,
        apply: |settings, value| {
            settings.client_head_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "client_body_rate",
        section: Section::Buffering,
        flags: &["--client-body-rate"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: u64::MAX },
        default: "500",
        short: "Least bytes per second of a request body; 0 is no limit",
        long: "A slower client gets 408. Lower it for clients on very bad lines.",
        support: Support::Works,
        apply: |settings, value| {
            settings.client_body_rate = value.integer()?;
            Ok(())
        },
    },
    Setting {
        name: "client_body_grace",
        section: Section::Buffering,
        flags: &["--client-body-grace"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "10",
        short: "Time before client_body_rate counts",
        long: "Raise it if clients send the head long before the body.",
        support: Support::Works,
        apply: |settings, value| {
            settings.client_body_grace = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "client_send_timeout",
        section: Section::Buffering,
        flags: &["--client-send-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "30",
        short: "Time a client may take nothing of its response",
        long: "After it the connection is closed. Raise it for clients that pause.",
        support: Support::Works,
        apply: |settings, value| {
            settings.client_send_timeout = value.seconds()?;
            Ok(())
        },
    },
];
