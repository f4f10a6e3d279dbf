use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn in_file(name: &str, raw: Raw) -> Entry {
    let origin = Origin::File { path: "gunicorn.conf.py".to_owned(), line: Some(7) };
    Entry { name: name.to_owned(), raw, origin }
}

fn resolve(
    argv: &[&str],
    variables: &[(&str, &str)],
    file: &[Entry],
) -> Result<Settings, SettingError> {
    let environment = environment(variables);
    let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
    let arguments = Arguments::parse(&argv, &environment)?;
    let layers = Layers {
        file,
        environment: &environment,
        arguments: Some(&arguments),
        ..Layers::default()
    };
    layers.resolve()
}

fn complaint(argv: &[&str], variables: &[(&str, &str)], file: &[Entry]) -> (String, u8) {
    let error = resolve(argv, variables, file).expect_err("a mistake");
    (error.to_string(), error.exit_code())
}

fn warnings(variables: &[(&str, &str)], file: &[Entry]) -> Vec<String> {
    let settings = resolve(&[], variables, file).expect("good settings");
    settings.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn each_layer_overrules_the_ones_before() {
    let environment = environment(&[("WEB_CONCURRENCY", "2")]);
    let framework =
        [Entry { name: "workers".to_owned(), raw: Raw::Integer(3), origin: Origin::Framework }];
    let layers = Layers { framework: &framework, environment: &environment, ..Layers::default() };
    assert_eq!(layers.resolve().map(|s| s.workers), Ok(3));

    let file = [in_file("workers", Raw::Integer(4))];
    let mut variables = vec![("WEB_CONCURRENCY", "2")];
    let workers = |argv: &[&str], variables: &[_], file: &[_]| {
        let settings = resolve(argv, variables, file).expect("good settings");
        let origin = settings.chosen("workers").expect("a setting").origin.to_string();
        (settings.workers, origin)
    };
    assert_eq!(workers(&[], &[], &[]), (1, "default".to_owned()));
    assert_eq!(workers(&[], &variables, &[]), (2, "$WEB_CONCURRENCY".to_owned()));
    assert_eq!(workers(&[], &variables, &file), (4, "gunicorn.conf.py:7".to_owned()));
    variables.push(("OXICORN_WORKERS", "5"));
    assert_eq!(workers(&[], &variables, &file), (5, "$OXICORN_WORKERS".to_owned()));
    variables.push(("GUNICORN_CMD_ARGS", "-w6"));
    assert_eq!(workers(&[], &variables, &file), (6, "$GUNICORN_CMD_ARGS".to_owned()));
    variables.push(("OXICORN_CMD_ARGS", "-w7"));
    assert_eq!(workers(&[], &variables, &file), (7, "$OXICORN_CMD_ARGS".to_owned()));
    assert_eq!(workers(&["-w8"], &variables, &file), (8, "-w".to_owned()));
}

#[test]
fn lists_are_replaced_not_joined() {
    let file = [in_file("bind", Raw::List(vec![":1".into(), ":2".into()]))];
    let settings = resolve(&["-b", ":3"], &[("PORT", "4")], &file).expect("good settings");
    assert_eq!(settings.bind.len(), 1);
}

#[test]
fn environment_defaults_count_when_not_empty() {
    let variables = [("PORT", "5000"), ("SENDFILE", "no"), ("FORWARDED_ALLOW_IPS", "*")];
    let settings = resolve(&[], &variables, &[]).expect("good settings");
    assert_eq!(settings.bind[0].to_string(), "0.0.0.0:5000");
    assert!(!settings.sendfile && settings.forwarded_allow_ips.everyone);
    let empty = [("PORT", ""), ("SENDFILE", ""), ("WEB_CONCURRENCY", " "), ("OXICORN_BIND", "")];
    let settings = resolve(&[], &empty, &[]).expect("good settings");
    assert_eq!(settings.bind[0].to_string(), "127.0.0.1:8000");
    assert!(settings.sendfile && settings.workers == 1);
}

#[test]
fn mistakes_name_the_setting_the_value_and_the_place() {
    let file = [in_file("timeout", Raw::text("30s"))];
    let expected = "timeout: expected seconds, got `30s` (gunicorn.conf.py:7)";
    assert_eq!(complaint(&[], &[], &file), (expected.to_owned(), 1));
    let expected = "workers: expected a whole number that is not negative, got `four` (-w)";
    assert_eq!(complaint(&["-w", "four"], &[], &[]), (expected.to_owned(), 2));
    let (text, code) = complaint(&[], &[("WEB_CONCURRENCY", "many")], &[]);
    assert!(text.ends_with("got `many` ($WEB_CONCURRENCY)") && code == 1, "{text}");
    let (text, _) = complaint(&[], &[("OXICORN_POST_FORK", "x")], &[]);
    assert_eq!(text, "post_fork: can be set in a settings file only ($OXICORN_POST_FORK)");
}

#[test]
fn what_is_not_supported_stops_the_start() {
    let (text, code) = complaint(&["--dirty-app", "a"], &[], &[]);
    assert!(text.starts_with("dirty_apps: not supported by this version of oxicorn; "), "{text}");
    assert!(text.ends_with("(--dirty-app)") && code == 2);
    let file = [in_file("protocol", Raw::text("uwsgi"))];
    assert_eq!(complaint(&[], &[], &file).1, 1);
    // The default asks for nothing.
    let file = [in_file("dirty_workers", Raw::Integer(0))];
    assert!(resolve(&[], &[], &file).is_ok());
}

#[test]
fn what_has_no_effect_is_warned_about() {
    let file = [in_file("worker_tmp_dir", Raw::text("/dev/shm"))];
    let expected = "worker_tmp_dir: has no effect; heartbeats are kept in memory, no file is \
                    needed (gunicorn.conf.py:7)";
    assert_eq!(warnings(&[], &file), [expected]);
    assert!(warnings(&[], &[in_file("control_socket_disable", Raw::Flag(true))]).is_empty());
}

#[test]
fn an_upgrade_to_http2_is_warned_about() {
    let expected = "http2_cleartext: the upgrade from HTTP/1.1 is never taken: use \
                    `prior-knowledge` (gunicorn.conf.py:7)";
    for mode in ["upgrade", "both"] {
        assert_eq!(warnings(&[], &[in_file("http2_cleartext", Raw::text(mode))]), [expected]);
    }
    for mode in ["off", "prior-knowledge"] {
        assert!(warnings(&[], &[in_file("http2_cleartext", Raw::text(mode))]).is_empty());
    }
}

#[test]
fn the_oldest_version_without_tls_is_warned_about() {
    let expected = "tls_minimum_version: no TLS is spoken: set `certfile` (gunicorn.conf.py:7)";
    assert_eq!(warnings(&[], &[in_file("tls_minimum_version", Raw::text("1.3"))]), [expected]);
}

#[test]
fn a_limit_that_another_one_comes_before_is_warned_about() {
    let limit = |seconds| in_file("request_timeout", Raw::Integer(seconds));
    let expected = "request_timeout: with one thread, `timeout` (30 s) strikes first \
                    (gunicorn.conf.py:7)";
    assert_eq!(warnings(&[], &[limit(30)]), [expected]);
    assert!(warnings(&[], &[limit(29)]).is_empty());
    assert!(warnings(&[], &[limit(30), in_file("threads", Raw::Integer(2))]).is_empty());
    assert!(warnings(&[], &[limit(30), in_file("timeout", Raw::Integer(0))]).is_empty());
    assert!(warnings(&[], &[limit(30), in_file("worker_class", Raw::text("gevent"))]).is_empty());
}

#[test]
fn names_that_are_almost_settings_are_warned_about() {
    let file = [in_file("wokers", Raw::Integer(1)), in_file("cores", Raw::Integer(1))];
    let expected = "unknown setting `wokers` (gunicorn.conf.py:7); did you mean `workers`?";
    assert_eq!(warnings(&[], &file), [expected]);
    let variables = [("OXICORN_WORKER", "1"), ("OXICORN_OTHER", "1"), ("OXICORN_CMD_ARGS", "")];
    let warnings = warnings(&variables, &[]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].ends_with("did you mean `OXICORN_WORKERS`?"), "{warnings:?}");
}

#[test]
fn none_in_a_file_means_the_default() {
    let names = ["daemon", "bind", "worker_class", "loglevel", "proxy_protocol", "logger_class"];
    let file: Vec<_> = names.map(|name| in_file(name, Raw::Nothing)).into();
    let settings = resolve(&[], &[("PORT", "81")], &file).expect("good settings");
    let plain = resolve(&[], &[("PORT", "81")], &[]).expect("good settings");
    assert_eq!(format!("{settings:?}"), format!("{plain:?}"));
    let (said, _) = complaint(&[], &[], &[in_file("workers", Raw::Nothing)]);
    assert!(said.contains("got `None`"), "{said}");
}
