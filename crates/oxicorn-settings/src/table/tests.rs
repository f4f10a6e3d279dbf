use std::collections::HashSet;

use super::*;
use crate::setting::{Kind, Section, Support};
use crate::value::Raw;

#[test]
fn names_and_flags_are_unique() {
    let mut names = HashSet::new();
    let mut flags = HashSet::from(["-h", "--help", "-v", "--version", "--man", "--completions"]);
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
            Kind::Text if setting.name == "health_path" => "/else",
            Kind::Text if setting.name == "http_protocols" => "h2,h1",
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
    assert_eq!(gunicorn::NAMES.len(), 120);
    for name in gunicorn::NAMES {
        assert!(find(name).is_some(), "{name} is missing");
    }
}
