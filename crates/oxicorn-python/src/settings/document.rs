//! TOML, the other language of settings files.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString};

/// A TOML document as a dictionary; `ValueError` says where it is none.
#[pyfunction]
pub(crate) fn parse_toml(py: Python<'_>, document: &str) -> PyResult<Py<PyAny>> {
    let table = document
        .parse()
        .map_err(|error: toml::de::Error| PyValueError::new_err(error.to_string()))?;
    of_toml(py, &toml::Value::Table(table))
}

fn of_toml(py: Python<'_>, value: &toml::Value) -> PyResult<Py<PyAny>> {
    use toml::Value;
    Ok(match value {
        Value::Array(items) => {
            let items: PyResult<Vec<_>> = items.iter().map(|item| of_toml(py, item)).collect();
            PyList::new(py, items?)?.into_any().unbind()
        }
        Value::Boolean(flag) => PyBool::new(py, *flag).to_owned().into_any().unbind(),
        Value::Datetime(when) => PyString::new(py, &when.to_string()).into_any().unbind(),
        Value::Float(number) => PyFloat::new(py, *number).into_any().unbind(),
        Value::Integer(number) => number.into_pyobject(py)?.into_any().unbind(),
        Value::String(text) => PyString::new(py, text).into_any().unbind(),
        Value::Table(rows) => {
            let dict = PyDict::new(py);
            for (key, value) in rows {
                dict.set_item(key, of_toml(py, value)?)?;
            }
            dict.into_any().unbind()
        }
    })
}
