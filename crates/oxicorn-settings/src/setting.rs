//! The shape of an entry of the table: plain data, read by the command line, the layers and the
//! reference alike.

use crate::settings::Settings;
use crate::value::{Unfit, Value};

/// One setting: everything that any part of oxicorn knows about it.
#[derive(Debug)]
pub struct Setting {
    /// The name in configuration files; gunicorn's where gunicorn has the setting.
    pub name: &'static str,
    /// The part of the reference it stands in.
    pub section: Section,
    /// Its options on the command line; none if it can be set in a file only.
    pub flags: &'static [&'static str],
    /// What stands for the value in the help; empty for options without one.
    pub meta: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The value of a setting that nobody set, as text that `kind` parses.
    pub default: &'static str,
    /// One line for the help: at most 72 columns, no full stop.
    pub short: &'static str,
    /// When and why to change it; for the reference.
    pub long: &'static str,
    /// Whether this version does what it asks for.
    pub support: Support,
    /// Stores the value in its field.
    pub apply: fn(&mut Settings, Value) -> Result<(), Unfit>,
}

/// Whether this version of oxicorn does what a setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Works,
    /// Accepted; a value other than the default has no effect and is warned about, with this advice.
    WarnIgnored(&'static str),
    /// Any value other than the default stops the start, with this advice.
    Rejected(&'static str),
}

/// What the values of a setting are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Listening addresses.
    Addresses,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// One of a few words; the bare option means the second field.
    ChoiceOrBare(&'static [&'static str], &'static str),
    /// Yes or no; the option takes no value and sets the one given here.
    Flag(bool),
    /// The keys of a group, as a dictionary.
    Group,
    /// A callable of the configuration file, called with these arguments.
    Hook(&'static [&'static str]),
    /// A whole number.
    Integer {
        /// The least allowed.
        min: u64,
        /// The greatest allowed.
        max: u64,
    },
    /// Any number of texts; the option can be repeated, a text is split at commas.
    List,
    /// A file mode: octal with a leading zero.
    Mode,
    /// Names in upper case, separated by commas.
    Names,
    /// Networks of trusted peers, or `*`.
    Networks,
    /// Any Python object; only that it is set is known here.
    Object,
    /// Pairs of names and texts.
    Pairs,
    /// Seconds, whole or decimal.
    Seconds,
    /// Yes or no; the option takes the value.
    Switch,
    /// Text; empty means unset.
    Text,
    /// Text that may be empty.
    TextOrEmpty,
    /// How a worker runs the application.
    WorkerClass,
}

impl Kind {
    /// Whether the option on the command line stands alone.
    #[must_use]
    pub fn is_bare(self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// Whether a repeated option adds to the value instead of replacing it.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::Addresses | Self::List)
    }

    /// Whether a settings file says by `None` that the default is meant; other kinds have a value
    /// of their own for it, or take it for a mistake.
    #[must_use]
    pub(crate) fn none_is_default(self) -> bool {
        match self {
            Self::Addresses
            | Self::Choice(_)
            | Self::ChoiceOrBare(..)
            | Self::Flag(_)
            | Self::Object
            | Self::Switch
            | Self::WorkerClass => true,
            Self::Group
            | Self::Hook(_)
            | Self::Integer { .. }
            | Self::List
            | Self::Mode
            | Self::Names
            | Self::Networks
            | Self::Pairs
            | Self::Seconds
            | Self::Text
            | Self::TextOrEmpty => false,
        }
    }
}

/// A part of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the titles say it")]
pub enum Section {
    ConfigFile,
    ServerSocket,
    WorkerProcesses,
    Buffering,
    Limits,
    Proxies,
    Logging,
    ServerMechanics,
    ServerHooks,
    Debugging,
    Http,
    Tls,
    Elsewhere,
}

impl Section {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 13] = [
        Self::ConfigFile,
        Self::ServerSocket,
        Self::WorkerProcesses,
        Self::Buffering,
        Self::Limits,
        Self::Proxies,
        Self::Logging,
        Self::ServerMechanics,
        Self::ServerHooks,
        Self::Debugging,
        Self::Http,
        Self::Tls,
        Self::Elsewhere,
    ];

    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ConfigFile => "Configuration and application",
            Self::ServerSocket => "Server socket",
            Self::WorkerProcesses => "Worker processes",
            Self::Buffering => "Buffering and slow clients",
            Self::Limits => "Limits of requests",
            Self::Proxies => "Behind a proxy",
            Self::Logging => "Logging",
            Self::ServerMechanics => "Server mechanics",
            Self::ServerHooks => "Server hooks",
            Self::Debugging => "Debugging",
            Self::Http => "HTTP details",
            Self::Tls => "TLS",
            Self::Elsewhere => "Known from gunicorn, not part of oxicorn",
        }
    }
}
