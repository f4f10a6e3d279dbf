//! The `proxy` group and gunicorn's rules, case by case, and what must hold for any bytes.

use std::net::IpAddr;

use oxicorn_http::proxy::{
    Effective, Group, Gunicorn, Hops, Peer, Proxy, Strip, Target, TrustedPeers,
};
use oxicorn_http::{Connection, ForwarderNames, Head, HeaderMap, Policy, Reject, Rules};
use proptest::prelude::*;

#[test]
fn every_case_of_the_table() {
    let mut count = 0;
    for line in include_str!("proxy_cases.txt").lines() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [name, settings, from, fields, expected] = parts[..] else { panic!("{line}") };
        let fields = unescape(fields);
        let fields: Vec<&str> = fields.split("&&").map(str::trim_start).collect();
        let proxy = Proxy::Group(group(settings));
        let judged = judge(&proxy, peer(from), &fields, HeaderMap::Dangerous);
        assert_eq!(told(&judged), unescape(expected), "{name}: {line}");
        count += 1;
    }
    assert!(count >= 150, "{count} cases");
}

fn unescape(text: &str) -> String {
    let text = text.replace("\\t", "\t").replace("\\\\", "\\");
    text.replace("{a*256}", &"a".repeat(256)).replace("{a*255}", &"a".repeat(255))
}

