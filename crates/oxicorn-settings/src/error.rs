//! The operator's fault, as one line that says what to do.

use std::borrow::Cow;
use std::fmt;

use crate::layers::Origin;

/// Why the settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// An option could mean several.
    Ambiguous {
        /// What was written.
        flag: String,
        /// What it could mean.
        candidates: Vec<&'static str>,
        /// Where.
        origin: Origin,
    },
    /// Something beside options and the application.
    Extra {
        /// What was written.
        argument: String,
        /// Where.
        origin: Origin,
    },
    /// A setting that only a file can hold.
    FileOnly {
        /// Its name.
        name: &'static str,
        /// Where it was set instead.
        origin: Origin,
    },
    /// A value that does not fit its setting.
    Invalid {
        /// The setting.
        name: &'static str,
        /// What was written.
        value: String,
        /// What should have been.
        expected: Cow<'static, str>,
        /// Where.
        origin: Origin,
    },
    /// An option without its value.
    MissingValue {
        /// The option.
        flag: &'static str,
        /// What stands for the value in the help.
        meta: &'static str,
        /// Where.
        origin: Origin,
    },
    /// A value for an option that takes none.
    NeedlessValue {
        /// The option.
        flag: &'static str,
        /// What was written.
        value: String,
        /// Where.
        origin: Origin,
    },
    /// A variable of options that ends inside quotes.
    OpenQuote {
        /// The variable.
        origin: Origin,
    },
    /// No option of that name.
    Unknown {
        /// What was written.
        flag: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
        /// Where.
        origin: Origin,
    },
    /// A setting that this version does not have.
    Unsupported {
        /// Its option or name.
        name: &'static str,
        /// What to do.
        advice: &'static str,
        /// Where.
        origin: Origin,
    },
}

impl SettingError {
    /// Where the mistake is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Ambiguous { origin, .. }
            | Self::Extra { origin, .. }
            | Self::FileOnly { origin, .. }
            | Self::Invalid { origin, .. }
            | Self::MissingValue { origin, .. }
            | Self::NeedlessValue { origin, .. }
            | Self::OpenQuote { origin }
            | Self::Unknown { origin, .. }
            | Self::Unsupported { origin, .. } => origin,
        }
    }

    /// The exit code: 2 for a command line (or a variable that extends it), else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.origin() {
            Origin::CommandLine(_) | Origin::Arguments(_) => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous { flag, candidates, origin } => {
                let candidates = candidates.join(", ");
                write!(f, "option `{flag}` could mean {candidates}{}", InVariable(origin))
            }
            Self::Extra { argument, origin } => {
                write!(f, "unexpected argument `{argument}`{}", InVariable(origin))?;
                f.write_str("; usage: oxicorn [options] module:app")
            }
            Self::FileOnly { name, origin } => {
                write!(f, "{name}: can be set in a settings file only ({origin})")
            }
            Self::Invalid { name, value, expected, origin } => {
                write!(f, "{name}: expected {expected}, got `{value}` ({origin})")
            }
            Self::MissingValue { flag, meta, origin } => {
                write!(f, "option `{flag}` needs a value: {flag} {meta}{}", InVariable(origin))
            }
            Self::NeedlessValue { flag, value, origin } => {
                write!(f, "option `{flag}` takes no value, got `{value}`{}", InVariable(origin))
            }
            Self::OpenQuote { origin } => write!(f, "a quote is not closed ({origin})"),
            Self::Unknown { flag, nearest, origin } => {
                write!(f, "unknown option `{flag}`{}", InVariable(origin))?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => f.write_str("; `oxicorn --help` lists them"),
                }
            }
            Self::Unsupported { name, advice, origin } => {
                write!(f, "{name}: not supported by this version of oxicorn; {advice} ({origin})")
            }
        }
    }
}

impl std::error::Error for SettingError {}

/// The origin, unless it is the command line that the operator has before their eyes.
struct InVariable<'a>(&'a Origin);

impl fmt::Display for InVariable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Origin::CommandLine(_) => Ok(()),
            origin => write!(f, " ({origin})"),
        }
    }
}
