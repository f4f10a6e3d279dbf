//! Between Python's objects and what settings are written with.

use std::collections::HashMap;

use oxicorn_settings::{Entry, Kind, Origin, Raw, Value, table};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

/// The names of a dictionary as entries of a layer; objects that only Python can use are kept.
pub(super) fn entries(
    names: Option<&Bound<'_, PyDict>>,
    origin: impl Fn(&str) -> Origin,
    objects: &mut HashMap<&'static str, Py<PyAny>>,
) -> PyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, value) in names.into_iter().flatten() {
        let name = text(&name)?;
        let raw = match table::find(&name) {
            Some(setting) => match setting.kind {
                Kind::Hook(args) => {
                    let (raw, callable) = hook(&value, args)?;
                    objects.insert(setting.name, callable.unbind());
                    raw
                }
                Kind::Object => {
                    objects.insert(setting.name, value.clone().unbind());
                    raw(&value)?
                }
                _ => raw(&value)?,
            },
            None => Raw::Nothing,
        };
        let origin = origin(&name);
        entries.push(Entry { name, raw, origin });
    }
    Ok(entries)
}

/// A Python text; what is not UTF-8 in it cannot be part of a setting and is replaced.
pub(super) fn text(object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyString>() {
        Ok(text) => Ok(text.to_string_lossy().into_owned()),
        Err(_) => Err(PyTypeError::new_err("expected text")),
    }
}

/// A Python object in the few shapes that settings have.
fn raw(value: &Bound<'_, PyAny>) -> PyResult<Raw> {
    if value.is_none() {
        return Ok(Raw::Nothing);
    }
    // A bool is an int too.
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Raw::Flag(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return match value.extract() {
            Ok(number) => Ok(Raw::Integer(number)),
            Err(_) => Ok(Raw::Object(shown(value)?)),
        };
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Raw::Float(number.value()));
    }
    if let Ok(string) = value.cast::<PyString>() {
        return Ok(Raw::Text(string.to_string_lossy().into_owned()));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let pairs: PyResult<Vec<_>> =
            dict.iter().map(|(name, value)| Ok((text(&name)?, text(&value)?))).collect();
        if let Ok(pairs) = pairs {
            return Ok(Raw::Pairs(pairs));
        }
        let rows: PyResult<Vec<_>> =
            dict.iter().map(|(name, value)| Ok((text(&name)?, raw(&value)?))).collect();
        return match rows {
            Ok(rows) => Ok(Raw::Table(rows)),
            Err(_) => Ok(Raw::Object(shown(value)?)),
        };
    }
    let is_list = value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>();
    if is_list {
        let items: PyResult<Vec<_>> = value.try_iter()?.map(|item| text(&item?)).collect();
        return match items {
            Ok(items) => Ok(Raw::List(items)),
            Err(_) => Ok(Raw::Object(shown(value)?)),
        };
    }
    if value.is_callable() {
        return Ok(Raw::Callable(shown(value)?));
    }
    Ok(Raw::Object(shown(value)?))
}

/// A hook: a callable that takes these arguments, or the dotted name of one.
fn hook<'py>(value: &Bound<'py, PyAny>, args: &[&str]) -> PyResult<(Raw, Bound<'py, PyAny>)> {
    let py = value.py();
    let named = value.cast::<PyString>().ok().and_then(|path| {
        let path = path.to_string_lossy();
        let (module, name) = path.rsplit_once('.')?;
        py.import(module).and_then(|module| module.getattr(name)).ok()
    });
    let callable = named.as_ref().unwrap_or(value);
    if !callable.is_callable() {
        return Ok((raw(value)?, value.clone()));
    }
    // gunicorn's `post_request` may take two or three of its four arguments.
    let fewest = if args.first() == Some(&"worker") { args.len().min(2) } else { args.len() };
    let signature = py.import("inspect")?.call_method1("signature", (callable,));
    let fits = match signature {
        Ok(signature) => (fewest..=args.len()).any(|count| {
            let none = PyTuple::new(py, (0..count).map(|_| py.None()));
            none.and_then(|none| signature.call_method1("bind", none)).is_ok()
        }),
        // Some callables of C have none.
        Err(_) => true,
    };
    let name = shown(callable)?;
    Ok((if fits { Raw::Callable(name) } else { Raw::Object(name) }, callable.clone()))
}

fn shown(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(name) = value.getattr("__qualname__") {
        return text(&name);
    }
    Ok(value.repr()?.to_string_lossy().into_owned())
}

pub(super) fn to_python(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Addresses(addresses) => {
            let texts = addresses.iter().map(ToString::to_string);
            PyList::new(py, texts.collect::<Vec<_>>())?.into_any().unbind()
        }
        Value::Flag(flag) => PyBool::new(py, *flag).to_owned().into_any().unbind(),
        Value::Integer(number) => number.into_pyobject(py)?.into_any().unbind(),
        Value::List(items) => PyList::new(py, items)?.into_any().unbind(),
        Value::Networks(networks) => PyString::new(py, &networks.to_string()).into_any().unbind(),
        Value::Object(text) | Value::Text(text) => PyString::new(py, text).into_any().unbind(),
        Value::Pairs(pairs) => {
            let dict = PyDict::new(py);
            for (name, text) in pairs {
                dict.set_item(name, text)?;
            }
            dict.into_any().unbind()
        }
        Value::Seconds(duration) if duration.subsec_nanos() == 0 => {
            duration.as_secs().into_pyobject(py)?.into_any().unbind()
        }
        Value::Seconds(duration) => PyFloat::new(py, duration.as_secs_f64()).into_any().unbind(),
        Value::Table(rows) => rows_to_python(py, rows)?,
        Value::Unset => py.None(),
        Value::WorkerClass(class) => PyString::new(py, class.name()).into_any().unbind(),
    })
}

fn rows_to_python(py: Python<'_>, rows: &[(String, Raw)]) -> PyResult<Py<PyAny>> {
    let dict = PyDict::new(py);
    for (key, raw) in rows {
        dict.set_item(key, raw_to_python(py, raw)?)?;
    }
    Ok(dict.into_any().unbind())
}

pub(super) fn raw_to_python(py: Python<'_>, raw: &Raw) -> PyResult<Py<PyAny>> {
    Ok(match raw {
        Raw::Flag(flag) => PyBool::new(py, *flag).to_owned().into_any().unbind(),
        Raw::Integer(number) => number.into_pyobject(py)?.into_any().unbind(),
        Raw::List(items) => PyList::new(py, items)?.into_any().unbind(),
        Raw::Pairs(pairs) => {
            let dict = PyDict::new(py);
            for (name, text) in pairs {
                dict.set_item(name, text)?;
            }
            dict.into_any().unbind()
        }
        other => PyString::new(py, &other.to_string()).into_any().unbind(),
    })
}