fn group(settings: &str) -> Group {
    let mut group = Group::default();
    let (mut everyone, mut unix, mut networks) = (false, false, Vec::new());
    for setting in settings.split(' ').filter(|setting| !setting.is_empty()) {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let hops = || match value {
            "auto" => Hops::Auto,
            count => Hops::AtMost(count.parse().expect("a count")),
        };
        let count = || value.parse().expect("a count");
        let name = || Some(value.as_bytes().to_vec());
        match key {
            "N" => networks.push((ip("127.0.0.5"), 32)),
            "everyone" => everyone = true,
            "unix" => unix = true,
            "trusted" => networks.extend(value.split(',').map(|network| {
                let (address, prefix) = network.split_once('/').expect("a prefix");
                (ip(address), prefix.parse().expect("a prefix"))
            })),
            "x_for" => group.x_for = hops(),
            "forwarded" => (group.forwarded, group.rfc7239) = (hops(), true),
            "x_proto" => group.x_proto = count(),
            "x_host" => group.x_host = count(),
            "x_port" => group.x_port = count(),
            "x_prefix" => group.x_prefix = count(),
            "count" => group.count_only = true,
            "strict" => group.strict = true,
            "for" => group.names.client = name(),
            "proto" => group.names.proto = name(),
            "map" => {
                let (field, target) = value.split_once(':').expect("a target");
                let target = match target {
                    "HTTP_HOST" => Target::Host,
                    "REMOTE_ADDR" => Target::RemoteAddr,
                    "SCRIPT_NAME" => Target::ScriptName,
                    "SERVER_PORT" => Target::ServerPort,
                    "wsgi.url_scheme" => Target::Scheme,
                    other => Target::Other(other.to_owned()),
                };
                group.map.push((field.as_bytes().to_vec(), target));
            }
            "strip" => {
                group.strip = if value == "never" { Strip::Never } else { Strip::Unused };
            }
            other => panic!("no setting {other}"),
        }
    }
    group.trusted = TrustedPeers::new(everyone, unix, networks);
    group
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn peer(text: &str) -> Peer {
    if text == "unix" { Peer::Unix } else { Peer::Inet(ip(text), 50000) }
}

fn judge(
    proxy: &Proxy,
    peer: Peer,
    fields: &[&str],
    header_map: HeaderMap,
) -> Result<Option<Effective>, Reject> {
    let wire = format!("GET /shop/a HTTP/1.1\r\nHost: own\r\n{}\r\n\r\n", fields.join("\r\n"));
    let policy = Policy { header_map, ..Policy::default() };
    judge_wire(proxy, peer, wire.as_bytes(), &Rules { policy, ..Rules::default() })
}

fn judge_wire(
    proxy: &Proxy,
    peer: Peer,
    wire: &[u8],
    rules: &Rules,
) -> Result<Option<Effective>, Reject> {
    let mut head = Head::default();
    Connection::new().receive(wire, &mut head, rules).expect("a request");
    let trusted = proxy.trusts(&peer);
    let judged = proxy.evaluate(trusted, &head, wire);
    let explained = proxy.explain(trusted, &head, wire, &mut Vec::new());
    assert_eq!(judged, explained, "an explanation changes nothing");
    if let Ok(Some(effective)) = &judged {
        let left = effective.strip(&head).map_or(head.fields.len(), |head| head.fields.len());
        assert_eq!(left + effective.stripped.len(), head.fields.len());
    }
    judged
}

/// What holds, in the words of the table.
fn told(judged: &Result<Option<Effective>, Reject>) -> String {
    let effective = match judged {
        Err(reject) => return reject.status().to_string(),
        Ok(None) => return "none".to_owned(),
        Ok(Some(effective)) => effective,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut words = Vec::new();
    words.extend(effective.client.map(|(address, port)| format!("client={address}:{port}")));
    words.extend(effective.https.map(|https| (if https { "https" } else { "http" }).to_owned()));
    words.extend(effective.host.as_ref().map(|host| format!("host={}", text(host))));
    words.extend(effective.server_name.as_ref().map(|name| format!("name={}", text(name))));
    words.extend(effective.server_port.map(|port| format!("port={port}")));
    words.extend(effective.prefix.as_ref().map(|prefix| format!("prefix={}", text(prefix))));
    let environ = effective.environ.iter();
    words.extend(environ.map(|(key, value)| format!("environ={key}:{}", text(value))));
    if !effective.stripped.is_empty() {
        words.push(format!("stripped={}", effective.stripped.len()));
    }
    if words.is_empty() { "orig".to_owned() } else { words.join(" ") }
}

fn gunicorn() -> Proxy {
    let trusted = TrustedPeers::new(false, true, [(ip("127.0.0.1"), 32)]);
    let secure = [("X-FORWARDED-PROTOCOL", "ssl"), ("X-FORWARDED-PROTO", "https")];
    let secure = secure.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Proxy::Gunicorn(Gunicorn::new(trusted, secure.into()))
}

#[test]
fn gunicorns_rules() {
    let cases: [(&str, &[&str], &str); 12] = [
        ("127.0.0.1", &["X-Forwarded-Proto: https"], "https"),
        ("127.0.0.1", &["X-Forwarded-Proto: http"], "http"),
        ("127.0.0.1", &["X-Forwarded-Proto: HTTPS"], "http"),
        ("127.0.0.1", &["X-Forwarded-Proto: https,http"], "http"),
        ("127.0.0.1", &["X-Forwarded-Proto: https", "X-Forwarded-Protocol: ssl"], "https"),
        ("127.0.0.1", &["X-Forwarded-Proto: https", "X-Forwarded-Protocol: tls"], "400"),
        ("127.0.0.1", &["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: evil"], "none"),
        ("unix", &["X-Forwarded-Proto: https"], "https"),
        ("10.0.0.1", &["X-Forwarded-Proto: https"], "none"),
        ("10.0.0.1", &["X-Forwarded-Proto: https", "X-Forwarded-Protocol: tls"], "none"),
        ("127.0.0.1", &["SCRIPT_NAME: /shop"], "prefix=/shop"),
        ("127.0.0.1", &["SCRIPT_NAME: /elsewhere"], "400"),
    ];
    for (from, fields, expected) in cases {
        let judged = judge(&gunicorn(), peer(from), fields, HeaderMap::Dangerous);
        assert_eq!(told(&judged), expected, "{from} {fields:?}");
    }
}

#[test]
fn forwarder_names_pass_the_underscore_policy() {
    let wire = b"GET /a/b HTTP/1.1\r\nHost: a\r\nscript_name: /a\r\nX_A: b\r\n\r\n";
    let mut rules = Rules::default();
    let fields = |rules: &Rules| {
        let mut head = Head::default();
        Connection::new().receive(wire, &mut head, rules).map(|_| head.fields.len())
    };
    assert_eq!(fields(&rules), Ok(1));
    rules.policy.forwarder_names = ForwarderNames::These(vec![b"SCRIPT_NAME".to_vec()]);
    assert_eq!(fields(&rules), Ok(2));
    assert_eq!(told(&judge_wire(&gunicorn(), Peer::Unix, wire, &rules)), "prefix=/a");
    rules.policy.forwarder_names = ForwarderNames::All;
    assert_eq!(fields(&rules), Ok(3));
}

/// Field lines that could matter, with values that could, or anything.
fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "X-Forwarded-(For|Proto|Host|Port|Prefix|Ssl)",
        "X_Forwarded_For|Forwarded|X-Real-IP|X-FHost|SCRIPT_NAME|x-forwarded-for",
        "[A-Za-z_-]{1,20}",
    ];
    let value = prop_oneof![
        "([0-9]{1,3}\\.){3}[0-9]{1,3}(:[0-9]{1,5})?(, *127\\.0\\.0\\.[1-9])*",
        "(for=|proto=|host=)[\"a-z0-9.;,:=\\[\\]\\\\]{0,30}",
        "https?|wss|on|//evil|/a/b|evil:1|[ -~]{0,40}",
    ];
    (name, value).prop_map(|(name, value)| format!("{name}: {value}"))
}

