//! Templates of environ for requests with the same field names in the same order.
//!
//! A client sends the same names with every request, and most of the same values. Such a *shape*
//! gets a template of its own, with these names as keys and the values that stand: a copy of it
//! leaves only those to be set that differ. A value stands once it came twice in a row; values that
//! are secret or long never do. The number of shapes is bounded, and a shape is made when it came
//! twice, so clients that make up names cost little more than without.

use oxicorn_http::Head;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::fields::{Fields, VALUE_LEN};
use crate::ffi::{latin1, latin1_bytes};
use crate::keys::Keys;

/// Most shapes of one listener and scheme.
const SHAPES: usize = 16;
/// Most fields of a shape.
const FIELDS: usize = 32;

/// The shapes of one listener and scheme.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    /// Marks and number of the names that came last and had no shape.
    missed: (u64, usize),
    /// Counts what happens, to tell a shape from what it was, and the old from the new.
    clock: u64,
}

#[derive(Debug)]
struct Shape {
    template: Py<PyDict>,
    marks: u64,
    places: Vec<Place>,
    client: Value,
    /// When the template changed last.
    changed: u64,
    used: u64,
}

/// One field of a shape.
#[derive(Debug)]
struct Place {
    name: Box<[u8]>,
    key: Py<PyString>,
    is_secret: bool,
    value: Value,
}

/// What came for one key.
#[derive(Debug, Default)]
struct Value {
    /// What the template says, if it says anything that was sent.
    standing: Option<Py<PyString>>,
    /// What came last, if that is another one.
    last: Option<Py<PyString>>,
}

/// A shape that a request has, as it was when its template was copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    index: usize,
    changed: u64,
}

impl Shapes {
    /// The shape of a request and its template.
    pub(super) fn find(
        &mut self,
        py: Python<'_>,
        head: &Head,
        bytes: &[u8],
    ) -> Option<(Found, Py<PyDict>)> {
        if head.authority.is_some() {
            return None;
        }
        let index = self.shapes.iter().position(|shape| shape.fits(head, bytes))?;
        self.clock += 1;
        let shape = &mut self.shapes[index];
        shape.used = self.clock;
        Some((Found { index, changed: shape.changed }, shape.template.clone_ref(py)))
    }

    /// Sets the fields and the client's address in a copy of the template that was found; `false`
    /// when the shape has changed since, and all of them must be set.
    ///
    /// It runs no Python code and allocates nothing that the garbage collector counts.
    pub(super) fn fill(
        &mut self,
        environ: &Bound<'_, PyDict>,
        keys: &Keys,
        found: Found,
        head: &Head,
        bytes: &[u8],
        client: &[u8],
    ) -> PyResult<bool> {
        let Some(shape) = self.shapes.get_mut(found.index) else { return Ok(false) };
        if shape.changed != found.changed {
            return Ok(false);
        }
        let template = shape.template.bind(environ.py());
        let mut has_changed =
            shape.client.set(environ, template, &keys.remote_addr, client, true)?;
        for (place, field) in shape.places.iter_mut().zip(&head.fields) {
            let value = field.value.of(bytes);
            let keeps = !place.is_secret && value.len() <= VALUE_LEN;
            has_changed |= place.value.set(environ, template, &place.key, value, keeps)?;
        }
        if has_changed {
            self.clock += 1;
            shape.changed = self.clock;
        }
        Ok(true)
    }

    /// Notes a request without a shape; whether one should be made, as there was one like it before.
    pub(super) fn wants(&mut self, head: &Head) -> bool {
        let seen = (head.marks, head.fields.len());
        let is_usual = head.authority.is_none() && head.fields.len() <= FIELDS;
        std::mem::replace(&mut self.missed, seen) == seen && is_usual
    }

    /// Makes a shape of a request's fields with `template`, a copy of that of all requests; nothing
    /// comes of it when a name came twice or is not among those that are kept.
    ///
    /// It runs no Python code and allocates nothing that the garbage collector counts.
    pub(super) fn learn(
        &mut self,
        template: Bound<'_, PyDict>,
        fields: &mut Fields,
        head: &Head,
        bytes: &[u8],
    ) -> PyResult<()> {
        let py = template.py();
        let mut places = Vec::with_capacity(head.fields.len());
        for field in &head.fields {
            let name = field.name.of(bytes);
            let Some((key, is_secret)) = fields.key(py, field, bytes)? else { return Ok(()) };
            if template.contains(&key)? {
                return Ok(());
            }
            // Every place without a standing value is set in every copy.
            template.set_item(&key, "")?;
            let value = Value::default();
            places.push(Place { name: name.into(), key, is_secret, value });
        }
        self.clock += 1;
        let shape = Shape {
            template: template.unbind(),
            marks: head.marks,
            places,
            client: Value::default(),
            changed: self.clock,
            used: self.clock,
        };
        if self.shapes.len() < SHAPES {
            self.shapes.push(shape);
        } else if let Some(oldest) = self.shapes.iter_mut().min_by_key(|shape| shape.used) {
            *oldest = shape;
        }
        Ok(())
    }
}

impl Shape {
    fn fits(&self, head: &Head, bytes: &[u8]) -> bool {
        self.marks == head.marks
            && self.places.len() == head.fields.len()
            && self
                .places
                .iter()
                .zip(&head.fields)
                .all(|(place, field)| *place.name == *field.name.of(bytes))
    }
}

impl Value {
    /// Has `environ`, a copy of `template`, say what was sent; whether the template says it now too.
    fn set(
        &mut self,
        environ: &Bound<'_, PyDict>,
        template: &Bound<'_, PyDict>,
        key: &Py<PyString>,
        sent: &[u8],
        keeps: bool,
    ) -> PyResult<bool> {
        let py = environ.py();
        if is(py, &self.standing, sent) {
            self.last = None;
            return Ok(false);
        }
        if !is(py, &self.last, sent) {
            let text = latin1(py, sent)?;
            environ.set_item(key, &text)?;
            self.last = keeps.then(|| text.unbind());
            return Ok(false);
        }
        environ.set_item(key, &self.last)?;
        template.set_item(key, &self.last)?;
        self.standing = self.last.take();
        Ok(true)
    }
}

/// Whether there is a text of these bytes.
fn is(py: Python<'_>, text: &Option<Py<PyString>>, bytes: &[u8]) -> bool {
    text.as_ref().is_some_and(|text| latin1_bytes(text.bind(py)) == Some(bytes))
}
