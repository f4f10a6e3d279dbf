//! environ: a copy of the listener's template, plus what this request brought.
//!
//! The template holds every key that never changes in a worker, and the keys that every request
//! has in their places, so that a request pays for its own size only and its dict never grows
//! for a usual number of fields.

use oxicorn_http::{Framing, Name, Version, cgi};
use oxicorn_worker::{Link, Request};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::ServerName;
use super::fields::{Fields, reuse};
use super::shapes::{Found, Shapes};
use crate::ffi::{latin1, latin1_bytes};
use crate::keys::Keys;

/// The method of a request that says nothing else.
const TEMPLATE_METHOD: &str = "GET";
/// Ports whose text is kept.
const PORTS: usize = 256;

/// What all requests of a worker share.
pub(super) struct Constants<'a, 'py> {
    pub(super) input: &'a Bound<'py, PyAny>,
    pub(super) errors: &'a Bound<'py, PyAny>,
    pub(super) file_wrapper: &'a Bound<'py, PyAny>,
    pub(super) deadline: &'a Bound<'py, PyAny>,
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
}

/// Makes the template of one listener and scheme.
pub(super) fn template(
    py: Python<'_>,
    keys: &Keys,
    server: &ServerName,
    scheme: &str,
    constants: &Constants<'_, '_>,
) -> PyResult<Py<PyDict>> {
    let template = PyDict::new(py);
    let software = concat!("oxicorn/", env!("CARGO_PKG_VERSION"));
    template.set_item(&keys.request_method, TEMPLATE_METHOD)?;
    template.set_item(&keys.script_name, "")?;
    template.set_item(&keys.path_info, "")?;
    template.set_item(&keys.query_string, "")?;
    template.set_item(&keys.raw_uri, "")?;
    template.set_item(&keys.request_uri, "")?;
    template.set_item(&keys.server_protocol, "HTTP/1.1")?;
    template.set_item(&keys.server_name, &server.name)?;
    template.set_item(&keys.server_port, &server.port)?;
    template.set_item(&keys.server_software, software)?;
    template.set_item(&keys.remote_addr, "")?;
    template.set_item(&keys.remote_port, "")?;
    template.set_item(&keys.version, (1, 0))?;
    template.set_item(&keys.url_scheme, scheme)?;
    if scheme == "https" {
        template.set_item(&keys.https, "on")?;
    }
    template.set_item(&keys.input, constants.input)?;
    template.set_item(&keys.input_terminated, true)?;
    template.set_item(&keys.errors, constants.errors)?;
    template.set_item(&keys.multithread, constants.multithread)?;
    template.set_item(&keys.multiprocess, constants.multiprocess)?;
    template.set_item(&keys.run_once, false)?;
    template.set_item(&keys.file_wrapper, constants.file_wrapper)?;
    template.set_item(&keys.early_hints, py.None())?;
    template.set_item(&keys.client_disconnected, py.None())?;
    template.set_item(&keys.deadline, constants.deadline)?;
    Ok(template.unbind())
}

/// Which template a request's environ is a copy of.
pub(super) enum Template {
    /// That of its listener.
    Usual,
    /// The same; and requests like it should get one of their own.
    New,
    /// One for requests with these field names.
    Shape(Found, Py<PyDict>),
}

/// Values that were made for earlier requests, and will be asked for again.
#[derive(Debug)]
pub(super) struct Cache {
    fields: Fields,
    /// By listener, for http and https.
    shapes: Vec<[Shapes; 2]>,
    methods: Vec<Py<PyString>>,
    http10: Py<PyString>,
    http2: Py<PyString>,
    remote_addr: Option<Py<PyString>>,
    /// Ports by their low bits: as many clients as that keep theirs while they are connected.
    remote_ports: Vec<Option<(u16, Py<PyString>)>>,
}

impl Cache {
    pub(super) fn new(py: Python<'_>, listeners: usize) -> PyResult<Self> {
        let methods = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"];
        Ok(Self {
            fields: Fields::new(py)?,
            shapes: (0..listeners).map(|_| <[Shapes; 2]>::default()).collect(),
            methods: methods.map(|name| PyString::intern(py, name).unbind()).into(),
            http10: PyString::intern(py, "HTTP/1.0").unbind(),
            http2: PyString::intern(py, "HTTP/2.0").unbind(),
            remote_addr: None,
            remote_ports: (0..PORTS).map(|_| None).collect(),
        })
    }

    /// Forgets the shapes, as the templates that they were made of have changed.
    pub(super) fn forget_shapes(&mut self) {
        self.shapes.iter_mut().flatten().for_each(|shapes| *shapes = Shapes::default());
    }

