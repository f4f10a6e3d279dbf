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
        long: "Without it the first of `oxicorn.conf.py`, `oxicorn.toml`, `gunicorn.conf.py` and \
           `pyproject.toml` (with a table `[tool.oxicorn]`) is read that is in the current \
           directory. A name at the top level of a Python file that is a setting sets it; the \
           file runs in the directory oxicorn was started in, and again at each reload. A file \
           that ends in `.toml` holds settings as data.",
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
        name: "paste",
        section: Section::ConfigFile,
        flags: &["--paste", "--paster"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "PasteDeploy file of the application; FILE#NAME for one of several",
        long: "For the ini files of Pyramid and others; it needs the package PasteDeploy. A section \
           `loggers` in the file sets up the application's logging; its section `server:main` is \
           for `pserve`, with `use = egg:oxicorn#main`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.paste = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "raw_paste_global_conf",
        section: Section::ConfigFile,
        flags: &["--paste-global"],
        meta: "NAME=TEXT",
        kind: Kind::List,
        default: "",
        short: "Value for the file of paste, as if in its DEFAULT section; repeatable",
        long: "Belongs to paste.",
        support: Support::Works,
        apply: |settings, value| {
            settings.raw_paste_global_conf = value.list()?;
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
