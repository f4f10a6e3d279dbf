//! The manual page.

use std::fmt::Write;

use crate::setting::{Kind, Section, Setting, Support};
use crate::table;

/// The manual page, as the source that `man` reads.
#[must_use]
pub fn man() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".TH OXICORN 1 \"\" \"oxicorn {version}\" \"User Commands\"\n\
         .SH NAME\noxicorn \\- serve a WSGI application\n\
         .SH SYNOPSIS\n.B oxicorn\n[\\fIoptions\\fR] [\\fImodule:app\\fR]\n\
         .SH DESCRIPTION\n"
    );
    prose(&mut text, DESCRIPTION);
    text.push_str(".SH OPTIONS\n");
    item(&mut text, "\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show a summary of the options.");
    item(&mut text, "\\fB\\-v\\fR, \\fB\\-\\-version\\fR", "Show the version.");
    item(&mut text, "\\fB\\-\\-man\\fR", "Print this page; `oxicorn --man | man -l -` shows it.");
    let completions = "Print what makes a shell (bash, zsh or fish) complete these options.";
    item(&mut text, "\\fB\\-\\-completions\\fR \\fISHELL\\fR", completions);
    for section in Section::ALL {
        let is_shown = |setting: &&Setting| {
            setting.section == section
                && setting.support == Support::Works
                && !setting.flags.is_empty()
        };
        let mut settings = table::settings().filter(is_shown).peekable();
        if settings.peek().is_none() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, ".SS \"{}\"", escaped(section.title()));
        for setting in settings {
            option(&mut text, setting);
        }
    }
    text.push_str(".SH \"IN A SETTINGS FILE ONLY\"\n");
    let is_shown =
        |setting: &&Setting| setting.support == Support::Works && setting.flags.is_empty();
    for setting in table::settings().filter(is_shown) {
        let name = format!("\\fB{}\\fR", escaped(setting.name));
        let tag = match setting.kind {
            Kind::Hook(arguments) => format!("{name}({})", arguments.join(", ")),
            _ => name,
        };
        item(&mut text, &tag, &body(setting));
    }
    for (title, content) in CLOSING {
        let _ = writeln!(text, ".SH \"{title}\"");
        prose(&mut text, content);
    }
    text
}

fn option(text: &mut String, setting: &Setting) {
    let flags: Vec<_> =
        setting.flags.iter().map(|flag| format!("\\fB{}\\fR", escaped(flag))).collect();
    let mut tag = flags.join(", ");
    if !setting.meta.is_empty() {
        let _ = write!(tag, " \\fI{}\\fR", escaped(setting.meta));
    }
    item(text, &tag, &body(setting));
}

/// What is said about a setting: both texts, its name in files, and its default.
fn body(setting: &Setting) -> String {
    let Setting { name, short, long, default, .. } = setting;
    let mut body = format!("{short}. {long}");
    if !setting.flags.is_empty() {
        let _ = write!(body, " In a file: `{name}`.");
    }
    if !default.is_empty() && !matches!(setting.kind, Kind::Flag(_) | Kind::Hook(_)) {
        let _ = write!(body, " Default: `{default}`.");
    }
    body
}

fn item(text: &mut String, tag: &str, body: &str) {
    let _ = writeln!(text, ".TP\n{tag}");
    prose(text, body);
}

/// A paragraph; what stands between backticks becomes bold.
fn prose(text: &mut String, paragraph: &str) {
    for (at, part) in paragraph.split('`').enumerate() {
        let part = escaped(part);
        let _ = match at % 2 {
            0 => write!(text, "{part}"),
            _ => write!(text, "\\fB{part}\\fR"),
        };
    }
    text.push('\n');
}

/// Text that means itself: no line of it is a request, no hyphen is set as a dash.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let text = text.replace('…', "...");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

const DESCRIPTION: &str = "The master process binds the sockets and forks workers, which import \
    the application and serve it. The application is `module:name`, or a call such as \
    `module:create_app(\"production\")`; without a name, `application` and then `app` are tried.";

const CLOSING: [(&str, &str); 5] = [
    (
        "FILES",
        "`oxicorn.conf.py`, `gunicorn.conf.py`, `oxicorn.toml` or the table `tool.oxicorn` of \
         `pyproject.toml`: the first of them that is in the current directory is read, unless \
         `--config` names another.",
    ),
    (
        "ENVIRONMENT",
        "`OXICORN_CMD_ARGS` and `GUNICORN_CMD_ARGS` hold more options. Every setting can be given \
         as `OXICORN_` and its name in capitals, such as `OXICORN_WORKERS=4`. `PORT`, \
         `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS` and `SENDFILE` change defaults; \
         `SCRIPT_NAME` is a prefix of all paths. \
         `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `LISTEN_PID` and `LISTEN_FDS` are those of systemd.",
    ),
    (
        "SIGNALS",
        "`HUP` reads the settings again and replaces the workers. `TERM` stops when open requests \
         are finished, `INT` and `QUIT` at once. `TTIN` and `TTOU` add and remove a worker, \
         `USR1` opens the logs again, `USR2` starts the program anew on the same sockets, `WINCH` \
         lets the workers of a daemon go.",
    ),
    (
        "EXIT STATUS",
        "0 after a normal end; 1 for a wrong setting or when an address cannot be had; 2 for a \
         wrong command line; 3 and 4 if the application cannot be loaded.",
    ),
    ("SEE ALSO", "`oxicorn --print-config` shows every setting with the place that decided it."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_text_or_a_known_request() {
        for line in man().lines() {
            let request = line.split(' ').next().unwrap_or_default();
            let is_known = matches!(request, ".TH" | ".SH" | ".SS" | ".TP" | ".B");
            assert!(is_known || !line.starts_with(['.', '\'']), "{line}");
            assert!(line.matches("\\fB").count() <= line.matches("\\fR").count(), "{line}");
        }
    }

    #[test]
    fn settings_are_there_by_flag_and_by_name() {
        let page = man();
        assert!(page.contains("\\fB\\-w\\fR, \\fB\\-\\-workers\\fR \\fIN\\fR\n"));
        assert!(page.contains("\\fBpost_fork\\fR(server, worker)\n"));
        assert!(!page.contains("dirty"));
    }
}