    /// The template that fits the request, and what it is for.
    pub(super) fn template(&mut self, py: Python<'_>, request: &Request<'_>) -> Template {
        let shapes = shapes(&mut self.shapes, request.link);
        match shapes.find(py, request.head, request.bytes) {
            Some((found, template)) => Template::Shape(found, template),
            None if shapes.wants(request.head) => Template::New,
            None => Template::Usual,
        }
    }

    /// Makes a template for requests like this one of a copy of the usual one.
    ///
    /// It runs no Python code, as [`fill`](Self::fill).
    pub(super) fn learn(
        &mut self,
        template: Bound<'_, PyDict>,
        request: &Request<'_>,
    ) -> PyResult<()> {
        let shapes = shapes(&mut self.shapes, request.link);
        shapes.learn(template, &mut self.fields, request.head, request.bytes)
    }

    /// Sets what the request brought in `environ`, a copy of a template; returns method and target.
    ///
    /// It runs no Python code and allocates nothing that the garbage collector counts (whose
    /// finalizers are Python code), so the caller may hold a lock.
    pub(super) fn fill<'py>(
        &mut self,
        environ: &Bound<'py, PyDict>,
        keys: &Keys,
        request: &Request<'_>,
        found: Option<Found>,
    ) -> PyResult<[Bound<'py, PyString>; 2]> {
        let py = environ.py();
        let (head, bytes) = (request.head, request.bytes);
        let method = self.method(py, head.method.of(bytes))?;
        // The template says GET, and each key that is left alone saves a look-up.
        if head.method.of(bytes) != TEMPLATE_METHOD.as_bytes() {
            environ.set_item(&keys.request_method, &method)?;
        }
        let raw = head.target.of(bytes);
        let target = latin1(py, raw)?;
        environ.set_item(&keys.raw_uri, &target)?;
        environ.set_item(&keys.request_uri, &target)?;
        let path = head.path(bytes);
        match cgi::decode_path(path) {
            Some(path) => environ.set_item(&keys.path_info, latin1(py, &path)?)?,
            None if path == raw => environ.set_item(&keys.path_info, &target)?,
            None => environ.set_item(&keys.path_info, latin1(py, path)?)?,
        }
        if let Some(query) = head.query {
            environ.set_item(&keys.query_string, latin1(py, query.of(bytes))?)?;
        }
        if head.version != Version::Http11 {
            let is_http2 = head.version == Version::Http2;
            let protocol = if is_http2 { &self.http2 } else { &self.http10 };
            environ.set_item(&keys.server_protocol, protocol.bind(py))?;
        }
        self.remote_port(environ, keys, request.link)?;
        let client = request.link.remote_addr.as_bytes();
        let authority = head.authority;
        let is_filled = match found {
            Some(found) => {
                let shapes = shapes(&mut self.shapes, request.link);
                shapes.fill(environ, keys, found, head, bytes, client)?
            }
            None => false,
        };
        if !is_filled {
            environ.set_item(&keys.remote_addr, reuse(py, &mut self.remote_addr, client)?)?;
            self.fields.set(environ, bytes, &head.fields, authority.map(|_| Name::Host))?;
        }
        if let Some(authority) = authority {
            environ.set_item(&keys.http_host, latin1(py, authority.of(bytes))?)?;
        }
        if let (Framing::Chunked, Some(length)) = (head.framing, request.body_length) {
            environ.set_item(&keys.content_length, length.to_string())?;
        }
        Ok([method, target])
    }

    fn method<'py>(&self, py: Python<'py>, method: &[u8]) -> PyResult<Bound<'py, PyString>> {
        for known in &self.methods {
            let known = known.bind(py);
            if latin1_bytes(known) == Some(method) {
                return Ok(known.clone());
            }
        }
        latin1(py, method)
    }

    fn remote_port(
        &mut self,
        environ: &Bound<'_, PyDict>,
        keys: &Keys,
        link: &Link,
    ) -> PyResult<()> {
        let py = environ.py();
        let Some(port) = link.remote_port else {
            return environ.del_item(&keys.remote_port);
        };
        let place = &mut self.remote_ports[usize::from(port) % PORTS];
        if let Some((last, text)) = place
            && *last == port
        {
            return environ.set_item(&keys.remote_port, text.bind(py));
        }
        let mut digits = [0; 5];
        let text = latin1(py, decimal(port, &mut digits))?;
        *place = Some((port, text.clone().unbind()));
        environ.set_item(&keys.remote_port, text)
    }
}

/// The shapes of a connection's listener and scheme.
fn shapes<'a>(shapes: &'a mut [[Shapes; 2]], link: &Link) -> &'a mut Shapes {
    &mut shapes[link.listener][usize::from(link.is_https)]
}

/// The digits of a port without an allocation.
fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}
