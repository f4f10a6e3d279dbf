//! What shells complete, for bash, zsh and fish.

use std::fmt::Write;

use crate::cli::{ACTIONS, COMPLETIONS, SHELL, Shell};
use crate::setting::{Kind, Setting, Support};
use crate::table;
use crate::value::WorkerClass;

/// What makes a shell complete the command line: a script to be read by it.
#[must_use]
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Fish => fish(),
        Shell::Zsh => zsh(),
    }
}

/// One option as shells know it.
struct Opt {
    flags: Vec<&'static str>,
    meta: &'static str,
    about: &'static str,
    takes: Takes,
    repeats: bool,
}

/// What may stand after an option.
enum Takes {
    Nothing,
    Anything,
    Directory,
    File,
    OneOf(Vec<&'static str>),
}

/// All options that have an effect.
fn options() -> impl Iterator<Item = Opt> {
    let action = |flags: &[&'static str], about| Opt {
        flags: flags.to_vec(),
        meta: "",
        about,
        takes: Takes::Nothing,
        repeats: false,
    };
    let shells = Opt {
        meta: SHELL,
        takes: Takes::OneOf(Shell::ALL.map(|(name, _)| name).to_vec()),
        ..action(&[COMPLETIONS], "Print the completions of a shell")
    };
    let first = [
        action(&["-h", "--help"], "Show the help"),
        action(&["--man"], "Print the manual page"),
        action(&["-v", "--version"], "Show the version"),
        shells,
    ];
    debug_assert_eq!(
        first.iter().map(|option| option.flags.len()).sum::<usize>(),
        ACTIONS.len() + 1
    );
    let works = |setting: &&Setting| setting.support == Support::Works && !setting.flags.is_empty();
    let settings = table::settings().filter(works).map(|setting| Opt {
        flags: setting.flags.to_vec(),
        meta: setting.meta,
        about: setting.short,
        takes: takes(setting),
        repeats: setting.kind.is_repeatable(),
    });
    first.into_iter().chain(settings)
}

fn takes(setting: &Setting) -> Takes {
    match (setting.kind, setting.meta) {
        (Kind::Flag(_), _) => Takes::Nothing,
        (Kind::Choice(words) | Kind::ChoiceOrBare(words, _), _) => Takes::OneOf(words.to_vec()),
        (Kind::Switch, _) => Takes::OneOf(vec!["on", "off"]),
        (Kind::WorkerClass, _) => Takes::OneOf(WorkerClass::ALL.map(WorkerClass::name).to_vec()),
        (_, "FILE") => Takes::File,
        (_, "DIR" | "PATH" | "DIRS") => Takes::Directory,
        _ => Takes::Anything,
    }
}

fn bash() -> String {
    let mut text = String::from(
        "# Completions of oxicorn for bash: source <(oxicorn --completions bash)\n\
         _oxicorn() {\n\
         \x20   local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n\
         \x20   # Bash splits `--option=value` at the sign.\n\
         \x20   [[ $word == = ]] && word=\n\
         \x20   [[ $option == = ]] && option=${COMP_WORDS[COMP_CWORD - 2]}\n\
         \x20   local words=() option_words=(",
    );
    let all = options().flat_map(|option| option.flags).collect::<Vec<_>>();
    for flag in &all {
        let _ = write!(text, "\n        {flag}");
    }
    text.push_str("\n    )\n    COMPREPLY=()\n    case $option in\n");
    let mut case = |flags: Vec<&str>, action: &str| {
        if !flags.is_empty() {
            let _ = writeln!(text, "    {}) {action} ;;", flags.join(" | "));
        }
    };
    let (mut files, mut directories, mut anything) = (Vec::new(), Vec::new(), Vec::new());
    for option in options() {
        match option.takes {
            Takes::Nothing => {}
            Takes::Anything => anything.extend(option.flags),
            Takes::Directory => directories.extend(option.flags),
            Takes::File => files.extend(option.flags),
            Takes::OneOf(words) => case(option.flags, &format!("words=({})", words.join(" "))),
        }
    }
    case(files, "mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return");
    case(directories, "mapfile -t COMPREPLY < <(compgen -d -- \"$word\"); return");
    case(anything, "return");
    text.push_str(
        "    *)\n\
         \x20       if [[ $word == -* ]]; then\n\
         \x20           words=(\"${option_words[@]}\")\n\
         \x20       else\n\
         \x20           # The application is in a module, most likely in one of this directory.\n\
         \x20           mapfile -t words < <(compgen -f -X '!*.py' -- \"$word\")\n\
         \x20           words=(\"${words[@]%.py}\")\n\
         \x20       fi\n\
         \x20       ;;\n\
         \x20   esac\n\
         \x20   mapfile -t COMPREPLY < <(compgen -W \"${words[*]}\" -- \"$word\")\n\
         }\n\
         complete -o filenames -F _oxicorn oxicorn\n",
    );
    text
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef oxicorn\n\
         # Completions of oxicorn for zsh: a file `_oxicorn` in a directory of $fpath.\n\
         _arguments -s -S \\\n",
    );
    for option in options() {
        let about = quoted(option.about, &['[', ']', ':', '\\']);
        let argument = match &option.takes {
            Takes::Nothing => String::new(),
            Takes::Anything => format!(":{}: ", quoted(option.meta, &[':'])),
            Takes::Directory => format!(":{}:_files -/", quoted(option.meta, &[':'])),
            Takes::File => format!(":{}:_files", quoted(option.meta, &[':'])),
            Takes::OneOf(words) => {
                format!(":{}:({})", quoted(option.meta, &[':']), words.join(" "))
            }
        };
        let others = if option.repeats { "*".to_owned() } else { excluded(&option.flags) };
        for flag in &option.flags {
            // A long option may have its value after a sign, a letter directly.
            let joint = match (&option.takes, flag.starts_with("--")) {
                (Takes::Nothing, _) => "",
                (_, true) => "=",
                (_, false) => "+",
            };
            let _ = writeln!(text, "  '{others}{flag}{joint}[{about}]{argument}' \\");
        }
    }
    text.push_str("  '1:module\\:app:_files -g \"*.py(:r)\"'\n");
    text
}

/// An option is not offered again when one of its spellings is there.
fn excluded(flags: &[&str]) -> String {
    format!("({})", flags.join(" "))
}

/// Text in a single-quoted word in which these characters have a meaning.
fn quoted(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\'' => out.push_str("'\\''"),
            c if special.contains(&c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn fish() -> String {
    let mut text = String::from(
        "# Completions of oxicorn for fish: a file oxicorn.fish in ~/.config/fish/completions.\n\
         complete -c oxicorn -f\n\
         complete -c oxicorn -a '(for file in *.py; string match -r \".+(?=[.]py)\" -- $file; end)'\n\n",
    );
    for option in options() {
        text.push_str("complete -c oxicorn");
        for flag in &option.flags {
            let _ = match flag.strip_prefix("--") {
                Some(long) => write!(text, " -l {long}"),
                None => write!(text, " -s {}", flag.trim_start_matches('-')),
            };
        }
        let about = option.about.replace('\\', "\\\\").replace('\'', "\\'");
        let _ = match option.takes {
            Takes::Nothing => write!(text, ""),
            Takes::Anything => write!(text, " -x"),
            Takes::Directory => write!(text, " -x -a '(__fish_complete_directories)'"),
            Takes::File => write!(text, " -r -F"),
            Takes::OneOf(words) => write!(text, " -x -a '{}'", words.join(" ")),
        };
        let _ = writeln!(text, " -d '{about}'");
    }
    text
}
