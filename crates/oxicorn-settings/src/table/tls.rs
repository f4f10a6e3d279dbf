//! TLS, spoken on every listener as soon as there is a certificate.

use super::{MOST, nothing};
use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "keyfile",
        section: Section::Tls,
        flags: &["--keyfile"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "File of the private key",
        long: "PEM, not encrypted. Unset, the key is in the file of the certificate. It should be \
           readable by the user that starts the server alone: workers that run as another user get \
           it from the master.",
        support: Support::Works,
        apply: |settings, value| {
            settings.keyfile = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "certfile",
        section: Section::Tls,
        flags: &["--certfile"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "File of the certificate: speak TLS on every address",
        long: "PEM: the certificate, then those that lead to its authority. When the file changes, \
           new connections get what is in it now; if that cannot be used, the old one stays and the \
           error log says why. TLS 1.2 and 1.3 are spoken.",
        support: Support::Works,
        apply: |settings, value| {
            settings.certfile = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "tls_certificates",
        section: Section::Tls,
        flags: &["--tls-certificate"],
        meta: "CERT[:KEY]",
        kind: Kind::List,
        default: "",
        short: "More certificates, for other server names; repeatable",
        long: "Each is the file of a certificate and, after a colon, that of its key. Clients get \
           the one whose names have the server name that they ask for (SNI); those that ask for no \
           name, or for an unknown one, get that of `certfile`. Two certificates for one name may \
           have keys of different kinds.",
        support: Support::Works,
        apply: |settings, value| {
            settings.tls_certificates = value.list()?;
            Ok(())
        },
    },
    Setting {
        name: "ca_certs",
        section: Section::Tls,
        flags: &["--ca-certs"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "File of the authorities of client certificates",
        long: "PEM. Belongs to `cert_reqs`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.ca_certs = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "cert_reqs",
        section: Section::Tls,
        flags: &["--cert-reqs"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: 2 },
        default: "0",
        short: "Whether clients need a certificate: 0 no, 1 optional, 2 yes",
        long: "With 1 a client may have none, but what it has must be signed by an authority of \
           `ca_certs`. environ says who it is in variables that are named as mod_ssl's, such as \
           `SSL_CLIENT_S_DN`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.cert_reqs = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "tls_minimum_version",
        section: Section::Tls,
        flags: &["--tls-minimum-version"],
        meta: "VERSION",
        kind: Kind::Choice(&["1.2", "1.3"]),
        default: "1.2",
        short: "Oldest version of TLS that clients may speak: 1.2 or 1.3",
        long: "With 1.3, a client that cannot do better than TLS 1.2 gets no connection.",
        support: Support::Works,
        apply: |settings, value| {
            settings.tls_minimum_version = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "ssl_version",
        section: Section::Tls,
        flags: &["--ssl-version"],
        meta: "VERSION",
        kind: Kind::Object,
        default: "",
        short: "Version of TLS; gunicorn ignores it too",
        long: "TLS 1.3 is spoken with every client that can, and TLS 1.2 with the others.",
        support: Support::WarnIgnored("TLS 1.3 and 1.2 are spoken; see tls_minimum_version"),
        apply: nothing,
    },
    Setting {
        name: "suppress_ragged_eofs",
        section: Section::Tls,
        flags: &["--suppress-ragged-eofs"],
        meta: "",
        kind: Kind::Flag(true),
        default: "True",
        short: "A detail of Python's ssl module",
        long: "A client that ends a connection without saying so in TLS is tolerated: HTTP knows \
           by itself whether a request is whole.",
        support: Support::WarnIgnored("such an end is always tolerated"),
        apply: nothing,
    },
    Setting {
        name: "do_handshake_on_connect",
        section: Section::Tls,
        flags: &["--do-handshake-on-connect"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "A detail of Python's ssl module",
        long: "A handshake goes on when bytes for it come, and holds nobody up.",
        support: Support::WarnIgnored("a handshake never holds anybody up"),
        apply: nothing,
    },
    Setting {
        name: "ciphers",
        section: Section::Tls,
        flags: &["--ciphers"],
        meta: "LIST",
        kind: Kind::Text,
        default: "",
        short: "Ciphers of TLS 1.2, as OpenSSL lists them",
        long: "Names and words of ciphers(1), separated by colons. Those that can be had are the \
           six with ECDHE and AES-GCM or ChaCha20-Poly1305; a list that leaves none of them stops \
           the start. The three of TLS 1.3 are always there, as with OpenSSL.",
        support: Support::Works,
        apply: |settings, value| {
            settings.ciphers = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "tls_handshake_timeout",
        section: Section::Tls,
        flags: &["--tls-handshake-timeout"],
        meta: "SECONDS",
        kind: Kind::Seconds,
        default: "10",
        short: "Time a client has for its TLS handshake",
        long: "Bytes do not extend it. Raise it only for clients on very bad lines.",
        support: Support::Works,
        apply: |settings, value| {
            settings.tls_handshake_timeout = value.seconds()?;
            Ok(())
        },
    },
    Setting {
        name: "tls_handshake_limit",
        section: Section::Tls,
        flags: &["--tls-handshake-limit"],
        meta: "N",
        kind: Kind::Integer { min: 1, max: MOST },
        default: "256",
        short: "Most unfinished TLS handshakes of a worker",
        long: "For one more, the connection that has been at it for longest is closed, if that is a \
           second at least; otherwise accepting pauses.",
        support: Support::Works,
        apply: |settings, value| {
            settings.tls_handshake_limit = value.number()?;
            Ok(())
        },
    },
];
