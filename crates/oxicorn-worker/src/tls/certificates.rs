//! Certificates and keys of the server: from PEM, and which one a client gets.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::bundle::{Bundle, Pair};

/// One certificate with its key, and the names that it is for.
#[derive(Debug)]
struct Certificate {
    /// In lower case; a leading `*` stands for one label.
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// All certificates. The first one is for clients that name no server, or an unknown one.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Certificate>);

impl Certificates {
    /// Reads those of a bundle.
    ///
    /// # Errors
    ///
    /// One cannot be understood, or is not its key's; says which.
    pub(super) fn read(bundle: &Bundle, provider: &CryptoProvider) -> Result<Self, String> {
        bundle
            .pairs
            .iter()
            .map(|pair| certificate(pair, provider))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let fits =
            |certificate: &&Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let named = self.0.iter().filter(|certificate| {
            let is_for = |name: &String| certificate.names.iter().any(|own| matches(own, name));
            name.as_ref().is_some_and(is_for)
        });
        // A key that the client cannot verify is the last choice: the handshake says so then.
        let chosen = named.clone().find(fits).or(named.clone().next()).or(self.0.iter().find(fits));
        chosen.or(self.0.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

/// Whether a certificate's name covers a server's (RFC 9525, section 6.3).
fn matches(own: &str, name: &str) -> bool {
    match own.strip_prefix("*.") {
        Some(parent) => {
            name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
        }
        None => own == name,
    }
}

fn certificate(pair: &Pair, provider: &CryptoProvider) -> Result<Certificate, String> {
    let origin = &pair.origin;
    let chain = chain(&pair.chain).map_err(|what| format!("{what} in `{origin}`"))?;
    let key = key(&pair.key).map_err(|what| format!("{what} for `{origin}`"))?;
    let names = chain.first().map(|first| names(first)).unwrap_or_default();
    let is_of_another = |chain: &[CertificateDer<'static>]| {
        chain.iter().skip(1).any(|other| {
            CertifiedKey::from_der(vec![other.clone()], key.clone_key(), provider).is_ok()
        })
    };
    let made = CertifiedKey::from_der(chain.clone(), key.clone_key(), provider);
    let key = made.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) if is_of_another(&chain) => format!(
            "the key is not that of the first certificate in `{origin}`, but of a later one: put the \
             server's own first, and then those that lead to its authority"
        ),
        rustls::Error::InconsistentKeys(_) => {
            format!("the key is not that of the certificate in `{origin}`")
        }
        rustls::Error::InvalidCertificate(error) => {
            format!("the certificate in `{origin}` is broken: {error}")
        }
        error => format!("the key for `{origin}` cannot be used: {error}"),
    })?;
    Ok(Certificate { names, key: Arc::new(key) })
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("no certificate".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("broken PEM ({error})")),
    }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let has = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Err("the key is encrypted, and nobody is there to type a passphrase: write it \
                    without one (openssl pkey -in KEY -out FILE), in a file that only the server's \
                    user may read,"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            "no private key (PKCS #8, PKCS #1 or SEC 1, in PEM)".to_owned()
        }
        error => format!("broken PEM of the key ({error})"),
    })
}

/// The names of a certificate: those of its extension, or else its common name.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    if names.is_empty() {
        let common = parsed.subject().iter_common_name();
        names.extend(common.filter_map(|name| Some(name.as_str().ok()?.to_ascii_lowercase())));
    }
    names
}

/// Those who sign client certificates.
///
/// # Errors
///
/// There is none, or one is broken.
pub(super) fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for authority in chain(pem)? {
        store.add(authority).map_err(|error| format!("a broken certificate ({error})"))?;
    }
    Ok(store)
}

impl fmt::Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|certificate| certificate.names.join(" ")).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(matches("shop.example", "shop.example"));
        assert!(matches("*.shop.example", "www.shop.example"));
        for name in ["shop.example", "a.b.shop.example", ".shop.example", "wwwshop.example"] {
            assert!(!matches("*.shop.example", name), "{name}");
        }
    }
}
