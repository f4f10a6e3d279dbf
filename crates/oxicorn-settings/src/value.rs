//! From what was written to typed values: parse once, here, and never doubt a value again.
//!
//! What was written comes as [`Raw`]: text from the command line and the environment, or the
//! objects of a configuration file in the few shapes that matter. A [`Kind`] makes it a [`Value`].

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::bind::BindAddress;
use crate::network::Networks;
use crate::setting::Kind;

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

impl Kind {
    /// Makes a typed value of what was written.
    ///
    /// # Errors
    ///
    /// [`Unfit`] says what was expected.
    pub fn parse(self, raw: &Raw) -> Result<Value, Unfit> {
        let raw = match raw {
            Raw::Text(text) => &Raw::text(text.trim()),
            raw => raw,
        };
        match self {
            Self::Addresses => parse_addresses(raw),
            Self::Choice(words) | Self::ChoiceOrBare(words, _) => parse_choice(words, raw),
            Self::Flag(_) | Self::Switch => parse_flag(raw).map(Value::Flag),
            Self::Group => match raw {
                Raw::Nothing => Ok(Value::Unset),
                Raw::Text(text) if text.is_empty() => Ok(Value::Unset),
                Raw::Table(rows) if rows.is_empty() => Ok(Value::Unset),
                Raw::Table(rows) => Ok(Value::Table(rows.clone())),
                Raw::Pairs(pairs) if pairs.is_empty() => Ok(Value::Unset),
                Raw::Pairs(pairs) => Ok(Value::Table(
                    pairs.iter().map(|(key, text)| (key.clone(), Raw::text(text))).collect(),
                )),
                _ => Err(Unfit::from("a dictionary")),
            },
            Self::Hook(args) => parse_hook(args, raw),
            Self::Integer { min, max } => parse_integer(min, max, raw),
            Self::List => parse_list(raw, "a list of texts").map(Value::List),
            Self::Mode => parse_mode(raw),
            Self::Names => {
                let names = parse_list(raw, "names separated by commas")?;
                Ok(Value::List(names.iter().map(|name| name.to_uppercase()).collect()))
            }
            Self::Networks => {
                let networks = parse_list(raw, "networks separated by commas")?;
                Networks::parse(&networks).map(Value::Networks)
            }
            Self::Object => Ok(match raw {
                Raw::Nothing => Value::Unset,
                Raw::Text(text) if text.is_empty() => Value::Unset,
                // An empty dictionary asks for nothing.
                Raw::Pairs(pairs) if pairs.is_empty() => Value::Unset,
                raw => Value::Object(raw.to_string()),
            }),
            Self::Pairs => parse_pairs(raw),
            Self::Seconds => parse_seconds(raw),
            Self::Text => match raw {
                Raw::Nothing => Ok(Value::Unset),
                Raw::Text(text) if text.is_empty() => Ok(Value::Unset),
                Raw::Text(text) => Ok(Value::Text(text.clone())),
                // `user = 1000` and `group = 1000` are common.
                Raw::Integer(number) => Ok(Value::Text(number.to_string())),
                _ => Err(Unfit::from("text")),
            },
            Self::TextOrEmpty => match raw {
                Raw::Nothing => Ok(Value::Text(String::new())),
                Raw::Text(text) => Ok(Value::Text(text.clone())),
                _ => Err(Unfit::from("text")),
            },
            Self::WorkerClass => parse_worker_class(raw),
        }
    }
}

fn parse_addresses(raw: &Raw) -> Result<Value, Unfit> {
    let texts = parse_list(raw, "an address or a list of addresses")?;
    if texts.is_empty() {
        return Err(Unfit::from("at least one address"));
    }
    let addresses: Result<_, _> = texts.iter().map(|text| BindAddress::parse(text)).collect();
    addresses.map(Value::Addresses)
}

fn parse_choice(words: &[&str], raw: &Raw) -> Result<Value, Unfit> {
    let given = match raw {
        Raw::Text(text) => text.to_lowercase(),
        // gunicorn's `proxy_protocol` was once a plain switch.
        Raw::Flag(true) if words.contains(&"auto") => "auto".to_owned(),
        Raw::Flag(false) if words.contains(&"off") => "off".to_owned(),
        _ => String::new(),
    };
    if words.contains(&given.as_str()) {
        return Ok(Value::Text(given));
    }
    Err(Unfit(Cow::Owned(format!("one of {}", words.join(", ")))))
}

fn parse_flag(raw: &Raw) -> Result<bool, Unfit> {
    match raw {
        Raw::Flag(flag) => Ok(*flag),
        Raw::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err(Unfit::from("true or false")),
        },
        _ => Err(Unfit::from("true or false")),
    }
}

