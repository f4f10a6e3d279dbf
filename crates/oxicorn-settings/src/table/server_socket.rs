//! Where the server listens.

use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "bind",
        section: Section::ServerSocket,
        flags: &["-b", "--bind"],
        meta: "ADDRESS",
        kind: Kind::Addresses,
        default: "127.0.0.1:8000",
        short: "Address to listen on: HOST:PORT, unix:PATH or fd://N; repeatable",
        long: "Also `[V6]:PORT`, `tcp://HOST:PORT` and `unix:@NAME`. Without a port it is \
           8000. If the environment has `PORT`, the default is `0.0.0.0:$PORT`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.bind = value.addresses()?;
            Ok(())
        },
    },
    Setting {
        name: "backlog",
        section: Section::ServerSocket,
        flags: &["--backlog"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: i32::MAX as u64 },
        default: "2048",
        short: "Connections that may wait to be accepted",
        long: "The kernel caps it at net.core.somaxconn. Raise both if short bursts are \
           refused.",
        support: Support::Works,
        apply: |settings, value| {
            settings.backlog = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "reuse_port",
        section: Section::ServerSocket,
        flags: &["--reuse-port"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Set SO_REUSEPORT on the listening sockets",
        long: "Lets several servers share one port, as during a move from one to the other. The \
           workers of one server still share one socket, unlike gunicorn's: with a socket each, \
           connections would wait for a busy worker while others are idle, and be lost with a \
           worker that leaves.",
        support: Support::Works,
        apply: |settings, value| {
            settings.reuse_port = value.flag()?;
            Ok(())
        },
    },
];
