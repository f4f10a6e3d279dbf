use super::*;
use crate::{Arguments, Entry, Layers};

fn from_dict(rows: &[(&str, Raw)]) -> Result<Settings, SettingError> {
    let rows = rows.iter().map(|(key, raw)| ((*key).to_owned(), raw.clone())).collect();
    let origin = Origin::File { path: "conf.py".into(), line: Some(3) };
    let file = [Entry { name: "proxy".into(), raw: Raw::Table(rows), origin }];
    Layers { file: &file, ..Layers::default() }.resolve()
}

fn from_options(words: &str) -> Result<Settings, SettingError> {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let arguments = Arguments::parse(&words, &[])?;
    Layers { arguments: Some(&arguments), ..Layers::default() }.resolve()
}

fn group(words: &str) -> ProxyGroup {
    from_options(words).expect("settings").proxy.expect("a group")
}

fn list(items: &[&str]) -> Raw {
    Raw::List(items.iter().map(|&item| item.to_owned()).collect())
}

#[test]
fn nothing_set_is_no_group() {
    let settings = Layers::default().resolve().expect("defaults");
    assert_eq!(settings.proxy, None);
}

#[test]
fn options_and_a_dictionary_say_the_same() {
    let by_options =
        group("--proxy-trusted 10.0.0.0/8 --proxy-trusted unix: --proxy-x-for auto --proxy-strict");
    let by_dict = from_dict(&[
        ("trusted", list(&["10.0.0.0/8", "unix:"])),
        ("x_for", Raw::text("auto")),
        ("strict", Raw::Flag(true)),
    ]);
    assert_eq!(Some(by_options), by_dict.expect("settings").proxy);
}

#[test]
fn options_change_a_preset() {
    let group = group("--proxy-preset nginx-local --proxy-x-proto 1 --proxy-map X-FHost=HTTP_HOST");
    assert_eq!((group.x_for, group.x_proto), (Some(1), 1));
    assert_eq!(group.trusted.to_string(), "unix:,127.0.0.1,::1");
    assert_eq!(group.map, [("X-FHost".to_owned(), "HTTP_HOST".to_owned())]);
}

#[test]
fn every_preset_is_taken_and_printed_in_full() {
    for preset in [
        "nginx-local",
        "werkzeug",
        "cloudflare-like:CF-Connecting-IP",
        "aws-alb",
        "haproxy-proxy-protocol",
    ] {
        let settings = from_options(&format!("--proxy-preset {preset}")).expect(preset);
        let printed = settings.chosen("proxy").expect("a setting").value.to_string();
        assert!(KEYS.iter().all(|key| printed.contains(&format!("'{key}': "))), "{printed}");
    }
    assert!(from_options("--proxy-preset nginx").is_err());
    assert!(from_options("--proxy-preset cloudflare-like").is_err());
}

#[test]
fn mistakes_are_refused_with_the_reason() {
    let pairs = |name: &str, text: &str| Raw::Pairs(vec![(name.to_owned(), text.to_owned())]);
    let cases = [
        ("trustd", list(&["10.0.0.0/8"]), "perhaps `trusted`"),
        ("colour", Raw::text("red"), "a key of the group"),
        ("trusted", list(&["10.0.0.1/8"]), "zero bits after the prefix"),
        ("trusted", list(&["proxy.example"]), "not a name"),
        ("trusted", Raw::Integer(1), "a list of networks"),
        ("family", Raw::text("both"), "one of x-forwarded, forwarded"),
        ("x_for", Raw::Integer(-1), "between 0 and 64"),
        ("x_proto", Raw::text("auto"), "between 0 and 64"),
        ("hop_check", Raw::text("none"), "one of cidr, count"),
        ("headers", pairs("by", "X-By"), "instead of `by`"),
        ("headers", pairs("for", "X_Real_IP"), "without underscores"),
        ("map", pairs("X-A", "PATH_INFO"), "another environ variable"),
        ("map", pairs("X-A", "QUERY_STRING"), "another environ variable"),
        ("map", pairs("X-A", "REQUEST_METHOD"), "another environ variable"),
        ("map", pairs("X-A", "SERVER_PROTOCOL"), "another environ variable"),
        ("map", pairs("X-A", "CONTENT_LENGTH"), "another environ variable"),
        ("map", pairs("X-A", "CONTENT_TYPE"), "another environ variable"),
        ("map", pairs("X-A", "wsgi.input"), "another environ variable"),
        ("map", pairs("X-A", "oxicorn.proxy.orig"), "another environ variable"),
        ("map", pairs("X-A", "HTTP_TRANSFER_ENCODING"), "another environ variable"),
        ("map", pairs("X-A", "HTTP_CONNECTION"), "another environ variable"),
        ("map", pairs("X-A", "HTTP_PROXY"), "another environ variable"),
        ("map", pairs("X-A", ""), "another environ variable"),
        ("map", pairs("Host", "HTTP_HOST"), "another field than"),
        ("map", pairs("X A", "HTTP_HOST"), "a field name"),
        ("underscores", Raw::text("yes"), "one of drop, refuse, keep"),
        ("strip", Raw::Flag(true), "one of never, untrusted, unused"),
        ("strict", Raw::text("very"), "true or false"),
        ("proxy_protocol", Raw::text("v3"), "one of off, v1, v2, any"),
        ("proxy_protocol", Raw::text("v1"), "proxy_protocol_from to name the balancers"),
        ("proxy_protocol_from", list(&["10.0.0.1"]), "proxy_protocol to name a version"),
        ("forwarded", Raw::Integer(1), "family to be forwarded"),
    ];
    for (key, raw, expected) in cases {
        let error = from_dict(&[(key, raw.clone())]).expect_err(key).to_string();
        assert!(error.contains(expected) && error.ends_with("(conf.py:3)"), "{key}={raw}: {error}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    for words in [
        "--proxy-x-for auto --proxy-hop-check count",
        "--proxy-family forwarded --proxy-x-proto 1",
        "--proxy-protocol v1 --proxy-x-for 1",
    ] {
        assert!(from_options(words).is_err(), "{words}");
    }
}

#[test]
fn the_protocol_of_the_group_may_come_from_gunicorns_option() {
    let group = group("--proxy-protocol v2 --proxy-protocol-from 10.0.0.0/8");
    assert_eq!(group.proxy_protocol, LineVersions::V2);
}

#[test]
fn likely_mistakes_are_pointed_out() {
    let hint = |words: &str| {
        let settings = from_options(words).expect(words);
        settings.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(hint("--proxy-trusted * --proxy-x-for 1").contains("every client"));
    assert!(hint("--proxy-trusted 127.0.0.1 --proxy-x-for 2").contains("outer proxies"));
    assert!(hint("--proxy-preset nginx-local --proxy-x-proto 1").contains("nginx"));
    assert!(hint("--proxy-x-for 1").contains("nobody"));
    assert_eq!(hint("--proxy-preset nginx-local"), "");
    assert_eq!(hint("--proxy-trusted 10.0.0.0/8 --proxy-x-for 2 --proxy-x-proto 2"), "");
}
