//! What Python sees of the proxy rules: the explanation, and the rules for a middleware.

use std::net::IpAddr;

use oxicorn_http::proxy::{Effective, Group, Hops, Peer, Proxy, Strip};
use oxicorn_http::{Field, Head, Name, Span};
use oxicorn_settings::Networks;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::proxy;
use crate::settings::Settings;

/// What the settings would believe of a request, one line for each step.
///
/// `peer` is an address or `unix:`, `header` the bytes of a PROXY header, `fields` field lines.
#[pyfunction]
#[pyo3(signature = (settings, peer, fields, header = None))]
pub(crate) fn explain_proxy(
    settings: &Settings,
    peer: &str,
    fields: Vec<String>,
    header: Option<&[u8]>,
) -> PyResult<Vec<String>> {
    proxy::explain(settings.values(), peer, header, &fields).map_err(PyValueError::new_err)
}

/// The rules of a middleware: counts of proxies, and who is believed.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct ProxyRules {
    proxy: Proxy,
}

/// The fields that the rules read, and their variables.
const FIELDS: [(&str, &str); 5] = [
    ("X-Forwarded-For", "HTTP_X_FORWARDED_FOR"),
    ("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO"),
    ("X-Forwarded-Host", "HTTP_X_FORWARDED_HOST"),
    ("X-Forwarded-Port", "HTTP_X_FORWARDED_PORT"),
    ("X-Forwarded-Prefix", "HTTP_X_FORWARDED_PREFIX"),
];
/// What the rules can change, in the order in which Werkzeug names it.
const FACTS: [&str; 6] =
    ["REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME"];

#[pymethods]
impl ProxyRules {
    /// `trusted` are networks; a count of 0 reads nothing.
    #[new]
    fn new(
        trusted: Vec<String>,
        x_for: u32,
        x_proto: u32,
        x_host: u32,
        x_port: u32,
        x_prefix: u32,
    ) -> PyResult<Self> {
        let networks = Networks::parse(&trusted)
            .map_err(|unfit| PyValueError::new_err(format!("trusted: expected {}", unfit.0)))?;
        let proxy = Proxy::Group(Group {
            trusted: proxy::peers(&networks),
            x_for: Hops::AtMost(x_for),
            x_proto,
            x_host,
            x_port,
            x_prefix,
            count_only: true,
            strip: Strip::Never,
            ..Group::default()
        });
        Ok(Self { proxy })
    }

    /// Changes `environ` as the forwarding fields in it say, if its peer is trusted.
    fn apply(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        let Some(peer) = peer_of(environ)? else { return Ok(()) };
        if !self.proxy.trusts(&peer) {
            return Ok(());
        }
        let (mut bytes, mut head) = (Vec::new(), Head::default());
        for (name, key) in FIELDS {
            push(environ, key, name, Name::Other, &mut head, &mut bytes)?;
        }
        push(environ, "HTTP_HOST", "Host", Name::Host, &mut head, &mut bytes)?;
        // Nothing is refused, as the rules are not strict.
        if let Ok(Some(effective)) = self.proxy.evaluate(true, &head, &bytes) {
            keep_originals(environ)?;
            change(environ, &effective)?;
        }
        Ok(())
    }
}

/// The peer of an environ; none if it says nothing that can be one.
fn peer_of(environ: &Bound<'_, PyDict>) -> PyResult<Option<Peer>> {
    let Some(text) = environ.get_item("REMOTE_ADDR")? else { return Ok(Some(Peer::Unix)) };
    let Ok(text) = text.cast::<PyString>() else { return Ok(None) };
    let text = text.to_string_lossy();
    if text.is_empty() {
        return Ok(Some(Peer::Unix));
    }
    Ok(text.parse::<IpAddr>().ok().map(|address| Peer::Inet(address.to_canonical(), 0)))
}

/// Adds a variable as a field of a request head.
fn push(
    environ: &Bound<'_, PyDict>,
    key: &str,
    name: &str,
    known: Name,
    head: &mut Head,
    bytes: &mut Vec<u8>,
) -> PyResult<()> {
    let Some(value) = environ.get_item(key)? else { return Ok(()) };
    let Ok(value) = value.cast::<PyString>() else { return Ok(()) };
    let mut span = |text: &[u8]| {
        // Both fit: they come from one request, whose head is limited.
        let (start, len) = (bytes.len() as u32, text.len() as u32);
        bytes.extend_from_slice(text);
        Span { start, len }
    };
    let name = span(name.as_bytes());
    let value = span(value.to_string_lossy().as_bytes());
    head.fields.push(Field { name, value, known });
    Ok(())
}

/// Keeps what the connection itself says, under our name and Werkzeug's.
pub(crate) fn keep_originals(environ: &Bound<'_, PyDict>) -> PyResult<()> {
    let originals = PyDict::new(environ.py());
    for key in FACTS {
        originals.set_item(key, environ.get_item(key)?)?;
    }
    environ.set_item("oxicorn.proxy.orig", &originals)?;
    environ.set_item("werkzeug.proxy_fix.orig", &originals)
}

/// Sets what a proxy said, all but the prefix that is part of the path.
pub(crate) fn change(environ: &Bound<'_, PyDict>, effective: &Effective) -> PyResult<()> {
    let py = environ.py();
    let latin1 = |bytes: &[u8]| crate::ffi::latin1(py, bytes);
    if let Some((address, port)) = effective.client {
        environ.set_item("REMOTE_ADDR", address.to_string())?;
        environ.set_item("REMOTE_PORT", port.to_string())?;
    }
    if let Some(https) = effective.https {
        environ.set_item("wsgi.url_scheme", if https { "https" } else { "http" })?;
    }
    if let Some(host) = &effective.host {
        environ.set_item("HTTP_HOST", latin1(host)?)?;
    }
    if let Some(name) = &effective.server_name {
        environ.set_item("SERVER_NAME", latin1(name)?)?;
    }
    if let Some(port) = effective.server_port {
        environ.set_item("SERVER_PORT", port.to_string())?;
    }
    if let Some(prefix) = &effective.prefix {
        environ.set_item("SCRIPT_NAME", latin1(prefix)?)?;
    }
    for (key, value) in &effective.environ {
        environ.set_item(key, latin1(value)?)?;
    }
    Ok(())
}
