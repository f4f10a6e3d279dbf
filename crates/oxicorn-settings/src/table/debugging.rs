//! For development.

use super::nothing;
use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "reload",
        section: Section::Debugging,
        flags: &["--reload"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Start workers anew when the code changes",
        long: "For development.",
        support: Support::Rejected("send HUP to the master after a change"),
        apply: nothing,
    },
    Setting {
        name: "reload_engine",
        section: Section::Debugging,
        flags: &["--reload-engine"],
        meta: "ENGINE",
        kind: Kind::Choice(&["auto", "poll", "inotify"]),
        default: "auto",
        short: "How changes of the code are noticed",
        long: "Belongs to reload.",
        support: Support::WarnIgnored("it belongs to reload, which this version does not have"),
        apply: nothing,
    },
    Setting {
        name: "reload_extra_files",
        section: Section::Debugging,
        flags: &["--reload-extra-file"],
        meta: "FILE",
        kind: Kind::List,
        default: "",
        short: "More files to watch; repeatable",
        long: "Belongs to reload.",
        support: Support::WarnIgnored("it belongs to reload, which this version does not have"),
        apply: nothing,
    },
    Setting {
        name: "spew",
        section: Section::Debugging,
        flags: &["--spew"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Trace every line that is executed",
        long: "A debugger does it better.",
        support: Support::WarnIgnored("use a debugger or `python -m trace`"),
        apply: nothing,
    },
];
