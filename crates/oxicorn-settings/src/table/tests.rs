use std::collections::HashSet;

use super::*;
use crate::setting::{Kind, Section, Support};
use crate::value::Raw;

#[test]
fn names_and_flags_are_unique() {
    let mut names = HashSet::new();
    let mut flags = HashSet::from(["-h", "--help", "-v", "--version"]);
    for setting in settings() {
        assert!(names.insert(setting.name), "{} is there twice", setting.name);
        for flag in setting.flags {
            assert!(flags.insert(flag), "{flag} is there twice");
        }
    }
}

#[test]
fn flags_are_one_letter_or_long() {
    for flag in settings().flat_map(|setting| setting.flags) {
        let letters = flag.trim_start_matches('-').len();
        assert!(flag.starts_with("--") && letters > 1 || letters == 1, "{flag}");
        assert!(!flag.contains('='), "{flag}");
    }
}

#[test]
fn sections_are_in_order() {
    let sections: Vec<_> = settings().map(|setting| setting.section).collect();
    assert!(sections.is_sorted());
    assert!(Section::ALL.is_sorted());
    assert!(Section::ALL.iter().all(|section| sections.contains(section)));
}

#[test]
fn short_texts_fit_a_line_and_long_ones_are_sentences() {
    for Setting { name, short, long, .. } in settings() {
        assert!(short.chars().count() <= 72, "{name}: {}", short.len());
        assert!(!short.ends_with('.') && !short.is_empty(), "{name}");
        assert!(long.ends_with('.'), "{name}");
    }
}

#[test]
fn options_say_what_they_take() {
    for setting in settings().filter(|setting| !setting.flags.is_empty()) {
        assert_eq!(setting.meta.is_empty(), setting.kind.is_bare(), "{}", setting.name);
    }
}

#[test]
fn advice_is_one_clause() {
    for setting in settings() {
        if let Support::WarnIgnored(advice) | Support::Rejected(advice) = setting.support {
            assert!(!advice.is_empty() && !advice.ends_with('.'), "{}", setting.name);
        }
    }
}

#[test]
fn defaults_parse_and_are_stored() {
    for setting in settings() {
        let value = setting.kind.parse(&Raw::text(setting.default));
        let value = value.unwrap_or_else(|error| panic!("{}: {error:?}", setting.name));
        let mut target = Settings::default();
        let stored = (setting.apply)(&mut target, value);
        assert_eq!(stored, Ok(()), "{}", setting.name);
    }
}

/// What works has a field, and no two settings share one.
#[test]
fn every_working_setting_has_a_field() {
    let bare = format!("{:?}", Settings::default());
    let mut changed = HashSet::new();
    for setting in settings() {
        let text = match setting.kind {
            Kind::Addresses => "fd://9",
            Kind::Choice(words) | Kind::ChoiceOrBare(words, _) => words[words.len() - 1],
            Kind::Flag(_) | Kind::Switch => "true",
            Kind::Group | Kind::Hook(_) | Kind::Object => continue,
            Kind::Integer { max, .. } => &max.to_string(),
            Kind::Mode | Kind::Seconds => "7",
            Kind::Pairs => "A=b",
            Kind::Networks => "10.0.0.0/8",
            Kind::WorkerClass => "gthread",
            Kind::List | Kind::Names | Kind::Text | Kind::TextOrEmpty => "else",
        };
        let value = setting.kind.parse(&Raw::text(text));
        let value = value.unwrap_or_else(|error| panic!("{}: {error:?}", setting.name));
        let mut target = Settings::default();
        (setting.apply)(&mut target, value).expect(setting.name);
        let shown = format!("{target:?}");
        let stored = shown != bare;
        let is_silent = setting.name == "control_socket_disable";
        assert!(stored || is_silent || setting.support != Support::Works, "{}", setting.name);
        assert!(!stored || changed.insert(shown), "{} shares a field", setting.name);
    }
}

/// Everything that gunicorn 27 calls a setting is here, under its name.
#[test]
fn every_setting_of_gunicorn_is_known() {
    let known: Vec<_> = GUNICORN.split_whitespace().collect();
    assert_eq!(known.len(), 120);
    for name in known {
        assert!(find(name).is_some(), "{name} is missing");
    }
}

const GUNICORN: &str = "
    config wsgi_app bind backlog workers worker_class threads worker_connections max_requests
    max_requests_jitter timeout graceful_timeout keepalive limit_request_line limit_request_fields
    limit_request_field_size reload reload_engine reload_extra_files spew check_config print_config
    preload_app sendfile reuse_port chdir daemon raw_env pidfile worker_tmp_dir user group umask
    initgroups tmp_upload_dir secure_scheme_headers forwarded_allow_ips accesslog
    disable_redirect_access_to_syslog access_log_format errorlog loglevel capture_output
    logger_class logconfig logconfig_dict logconfig_json syslog_addr syslog syslog_prefix
    syslog_facility enable_stdio_inheritance statsd_host dogstatsd_tags statsd_prefix
    enable_backlog_metric proc_name default_proc_name pythonpath paste on_starting on_reload
    when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request
    post_request child_exit worker_exit nworkers_changed on_exit ssl_context proxy_protocol
    proxy_allow_ips protocol uwsgi_allow_ips keyfile certfile ssl_version cert_reqs ca_certs
    suppress_ragged_eofs do_handshake_on_connect ciphers http_protocols http2_cleartext
    http2_max_concurrent_streams http2_initial_window_size http2_max_frame_size
    http2_max_header_list_size raw_paste_global_conf permit_obsolete_folding strip_header_spaces
    permit_unconventional_http_method permit_unconventional_http_version casefold_http_method
    forwarder_headers header_map asgi_loop asgi_lifespan asgi_disconnect_grace_period
    websocket_max_message_size http_parser root_path dirty_apps dirty_workers dirty_timeout
    dirty_threads dirty_graceful_timeout on_dirty_starting dirty_post_fork dirty_worker_init
    dirty_worker_exit control_socket control_socket_mode control_socket_disable";
