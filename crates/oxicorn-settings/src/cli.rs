//! The command line: argv in, values with their options out, straight from the table.
//!
//! The rules are those that gunicorn's users know: `--flag value`, `--flag=value`, `-w4`, `-w 4`,
//! a long option may be cut short while it stays unique, `--` ends the options.

use std::borrow::Cow;

use crate::error::SettingError;
use crate::layers::{Environment, Origin};
use crate::nearest;
use crate::setting::{Kind, Setting};
use crate::table;
use crate::value::Raw;

/// The variables that extend the command line, weakest first.
pub(crate) const VARIABLES: [&str; 2] = ["GUNICORN_CMD_ARGS", "OXICORN_CMD_ARGS"];

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Print what makes a shell complete the command line.
    Completions(Shell),
    /// Print the help.
    Help,
    /// Print the manual page.
    Man,
    /// Serve (or check).
    #[default]
    Serve,
    /// Print the version.
    Version,
}

/// A shell that can complete a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl Shell {
    /// All of them by name.
    pub(crate) const ALL: [(&str, Self); 3] =
        [("bash", Self::Bash), ("fish", Self::Fish), ("zsh", Self::Zsh)];
}

/// One setting, set by options.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) setting: &'static Setting,
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// A command line that was understood.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// What it asks for.
    pub action: Action,
    given: Vec<Given>,
}

impl Arguments {
    /// Reads `argv` (without the program's name), and the variables of options.
    ///
    /// # Errors
    ///
    /// An option that is unknown, ambiguous, or used wrongly. Values are judged later.
    pub fn parse(argv: &[String], environment: &Environment) -> Result<Self, SettingError> {
        let mut arguments = Self::default();
        for variable in VARIABLES {
            let origin = Origin::Arguments(variable);
            let text = environment.iter().find(|(name, _)| name == variable);
            let words = match text {
                Some((_, text)) => split(text).ok_or(SettingError::OpenQuote { origin })?,
                None => continue,
            };
            let layer = Parser { from: Some(variable), ..Parser::default() }.run(&words)?;
            arguments.merge(layer.given);
        }
        let layer = Parser::default().run(argv)?;
        arguments.action = layer.action;
        arguments.merge(layer.given);
        Ok(arguments)
    }

    /// The settings file: of the options, or else of `OXICORN_CONFIG`.
    #[must_use]
    pub fn config<'a>(&'a self, environment: &'a Environment) -> Option<&'a str> {
        let given = self.given.iter().find(|given| given.setting.name == "config");
        match given {
            Some(Given { raw: Raw::Text(path), .. }) => Some(path.as_str()),
            _ => environment
                .iter()
                .find(|(name, text)| name == "OXICORN_CONFIG" && !text.is_empty())
                .map(|(_, text)| text.as_str()),
        }
    }

    /// Each setting that is given: its name, what was written, and where.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Raw, &Origin)> {
        self.given.iter().map(|given| (given.setting.name, &given.raw, &given.origin))
    }

    pub(crate) fn find(&self, setting: &Setting) -> Option<&Given> {
        self.given.iter().find(|given| given.setting.name == setting.name)
    }

    /// A later layer replaces what an earlier one gave.
    fn merge(&mut self, layer: Vec<Given>) {
        for given in layer {
            self.given.retain(|earlier| earlier.setting.name != given.setting.name);
            self.given.push(given);
        }
    }
}

/// Reads one list of words.
#[derive(Default)]
struct Parser {
    /// The variable that the words come from; `None` for the command line itself.
    from: Option<&'static str>,
    action: Action,
    given: Vec<Given>,
    has_application: bool,
}

/// What an option stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Action(Action),
    /// `--completions`, whose value is a shell.
    Completions,
    Setting(&'static Setting),
}

pub(crate) const ACTIONS: [(&str, Action); 5] = [
    ("-h", Action::Help),
    ("--help", Action::Help),
    ("--man", Action::Man),
    ("-v", Action::Version),
    ("--version", Action::Version),
];

pub(crate) const COMPLETIONS: &str = "--completions";
pub(crate) const SHELL: &str = "SHELL";

