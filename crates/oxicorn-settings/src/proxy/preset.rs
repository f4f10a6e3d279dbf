//! Presets: the group for the usual proxies, to start from.

use crate::value::Raw;

/// What can be asked for.
pub(super) const EXPECTED: &str =
    "nginx-local, werkzeug, cloudflare-like:FIELD, aws-alb or haproxy-proxy-protocol";

/// The keys that a preset sets.
pub(super) fn rows(name: &str) -> Option<Vec<(String, Raw)>> {
    let list = |items: &[&str]| Raw::List(items.iter().map(|&item| item.to_owned()).collect());
    let local = || list(&["127.0.0.1/32", "::1/128", "unix:"]);
    let (one, unused) = (Raw::Integer(1), Raw::text("unused"));
    let rows = match name.split_once(':') {
        // A field that one proxy overwrites; the operator names the networks in `trusted`.
        Some(("cloudflare-like", field)) if !field.is_empty() => vec![
            ("headers", Raw::Pairs(vec![("for".to_owned(), field.to_owned())])),
            ("x_for", one.clone()),
            ("x_proto", one),
            ("strip", unused),
        ],
        Some(_) => return None,
        None => match name {
            "nginx-local" => vec![("trusted", local()), ("x_for", one)],
            // As Werkzeug's class does it with its defaults: everyone is believed.
            "werkzeug" => vec![
                ("trusted", list(&["*"])),
                ("x_for", one.clone()),
                ("x_proto", one),
                ("hop_check", Raw::text("count")),
                ("strip", Raw::text("never")),
            ],
            // The balancer has an address of its network, which is a private one.
            "aws-alb" => vec![
                ("trusted", list(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])),
                ("x_for", one.clone()),
                ("x_proto", one.clone()),
                ("x_port", one),
                ("strip", unused),
            ],
            "haproxy-proxy-protocol" => {
                vec![("proxy_protocol", Raw::text("any")), ("proxy_protocol_from", local())]
            }
            _ => return None,
        },
    };
    Some(rows.into_iter().map(|(key, raw)| (key.to_owned(), raw)).collect())
}
