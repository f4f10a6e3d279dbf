//! The settings as Python sees them; [`engine`] has them as the worker needs them.
//!
//! Two steps, because the command line names the settings file: [`CommandLine`] reads argv, Python
//! runs the file, [`CommandLine::settings`] puts both together. The callables of the file stay
//! here, beside the typed values; Rust only knows that they are set.

mod document;
mod engine;
mod objects;

use std::collections::HashMap;

use oxicorn_settings::{Action, Arguments, Chosen, Kind, Layers, Origin, Value, render, table};
use pyo3::create_exception;
use pyo3::exceptions::{PyAttributeError, PyException};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

pub(crate) use self::document::parse_toml;
pub(crate) use self::engine::{rules, worker_config};
use self::objects::{entries, raw_to_python, text, to_python};
use crate::proxy;

create_exception!(
    oxicorn._oxicorn,
    SettingError,
    PyException,
    "A setting is wrong: one line for the operator, and `exit_code`, the code to end with."
);

/// A command line that was read, with the environment beside it.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct CommandLine {
    environment: Vec<(String, String)>,
    arguments: Arguments,
}

#[pymethods]
impl CommandLine {
    /// Reads `argv` (without the program's name) and the variables that extend it.
    #[new]
    fn new(py: Python<'_>, argv: &Bound<'_, PyAny>, environ: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut words = Vec::new();
        for word in argv.try_iter()? {
            words.push(text(&word?)?);
        }
        let mut environment = Vec::with_capacity(environ.len());
        for (name, value) in environ {
            environment.push((text(&name)?, text(&value)?));
        }
        let arguments =
            Arguments::parse(&words, &environment).map_err(|error| raise(py, &error))?;
        Ok(Self { environment, arguments })
    }

    /// What is asked for: `serve`, or text to `print`.
    #[getter]
    fn action(&self) -> &'static str {
        match self.arguments.action {
            Action::Serve => "serve",
            _ => "print",
        }
    }

    /// What is to be printed.
    #[getter]
    fn text(&self) -> String {
        match self.arguments.action {
            Action::Completions(shell) => render::completions(shell),
            Action::Help => render::help(),
            Action::Man => render::man(),
            Action::Serve => String::new(),
            Action::Version => {
                concat!("oxicorn (version ", env!("CARGO_PKG_VERSION"), ")\n").to_owned()
            }
        }
    }

    /// The settings file that is named, as it is named.
    #[getter]
    fn config(&self) -> Option<&str> {
        self.arguments.config(&self.environment)
    }

    /// What the words and the variables that extend them give: name, value and origin of each
    /// setting, before the values are judged.
    fn given(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, Py<PyAny>, String)>> {
        self.arguments
            .given()
            .map(|(name, raw, origin)| Ok((name, raw_to_python(py, raw)?, origin.to_string())))
            .collect()
    }

    /// Puts all layers together.
    ///
    /// `names` are the top-level names of the settings file `path`, `lines` where they are;
    /// `framework` are the values of an embedding program.
    #[pyo3(signature = (path=None, names=None, lines=None, framework=None))]
    fn settings(
        &self,
        py: Python<'_>,
        path: Option<&str>,
        names: Option<&Bound<'_, PyDict>>,
        lines: Option<HashMap<String, u32>>,
        framework: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Settings> {
        let lines = lines.unwrap_or_default();
        let path = path.unwrap_or("settings file");
        let in_file =
            |name: &str| Origin::File { path: path.to_owned(), line: lines.get(name).copied() };
        let mut objects = HashMap::new();
        let framework = entries(framework, |_| Origin::Framework, &mut objects)?;
        let file = entries(names, in_file, &mut objects)?;
        let layers = Layers {
            framework: &framework,
            file: &file,
            environment: &self.environment,
            arguments: Some(&self.arguments),
            read: Some(proxy::read_file),
        };
        let values = layers.resolve().map_err(|error| raise(py, &error))?;
        Ok(Settings { values, objects })
    }
}

