//! What is known of a TLS connection when its handshake is over, and how environ says it.

use std::borrow::Cow;
use std::time::SystemTime;

use rustls::{ProtocolVersion, ServerConnection};

use super::{ciphers, identity};

/// Facts of one TLS connection, the same for all its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the client and we agreed on to speak inside, if it asked (ALPN, RFC 7301).
    pub protocol: Option<Vec<u8>>,
    /// Keys and values for environ, as mod_ssl names them.
    pub variables: Vec<(Cow<'static, str>, String)>,
}

impl Facts {
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let mut variables = vec![("SSL_PROTOCOL".into(), version.to_owned())];
        if let Some(suite) = connection.negotiated_cipher_suite() {
            variables.push(("SSL_CIPHER".into(), ciphers::name(suite).to_owned()));
        }
        if let Some(name) = connection.server_name() {
            variables.push(("SSL_TLS_SNI".into(), name.to_owned()));
        }
        if let Some(certificate) = connection.peer_certificates().and_then(<[_]>::first) {
            identity::add(&mut variables, certificate, SystemTime::now());
        }
        let protocol = connection.alpn_protocol().map(<[u8]>::to_vec);
        Self { protocol, variables }
    }

    /// Says that the client was asked for a certificate, and had none.
    pub(super) fn without_certificate(&mut self) {
        if !self.variables.iter().any(|(key, _)| key == identity::VERIFY) {
            self.variables.push((identity::VERIFY.into(), "NONE".to_owned()));
        }
    }
}
