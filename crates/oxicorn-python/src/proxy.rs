//! Behind a proxy: from the settings to the rules that the worker follows, and what explains them.

use oxicorn_http::proxy::line::{Gate, Versions};
use oxicorn_http::proxy::{
    Effective, Group, Gunicorn, Hops, Names, Peer, Proxy, Strip, Target, TrustedPeers,
};
use oxicorn_http::{Connection, ForwarderNames, Head, HeaderMap, Rules};
use oxicorn_settings::proxy::{LineVersions, ProxyGroup, Strip as StripSetting};
use oxicorn_settings::{Networks, Raw, Settings};

/// The rules for forwarding fields.
pub(crate) fn rules(settings: &Settings) -> Proxy {
    match &settings.proxy {
        Some(group) => Proxy::Group(of_group(group)),
        None => {
            // gunicorn trusts whoever can open the socket file.
            let networks = Networks { unix: true, ..settings.forwarded_allow_ips.clone() };
            let secure = settings.secure_scheme_headers.iter();
            let secure = secure.map(|(name, value)| (name.clone().into(), value.clone().into()));
            Proxy::Gunicorn(Gunicorn::new(peers(&networks), secure.collect()))
        }
    }
}

/// The rules for PROXY headers, if there are any.
pub(crate) fn gate(settings: &Settings) -> Option<Gate> {
    let (versions, networks, required) = match &settings.proxy {
        Some(group) => (group.proxy_protocol, group.proxy_protocol_from.clone(), true),
        None => {
            let versions = LineVersions::named(&settings.proxy_protocol).unwrap_or_default();
            (versions, Networks { unix: true, ..settings.proxy_allow_ips.clone() }, false)
        }
    };
    let versions = match versions {
        LineVersions::Off => return None,
        LineVersions::V1 => Versions { v1: true, v2: false },
        LineVersions::V2 => Versions { v1: false, v2: true },
        LineVersions::Any => Versions { v1: true, v2: true },
    };
    Some(Gate { versions, from: peers(&networks), required })
}

/// What requests may be: for untrusted peers, and for trusted ones.
pub(crate) fn request_rules(settings: &Settings, mut rules: Rules) -> [Rules; 2] {
    let Some(group) = &settings.proxy else {
        let mut trusted = rules.clone();
        let names = &settings.forwarder_headers;
        trusted.policy.forwarder_names = if names.iter().any(|name| name == "*") {
            ForwarderNames::All
        } else {
            ForwarderNames::These(names.iter().map(|name| name.clone().into()).collect())
        };
        return [rules, trusted];
    };
    rules.policy.header_map = match group.underscores {
        oxicorn_settings::HeaderMap::Drop => HeaderMap::Drop,
        oxicorn_settings::HeaderMap::Refuse => HeaderMap::Refuse,
        oxicorn_settings::HeaderMap::Dangerous => HeaderMap::Dangerous,
    };
    [rules.clone(), rules]
}

pub(crate) fn peers(networks: &Networks) -> TrustedPeers {
    let named = networks.networks.iter().map(|network| (network.address, network.prefix));
    TrustedPeers::new(networks.everyone, networks.unix, named)
}

