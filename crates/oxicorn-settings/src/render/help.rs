//! The text of `--help`.

use std::fmt::Write;

use crate::setting::{Section, Setting, Support};
use crate::table;

/// Where the explanations begin.
const COLUMN: usize = 34;

/// The text of `--help`: the options that have an effect, by section.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "usage: oxicorn [options] [module:app]\n\nServes a WSGI application.\n\n\
         Options\n",
    );
    entry(&mut text, "-h, --help", "Show this help");
    entry(&mut text, "-v, --version", "Show the version");
    entry(&mut text, "--man", "Print the manual page");
    entry(&mut text, "--completions SHELL", "Print the completions of bash, zsh or fish");
    for section in Section::ALL {
        let mut options = table::settings().filter(|s| s.section == section && is_shown(s));
        let Some(first) = options.next() else { continue };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n", section.title());
        for setting in std::iter::once(first).chain(options) {
            entry(&mut text, &spelling(setting), setting.short);
        }
    }
    text.push_str(
        "\nEvery setting can also stand in oxicorn.conf.py (or gunicorn.conf.py), and in the\n\
         environment as OXICORN_ and its name, such as OXICORN_WORKERS=4.\n",
    );
    text
}

fn is_shown(setting: &Setting) -> bool {
    setting.support == Support::Works && !setting.flags.is_empty()
}

fn spelling(setting: &Setting) -> String {
    let flags = setting.flags.join(", ");
    if setting.meta.is_empty() { flags } else { format!("{flags} {}", setting.meta) }
}

fn entry(text: &mut String, option: &str, short: &str) {
    let option = format!("  {option}");
    let separator = if option.len() + 1 < COLUMN { "" } else { "\n" };
    let padding = if separator.is_empty() { COLUMN - option.len() } else { COLUMN };
    let _ = writeln!(text, "{option}{separator}{:padding$}{short}", "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_shows_what_works_and_nothing_else() {
        let text = help();
        assert!(text.contains("  -w, --workers N                 Number of worker processes\n"));
        assert!(text.contains("--limit-request-field_size BYTES"));
        assert!(!text.contains("--dirty-app") && !text.contains("--asgi-loop"));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMN + 72), "too wide");
    }
}
