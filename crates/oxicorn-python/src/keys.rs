//! The keys of environ as interned `str`, made once, so that their hashes are known.

use pyo3::prelude::*;
use pyo3::types::PyString;

macro_rules! keys {
    ($($field:ident = $text:literal,)*) => {
        /// The keys that are set by name.
        #[derive(Debug)]
        pub(crate) struct Keys {
            $(pub(crate) $field: Py<PyString>,)*
        }

        impl Keys {
            /// Interns them all.
            pub(crate) fn new(py: Python<'_>) -> Self {
                Self { $($field: PyString::intern(py, $text).unbind(),)* }
            }
        }
    };
}

keys! {
    request_method = "REQUEST_METHOD",
    script_name = "SCRIPT_NAME",
    path_info = "PATH_INFO",
    query_string = "QUERY_STRING",
    raw_uri = "RAW_URI",
    request_uri = "REQUEST_URI",
    server_name = "SERVER_NAME",
    server_port = "SERVER_PORT",
    server_protocol = "SERVER_PROTOCOL",
    server_software = "SERVER_SOFTWARE",
    remote_addr = "REMOTE_ADDR",
    remote_port = "REMOTE_PORT",
    content_length = "CONTENT_LENGTH",
    http_host = "HTTP_HOST",
    version = "wsgi.version",
    https = "HTTPS",
    url_scheme = "wsgi.url_scheme",
    input = "wsgi.input",
    input_terminated = "wsgi.input_terminated",
    errors = "wsgi.errors",
    multithread = "wsgi.multithread",
    multiprocess = "wsgi.multiprocess",
    run_once = "wsgi.run_once",
    file_wrapper = "wsgi.file_wrapper",
    early_hints = "wsgi.early_hints",
    deadline = "oxicorn.deadline",
    client_disconnected = "oxicorn.client_disconnected",
    socket = "gunicorn.socket",
}