impl Parser {
    fn run(mut self, words: &[String]) -> Result<Self, SettingError> {
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                for word in words.by_ref() {
                    self.application(word)?;
                }
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                let (flag, meaning) = self.long(name)?;
                self.option(flag, meaning, value, &mut words)?;
            } else if is_option(word) {
                self.short(&word[1..], &mut words)?;
            } else {
                self.application(word)?;
            }
        }
        Ok(self)
    }

    fn origin(&self, flag: &'static str) -> Origin {
        match self.from {
            Some(variable) => Origin::Arguments(variable),
            None => Origin::CommandLine(flag),
        }
    }

    /// The application's name; in a variable it has no meaning, as in gunicorn.
    fn application(&mut self, word: &str) -> Result<(), SettingError> {
        if self.from.is_some() {
            return Ok(());
        }
        if self.has_application {
            let (argument, origin) = (word.to_owned(), self.origin(""));
            return Err(SettingError::Extra { argument, origin });
        }
        self.has_application = true;
        if let Some(setting) = table::find("wsgi_app") {
            self.store(setting, "", Raw::text(word));
        }
        Ok(())
    }

    /// One or more one-letter options in a word; `rest` is what follows the dash.
    fn short<'a>(
        &mut self,
        mut rest: &'a str,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) -> Result<(), SettingError> {
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            let written = format!("-{letter}");
            let Some((flag, meaning)) = flags().find(|(flag, _)| *flag == written) else {
                return Err(self.unknown(written));
            };
            let takes_value = matches!(meaning, Meaning::Setting(s) if !s.kind.is_bare());
            if takes_value || rest.starts_with('=') {
                let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
                return self.option(flag, meaning, value, words);
            }
            self.option(flag, meaning, None, words)?;
        }
        Ok(())
    }

    /// The option of this name, or the only one that begins so.
    fn long(&self, name: &str) -> Result<(&'static str, Meaning), SettingError> {
        let written = format!("--{name}");
        if let Some(exact) = flags().find(|(flag, _)| *flag == written) {
            return Ok(exact);
        }
        let mut candidates: Vec<_> =
            flags().filter(|(flag, _)| flag.starts_with(&written)).collect();
        // `--p` never means two spellings of one setting.
        candidates.dedup_by_key(|(_, meaning)| match meaning {
            Meaning::Setting(setting) => setting.name,
            Meaning::Action(_) | Meaning::Completions => "",
        });
        if candidates.len() > 1 {
            // What is unique among gunicorn's options stays so beside ours.
            let theirs = |meaning| matches!(meaning, Meaning::Setting(s) if table::is_gunicorns(s));
            let mut known = candidates.iter().filter(|(_, meaning)| theirs(*meaning));
            if let (Some(only), None) = (known.next(), known.next()) {
                return Ok(*only);
            }
        }
        match candidates.as_slice() {
            [only] => Ok(*only),
            [] => Err(self.unknown(written)),
            several => Err(SettingError::Ambiguous {
                flag: written,
                candidates: several.iter().map(|(flag, _)| *flag).collect(),
                origin: self.origin(""),
            }),
        }
    }

    fn unknown(&self, flag: String) -> SettingError {
        let nearest = flags()
            .map(|(candidate, _)| (nearest::distance(&flag, candidate), candidate))
            .min()
            .filter(|(distance, _)| nearest::is_close(&flag, *distance));
        let nearest = nearest.map(|(_, candidate)| candidate);
        SettingError::Unknown { flag, nearest, origin: self.origin("") }
    }

    fn option<'a>(
        &mut self,
        flag: &'static str,
        meaning: Meaning,
        value: Option<&'a str>,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) -> Result<(), SettingError> {
        let setting = match (meaning, value) {
            (Meaning::Completions, value) => {
                let value = value.or_else(|| words.next_if(|word| !is_option(word)));
                return self.completions(flag, value);
            }
            (Meaning::Setting(setting), _) if !setting.kind.is_bare() => setting,
            (Meaning::Action(_) | Meaning::Setting(_), Some(value)) => {
                let (value, origin) = (value.to_owned(), self.origin(flag));
                return Err(SettingError::NeedlessValue { flag, value, origin });
            }
            (Meaning::Action(action), None) => {
                self.act(action);
                return Ok(());
            }
            (Meaning::Setting(setting), None) => {
                self.store(setting, flag, Raw::Flag(setting.kind == Kind::Flag(true)));
                return Ok(());
            }
        };
        let value = match (value, setting.kind) {
            (Some(value), _) => value,
            (None, Kind::ChoiceOrBare(choices, bare)) => {
                words.next_if(|word| choices.contains(word)).unwrap_or(bare)
            }
            (None, _) => match words.next_if(|word| !is_option(word)) {
                Some(value) => value,
                None => {
                    let origin = self.origin(flag);
                    return Err(SettingError::MissingValue { flag, meta: setting.meta, origin });
                }
            },
        };
        self.store(setting, flag, Raw::text(value));
        Ok(())
    }

    fn completions(&mut self, flag: &'static str, value: Option<&str>) -> Result<(), SettingError> {
        let origin = self.origin(flag);
        let Some(value) = value else {
            return Err(SettingError::MissingValue { flag, meta: SHELL, origin });
        };
        let Some((_, shell)) = Shell::ALL.into_iter().find(|(name, _)| *name == value) else {
            let (name, value) = ("completions", value.to_owned());
            let expected = Cow::Borrowed("bash, zsh or fish");
            return Err(SettingError::Invalid { name, value, expected, origin });
        };
        self.act(Action::Completions(shell));
        Ok(())
    }

    /// The first of help and version wins, as the one who asked for it sees it first.
    fn act(&mut self, action: Action) {
        if self.action == Action::Serve && self.from.is_none() {
            self.action = action;
        }
    }

    fn store(&mut self, setting: &'static Setting, flag: &'static str, raw: Raw) {
        let origin = self.origin(flag);
        let earlier = self.given.iter_mut().find(|given| given.setting.name == setting.name);
        let raw = match (setting.kind.is_repeatable(), raw) {
            (true, Raw::Text(text)) if setting.kind == Kind::Addresses => {
                Raw::List(text.split(',').map(str::to_owned).collect())
            }
            (true, Raw::Text(text)) => Raw::List(vec![text]),
            (_, raw) => raw,
        };
        match (earlier, raw) {
            (Some(Given { raw: Raw::List(items), .. }), Raw::List(more)) => items.extend(more),
            (Some(given), raw) => *given = Given { setting, raw, origin },
            (None, raw) => self.given.push(Given { setting, raw, origin }),
        }
    }
}

fn flags() -> impl Iterator<Item = (&'static str, Meaning)> {
    let actions = ACTIONS.into_iter().map(|(flag, action)| (flag, Meaning::Action(action)));
    let actions = actions.chain([(COMPLETIONS, Meaning::Completions)]);
    actions.chain(table::settings().flat_map(|setting| {
        setting.flags.iter().map(move |flag| (*flag, Meaning::Setting(setting)))
    }))
}

/// Whether a word is an option and not a value: `-` is stdout, `-1` a number.
fn is_option(word: &str) -> bool {
    match word.strip_prefix('-') {
        None | Some("") => false,
        Some(rest) => !rest.contains(' ') && rest.parse::<f64>().is_err(),
    }
}

/// Splits a variable into words as a shell does: quotes and backslashes, no expansion.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
