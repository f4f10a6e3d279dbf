//! One call of the application: its objects, which are made before any Python code runs.

use oxicorn_worker::{About, Body, Request};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::environ::Template;
use super::input::{self, MemoryInput, StreamInput};
use super::overdue::Deadline;
use super::request_hooks::FieldLine;
use super::{WsgiApplication, proxied};
use crate::errors;
use crate::ffi::{self, Responder};

/// One request's objects, from the call of the application to the end of the response.
pub(super) struct Call<'py> {
    pub(super) environ: Bound<'py, PyDict>,
    /// The file object over a spooled body; closed at the end.
    pub(super) spooled: Option<Bound<'py, PyAny>>,
    pub(super) method: Bound<'py, PyString>,
    pub(super) target: Bound<'py, PyString>,
    /// For the hooks; empty when there are none.
    pub(super) fields: Vec<FieldLine>,
    pub(super) about: Option<About>,
    /// What the application may take the connection over by.
    pub(super) socket: Option<Bound<'py, PyAny>>,
}

impl Call<'_> {
    /// How the log names the request.
    pub(super) fn doing(&self) -> String {
        let method = ffi::latin1_bytes(&self.method).unwrap_or_default().escape_ascii();
        let target = ffi::latin1_bytes(&self.target).unwrap_or_default().escape_ascii();
        format!("Error handling request {method} {target}")
    }

    /// Logs a failure in this request.
    pub(super) fn report(&self, py: Python<'_>, error: &PyErr) {
        errors::report_about(py, &self.doing(), self.about.as_ref(), error);
    }

    /// Keeps what the access log wants of environ, as the application left it: middleware says
    /// there who the user is.
    pub(super) fn keep_for_log(&self, py: Python<'_>, responder: &Responder) {
        let wanted = match responder.slot().claim(py).exchange().log_needs() {
            Some(needs) => needs.environ.clone(),
            None => return,
        };
        let mut values = vec![None; wanted.len()];
        // A copy: the text of a value that is no `str` comes from code that may change the dict.
        for (name, value) in self.environ.copy().iter().flatten() {
            let Ok(name) = name.cast::<PyString>() else { continue };
            let name = name.to_string_lossy().to_lowercase();
            let Some(place) = wanted.iter().position(|wanted| *wanted == name) else { continue };
            let Ok(text) = value.str() else { continue };
            values[place] = Some(match ffi::latin1_bytes(&text) {
                Some(bytes) => bytes.to_vec(),
                None => text.to_string_lossy().into_owned().into_bytes(),
            });
        }
        responder.slot().claim(py).exchange().keep_environ(values);
    }
}

impl WsgiApplication {
    /// Makes environ, with everything that must be copied before Python code runs.
    pub(super) fn prepare<'py>(
        &self,
        py: Python<'py>,
        request: &mut Request<'_>,
        responder: &Responder,
    ) -> PyResult<Call<'py>> {
        let link = request.link;
        let fields = self.hooks.as_ref().map(|hooks| hooks.copy_fields(request));
        // The copies come before the lock: making an object may start the garbage collector, and
        // so run Python code.
        let usual = &self.templates[link.listener][usize::from(link.is_https)];
        let template = self.cache().template(py, request);
        let (environ, found, learned) = match template {
            Template::Usual => (usual.bind(py).copy()?, None, None),
            Template::New => (usual.bind(py).copy()?, None, Some(usual.bind(py).copy()?)),
            Template::Shape(found, template) => (template.bind(py).copy()?, Some(found), None),
        };
        let mut spooled = None;
        match std::mem::replace(&mut request.body, Body::Empty) {
            Body::Empty => {}
            Body::Memory(body) => {
                environ.set_item(&self.keys.input, Bound::new(py, MemoryInput::new(py, body))?)?;
            }
            Body::File(file, _) => {
                let input = input::spooled(py, file)?;
                environ.set_item(&self.keys.input, &input)?;
                spooled = Some(input);
            }
            Body::Streaming => {
                let input = StreamInput::new(responder.clone_ref(py));
                environ.set_item(&self.keys.input, Bound::new(py, input)?)?;
            }
        }
        environ.set_item(&self.keys.early_hints, responder.object(py))?;
        environ.set_item(&self.keys.client_disconnected, responder.object(py))?;
        if self.overdue.is_some() {
            let deadline = Bound::new(py, Deadline::of(py, responder.slot()))?;
            environ.set_item(&self.keys.deadline, deadline)?;
        }
        let mut cache = self.cache();
        if let Some(template) = learned {
            cache.learn(template, request)?;
        }
        let [method, target] = cache.fill(&environ, &self.keys, request, found)?;
        drop(cache);
        if let Some(facts) = &link.tls {
            for (key, value) in &facts.variables {
                environ.set_item(&**key, ffi::latin1(py, value.as_bytes())?)?;
            }
        }
        if proxied::applies(request) {
            proxied::apply(&environ, &self.keys, request)?;
        }
        let socket = if request.head.upgrade { self.offer(&environ, responder)? } else { None };
        if let Some(about) = request.about {
            self.set_names(&environ, about)?;
        }
        let (fields, about) = (fields.unwrap_or_default(), request.about.cloned());
        Ok(Call { environ, spooled, method, target, fields, about, socket })
    }

    /// Tells the application what names the request in the logs.
    fn set_names(&self, environ: &Bound<'_, PyDict>, about: &About) -> PyResult<()> {
        for (name, value) in about.known() {
            environ.set_item(format!("oxicorn.{name}"), value)?;
        }
        match &self.request_id_key {
            Some(key) => environ.set_item(key, &about.id),
            None => Ok(()),
        }
    }
}
