//! Where the logs go and what they look like.

use super::nothing;
use crate::setting::{Kind, Section, Setting, Support};
use crate::value::Unfit;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "accesslog",
        section: Section::Logging,
        flags: &["--access-logfile"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "File of the access log; - is stdout",
        long: "Without it no access log is written.",
        support: Support::Works,
        apply: |settings, value| {
            settings.accesslog = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "access_log_format",
        section: Section::Logging,
        flags: &["--access-logformat"],
        meta: "FORMAT",
        kind: Kind::TextOrEmpty,
        default: "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"",
        short: "Format of the lines of the access log",
        long: "Atoms as in gunicorn: `%(h)s` is the client, `%(r)s` the request line, `%(s)s` \
           the status, `%(D)s` microseconds, `%({name}i)s` a request field.",
        support: Support::Works,
        apply: |settings, value| {
            settings.access_log_format = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "log_format",
        section: Section::Logging,
        flags: &["--log-format"],
        meta: "FORMAT",
        kind: Kind::Choice(&["text", "json"]),
        default: "text",
        short: "Shape of both logs: text, or one JSON object a line",
        long: "With `json` no access_log_format is needed; the id of the request and the \
           identifiers of its traceparent (W3C Trace Context) are among the keys. What the application writes to `wsgi.errors` stays as \
           it is.",
        support: Support::Works,
        apply: |settings, value| {
            settings.log_format = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "request_id",
        section: Section::Logging,
        flags: &["--request-id"],
        meta: "WHEN",
        kind: Kind::Choice(&["auto", "off", "on"]),
        default: "auto",
        short: "Whether each request gets an id: auto, off or on",
        long: "The id is in the logs and in environ. With `auto` requests have one when \
               something shows it: log_format `json`, an access_log_format with \
               `%({request_id}x)s`, request_id_response, or a RequestIdFilter.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_id = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "request_id_header",
        section: Section::Logging,
        flags: &["--request-id-header"],
        meta: "NAME",
        kind: Kind::TextOrEmpty,
        default: "X-Request-ID",
        short: "Field in which trusted peers send a request's id",
        long: "Trusted are those whose forwarding fields count. An id of up to 200 letters, \
               digits and `-_.~:;=+/@` is kept; without one, oxicorn makes one.",
        support: Support::Works,
        apply: |settings, value| {
            let name = value.text()?;
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(Unfit::from("the name of a field"));
            }
            settings.request_id_header = name;
            Ok(())
        },
    },
    Setting {
        name: "request_id_response",
        section: Section::Logging,
        flags: &["--request-id-response"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Send the id of a request with its response",
        long: "In the field that request_id_header names, unless the application sends it.",
        support: Support::Works,
        apply: |settings, value| {
            settings.request_id_response = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "errorlog",
        section: Section::Logging,
        flags: &["--error-logfile", "--log-file"],
        meta: "FILE",
        kind: Kind::TextOrEmpty,
        default: "-",
        short: "File of the error log; - is stderr",
        long: "Everything that is not an access line goes there.",
        support: Support::Works,
        apply: |settings, value| {
            settings.errorlog = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "loglevel",
        section: Section::Logging,
        flags: &["--log-level"],
        meta: "LEVEL",
        kind: Kind::Choice(&["debug", "info", "warning", "error", "critical"]),
        default: "info",
        short: "Least level of lines in the error log",
        long: "debug, info, warning, error or critical.",
        support: Support::Works,
        apply: |settings, value| {
            settings.loglevel = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "capture_output",
        section: Section::Logging,
        flags: &["--capture-output"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Send stdout and stderr to the error log",
        long: "For applications that print.",
        support: Support::Works,
        apply: |settings, value| {
            settings.capture_output = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "logger_class",
        section: Section::Logging,
        flags: &["--logger-class"],
        meta: "CLASS",
        kind: Kind::Object,
        default: "gunicorn.glogging.Logger",
        short: "Class that writes the logs",
        long: "A class of a settings file, `module.Class` or `egg:PROJECT#NAME`, written for \
               gunicorn. Each request then costs calls into Python.",
        support: Support::Works,
        apply: nothing,
    },
    Setting {
        name: "logconfig",
        section: Section::Logging,
        flags: &["--log-config"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "Settings of Python's logging, as an ini file",
        long: "For the loggers `gunicorn.error` and `gunicorn.access`. Each request then costs \
               calls into Python. `%(here)s` is the directory of the file.",
        support: Support::Works,
        apply: |settings, value| {
            settings.logconfig = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "logconfig_dict",
        section: Section::Logging,
        flags: &[],
        meta: "",
        kind: Kind::Object,
        default: "",
        short: "Settings of Python's logging, as a dictionary",
        long: "As logconfig, in the form of `logging.config.dictConfig`; what it leaves out is \
               gunicorn's. It comes before logconfig_json, and that before logconfig.",
        support: Support::Works,
        apply: nothing,
    },
    Setting {
        name: "logconfig_json",
        section: Section::Logging,
        flags: &["--log-config-json"],
        meta: "FILE",
        kind: Kind::Text,
        default: "",
        short: "Settings of Python's logging, as a JSON file",
        long: "As logconfig_dict, in a file.",
        support: Support::Works,
        apply: |settings, value| {
            settings.logconfig_json = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "syslog",
        section: Section::Logging,
        flags: &["--log-syslog"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Send both logs to syslog too",
        long: "The logs in files stay. Each request then costs calls into Python.",
        support: Support::Works,
        apply: |settings, value| {
            settings.syslog = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "syslog_addr",
        section: Section::Logging,
        flags: &["--log-syslog-to"],
        meta: "ADDRESS",
        kind: Kind::TextOrEmpty,
        default: "udp://localhost:514",
        short: "Address of syslog",
        long: "udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, with `#dgram` or `#stream` behind \
               the path if only that will do.",
        support: Support::Works,
        apply: |settings, value| {
            settings.syslog_addr = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "syslog_prefix",
        section: Section::Logging,
        flags: &["--log-syslog-prefix"],
        meta: "NAME",
        kind: Kind::Text,
        default: "",
        short: "Program name in syslog",
        long: "Messages begin with `gunicorn.NAME.error:` and `gunicorn.NAME.access:`; without \
               it the name is that of the application.",
        support: Support::Works,
        apply: |settings, value| {
            settings.syslog_prefix = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "syslog_facility",
        section: Section::Logging,
        flags: &["--log-syslog-facility"],
        meta: "NAME",
        kind: Kind::TextOrEmpty,
        default: "user",
        short: "Facility of syslog",
        long: "A name such as `daemon` or `local3`.",
        support: Support::Works,
        apply: |settings, value| {
            settings.syslog_facility = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "disable_redirect_access_to_syslog",
        section: Section::Logging,
        flags: &["--disable-redirect-access-to-syslog"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Send only the error log to syslog",
        long: "Belongs to syslog.",
        support: Support::Works,
        apply: |settings, value| {
            settings.disable_redirect_access_to_syslog = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "enable_stdio_inheritance",
        section: Section::Logging,
        flags: &["-R", "--enable-stdio-inheritance"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Keep stdout and stderr as a daemon",
        long: "Belongs to daemon. A terminal is left all the same.",
        support: Support::Works,
        apply: |settings, value| {
            settings.enable_stdio_inheritance = value.flag()?;
            Ok(())
        },
    },
    Setting {
        name: "statsd_host",
        section: Section::Logging,
        flags: &["--statsd-host"],
        meta: "ADDRESS",
        kind: Kind::Text,
        default: "",
        short: "Address of a StatsD server",
        long: "HOST:PORT or unix://PATH. Each request then costs a call into Python; figures \
           have the names that gunicorn gives them.",
        support: Support::Works,
        apply: |settings, value| {
            settings.statsd_host = value.optional_text()?;
            Ok(())
        },
    },
    Setting {
        name: "dogstatsd_tags",
        section: Section::Logging,
        flags: &["--dogstatsd-tags"],
        meta: "TAGS",
        kind: Kind::TextOrEmpty,
        default: "",
        short: "Tags of the figures sent to StatsD",
        long: "Belongs to statsd_host.",
        support: Support::Works,
        apply: |settings, value| {
            settings.dogstatsd_tags = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "statsd_prefix",
        section: Section::Logging,
        flags: &["--statsd-prefix"],
        meta: "PREFIX",
        kind: Kind::TextOrEmpty,
        default: "",
        short: "Prefix of the names sent to StatsD",
        long: "Belongs to statsd_host. A dot is put behind it.",
        support: Support::Works,
        apply: |settings, value| {
            settings.statsd_prefix = value.text()?;
            Ok(())
        },
    },
    Setting {
        name: "enable_backlog_metric",
        section: Section::Logging,
        flags: &["--enable-backlog-metric"],
        meta: "",
        kind: Kind::Flag(true),
        default: "False",
        short: "Send the number of waiting connections to StatsD",
        long: "Belongs to statsd_host. Once a second the master tells, as `gunicorn.backlog`, how many \
           connections no worker has accepted yet, on all sockets together.",
        support: Support::Works,
        apply: |settings, value| {
            settings.enable_backlog_metric = value.flag()?;
            Ok(())
        },
    },
];
