//! environ behind a proxy: what holds instead of the facts of the connection.
//!
//! Apart from [`environ`](super::environ), as most requests have none of it.

use oxicorn_http::cgi;
use oxicorn_http::proxy::Peer;
use oxicorn_worker::Request;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::ffi::latin1;
use crate::keys::Keys;
use crate::proxy_fix::{change, keep_originals};

/// Whether anything of it applies to the request.
pub(super) fn applies(request: &Request<'_>) -> bool {
    request.effective.is_some() || request.link.announced.is_some()
}

/// Sets it in an environ that is complete otherwise.
pub(super) fn apply(
    environ: &Bound<'_, PyDict>,
    keys: &Keys,
    request: &Request<'_>,
) -> PyResult<()> {
    let py = environ.py();
    // For the access log, where REMOTE_ADDR is the client.
    let socket = match request.link.peer {
        Peer::Inet(address, _) => address.to_string(),
        Peer::Unix => String::new(),
    };
    environ.set_item("oxicorn.proxy.peer", socket)?;
    if let Some(said) = &request.link.announced {
        environ.set_item("PROXY_PROTOCOL", said.protocol())?;
        environ.set_item("PROXY_ADDR", said.destination.to_string())?;
        environ.set_item("PROXY_PORT", said.destination_port.to_string())?;
    }
    let Some(effective) = request.effective else { return Ok(()) };
    if effective.keeps_originals {
        keep_originals(environ)?;
    }
    change(environ, effective)?;
    if request.link.is_https && effective.https == Some(false) {
        environ.del_item(&keys.https)?;
    }
    if let (true, Some(prefix)) = (effective.prefix_in_path, &effective.prefix) {
        let path = request.head.path(request.bytes);
        let rest = path.strip_prefix(prefix.as_slice()).unwrap_or(path);
        let decoded = cgi::decode_path(rest);
        environ.set_item(&keys.path_info, latin1(py, decoded.as_deref().unwrap_or(rest))?)?;
    }
    Ok(())
}
