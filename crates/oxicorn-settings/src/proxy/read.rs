//! Values of the group's keys, read and checked.

use std::borrow::Cow;

use super::{Hops, MOST_HOPS};
use crate::network::Networks;
use crate::setting::Kind;
use crate::value::{Raw, Unfit, Value};

pub(super) fn networks(raw: &Raw) -> Result<Networks, Unfit> {
    let items: Vec<String> = match raw {
        Raw::List(items) => items.iter().flat_map(|item| item.split(',')).map(own).collect(),
        Raw::Text(text) => text.split(',').map(own).filter(|item| !item.is_empty()).collect(),
        Raw::Nothing => Vec::new(),
        _ => return Err(Unfit::from("a list of networks")),
    };
    Networks::parse(&items)
}

fn own(text: &str) -> String {
    text.trim().to_owned()
}

pub(super) fn word(raw: &Raw, words: &[&str]) -> Result<usize, Unfit> {
    let Raw::Text(text) = raw else {
        return Err(Unfit(Cow::Owned(format!("one of {}", words.join(", ")))));
    };
    let text = text.trim().to_ascii_lowercase();
    let text = if text == "auto" && words.contains(&"any") { "any" } else { &text };
    let found = words.iter().position(|word| *word == text);
    found.ok_or_else(|| Unfit(Cow::Owned(format!("one of {}", words.join(", ")))))
}

pub(super) fn flag(raw: &Raw) -> Result<bool, Unfit> {
    match Kind::Switch.parse(raw)? {
        Value::Flag(flag) => Ok(flag),
        _ => Err(Unfit::from("true or false")),
    }
}

pub(super) fn count(raw: &Raw) -> Result<u32, Unfit> {
    let number = match raw {
        Raw::Integer(number) => u32::try_from(*number).ok(),
        Raw::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|number| *number <= MOST_HOPS)
        .ok_or(Unfit::from("a number of proxies between 0 and 64"))
}

pub(super) fn hops(raw: &Raw) -> Result<Hops, Unfit> {
    match raw {
        Raw::Text(text) if text.trim() == "auto" => Ok(None),
        raw => count(raw)
            .map(Some)
            .map_err(|_| Unfit::from("a number of proxies between 0 and 64, or auto")),
    }
}

fn pairs(raw: &Raw) -> Result<Vec<(String, String)>, Unfit> {
    let expected = Unfit::from("a dictionary of texts");
    match raw {
        Raw::Nothing => Ok(Vec::new()),
        Raw::Pairs(pairs) => Ok(pairs.clone()),
        Raw::Table(rows) if rows.is_empty() => Ok(Vec::new()),
        _ => Err(expected),
    }
}

/// Fields that say where a message ends or whose connection it is: they can stand for nothing else.
const FRAMING: [&str; 13] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "cookie",
];

fn field_name(name: &str) -> Result<(), Unfit> {
    let is_token = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b));
    if !is_token {
        let text = format!("a field name without underscores instead of `{}`", name.escape_debug());
        return Err(Unfit(Cow::Owned(text)));
    }
    if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Unfit(Cow::Owned(format!(
            "another field than `{name}`, which the server reads"
        ))));
    }
    Ok(())
}

pub(super) fn headers(raw: &Raw) -> Result<Vec<(String, String)>, Unfit> {
    let pairs = pairs(raw)?;
    for (fact, name) in &pairs {
        if !["for", "proto", "host", "port", "prefix"].contains(&fact.as_str()) {
            let text = format!("for, proto, host, port or prefix instead of `{fact}`");
            return Err(Unfit(Cow::Owned(text)));
        }
        field_name(name)?;
    }
    Ok(pairs)
}

pub(super) fn map(raw: &Raw) -> Result<Vec<(String, String)>, Unfit> {
    let pairs = pairs(raw)?;
    for (name, target) in &pairs {
        field_name(name)?;
        if is_forbidden(target) {
            let text = format!("another environ variable than `{}`", target.escape_debug());
            return Err(Unfit(Cow::Owned(text)));
        }
    }
    Ok(pairs)
}

/// Whether a variable decides what a request is, or belongs to the server.
fn is_forbidden(target: &str) -> bool {
    const NEVER: [&str; 10] = [
        "REQUEST_METHOD",
        "PATH_INFO",
        "QUERY_STRING",
        "SERVER_PROTOCOL",
        "SERVER_NAME",
        "SERVER_SOFTWARE",
        "REMOTE_PORT",
        "RAW_URI",
        "REQUEST_URI",
        "HTTP_COOKIE",
    ];
    let is_key = target.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let field =
        target.strip_prefix("HTTP_").map(|name| name.replace('_', "-").to_ascii_lowercase());
    let is_framing = field.is_some_and(|name| name != "host" && FRAMING.contains(&name.as_str()));
    target.is_empty()
        || !is_key
        || NEVER.contains(&target)
        || target.starts_with("CONTENT_")
        || ["wsgi", "oxicorn", "werkzeug", "gunicorn"]
            .iter()
            .any(|owner| target.split('.').next() == Some(owner) && target != "wsgi.url_scheme")
        || is_framing
}
