//! Where settings and the application come from, and how to check both.

use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "config",
        section: Section::ConfigFile,
        flags: &["-c", "--config"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "Settings file: PATH, file:PATH or python:MODULE",
        long: "Without it `oxicorn.conf.py`, else `gunicorn.conf.py`, is read from the \
           current directory if it is there. The file is Python; a name at its top level \
           that is a setting sets it. It runs in the directory oxicorn was started in.",
        support: Support::Works,
        apply: |settings, value| {
            settings.config = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "wsgi_app",
        section: Section::ConfigFile,
        flags: &[],
        meta: "",
        kind: Kind::Text,
        default: "",
        short: "The application when the command line names none",
        long: "`module:name`, a dotted path after the colon, or a call with literal arguments \
           such as `app:create_app(\"production\")`. Without a name, `application` and then \
           `app` are tried.",
        support: Support::Works,
        apply: |settings, value| {
            settings.wsgi_app = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "check_config",
        section: Section::ConfigFile,
        flags: &["--check-config"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Check the settings and load the application, then exit",
        long: "Exits with 0 if all is well. Run it before a reload or in a deployment's \
           checks.",
        support: Support::Works,
        apply: |settings, value| {
            settings.check_config = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "print_config",
        section: Section::ConfigFile,
        flags: &["--print-config"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Print every setting with its origin, then check as --check-config",
        long: "Shows which of file, environment and command line decided a value.",
        support: Support::Works,
        apply: |settings, value| {
            settings.print_config = value.flag()?;
            Ok(())
        },
    },
];
