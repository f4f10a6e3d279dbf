//! The reference of settings.

use std::fmt::Write;

use crate::setting::{Kind, Section, Setting, Support};
use crate::table;

const OPENING: &str = "\
<!-- Generated from the table of settings: do not edit.
     cargo run -p oxicorn-settings --example reference > docs/reference/settings.md -->

# Settings

A setting can be written in several places. The later in this list wins; a list is replaced, not
extended:

1. the default;
2. `PORT`, `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS` and `SENDFILE` in the environment, as defaults
   of `bind`, `workers`, `forwarded_allow_ips` and `sendfile`;
3. the program that embeds the server;
4. the settings file: the one that `-c` names, or else the first that is there of
   `./oxicorn.conf.py`, `./oxicorn.toml`, `./gunicorn.conf.py` and a `./pyproject.toml` with a table
   `[tool.oxicorn]`; no more than one is read;
5. `OXICORN_` and the setting's name in the environment, such as `OXICORN_WORKERS=4`; lists are
   separated by commas;
6. options in the variable `GUNICORN_CMD_ARGS`, then in `OXICORN_CMD_ARGS`;
7. the command line.

`SCRIPT_NAME` in the environment is the prefix of all paths that the application is under, as in
gunicorn. An empty variable counts as unset. `oxicorn --print-config module:app` shows every setting with the
place that decided it.
";

/// The reference of all settings.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(OPENING);
    for section in Section::ALL {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {}\n", section.title());
        for setting in table::settings().filter(|setting| setting.section == section) {
            entry(&mut text, setting);
        }
    }
    text
}

fn entry(text: &mut String, setting: &Setting) {
    let Setting { name, flags, meta, default, short, long, .. } = setting;
    let _ = write!(text, "\n### `{name}`\n\n{short}.\n\n");
    let flags: Vec<_> = flags
        .iter()
        .map(|flag| if meta.is_empty() { format!("`{flag}`") } else { format!("`{flag} {meta}`") })
        .collect();
    match flags.as_slice() {
        [] => text.push_str("- Only in a settings file"),
        flags => {
            let _ = write!(text, "- {}", flags.join(", "));
        }
    }
    text.push('\n');
    let _ = match setting.kind {
        Kind::Hook(args) => writeln!(text, "- A function of `({})`", args.join(", ")),
        _ if default.is_empty() => writeln!(text, "- Default: not set"),
        _ => writeln!(text, "- Default: `{default}`"),
    };
    match setting.support {
        Support::Works => {}
        Support::WarnIgnored(advice) => {
            let _ = writeln!(text, "- **Has no effect in this version**: {advice}");
        }
        Support::Rejected(advice) => {
            let _ = writeln!(text, "- **Not supported by this version**: {advice}");
        }
    }
    let _ = write!(text, "\n{long}\n");
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_reference_is_current() {
        let committed = include_str!("../../../../docs/reference/settings.md");
        assert!(committed == super::markdown(), "run the command in its first lines");
    }
}
