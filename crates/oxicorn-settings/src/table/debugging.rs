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
        long: "For development. Workers load the application themselves then, whatever \
           preload_app says. Code that does not load is answered with a page that shows why, \
           until it is corrected.",
        support: Support::Works,
        apply: |settings, value| {
            settings.reload = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "reload_engine",
        section: Section::Debugging,
        flags: &["--reload-engine"],
        meta: "ENGINE",
        kind: Kind::Choice(&["auto", "poll", "inotify"]),
        default: "auto",
        short: "How changes of the code are noticed",
        long: "`inotify` lets the kernel tell of changes, `poll` looks at the files once a second: \
           for directories that another machine writes to, and some that containers share. `auto` \
           is inotify if it is to be had.",
        support: Support::Works,
        apply: |settings, value| {
            settings.reload_engine = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "reload_extra_files",
        section: Section::Debugging,
        flags: &["--reload-extra-file"],
        meta: "FILE",
        kind: Kind::List,
        default: "",
        short: "More files to watch; repeatable",
        long: "Belongs to reload. Patterns such as `templates/**/*.html` are allowed.",
        support: Support::Works,
        apply: |settings, value| {
            settings.reload_extra_files = value.list()?;
            Ok(())
        },
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
