//! The boundary: what Python sees of the engine.

mod changes;
mod engine;
mod errors;
#[expect(unsafe_code, reason = "the calls into CPython that PyO3 has no safe name for")]
mod ffi;
mod hub;
mod keys;
mod listeners;
mod log;
mod master;
mod proxy;
mod proxy_fix;
mod scoreboard;
mod settings;
mod shared;
mod tls;
mod wsgi;

use pyo3::prelude::*;

/// The engine of oxicorn.
#[pymodule]
mod _oxicorn {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::changes::Changes;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::hub::{LoopHandle, ReadyRequest};
    #[pymodule_export]
    use super::listeners::{
        Listener, Pidfile, assume_identity, find_identity, follow_parent, set_process_name,
    };
    #[pymodule_export]
    use super::log::{
        await_messages, forward_access, forward_messages, give_logs_to, has_messages, init_logs,
        log, reopen_logs, take_messages, want_request_ids, write_access_line, write_error_line,
    };
    #[pymodule_export]
    use super::master::Master;
    #[pymodule_export]
    use super::proxy_fix::{ProxyRules, explain_proxy};
    #[pymodule_export]
    use super::scoreboard::Scoreboard;
    #[pymodule_export]
    use super::settings::{
        CommandLine, SettingError, Settings, describe_settings, parse_toml, setting_names,
    };
    #[pymodule_export]
    use super::shared::{Passage, Slot};
    #[pymodule_export]
    use super::tls::Credentials;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
