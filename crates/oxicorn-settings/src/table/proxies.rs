//! Whom to believe behind a proxy.

use super::nothing;
use crate::setting::{Kind, Section, Setting, Support};
use crate::settings::HeaderMap;

const UNREAD: Support = Support::WarnIgnored(
    "this version reads no forwarding fields; a middleware such as Werkzeug's ProxyFix does",
);

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
        support: UNREAD,
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
        support: UNREAD,
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
        support: UNREAD,
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
        long: "Switch it on behind a balancer that passes bytes through.",
        support: Support::Rejected("let the balancer speak HTTP and send X-Forwarded-For"),
        apply: nothing,
    },
    Setting {
        name: "proxy_allow_ips",
        section: Section::Proxies,
        flags: &["--proxy-allow-from"],
        meta: "NETWORKS",
        kind: Kind::Networks,
        default: "127.0.0.1,::1",
        short: "Peers that may send a PROXY line",
        long: "Name the balancers here.",
        support: Support::WarnIgnored(
            "it belongs to proxy_protocol, which this version does not have",
        ),
        apply: nothing,
    },
];
