//! Details of the protocol.

use super::nothing;
use crate::setting::{Kind, Section, Setting, Support};
use crate::settings::HttpProtocol;
use crate::value::Unfit;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "server_header",
        section: Section::Http,
        flags: &["--server-header"],
        meta: "TEXT",
        kind: Kind::TextOrEmpty,
        default: "oxicorn",
        short: "Value of the Server field of responses; empty for none",
        long: "The application's own Server field wins.",
        support: Support::Works,
        apply: |settings, value| {
            settings.server_header = Some(value.text()?).filter(|text| !text.is_empty());
            Ok(())
        },
    },
    Setting {
        name: "permit_missing_host",
        section: Section::Http,
        flags: &["--permit-missing-host"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Accept HTTP/1.1 requests without Host",
        long: "RFC 9112 asks for 400; gunicorn accepts them. For old health checks.",
        support: Support::Works,
        apply: |settings, value| {
            settings.permit_missing_host = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "permit_obsolete_folding",
        section: Section::Http,
        flags: &["--permit-obsolete-folding"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Join lines that begin with white space to the field before",
        long: "For clients that still fold long fields, which RFC 9112 forbids. Folded lines of the \
           fields that decide framing, persistence or the host are refused all the same.",
        support: Support::Works,
        apply: |settings, value| {
            settings.permit_obsolete_folding = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "strip_header_spaces",
        section: Section::Http,
        flags: &["--strip-header-spaces"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Accept white space between a field's name and the colon",
        long: "Use it for as long as a client cannot be corrected: a proxy in front may read such a \
           field in another way than oxicorn does.",
        support: Support::Works,
        apply: |settings, value| {
            settings.strip_header_spaces = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "permit_unconventional_http_method",
        section: Section::Http,
        flags: &["--permit-unconventional-http-method"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Accept methods of more than 32 characters",
        long: "Methods are any token of one to 32 characters, lower case included; with this, as long \
           as the request line may be.",
        support: Support::Works,
        apply: |settings, value| {
            settings.permit_unconventional_http_method = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "permit_unconventional_http_version",
        section: Section::Http,
        flags: &["--permit-unconventional-http-version"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Accept versions other than HTTP/1.0 and HTTP/1.1",
        long: "Any other `HTTP/x.y` is served as HTTP/1.0 if it is below 1.1, and else as HTTP/1.1, \
           which is what the application and the log see. Without it the answer is 505.",
        support: Support::Works,
        apply: |settings, value| {
            settings.permit_unconventional_http_version = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "casefold_http_method",
        section: Section::Http,
        flags: &["--casefold-http-method"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Make methods upper-case",
        long: "`get` is `GET` then, for the application and the log. Methods are case-sensitive.",
        support: Support::Works,
        apply: |settings, value| {
            settings.casefold_http_method = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "http_protocols",
        section: Section::Http,
        flags: &["--http-protocols"],
        meta: "LIST",
        kind: Kind::Text,
        default: "h1",
        short: "Protocols that are offered inside TLS: h1, h2 or both",
        long: "Separated by commas, the preferred one first: `h2,h1` is for browsers. A client that \
               does not ask is served by HTTP/1. Without TLS see `http2_cleartext`.",
        support: Support::Works,
        apply: |settings, value| {
            let expected = || Unfit::from("`h1`, `h2`, or both separated by a comma");
            settings.http_protocols.clear();
            for name in value.text()?.split(',') {
                let protocol = match name.trim().to_lowercase().as_str() {
                    "h1" => HttpProtocol::Http1,
                    "h2" => HttpProtocol::Http2,
                    _ => return Err(expected()),
                };
                if settings.http_protocols.contains(&protocol) {
                    return Err(expected());
                }
                settings.http_protocols.push(protocol);
            }
            Ok(())
        },
    },
    Setting {
        name: "http2_cleartext",
        section: Section::Http,
        flags: &["--http2-cleartext"],
        meta: "MODE",
        kind: Kind::Choice(&["off", "prior-knowledge", "upgrade", "both"]),
        default: "off",
        short: "Accept HTTP/2 without TLS",
        long: "With `prior-knowledge` a connection may begin with HTTP/2 at once, as proxies do that \
               are told to; only one from a trusted peer (`forwarded_allow_ips`, or the `trusted` \
               key of the `proxy` group). Any other is answered by HTTP/1.1 as before. The upgrade \
               from HTTP/1.1, which RFC 9113 has withdrawn, is never taken: with `both` only prior \
               knowledge counts, with `upgrade` clients go on by HTTP/1.1.",
        support: Support::Works,
        apply: |settings, value| {
            settings.http2_cleartext = matches!(value.text()?.as_str(), "prior-knowledge" | "both");
            Ok(())
        },
    },
    Setting {
        name: "http2_max_concurrent_streams",
        section: Section::Http,
        flags: &["--http2-max-concurrent-streams"],
        meta: "N",
        kind: Kind::Integer { min: 1, max: i32::MAX as u64 },
        default: "100",
        short: "Most streams of an HTTP/2 connection at a time",
        long: "More are refused, and the client may try them again. A stream that its client gives \
               up counts as long as the application works for it.",
        support: Support::Works,
        apply: |settings, value| {
            settings.http2_max_concurrent_streams = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "http2_initial_window_size",
        section: Section::Http,
        flags: &["--http2-initial-window-size"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: i32::MAX as u64 },
        default: "65535",
        short: "First window of an HTTP/2 stream",
        long: "Bytes of a request body that a client may send before it hears that they were taken. \
               A larger window makes uploads from far away faster. With 0 no body can be sent.",
        support: Support::Works,
        apply: |settings, value| {
            settings.http2_initial_window_size = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "http2_max_frame_size",
        section: Section::Http,
        flags: &["--http2-max-frame-size"],
        meta: "N",
        kind: Kind::Integer { min: 16384, max: 16777215 },
        default: "16384",
        short: "Most bytes of an HTTP/2 frame",
        long: "What a client may send in one frame; no request is limited by it.",
        support: Support::Works,
        apply: |settings, value| {
            settings.http2_max_frame_size = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "http2_max_header_list_size",
        section: Section::Http,
        flags: &["--http2-max-header-list-size"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: 1 << 30 },
        default: "65536",
        short: "Most bytes of the fields of an HTTP/2 request",
        long: "Counted as RFC 9113 does, with 32 bytes for each field; above it 431. With 0 it is \
               16 MiB. The limits of HTTP/1 (`limit_request_fields`, `limit_request_field_size`, \
               `limit_request_line`) hold as well.",
        support: Support::Works,
        apply: |settings, value| {
            settings.http2_max_header_list_size = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "http_parser",
        section: Section::Http,
        flags: &["--http-parser"],
        meta: "NAME",
        kind: Kind::Choice(&["auto", "fast", "python"]),
        default: "auto",
        short: "Which parser gunicorn uses",
        long: "oxicorn has one.",
        support: Support::WarnIgnored("the parser is always the native one"),
        apply: nothing,
    },
    Setting {
        name: "protocol",
        section: Section::Http,
        flags: &["--protocol"],
        meta: "NAME",
        kind: Kind::Choice(&["http", "uwsgi"]),
        default: "http",
        short: "Protocol between a proxy and the server",
        long: "oxicorn speaks HTTP.",
        support: Support::Rejected(
            "let the proxy speak HTTP: in nginx proxy_pass instead of uwsgi_pass",
        ),
        apply: nothing,
    },
    Setting {
        name: "uwsgi_allow_ips",
        section: Section::Http,
        flags: &["--uwsgi-allow-from"],
        meta: "NETWORKS",
        kind: Kind::Networks,
        default: "127.0.0.1,::1",
        short: "Peers that may speak the uwsgi protocol",
        long: "Belongs to the uwsgi protocol.",
        support: Support::WarnIgnored("the uwsgi protocol is not spoken"),
        apply: nothing,
    },
];
