//! The settings as Python sees them, and as the worker needs them.
//!
//! Two steps, because the command line names the settings file: [`CommandLine`] reads argv, Python
//! runs the file, [`CommandLine::settings`] puts both together. The callables of the file stay
//! here, beside the typed values; Rust only knows that they are set.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::create_exception;
use pyo3::exceptions::{PyAttributeError, PyException, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

use oxicorn_http::{Limits, Policy, Rules, h2};
use oxicorn_settings::{
    Action, Arguments, Chosen, Entry, HeaderMap, Kind, Layers, Origin, Raw, Value, render, table,
};
use oxicorn_worker::access_log::AccessFormat;
use oxicorn_worker::{Config, RequestIds};

use crate::{log, proxy};

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

/// What a worker needs to know.
///
/// `max_requests` comes without its jitter, which is drawn for each worker when it is forked.
pub(crate) fn worker_config(settings: &oxicorn_settings::Settings) -> Config {
    let [rules, trusted_rules] = proxy::request_rules(settings, rules(settings));
    Config {
        threads: settings.threads.max(1),
        keepalive: settings.keepalive,
        head_timeout: settings.client_head_timeout,
        body_grace: settings.client_body_grace,
        body_rate: settings.client_body_rate,
        send_timeout: settings.client_send_timeout,
        connections: settings.worker_connections.max(1),
        keepalive_requests: settings.keepalive_requests,
        websockets: settings.websocket_limit,
        max_requests: settings.max_requests,
        request_timeout: settings.request_timeout,
        request_timeout_log: settings.request_timeout_log,
        request_timeout_grace: settings.request_timeout_grace,
        queue_timeout: settings.queue_timeout,
        queue_limit: settings.queue_limit,
        health_path: settings.health_path.clone(),
        request_buffering: settings.request_buffering,
        body_memory: settings.body_memory,
        response_buffer_limit: settings.response_buffer_limit,
        tmp_upload_dir: settings.tmp_upload_dir.as_ref().map(PathBuf::from),
        server_header: settings.server_header.clone(),
        sendfile: settings.sendfile,
        graceful_timeout: settings.graceful_timeout,
        has_siblings: settings.workers > 1,
        rules,
        trusted_rules,
        request_ids: request_ids(settings),
        proxy: proxy::rules(settings),
        gate: proxy::gate(settings),
        handshake_timeout: settings.tls_handshake_timeout,
        handshakes: settings.tls_handshake_limit,
        http2_cleartext: settings.http2_cleartext,
        http2: h2::Limits {
            streams: settings.http2_max_concurrent_streams,
            window: settings.http2_initial_window_size,
            frame: settings.http2_max_frame_size,
            // Zero is no limit in gunicorn; one has to be said to `h2`.
            header_list: match settings.http2_max_header_list_size {
                0 => 16 << 20,
                bytes => bytes,
            },
        },
        ..Config::default()
    }
}

/// Names for requests, if the settings or a filter of the logs ask for them.
fn request_ids(settings: &oxicorn_settings::Settings) -> Option<Arc<RequestIds>> {
    let shows = || {
        let format = AccessFormat::compile(&settings.access_log_format);
        format.is_ok_and(|format| {
            let environ = &format.needs().environ;
            format.needs().about || environ.iter().any(|key| key == "oxicorn.request_id")
        })
    };
    let is_wanted = match settings.request_id.as_str() {
        "on" => true,
        "off" => false,
        _ => {
            settings.request_id_response
                || settings.log_format == "json"
                || log::wants_request_ids()
                || shows()
        }
    };
    let field = settings.request_id_header.clone();
    is_wanted.then(|| Arc::new(RequestIds::new(field, settings.request_id_response)))
}

/// What any request may be.
pub(crate) fn rules(settings: &oxicorn_settings::Settings) -> Rules {
    const MOST_FIELDS: usize = 32768;
    let limits = Limits::default();
    // A head must have room for what the other limits allow, or raising them would do nothing.
    let head = limits.head.max(settings.limit_request_line + 2 * settings.limit_request_field_size);
    let or_head = |limit| if limit == 0 { head } else { limit };
    let fields = match settings.limit_request_fields {
        0 => MOST_FIELDS,
        fields => fields.min(MOST_FIELDS),
    };
    let request_line = or_head(settings.limit_request_line);
    let method = match settings.permit_unconventional_http_method {
        true => request_line,
        false => limits.method,
    };
    Rules {
        limits: Limits {
            method,
            request_line,
            fields,
            field_size: or_head(settings.limit_request_field_size),
            head,
            body: match settings.limit_request_body {
                0 => u64::MAX,
                body => body,
            },
            ..limits
        },
        policy: Policy {
            header_map: match settings.header_map {
                HeaderMap::Drop => oxicorn_http::HeaderMap::Drop,
                HeaderMap::Refuse => oxicorn_http::HeaderMap::Refuse,
                HeaderMap::Dangerous => oxicorn_http::HeaderMap::Dangerous,
            },
            permit_missing_host: settings.permit_missing_host,
            permit_obsolete_folding: settings.permit_obsolete_folding,
            strip_header_spaces: settings.strip_header_spaces,
            permit_unconventional_http_version: settings.permit_unconventional_http_version,
            casefold_http_method: settings.casefold_http_method,
            ..Policy::default()
        },
    }
}

fn raise(py: Python<'_>, error: &oxicorn_settings::SettingError) -> PyErr {
    let raised = SettingError::new_err(error.to_string());
    match raised.value(py).setattr("exit_code", error.exit_code()) {
        Ok(()) => raised,
        Err(failed) => failed,
    }
}

/// A Python text; what is not UTF-8 in it cannot be part of a setting and is replaced.
fn text(object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyString>() {
        Ok(text) => Ok(text.to_string_lossy().into_owned()),
        Err(_) => Err(PyTypeError::new_err("expected text")),
    }
}

/// The names of a dictionary as entries of a layer; objects that only Python can use are kept.
fn entries(
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

fn to_python(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
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

fn raw_to_python(py: Python<'_>, raw: &Raw) -> PyResult<Py<PyAny>> {
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
