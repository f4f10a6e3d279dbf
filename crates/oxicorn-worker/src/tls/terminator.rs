//! TLS of one worker: rustls' configuration, and how many handshakes there may be at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CipherSuite, ServerConfig, SupportedProtocolVersion};

use super::bundle::Bundle;
use super::certificates::{Certificates, authorities};
use super::tickets::Tickets;
use super::{Clients, Credentials, Facts, Session, Sources, ciphers};
use crate::error_log::{self, Level};

/// Where a worker's TLS connections begin.
#[derive(Debug)]
pub struct Terminator {
    credentials: Arc<Credentials>,
    /// Nobody else looks whether the files have changed.
    is_alone: bool,
    current: Mutex<Option<(u64, Configs)>>,
    unfinished: Arc<AtomicUsize>,
}

/// What connections get that begin while the same is published.
#[derive(Clone, Debug)]
struct Configs {
    /// Whose order of ciphers counts: ours, as a rule.
    ours: Arc<ServerConfig>,
    /// For clients that want ChaCha20-Poly1305 before all others: they compute AES slowly.
    theirs: Arc<ServerConfig>,
}

impl Configs {
    fn of(config: ServerConfig) -> Self {
        let mut theirs = config.clone();
        theirs.ignore_client_order = false;
        Self { ours: Arc::new(config), theirs: Arc::new(theirs) }
    }

    fn choose(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let known = &self.ours.crypto_provider().cipher_suites;
        let is_known = |suite: &&CipherSuite| known.iter().any(|own| own.suite() == **suite);
        let first = hello.cipher_suites().iter().find(is_known);
        Arc::clone(if first.is_some_and(ciphers::is_chacha) { &self.theirs } else { &self.ours })
    }
}

/// Counts as an unfinished handshake while it lives.
#[derive(Debug)]
pub(crate) struct Unfinished(Arc<AtomicUsize>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Terminator {
    /// Uses what `credentials` publish. With `is_alone` it also sees to it that they are read again.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>, is_alone: bool) -> Self {
        let unfinished = Arc::new(AtomicUsize::new(0));
        Self { credentials, is_alone, current: Mutex::new(None), unfinished }
    }

    /// TLS for a new connection.
    pub(crate) fn session(&self) -> Session {
        self.unfinished.fetch_add(1, Ordering::AcqRel);
        Session::new(Unfinished(Arc::clone(&self.unfinished)))
    }

    /// Handshakes that are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::Acquire)
    }

    /// What a connection that begins now, with this, gets.
    pub(super) fn config(
        &self,
        hello: &ClientHello<'_>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        self.configs().map(|configs| configs.choose(hello))
    }

    fn configs(&self) -> Result<Configs, rustls::Error> {
        if self.is_alone {
            self.credentials.refresh(Instant::now());
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.credentials.published.count();
        if let Some((known, configs)) = &*current
            && *known == count
        {
            return Ok(configs.clone());
        }
        match self.make() {
            Ok((count, configs)) => {
                *current = Some((count, configs.clone()));
                Ok(configs)
            }
            Err(what) => {
                // It was found good before it was published.
                error_log::write(
                    Level::Error,
                    format_args!("the new certificates are lost: {what}"),
                );
                match &mut *current {
                    Some((known, configs)) => {
                        *known = count;
                        Ok(configs.clone())
                    }
                    None => Err(rustls::Error::General(what)),
                }
            }
        }
    }

    fn make(&self) -> Result<(u64, Configs), String> {
        let (count, bytes) = self.credentials.published.read().ok_or("nothing was published")?;
        let bundle = Bundle::from_bytes(&bytes).ok_or("what was published is not whole")?;
        Ok((count, Configs::of(server_config(&bundle, &self.credentials.sources)?)))
    }

    /// Completes what is known of a connection.
    pub(crate) fn complete(&self, facts: &mut Facts) {
        if self.credentials.sources.clients != Clients::Unasked {
            facts.without_certificate();
        }
    }
}

/// rustls' configuration.
///
/// There is no early data (0-RTT), which could be replayed, and no renegotiation, which rustls does
/// not have.
pub(super) fn server_config(bundle: &Bundle, sources: &Sources) -> Result<ServerConfig, String> {
    let mut cryptography = provider::default_provider();
    cryptography.cipher_suites = match &sources.ciphers {
        None => ciphers::all(),
        Some(list) => ciphers::choose(list).map_err(|what| format!("{what} (ciphers)"))?.0,
    };
    let cryptography: Arc<CryptoProvider> = Arc::new(cryptography);
    let certificates = Certificates::read(bundle, &cryptography)?;
    let versions: &[&SupportedProtocolVersion] = if sources.only_tls13 {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&cryptography))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let builder = match (&bundle.authorities, sources.clients) {
        (Some(pem), Clients::Optional | Clients::Required) => {
            let roots = Arc::new(authorities(pem).map_err(|what| format!("{what} (ca_certs)"))?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, cryptography);
            if sources.clients == Clients::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build().map_err(|error| format!("{error} (ca_certs)"))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.ignore_client_order = true;
    config.alpn_protocols.clone_from(&sources.protocols);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Tickets::new(&bundle.tickets, ticket_context(bundle, sources)));
    Ok(config)
}

/// What a session may be resumed under: the same rules for clients as when it began.
fn ticket_context(bundle: &Bundle, sources: &Sources) -> Vec<u8> {
    let rule = match sources.clients {
        Clients::Unasked => return vec![0],
        Clients::Optional => 1,
        Clients::Required => 2,
    };
    let authorities = digest(&SHA256, bundle.authorities.as_deref().unwrap_or_default());
    [&[rule], authorities.as_ref()].concat()
}
