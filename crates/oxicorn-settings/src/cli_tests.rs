use super::*;

fn parse(words: &[&str]) -> Result<Arguments, SettingError> {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    Arguments::parse(&words, &[])
}

fn raw(words: &[&str], name: &str) -> Option<Raw> {
    let arguments = parse(words).expect("a good command line");
    let setting = table::find(name).expect("a setting");
    arguments.find(setting).map(|given| given.raw.clone())
}

fn complaint(words: &[&str]) -> String {
    let error = parse(words).expect_err("a bad command line");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn values_are_joined_or_follow() {
    for words in
        [["-w4"].as_slice(), &["-w", "4"], &["-w=4"], &["--workers=4"], &["--workers", "4"]]
    {
        assert_eq!(raw(words, "workers"), Some(Raw::text("4")), "{words:?}");
    }
}

#[test]
fn the_field_size_option_has_its_underscore() {
    let words = ["--limit-request-field_size", "9"];
    assert_eq!(raw(&words, "limit_request_field_size"), Some(Raw::text("9")));
}

#[test]
fn long_options_may_be_cut_short_while_unique() {
    assert_eq!(raw(&["--worker-conn", "2"], "worker_connections"), Some(Raw::text("2")));
    assert_eq!(raw(&["--time", "2"], "timeout"), Some(Raw::text("2")));
    let text = complaint(&["--work", "2"]);
    assert!(text.starts_with("option `--work` could mean --workers, --worker-class"), "{text}");
}

#[test]
fn an_exact_option_is_never_ambiguous() {
    assert_eq!(raw(&["--reload"], "reload"), Some(Raw::Flag(true)));
    assert_eq!(raw(&["--paste", "a.ini"], "paste"), Some(Raw::text("a.ini")));
}

#[test]
fn two_spellings_of_one_setting_are_not_ambiguous() {
    assert_eq!(raw(&["--error", "x"], "errorlog"), Some(Raw::text("x")));
}

#[test]
fn addresses_and_variables_add_up() {
    let both = Raw::List(vec![":1".into(), "unix:a".into()]);
    assert_eq!(raw(&["-b", ":1", "--bind=unix:a"], "bind"), Some(both));
    let one = Raw::List(vec!["A=1,2".into(), "B=".into()]);
    assert_eq!(raw(&["-e", "A=1,2", "-eB="], "raw_env"), Some(one));
}

#[test]
fn the_last_of_other_options_counts() {
    assert_eq!(raw(&["-w", "1", "-w", "2"], "workers"), Some(Raw::text("2")));
}

#[test]
fn switches_can_be_joined() {
    assert_eq!(raw(&["-DR"], "daemon"), Some(Raw::Flag(true)));
    assert_eq!(raw(&["-DRw3"], "workers"), Some(Raw::text("3")));
    assert_eq!(raw(&["--no-sendfile"], "sendfile"), Some(Raw::Flag(false)));
}

#[test]
fn a_dash_and_a_negative_number_are_values() {
    assert_eq!(raw(&["--access-logfile", "-"], "accesslog"), Some(Raw::text("-")));
    assert_eq!(raw(&["-w", "-3"], "workers"), Some(Raw::text("-3")));
}

#[test]
fn an_optional_value_never_swallows_the_application() {
    let words = ["--proxy-protocol", "shop:app"];
    assert_eq!(raw(&words, "proxy_protocol"), Some(Raw::text("auto")));
    assert_eq!(raw(&words, "wsgi_app"), Some(Raw::text("shop:app")));
    assert_eq!(raw(&["--proxy-protocol", "v1"], "proxy_protocol"), Some(Raw::text("v1")));
}

#[test]
fn the_application_may_stand_anywhere() {
    for words in [["shop:app", "-w4"].as_slice(), &["-w4", "shop:app"], &["-w4", "--", "shop:app"]]
    {
        assert_eq!(raw(words, "wsgi_app"), Some(Raw::text("shop:app")));
    }
}

#[test]
fn mistakes_are_told_in_one_line() {
    assert_eq!(complaint(&["--wokers=4"]), "unknown option `--wokers`; did you mean `--workers`?");
    assert_eq!(complaint(&["--foo"]), "unknown option `--foo`; `oxicorn --help` lists them");
    assert_eq!(complaint(&["-x"]), "unknown option `-x`; `oxicorn --help` lists them");
    assert_eq!(complaint(&["-w"]), "option `-w` needs a value: -w N");
    assert_eq!(complaint(&["--bind", "-w4"]), "option `--bind` needs a value: --bind ADDRESS");
    assert_eq!(complaint(&["--preload=yes"]), "option `--preload` takes no value, got `yes`");
    assert_eq!(
        complaint(&["a:b", "c"]),
        "unexpected argument `c`; usage: oxicorn [options] module:app"
    );
}

#[test]
fn help_and_version_are_actions() {
    assert_eq!(parse(&["-h"]).map(|a| a.action), Ok(Action::Help));
    assert_eq!(parse(&["--vers", "x"]).map(|a| a.action), Ok(Action::Version));
    assert_eq!(parse(&["x"]).map(|a| a.action), Ok(Action::Serve));
}

#[test]
fn variables_of_options_come_before_the_command_line() {
    let environment = [
        ("OXICORN_CMD_ARGS".to_owned(), "--threads 3".to_owned()),
        ("GUNICORN_CMD_ARGS".to_owned(), "-w 2 --threads 2 -t5 -b :1 ignored:app".to_owned()),
    ];
    let argv = ["-t9".to_owned(), "--bind=:2".to_owned()];
    let arguments = Arguments::parse(&argv, &environment).expect("good options");
    let raw = |name| arguments.find(table::find(name)?).map(|given| given.raw.to_string());
    assert_eq!(raw("workers").as_deref(), Some("2"));
    assert_eq!(raw("threads").as_deref(), Some("3"));
    assert_eq!(raw("timeout").as_deref(), Some("9"));
    assert_eq!(raw("bind").as_deref(), Some(":2"));
    assert_eq!(raw("wsgi_app"), None);
}

#[test]
fn a_mistake_in_a_variable_names_the_variable() {
    let complaint = |text: &str| {
        let environment = [("GUNICORN_CMD_ARGS".to_owned(), text.to_owned())];
        Arguments::parse(&[], &environment).expect_err("a bad variable").to_string()
    };
    assert_eq!(
        complaint("--wokers 1"),
        "unknown option `--wokers` ($GUNICORN_CMD_ARGS); did you mean `--workers`?"
    );
    assert_eq!(complaint("-n 'open"), "a quote is not closed ($GUNICORN_CMD_ARGS)");
}

#[test]
fn words_are_split_as_by_a_shell() {
    let words = |text| split(text).map(|words| words.join("|"));
    assert_eq!(
        words(r#" a 'b c'  "d \" e\n" f\ g'' '' "#).as_deref(),
        Some(r#"a|b c|d " e\n|f g|"#)
    );
    assert_eq!(words("").as_deref(), Some(""));
    assert_eq!(words(r#""open"#), None);
    assert_eq!(words("end\\"), None);
}
