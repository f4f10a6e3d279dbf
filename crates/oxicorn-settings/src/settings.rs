//! The typed result of all layers, and what spans settings.
//!
//! Nothing looks a setting up by its name at run time: a module that needs one reads its field.

use std::time::Duration;

use crate::bind::BindAddress;
use crate::layers::{Origin, Warning};
use crate::network::Networks;
use crate::proxy::ProxyGroup;
use crate::setting::Setting;
use crate::value::{Value, WorkerClass};

/// What to do with a field whose name has an underscore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderMap {
    /// Leave it out.
    #[default]
    Drop,
    /// Refuse the request.
    Refuse,
    /// Keep it.
    Dangerous,
}

/// A protocol that may be spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpProtocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// One setting with the value that won, and where that was written.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The entry of the table.
    pub setting: &'static Setting,
    /// Its value.
    pub value: Value,
    /// Who decided.
    pub origin: Origin,
}

/// Every setting, typed. The fields are named after the settings; see the reference for their
/// meaning.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the setting of its name, documented in the table")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    pub config: Option<String>,
    pub wsgi_app: Option<String>,
    pub paste: Option<String>,
    pub raw_paste_global_conf: Vec<String>,
    pub check_config: bool,
    pub print_config: bool,

    pub bind: Vec<BindAddress>,
    pub backlog: u32,
    pub reuse_port: bool,

    pub workers: usize,
    pub worker_class: WorkerClass,
    pub threads: usize,
    pub worker_connections: usize,
    pub websocket_limit: usize,
    pub max_requests: u64,
    pub max_requests_jitter: u64,
    pub timeout: Duration,
    pub boot_timeout: Duration,
    pub request_timeout: Duration,
    pub request_timeout_log: Duration,
    pub request_timeout_grace: Duration,
    pub worker_handoff: bool,
    pub queue_timeout: Duration,
    pub queue_limit: usize,
    pub health_path: Option<String>,
    pub graceful_timeout: Duration,
    pub keepalive: Duration,
    pub keepalive_requests: u32,

    pub request_buffering: bool,
    pub body_memory: usize,
    pub tmp_upload_dir: Option<String>,
    pub response_buffer_limit: u64,
    pub client_head_timeout: Duration,
    pub client_body_rate: u64,
    pub client_body_grace: Duration,
    pub client_send_timeout: Duration,

    pub limit_request_line: usize,
    pub limit_request_fields: usize,
    pub limit_request_field_size: usize,
    pub limit_request_body: u64,

    pub forwarded_allow_ips: Networks,
    pub secure_scheme_headers: Vec<(String, String)>,
    pub forwarder_headers: Vec<String>,
    pub header_map: HeaderMap,
    pub proxy_protocol: String,
    pub proxy_allow_ips: Networks,
    /// The `proxy` group, if any of its keys is set; it replaces the settings before it.
    pub proxy: Option<ProxyGroup>,

    pub accesslog: Option<String>,
    pub access_log_format: String,
    pub log_format: String,
    pub errorlog: String,
    pub loglevel: String,
    pub capture_output: bool,
    pub request_id: String,
    pub request_id_header: String,
    pub request_id_response: bool,
    pub logconfig: Option<String>,
    pub logconfig_json: Option<String>,
    pub syslog: bool,
    pub syslog_addr: String,
    pub syslog_prefix: Option<String>,
    pub syslog_facility: String,
    pub disable_redirect_access_to_syslog: bool,
    pub enable_stdio_inheritance: bool,
    pub statsd_host: Option<String>,
    pub statsd_prefix: String,
    pub dogstatsd_tags: String,
    pub enable_backlog_metric: bool,

    pub preload_app: bool,
    pub sendfile: bool,
    pub chdir: Option<String>,
    pub raw_env: Vec<String>,
    pub pythonpath: Option<String>,
    pub pidfile: Option<String>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub initgroups: bool,
    pub umask: u32,
    pub proc_name: Option<String>,
    pub default_proc_name: String,
    pub daemon: bool,

    pub reload: bool,
    pub reload_engine: String,
    pub reload_extra_files: Vec<String>,

    pub server_header: Option<String>,
    pub http_protocols: Vec<HttpProtocol>,
    pub http2_cleartext: bool,
    pub http2_max_concurrent_streams: u32,
    pub http2_initial_window_size: u32,
    pub http2_max_frame_size: u32,
    pub http2_max_header_list_size: u32,
    pub permit_missing_host: bool,
    pub permit_obsolete_folding: bool,
    pub strip_header_spaces: bool,
    pub permit_unconventional_http_method: bool,
    pub permit_unconventional_http_version: bool,
    pub casefold_http_method: bool,

    pub certfile: Option<String>,
    pub keyfile: Option<String>,
    pub tls_certificates: Vec<String>,
    pub ca_certs: Option<String>,
    pub cert_reqs: u8,
    pub ciphers: Option<String>,
    pub tls_minimum_version: String,
    pub tls_handshake_timeout: Duration,
    pub tls_handshake_limit: usize,

    /// The settings that make up `proxy`.
    pub(crate) proxy_parts: Vec<(&'static str, Value)>,
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) warnings: Vec<Warning>,
}

impl Settings {
    /// The value and origin of the setting of this name.
    #[must_use]
    pub fn chosen(&self, name: &str) -> Option<&Chosen> {
        self.chosen.iter().find(|chosen| chosen.setting.name == name)
    }

    /// Whether TLS is spoken: on every listener, or on none.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.certfile.is_some() || self.keyfile.is_some() || !self.tls_certificates.is_empty()
    }

    /// Every setting with its value and origin, in the order of the reference.
    pub fn all(&self) -> impl Iterator<Item = &Chosen> {
        self.chosen.iter()
    }

    pub(crate) fn keep_proxy_part(&mut self, name: &'static str, value: Value) {
        self.proxy_parts.push((name, value));
    }

    /// What the operator should know, but need not stop the start.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}