fn any_group() -> impl Strategy<Value = String> {
    let hops = "x_for=(0|1|2|3|auto)|forwarded=(0|1|2|auto)";
    let counts = "x_proto=[0-2] x_host=[0-2] x_port=[0-2] x_prefix=[0-2]";
    let rest = "(count )?(strict )?(strip=never |strip=unused )?(map=X-FHost:HTTP_HOST )?(for=X-Real-IP )?";
    (hops, counts, rest).prop_map(|parts| format!("N {} {} {}", parts.0, parts.1, parts.2))
}

proptest! {
    #[test]
    fn a_stranger_changes_nothing(
        settings in any_group(),
        fields in prop::collection::vec(field(), 0..8),
        stranger in prop_oneof![Just("unix"), Just("198.51.100.7"), Just("::1"), Just("127.0.0.4")],
    ) {
        let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|f| !knows(f)).collect();
        for proxy in [Proxy::Group(group(&settings)), Proxy::default()] {
            let judged = judge(&proxy, peer(stranger), &fields, HeaderMap::Dangerous);
            if let Some(effective) = judged.expect("never refused") {
                let only_stripped =
                    Effective { stripped: effective.stripped.clone(), ..Effective::default() };
                prop_assert_eq!(effective, only_stripped);
            }
        }
    }

    #[test]
    fn the_address_next_to_the_proxy_is_the_client(
        left in "[ -+\\--~]{0,60}",
        client in any::<[u8; 4]>(),
    ) {
        let client = IpAddr::from(client);
        prop_assume!(client != ip("127.0.0.5"));
        let proxy = Proxy::Group(group("N x_for=auto strict"));
        let line = format!("X-Forwarded-For: {left}, {client}");
        let judged = judge(&proxy, peer("127.0.0.5"), &[&line], HeaderMap::Drop);
        prop_assert_eq!(judged.expect("taken").expect("trusted").client, Some((client, 0)));
    }

    #[test]
    fn what_is_believed_is_well_formed(
        settings in any_group(),
        fields in prop::collection::vec(field(), 0..8),
    ) {
        let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|f| !knows(f)).collect();
        let proxy = Proxy::Group(group(&settings));
        let judged = judge(&proxy, peer("127.0.0.5"), &fields, HeaderMap::Dangerous);
        if let Ok(Some(effective)) = judged {
            let clean = |text: &[u8]| !text.iter().any(|b| b"@/\\\" ,;<>".contains(b));
            prop_assert!(effective.host.is_none_or(|host| clean(&host)));
            prop_assert!(effective.server_port != Some(0));
            let path = |prefix: &[u8]| prefix.is_empty() || prefix.starts_with(b"/");
            prop_assert!(effective.prefix.is_none_or(|p| path(&p) && !p.starts_with(b"//")));
        }
    }
}

/// Whether the server itself acts upon the field, so that any value will not do.
fn knows(field: &str) -> bool {
    let names =
        ["connection", "content-", "cookie", "expect", "host:", "transfer-encoding", "upgrade"];
    let field = field.to_ascii_lowercase();
    names.iter().any(|name| field.starts_with(name))
}
