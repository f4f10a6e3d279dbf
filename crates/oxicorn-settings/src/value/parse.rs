//! Each [`Kind`] reads what was written, and says what it expected instead.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use super::{Raw, Unfit, Value, WorkerClass};
use crate::bind::BindAddress;
use crate::network::Networks;
use crate::setting::Kind;

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
}
