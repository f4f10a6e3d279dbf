//! The settings as the engine needs them.

use std::path::PathBuf;
use std::sync::Arc;

use oxicorn_http::{Limits, Policy, Rules, h2};
use oxicorn_settings::HeaderMap;
use oxicorn_worker::access_log::AccessFormat;
use oxicorn_worker::{Config, RequestIds};

use crate::{log, proxy};

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
