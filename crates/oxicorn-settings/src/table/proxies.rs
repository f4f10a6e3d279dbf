//! Whom to believe behind a proxy.

use crate::setting::{Kind, Section, Setting, Support};
use crate::settings::HeaderMap;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "forwarded_allow_ips",
        section: Section::Proxies,
        flags: &["--forwarded-allow-ips"],
        meta: "NETWORKS",
        kind: Kind::Networks,
        default: "127.0.0.1,::1",
        short: "Peers whose secure_scheme_headers and forwarder_headers count",
        long: "Addresses and networks separated by commas, or `*` for all. Peers on unix \
           sockets are always trusted. If the environment has `FORWARDED_ALLOW_IPS`, that \
           is the default.",
        support: Support::Works,
        apply: |settings, value| {
            settings.forwarded_allow_ips = value.networks()?;
            Ok(())
        },
    },
    Setting {
        name: "secure_scheme_headers",
        section: Section::Proxies,
        flags: &[],
        meta: "",
        kind: Kind::Pairs,
        default: "X-FORWARDED-PROTOCOL=ssl,X-FORWARDED-PROTO=https,X-FORWARDED-SSL=on",
        short: "Fields of a trusted proxy that mean https",
        long: "A dictionary of field names and the value that means https.",
        support: Support::Works,
        apply: |settings, value| {
            settings.secure_scheme_headers = value.pairs()?;
            Ok(())
        },
    },
    Setting {
        name: "forwarder_headers",
        section: Section::Proxies,
        flags: &["--forwarder-headers"],
        meta: "NAMES",
        kind: Kind::Names,
        default: "SCRIPT_NAME,PATH_INFO",
        short: "Names with an underscore that a trusted proxy may send",
        long: "Separated by commas; `*` for all.",
        support: Support::Works,
        apply: |settings, value| {
            settings.forwarder_headers = value.list()?;
            Ok(())
        },
    },
    Setting {
        name: "header_map",
        section: Section::Proxies,
        flags: &["--header-map"],
        meta: "POLICY",
        kind: Kind::Choice(&["drop", "refuse", "dangerous"]),
        default: "drop",
        short: "What to do with a field whose name has an underscore",
        long: "`drop` leaves the field out, `refuse` answers 400, `dangerous` keeps it: then \
           `X_A` can pose as `X-A`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.header_map = match value.text()?.as_str() {
                "refuse" => HeaderMap::Refuse,
                "dangerous" => HeaderMap::Dangerous,
                _ => HeaderMap::Drop,
            };
            Ok(())
        },
    },
    Setting {
        name: "proxy_protocol",
        section: Section::Proxies,
        flags: &["--proxy-protocol"],
        meta: "MODE",
        kind: Kind::ChoiceOrBare(&["off", "v1", "v2", "auto"], "auto"),
        default: "off",
        short: "Accept the PROXY protocol: off, v1, v2 or auto",
        long: "For a balancer that passes bytes through. By itself it is gunicorn's: a header is \
           optional, and only the peers in proxy_allow_ips may send one. With proxy_protocol_from \
           it is required from each connection.",
        support: Support::Works,
        apply: |settings, value| {
            settings.proxy_protocol = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "proxy_allow_ips",
        section: Section::Proxies,
        flags: &["--proxy-allow-from"],
        meta: "NETWORKS",
        kind: Kind::Networks,
        default: "127.0.0.1,::1",
        short: "Peers that may send a PROXY header",
        long: "A header from any other peer ends the connection. Peers on unix sockets are always \
           allowed. Where the proxy group is set, proxy_protocol_from takes its place.",
        support: Support::Works,
        apply: |settings, value| {
            settings.proxy_allow_ips = value.networks()?;
            Ok(())
        },
    },
    Setting {
        name: "proxy",
        section: Section::Proxies,
        flags: &[],
        meta: "",
        kind: Kind::Group,
        default: "",
        short: "What to believe of a proxy, as a dictionary",
        long: "The keys are trusted, family, x_for, x_proto, x_host, x_port, x_prefix, \
           forwarded, hop_check, headers, map, underscores, strip, strict, proxy_protocol \
           and proxy_protocol_from; each is also a setting with `proxy_` before it. With \
           any of them set, the group replaces forwarded_allow_ips, secure_scheme_headers \
           and forwarder_headers. See the guide behind-a-proxy.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_config",
        section: Section::Proxies,
        flags: &["--proxy-config"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "JSON or TOML file with the keys of the proxy group",
        long: "Instead of the dictionary; the keys may stand in a table `proxy`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_config", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_preset",
        section: Section::Proxies,
        flags: &["--proxy-preset"],
        meta: "NAME",
        kind: Kind::Text,
        default: "",
        short: "Keys of the proxy group for a usual proxy",
        long: "`nginx-local`, `werkzeug`, `cloudflare-like:FIELD`, `aws-alb` or `haproxy-proxy- \
           protocol`. Other settings of the group change what it says; `--print-config` \
           shows the result.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_preset", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_trusted",
        section: Section::Proxies,
        flags: &["--proxy-trusted"],
        meta: "NETWORK",
        kind: Kind::List,
        default: "",
        short: "Peers whose forwarding fields count; repeatable",
        long: "Addresses and networks, `unix:` for unix sockets, `*` for everyone.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_trusted", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_family",
        section: Section::Proxies,
        flags: &["--proxy-family"],
        meta: "NAME",
        kind: Kind::Text,
        default: "",
        short: "x-forwarded or forwarded: which fields are read",
        long: "`forwarded` is RFC 7239. Never both, as a client could then pick.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_family", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_x_for",
        section: Section::Proxies,
        flags: &["--proxy-x-for"],
        meta: "N|auto",
        kind: Kind::Text,
        default: "",
        short: "Proxies to step over in X-Forwarded-For",
        long: "`auto` goes as far as the trusted networks reach.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_x_for", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_x_proto",
        section: Section::Proxies,
        flags: &["--proxy-x-proto"],
        meta: "N",
        kind: Kind::Text,
        default: "",
        short: "Place of the scheme in X-Forwarded-Proto, from the right",
        long: "See that the proxy sets the field itself.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_x_proto", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_x_host",
        section: Section::Proxies,
        flags: &["--proxy-x-host"],
        meta: "N",
        kind: Kind::Text,
        default: "",
        short: "Place of the host in X-Forwarded-Host, from the right",
        long: "Not needed where the proxy keeps the Host field.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_x_host", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_x_port",
        section: Section::Proxies,
        flags: &["--proxy-x-port"],
        meta: "N",
        kind: Kind::Text,
        default: "",
        short: "Place of the port in X-Forwarded-Port, from the right",
        long: "It becomes SERVER_PORT and the port of HTTP_HOST.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_x_port", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_x_prefix",
        section: Section::Proxies,
        flags: &["--proxy-x-prefix"],
        meta: "N",
        kind: Kind::Text,
        default: "",
        short: "Place of the prefix in X-Forwarded-Prefix, from the right",
        long: "It becomes SCRIPT_NAME; PATH_INFO stays.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_x_prefix", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_forwarded",
        section: Section::Proxies,
        flags: &["--proxy-forwarded"],
        meta: "N|auto",
        kind: Kind::Text,
        default: "",
        short: "Elements of Forwarded to step over",
        long: "With the family `forwarded`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_forwarded", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_hop_check",
        section: Section::Proxies,
        flags: &["--proxy-hop-check"],
        meta: "RULE",
        kind: Kind::Text,
        default: "",
        short: "cidr or count: how the hops of a list are judged",
        long: "`cidr`: each hop that is stepped over must be trusted. `count`: only the peer \
           is.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_hop_check", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_headers",
        section: Section::Proxies,
        flags: &["--proxy-headers"],
        meta: "FACT=FIELD,…",
        kind: Kind::Pairs,
        default: "",
        short: "Other names of the fields, such as for=X-Real-IP",
        long: "The facts are for, proto, host, port and prefix.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_headers", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_map",
        section: Section::Proxies,
        flags: &["--proxy-map"],
        meta: "FIELD=KEY,…",
        kind: Kind::Pairs,
        default: "",
        short: "Fields that set environ variables, such as X-FHost=HTTP_HOST",
        long: "From trusted peers only, and only where the field is there once.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_map", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_underscores",
        section: Section::Proxies,
        flags: &["--proxy-underscores"],
        meta: "POLICY",
        kind: Kind::Text,
        default: "",
        short: "drop, refuse or keep field names with an underscore",
        long: "In place of header_map; such a name is never read for trust.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_underscores", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_strip",
        section: Section::Proxies,
        flags: &["--proxy-strip"],
        meta: "RULE",
        kind: Kind::Text,
        default: "",
        short: "never, untrusted or unused: fields the application does not see",
        long: "`untrusted`: those of peers that are not trusted. `unused`: also those that no \
           setting reads.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_strip", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_strict",
        section: Section::Proxies,
        flags: &["--proxy-strict"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Refuse forwarding fields that are short, malformed or ambiguous",
        long: "Answers 400 instead of keeping what the connection says.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_strict", value);
            Ok(())
        },
    },
    Setting {
        name: "proxy_protocol_from",
        section: Section::Proxies,
        flags: &["--proxy-protocol-from"],
        meta: "NETWORK",
        kind: Kind::List,
        default: "",
        short: "Balancers that must send a PROXY header; repeatable",
        long: "Any other peer is turned away, and so is a connection without the header.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keep_proxy_part("proxy_protocol_from", value);
            Ok(())
        },
    },
];