/// Every setting: each an attribute of its name.
///
/// Addresses are texts as `bind` takes them, lengths of time numbers of seconds, networks one
/// text, hooks the callables of the settings file or `None`.
#[pyclass(frozen, module = "oxicorn._oxicorn")]
#[derive(Debug)]
pub(crate) struct Settings {
    values: oxicorn_settings::Settings,
    objects: HashMap<&'static str, Py<PyAny>>,
}

impl Settings {
    /// The typed values.
    pub(crate) fn values(&self) -> &oxicorn_settings::Settings {
        &self.values
    }

    /// The callable or other object of the settings file.
    fn object(&self, py: Python<'_>, name: &str) -> Option<Py<PyAny>> {
        self.objects.get(name).map(|object| object.clone_ref(py))
    }
}

#[pymethods]
impl Settings {
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        match self.values.chosen(name) {
            Some(Chosen { value: Value::Object(text), .. }) => match self.object(py, name) {
                Some(object) => Ok(object),
                None => Ok(PyString::new(py, text).into_any().unbind()),
            },
            Some(chosen) => to_python(py, &chosen.value),
            None => Err(PyAttributeError::new_err(match table::nearest(name) {
                Some(nearest) => format!("no setting `{name}`; did you mean `{}`?", nearest.name),
                None => format!("no setting `{name}`"),
            })),
        }
    }

    /// The callable that the settings file gives for a hook, or `None`.
    fn hook(&self, py: Python<'_>, name: &str) -> PyResult<Option<Py<PyAny>>> {
        match table::find(name) {
            Some(setting) if matches!(setting.kind, Kind::Hook(_)) => Ok(self.object(py, name)),
            _ => Err(PyAttributeError::new_err(format!("no hook `{name}`"))),
        }
    }

    /// Where the value of a setting was written, as text.
    fn origin(&self, name: &str) -> PyResult<String> {
        match self.values.chosen(name) {
            Some(chosen) => Ok(chosen.origin.to_string()),
            None => Err(PyAttributeError::new_err(format!("no setting `{name}`"))),
        }
    }

    /// What the operator should know, one line each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.values.warnings().iter().map(ToString::to_string).collect()
    }

    /// Every setting as `name = value   # origin`.
    fn listing(&self) -> Vec<String> {
        render::listing(&self.values)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.objects.values().try_for_each(|object| visit.call(object))
    }
}

/// The names of all settings, for whoever collects them from a settings file.
#[pyfunction]
pub(crate) fn setting_names() -> Vec<&'static str> {
    table::settings().map(|setting| setting.name).collect()
}

/// What is known of each setting: a dictionary of texts, and of the `flags` a list.
///
/// `kind` is `on` or `off` for an option that stands alone and says that, `list` for one that can
/// be repeated, `hook`, or `value`.
#[pyfunction]
pub(crate) fn describe_settings(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    table::settings()
        .map(|setting| {
            let kind = match setting.kind {
                Kind::Flag(true) => "on",
                Kind::Flag(false) => "off",
                Kind::Hook(_) => "hook",
                kind if kind.is_repeatable() => "list",
                _ => "value",
            };
            let facts = PyDict::new(py);
            facts.set_item("name", setting.name)?;
            facts.set_item("section", setting.section.title())?;
            facts.set_item("flags", setting.flags)?;
            facts.set_item("meta", setting.meta)?;
            facts.set_item("kind", kind)?;
            facts.set_item("default", setting.default)?;
            facts.set_item("short", setting.short)?;
            facts.set_item("long", setting.long)?;
            Ok(facts)
        })
        .collect()
}

fn raise(py: Python<'_>, error: &oxicorn_settings::SettingError) -> PyErr {
    let raised = SettingError::new_err(error.to_string());
    match raised.value(py).setattr("exit_code", error.exit_code()) {
        Ok(()) => raised,
        Err(failed) => failed,
    }
}