fn of_group(group: &ProxyGroup) -> Group {
    let hops = |hops: Option<u32>| hops.map_or(Hops::Auto, Hops::AtMost);
    let name = |fact: &str| {
        let found = group.headers.iter().find(|(known, _)| known == fact);
        found.map(|(_, name)| name.clone().into_bytes())
    };
    let map = group.map.iter().map(|(name, target)| {
        let target = match target.as_str() {
            "HTTP_HOST" => Target::Host,
            "REMOTE_ADDR" => Target::RemoteAddr,
            "SCRIPT_NAME" => Target::ScriptName,
            "SERVER_PORT" => Target::ServerPort,
            "wsgi.url_scheme" => Target::Scheme,
            other => Target::Other(other.to_owned()),
        };
        (name.clone().into_bytes(), target)
    });
    Group {
        trusted: peers(&group.trusted),
        rfc7239: group.rfc7239,
        x_for: hops(group.x_for),
        x_proto: group.x_proto,
        x_host: group.x_host,
        x_port: group.x_port,
        x_prefix: group.x_prefix,
        forwarded: hops(group.forwarded),
        count_only: group.count_only,
        names: Names {
            client: name("for"),
            proto: name("proto"),
            host: name("host"),
            port: name("port"),
            prefix: name("prefix"),
        },
        map: map.collect(),
        strip: match group.strip {
            StripSetting::Never => Strip::Never,
            StripSetting::Untrusted => Strip::Untrusted,
            StripSetting::Unused => Strip::Unused,
        },
        strict: group.strict,
    }
}

/// Reads a file of the group: TOML if it is named so, else JSON.
pub(crate) fn read_file(path: &str) -> Result<Raw, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let whole = if path.ends_with(".toml") {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            error.to_string().lines().collect::<Vec<_>>().join("; ")
        })?;
        of_toml(toml::Value::Table(table))
    } else {
        serde_json::from_str(&text).map(of_json).map_err(|error| error.to_string())?
    };
    // The keys may stand in a table of their own.
    let group = match whole {
        Raw::Table(mut rows) if rows.len() == 1 && rows[0].0 == "proxy" => rows.remove(0).1,
        whole => whole,
    };
    Ok(match group {
        Raw::Pairs(pairs) => {
            Raw::Table(pairs.into_iter().map(|(key, text)| (key, Raw::Text(text))).collect())
        }
        group => group,
    })
}

fn of_json(value: serde_json::Value) -> Raw {
    use serde_json::Value;
    match value {
        Value::Null => Raw::Nothing,
        Value::Bool(flag) => Raw::Flag(flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Raw::Integer(number),
            None => Raw::Object(number.to_string()),
        },
        Value::String(text) => Raw::Text(text),
        Value::Array(items) => list(items.into_iter().map(of_json)),
        Value::Object(rows) => table(rows.into_iter().map(|(key, value)| (key, of_json(value)))),
    }
}

fn of_toml(value: toml::Value) -> Raw {
    use toml::Value;
    match value {
        Value::Boolean(flag) => Raw::Flag(flag),
        Value::Integer(number) => Raw::Integer(number),
        Value::String(text) => Raw::Text(text),
        Value::Array(items) => list(items.into_iter().map(of_toml)),
        Value::Table(rows) => table(rows.into_iter().map(|(key, value)| (key, of_toml(value)))),
        Value::Float(number) => Raw::Float(number),
        Value::Datetime(when) => Raw::Object(when.to_string()),
    }
}