fn parse_hook(args: &[&str], raw: &Raw) -> Result<Value, Unfit> {
    match raw {
        Raw::Nothing => Ok(Value::Unset),
        Raw::Text(text) if text.is_empty() => Ok(Value::Unset),
        Raw::Callable(name) => Ok(Value::Object(name.clone())),
        _ => Err(Unfit(Cow::Owned(format!("a function of ({})", args.join(", "))))),
    }
}

/// Whole numbers with an optional base prefix, as Python writes them.
fn parse_number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let radix = |prefix: &str, radix| {
        let rest = digits.strip_prefix(prefix)?;
        rest.starts_with(|c: char| c.is_ascii_hexdigit()).then(|| u64::from_str_radix(rest, radix))
    };
    radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .unwrap_or_else(|| u64::from_str(digits.strip_prefix('+').unwrap_or(&digits)))
        .ok()
}

fn parse_integer(min: u64, max: u64, raw: &Raw) -> Result<Value, Unfit> {
    let number = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => parse_number(text),
        _ => None,
    };
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
        Some(_) => Err(Unfit(Cow::Owned(format!("a number between {min} and {max}")))),
        None if min == 0 => Err(Unfit::from("a whole number that is not negative")),
        None => Err(Unfit(Cow::Owned(format!("a whole number from {min}")))),
    }
}

fn parse_mode(raw: &Raw) -> Result<Value, Unfit> {
    let mode = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => match text.strip_prefix('0') {
            // `022` is octal for everybody who writes a mode.
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                u64::from_str_radix(digits, 8).ok()
            }
            _ => parse_number(text),
        },
        _ => None,
    };
    match mode {
        Some(mode) if mode <= 0o7777 => Ok(Value::Integer(mode)),
        _ => Err(Unfit::from("a file mode such as 022")),
    }
}

fn parse_list(raw: &Raw, expected: &'static str) -> Result<Vec<String>, Unfit> {
    match raw {
        Raw::Nothing => Ok(Vec::new()),
        Raw::Text(text) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(items.map(str::to_owned).collect())
        }
        Raw::List(items) => Ok(items.iter().map(|item| item.trim().to_owned()).collect()),
        _ => Err(Unfit::from(expected)),
    }
}

/// Pairs as a dictionary, or as text: `NAME=text,NAME=text` (the form of the default).
fn parse_pairs(raw: &Raw) -> Result<Value, Unfit> {
    let pairs = match raw {
        Raw::Nothing => Some(Vec::new()),
        Raw::Pairs(pairs) => Some(pairs.clone()),
        Raw::Text(text) => text
            .split(',')
            .filter(|item| !item.trim().is_empty())
            .map(|item| {
                let (name, text) = item.split_once('=')?;
                Some((name.trim().to_owned(), text.trim().to_owned()))
            })
            .collect(),
        _ => None,
    };
    pairs.map(Value::Pairs).ok_or(Unfit::from("a dictionary of texts"))
}

/// At most a century: beyond it, sums with the clock could overflow.
fn parse_seconds(raw: &Raw) -> Result<Value, Unfit> {
    const MOST: f64 = 100.0 * 366.0 * 86400.0;
    let seconds = match raw {
        Raw::Integer(number) => u32::try_from(*number).ok().map(f64::from),
        Raw::Float(number) => Some(*number),
        Raw::Text(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            text.parse().ok()
        }
        _ => None,
    };
    match seconds {
        Some(seconds) if (0.0..=MOST).contains(&seconds) => {
            Ok(Value::Seconds(Duration::from_secs_f64(seconds)))
        }
        _ => Err(Unfit::from("seconds")),
    }
}

