//! From what was written to typed values: parse once, here, and never doubt a value again.
//!
//! What was written comes as [`Raw`]: text from the command line and the environment, or the
//! objects of a configuration file in the few shapes that matter. A [`Kind`](crate::Kind) makes it a
//! [`Value`]: see [`parse`].

mod parse;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::bind::BindAddress;
use crate::network::Networks;

/// What was written, before anyone knows what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Python's `None`.
    Nothing,
    /// `True` or `False`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list (or tuple) of texts.
    List(Vec<String>),
    /// A dictionary of texts.
    Pairs(Vec<(String, String)>),
    /// A dictionary of anything.
    Table(Vec<(String, Self)>),
    /// Something that can be called; the text names it.
    Callable(String),
    /// Any other object; the text shows it.
    Object(String),
}

impl Raw {
    /// Text, from anything that is text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("None"),
            Self::Flag(true) => f.write_str("True"),
            Self::Flag(false) => f.write_str("False"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) | Self::Callable(text) | Self::Object(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Pairs(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
                f.write_str(&pairs.join(","))
            }
            Self::Table(_) => write_literal(f, self),
        }
    }
}

/// How a worker runs the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerClass {
    /// gunicorn's `sync`: the application runs in as many threads as `threads` says, by default one.
    #[default]
    Sync,
    /// gunicorn's `gthread`: the same engine.
    Thread,
    /// Greenlets on gevent's hub.
    Gevent,
    /// The same with gevent-websocket's objects for WebSockets in environ.
    GeventWebSocket,
    /// Tornado's loop, on its thread or on `threads` beside it.
    Tornado,
    /// Green threads on eventlet's hub.
    Eventlet,
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Listening addresses.
    Addresses(Vec<BindAddress>),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(u64),
    /// Texts.
    List(Vec<String>),
    /// Networks.
    Networks(Networks),
    /// A hook or other Python object is set; the text shows it.
    Object(String),
    /// Pairs of names and texts.
    Pairs(Vec<(String, String)>),
    /// The keys of a group.
    Table(Vec<(String, Raw)>),
    /// A length of time.
    Seconds(Duration),
    /// Text.
    Text(String),
    /// Not set.
    Unset,
    /// How a worker runs the application.
    WorkerClass(WorkerClass),
}

/// Why a value does not fit: what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub Cow<'static, str>);

impl From<&'static str> for Unfit {
    fn from(expected: &'static str) -> Self {
        Self(Cow::Borrowed(expected))
    }
}

/// An accessor for each variant: a value of another variant is [`Unfit`].
macro_rules! accessors {
    ($($name:ident: $variant:ident => $type:ty, $expected:literal;)*) => {
        impl Value {
            $(
                #[doc = concat!("The value as ", $expected, ".")]
                ///
                /// # Errors
                ///
                /// [`Unfit`] if it is none.
                pub fn $name(self) -> Result<$type, Unfit> {
                    match self {
                        Self::$variant(inner) => Ok(inner),
                        _ => Err(Unfit::from($expected)),
                    }
                }
            )*
        }
    };
}

accessors! {
    addresses: Addresses => Vec<BindAddress>, "addresses";
    flag: Flag => bool, "true or false";
    integer: Integer => u64, "a number";
    list: List => Vec<String>, "a list of texts";
    networks: Networks => Networks, "networks";
    pairs: Pairs => Vec<(String, String)>, "a dictionary of texts";
    seconds: Seconds => Duration, "seconds";
    text: Text => String, "text";
    worker_class: WorkerClass => WorkerClass, "a worker class";
}

impl Value {
    /// The value as text that may be unset.
    ///
    /// # Errors
    ///
    /// [`Unfit`] if it is neither.
    pub fn optional_text(self) -> Result<Option<String>, Unfit> {
        match self {
            Self::Unset => Ok(None),
            value => value.text().map(Some),
        }
    }

    /// The value as a number that fits a smaller type.
    ///
    /// # Errors
    ///
    /// [`Unfit`] if it is no number, or too large.
    pub fn number<T: TryFrom<u64>>(self) -> Result<T, Unfit> {
        T::try_from(self.integer()?).map_err(|_| Unfit::from("a smaller number"))
    }
}

/// As Python would write it, for `--print-config`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(addresses) => {
                let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write_list(f, &texts)
            }
            Self::Flag(true) => f.write_str("True"),
            Self::Flag(false) => f.write_str("False"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::List(items) => write_list(f, items),
            Self::Networks(networks) => write_text(f, &networks.to_string()),
            Self::Object(text) => f.write_str(text),
            Self::Pairs(pairs) => write_literal(f, &Raw::Pairs(pairs.clone())),
            Self::Seconds(duration) => write!(f, "{}", duration.as_secs_f64()),
            Self::Table(rows) => write_rows(f, rows),
            Self::Text(text) => write_text(f, text),
            Self::Unset => f.write_str("None"),
            Self::WorkerClass(class) => write_text(f, class.name()),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[String]) -> fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        write_text(f, item)?;
    }
    f.write_str("]")
}

/// What was written, as Python would write it.
fn write_literal(f: &mut fmt::Formatter<'_>, raw: &Raw) -> fmt::Result {
    match raw {
        Raw::Text(text) => write_text(f, text),
        Raw::List(items) => write_list(f, items),
        Raw::Table(rows) => write_rows(f, rows),
        Raw::Pairs(pairs) => {
            let rows = pairs.iter().map(|(name, text)| (name.clone(), Raw::text(text)));
            write_rows(f, &rows.collect::<Vec<_>>())
        }
        raw => write!(f, "{raw}"),
    }
}

fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[(String, Raw)]) -> fmt::Result {
    f.write_str("{")?;
    for (i, (name, raw)) in rows.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        write_text(f, name)?;
        f.write_str(": ")?;
        write_literal(f, raw)?;
    }
    f.write_str("}")
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in text.chars() {
        match c {
            '\'' => f.write_str("\\'")?,
            '\\' => f.write_str("\\\\")?,
            c if c.is_control() => write!(f, "{}", c.escape_default())?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("'")
}

impl WorkerClass {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Sync,
        Self::Thread,
        Self::Gevent,
        Self::GeventWebSocket,
        Self::Tornado,
        Self::Eventlet,
    ];

    /// Whether requests run in greenlets on gevent's hub.
    #[must_use]
    pub fn is_gevent(self) -> bool {
        matches!(self, Self::Gevent | Self::GeventWebSocket)
    }

    /// The name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Thread => "gthread",
            Self::Gevent => "gevent",
            Self::GeventWebSocket => "geventwebsocket",
            Self::Tornado => "tornado",
            Self::Eventlet => "eventlet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_text_can_be_read_by_python() {
        assert_eq!(Value::Text("it's\n\\".into()).to_string(), r"'it\'s\n\\'");
        assert_eq!(Value::List(vec!["a".into(), "b".into()]).to_string(), "['a', 'b']");
        assert_eq!(Value::Seconds(Duration::from_secs(75)).to_string(), "75");
    }
}
