//! The settings of TLS as the engine needs them, and what the master keeps for its workers.

use std::path::PathBuf;
use std::sync::Arc;

use oxicorn_settings::HttpProtocol;
use oxicorn_worker::error_log::{self, Level};
use oxicorn_worker::tls::{self, Clients, Sources, Terminator};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::settings::Settings;

/// Certificates and keys that were read, for the workers that are forked after it.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct Credentials {
    inner: Arc<tls::Credentials>,
}

#[pymethods]
impl Credentials {
    /// Reads what the settings name; `None` if they ask for no TLS. `ValueError` says what is wrong
    /// with a file.
    #[staticmethod]
    fn of(settings: &Settings) -> PyResult<Option<Self>> {
        if !settings.values().speaks_tls() {
            return Ok(None);
        }
        let sources = sources(settings.values()).map_err(PyValueError::new_err)?;
        let opened = tls::Credentials::open(sources);
        let (inner, warnings) =
            opened.map_err(|what| PyValueError::new_err(format!("TLS: {what}")))?;
        for warning in warnings {
            error_log::write(Level::Warning, format_args!("TLS: {warning}"));
        }
        Ok(Some(Self { inner: Arc::new(inner) }))
    }
}

impl Credentials {
    /// For whoever looks after them.
    pub(crate) fn share(&self) -> Arc<tls::Credentials> {
        Arc::clone(&self.inner)
    }
}

/// TLS for an engine: with what a master keeps, or else with what it reads and keeps itself.
pub(crate) fn terminator(
    settings: &Settings,
    credentials: Option<&Credentials>,
) -> PyResult<Option<Arc<Terminator>>> {
    let made = |credentials: &Credentials, is_alone| {
        Some(Arc::new(Terminator::new(credentials.share(), is_alone)))
    };
    match credentials {
        Some(credentials) => Ok(made(credentials, false)),
        None => Ok(Credentials::of(settings)?.and_then(|own| made(&own, true))),
    }
}

fn sources(settings: &oxicorn_settings::Settings) -> Result<Sources, String> {
    let Some(certfile) = &settings.certfile else {
        let name = if settings.keyfile.is_some() { "keyfile" } else { "tls_certificates" };
        return Err(format!("`{name}` needs a `certfile`"));
    };
    let keyfile = settings.keyfile.as_ref().unwrap_or(certfile);
    let mut certificates = vec![(PathBuf::from(certfile), PathBuf::from(keyfile))];
    for pair in &settings.tls_certificates {
        let (chain, key) = pair.rsplit_once(':').unwrap_or((pair, pair));
        certificates.push((chain.into(), key.into()));
    }
    Ok(Sources {
        certificates,
        authorities: settings.ca_certs.as_ref().map(PathBuf::from),
        clients: match settings.cert_reqs {
            0 => Clients::Unasked,
            1 => Clients::Optional,
            _ => Clients::Required,
        },
        ciphers: settings.ciphers.clone(),
        only_tls13: settings.tls_minimum_version == "1.3",
        protocols: settings.http_protocols.iter().flat_map(|protocol| names(*protocol)).collect(),
    })
}

/// What a protocol is called in a handshake (ALPN).
fn names(protocol: HttpProtocol) -> Vec<Vec<u8>> {
    match protocol {
        HttpProtocol::Http1 => vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()],
        HttpProtocol::Http2 => vec![b"h2".to_vec()],
    }
}