fn list(items: impl Iterator<Item = Raw>) -> Raw {
    let items: Vec<Raw> = items.collect();
    let texts = items.iter().map(|item| match item {
        Raw::Text(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect::<Option<_>>().map_or_else(|| Raw::Object("a list".to_owned()), Raw::List)
}

/// A table of texts is what a setting of pairs takes; the outermost one is always a table.
fn table(rows: impl Iterator<Item = (String, Raw)>) -> Raw {
    let rows = rows.map(|(key, raw)| match raw {
        Raw::Table(inner) => (key, pairs(inner)),
        raw => (key, raw),
    });
    Raw::Table(rows.collect())
}

fn pairs(rows: Vec<(String, Raw)>) -> Raw {
    let texts = rows.iter().map(|(key, raw)| match raw {
        Raw::Text(text) => Some((key.clone(), text.clone())),
        _ => None,
    });
    texts.collect::<Option<_>>().map_or(Raw::Table(rows.clone()), Raw::Pairs)
}

/// What a request would be under the running configuration, step by step.
pub(crate) fn explain(
    settings: &Settings,
    peer: &str,
    header: Option<&[u8]>,
    fields: &[String],
) -> Result<Vec<String>, String> {
    let proxy = rules(settings);
    let mut steps = Vec::new();
    let mut peer = parse_peer(peer)?;
    steps.push(match &proxy {
        Proxy::Group(_) => "rules: the proxy group".to_owned(),
        Proxy::Gunicorn(_) => "rules: forwarded_allow_ips and secure_scheme_headers".to_owned(),
    });
    match (gate(settings), header) {
        (None, None) => {}
        (None, Some(_)) => return Err("the PROXY protocol is off (proxy_protocol)".to_owned()),
        (Some(gate), header) => {
            use oxicorn_http::proxy::line::Line;
            match gate.read(&peer, header.unwrap_or(b"GET / HTTP/1.1\r\n")) {
                Err(fault) => {
                    steps.push(format!("PROXY header: {}: the connection is closed", fault.0));
                    return Ok(steps);
                }
                Ok(Line::Whole { announced: Some(said), .. }) => {
                    steps.push(format!("PROXY header: the client is {}", said.source));
                    peer = gate.peer(peer, Some(&said));
                }
                Ok(Line::Whole { announced: None, .. }) => {
                    steps.push("PROXY header: it names nobody, the peer stays".to_owned());
                }
                Ok(Line::Absent) => steps.push("PROXY header: none, and none is needed".to_owned()),
                Ok(Line::NeedMore) => {
                    steps.push("PROXY header: incomplete, the connection waits".to_owned());
                    return Ok(steps);
                }
            }
        }
    }
    let trusted = proxy.trusts(&peer);
    let shown = match peer {
        Peer::Unix => "a unix socket".to_owned(),
        Peer::Inet(address, _) => address.to_string(),
    };
    steps.push(format!("peer: {shown}, {}", if trusted { "trusted" } else { "not trusted" }));
    let mut wire = "GET / HTTP/1.1\r\n".to_owned();
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        wire.push_str("Host: localhost\r\n");
    }
    for field in fields {
        wire.push_str(field);
        wire.push_str("\r\n");
    }
    wire.push_str("\r\n");
    let mut head = Head::default();
    let [strangers, trusted_ones] = request_rules(settings, crate::settings::rules(settings));
    let limits = if trusted { trusted_ones } else { strangers };
    let bytes = wire.as_bytes();
    if let Err(reject) = Connection::new().receive(bytes, &mut head, &limits) {
        steps.push(format!("result: {} ({reject})", reject.status()));
        return Ok(steps);
    }
    match proxy.explain(trusted, &head, bytes, &mut steps) {
        Err(reject) => steps.push(format!("result: {} ({reject})", reject.status())),
        Ok(effective) => steps.push(format!("result: {}", result(effective, &shown))),
    }
    Ok(steps)
}

/// The facts that a request would have.
fn result(effective: Option<Effective>, peer: &str) -> String {
    let effective = effective.unwrap_or_default();
    let client = effective.client.map_or(peer.to_owned(), |(address, _)| address.to_string());
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut words = vec![format!("client {client}")];
    let scheme = effective.https.map(|https| if https { "https" } else { "http" });
    words.push(format!("scheme {}", scheme.unwrap_or("as the connection has it")));
    words.extend(effective.host.map(|host| format!("host {}", text(&host))));
    words.extend(effective.server_port.map(|port| format!("port {port}")));
    words.extend(effective.prefix.map(|prefix| format!("prefix `{}`", text(&prefix))));
    let environ = effective.environ.into_iter();
    words.extend(environ.map(|(key, value)| format!("{key} `{}`", text(&value))));
    words.join(", ")
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    if text == "unix:" || text == "unix" {
        return Ok(Peer::Unix);
    }
    let address: std::net::IpAddr =
        text.parse().map_err(|_| format!("expected an IP address or unix:, got `{text}`"))?;
    Ok(Peer::Inet(address.to_canonical(), 0))
}