fn parse_worker_class(raw: &Raw) -> Result<Value, Unfit> {
    let unfit = |why| {
        let expected = format!(
            "`sync`, `gthread`, `gevent`, `geventwebsocket`, `tornado` or `eventlet` ({why})"
        );
        Err(Unfit(expected.into()))
    };
    const FOREIGN: &str = "a worker class of one's own, or of another package, cannot be run; what \
                           it does belongs into hooks such as `post_worker_init` and `pre_request`";
    let Raw::Text(name) = raw else {
        return unfit(FOREIGN);
    };
    match name.strip_prefix("egg:gunicorn#").unwrap_or(name) {
        "sync" | "gunicorn.workers.sync.SyncWorker" => Ok(Value::WorkerClass(WorkerClass::Sync)),
        "gthread" | "thread" | "gunicorn.workers.gthread.ThreadWorker" => {
            Ok(Value::WorkerClass(WorkerClass::Thread))
        }
        "gevent"
        | "gevent_wsgi"
        | "gevent_pywsgi"
        | "gunicorn.workers.ggevent.GeventWorker"
        | "gunicorn.workers.ggevent.GeventPyWSGIWorker" => {
            Ok(Value::WorkerClass(WorkerClass::Gevent))
        }
        // flask_sockets names the other package's class.
        "geventwebsocket"
        | "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
        | "flask_sockets.worker"
        | "flask_sockets.Worker" => Ok(Value::WorkerClass(WorkerClass::GeventWebSocket)),
        "tornado" | "gunicorn.workers.gtornado.TornadoWorker" => {
            Ok(Value::WorkerClass(WorkerClass::Tornado))
        }
        "eventlet" | "gunicorn.workers.geventlet.EventletWorker" => {
            Ok(Value::WorkerClass(WorkerClass::Eventlet))
        }
        name if name == "asgi" || name.contains("uvicorn") => {
            unfit("oxicorn serves WSGI applications, not ASGI")
        }
        _ => unfit(FOREIGN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Kind, text: &str) -> Result<Value, Unfit> {
        kind.parse(&Raw::text(text))
    }

    const NUMBER: Kind = Kind::Integer { min: 0, max: u64::MAX };

    #[test]
    fn numbers_take_a_base_prefix() {
        assert_eq!(parse(NUMBER, "0x10"), Ok(Value::Integer(16)));
        assert_eq!(parse(NUMBER, "0o10"), Ok(Value::Integer(8)));
        assert_eq!(parse(NUMBER, " 0010 "), Ok(Value::Integer(10)));
        assert_eq!(parse(NUMBER, "1_000"), Ok(Value::Integer(1000)));
    }

    #[test]
    fn numbers_are_neither_negative_nor_anything_else() {
        for text in ["-1", "", "four", "4.5", "0x", "0x+1", "99999999999999999999"] {
            assert!(parse(NUMBER, text).is_err(), "{text}");
        }
        assert!(NUMBER.parse(&Raw::Flag(true)).is_err());
        assert!(NUMBER.parse(&Raw::Integer(-1)).is_err());
    }

    #[test]
    fn modes_are_octal_with_a_leading_zero() {
        for text in ["022", "0022", "0o22", "18"] {
            assert_eq!(parse(Kind::Mode, text), Ok(Value::Integer(0o22)), "{text}");
        }
        assert_eq!(parse(Kind::Mode, "0"), Ok(Value::Integer(0)));
        assert_eq!(parse(Kind::Mode, "0x12"), Ok(Value::Integer(0o22)));
        assert!(parse(Kind::Mode, "089").is_err());
        assert!(parse(Kind::Mode, "0o70000").is_err());
    }

    #[test]
    fn seconds_may_have_a_fraction_but_no_unit() {
        assert_eq!(parse(Kind::Seconds, "1.5"), Ok(Value::Seconds(Duration::from_millis(1500))));
        for text in ["30s", "-1", "", ".", "inf", "nan", "1e9", "99999999999"] {
            assert!(parse(Kind::Seconds, text).is_err(), "{text}");
        }
        assert!(Kind::Seconds.parse(&Raw::Float(f64::NAN)).is_err());
    }

    #[test]
    fn lists_are_split_at_commas_only_as_text() {
        let two = Value::List(vec!["a=1".into(), "b=2".into()]);
        assert_eq!(parse(Kind::List, "a=1, b=2,"), Ok(two));
        let one = Value::List(vec!["a=1,2".into()]);
        assert_eq!(Kind::List.parse(&Raw::List(vec!["a=1,2".into()])), Ok(one));
    }

    #[test]
    fn foreign_worker_classes_are_refused_with_a_reason() {
        let Err(Unfit(expected)) = parse(Kind::WorkerClass, "meinheld.gmeinheld.MeinheldWorker")
        else {
            panic!("accepted")
        };
        assert!(expected.contains("of another package"));
        let Err(Unfit(expected)) = parse(Kind::WorkerClass, "uvicorn.workers.UvicornWorker") else {
            panic!("accepted")
        };
        assert!(expected.contains("ASGI"));
        assert!(parse(Kind::WorkerClass, "gthread").is_ok());
        for name in [
            "gevent_pywsgi",
            "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
            "flask_sockets.worker",
        ] {
            let Ok(Value::WorkerClass(class)) = parse(Kind::WorkerClass, name) else {
                panic!("{name}")
            };
            assert!(class.is_gevent(), "{name}");
            assert_eq!(parse(Kind::WorkerClass, class.name()), Ok(Value::WorkerClass(class)));
        }
        assert!(parse(Kind::WorkerClass, "tornado").is_ok());
        assert!(parse(Kind::WorkerClass, "eventlet").is_ok());
    }

    #[test]
    fn printed_text_can_be_read_by_python() {
        assert_eq!(Value::Text("it's\n\\".into()).to_string(), r"'it\'s\n\\'");
        assert_eq!(Value::List(vec!["a".into(), "b".into()]).to_string(), "['a', 'b']");
        assert_eq!(Value::Seconds(Duration::from_secs(75)).to_string(), "75");
    }
}
