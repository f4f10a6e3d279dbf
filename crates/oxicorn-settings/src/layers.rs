//! Who has the last word: default < environment defaults < framework < file < `OXICORN_<NAME>` <
//! `GUNICORN_CMD_ARGS` < `OXICORN_CMD_ARGS` < command line.
//!
//! The variables `OXICORN_<NAME>` come after the file because they belong to one deployment, the
//! file to all of them. A later value replaces an earlier one, also where a setting is a list.

use std::fmt;

use crate::cli::{self, Arguments, Given};
use crate::error::SettingError;
use crate::proxy::{self, ReadFile};
use crate::setting::{Kind, Setting, Support};
use crate::settings::{Chosen, Settings};
use crate::table;
use crate::value::{Raw, Value};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A variable of options, such as `GUNICORN_CMD_ARGS`.
    Arguments(&'static str),
    /// The command line; the option, or empty for the application's name.
    CommandLine(&'static str),
    /// Nobody wrote it.
    Default,
    /// An environment variable.
    Environment(String),
    /// A settings file.
    File {
        /// As the operator named it.
        path: String,
        /// The line, where it is known.
        line: Option<u32>,
    },
    /// The program that embeds the server.
    Framework,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(variable) => write!(f, "${variable}"),
            Self::CommandLine("") => f.write_str("command line"),
            Self::CommandLine(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
            Self::Environment(variable) => write!(f, "${variable}"),
            Self::File { path, line: Some(line) } => write!(f, "{path}:{line}"),
            Self::File { path, line: None } => f.write_str(path),
            Self::Framework => f.write_str("framework"),
        }
    }
}

/// One name and value of a settings file, or of an embedding program.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name; it need not be a setting.
    pub name: String,
    /// What was written.
    pub raw: Raw,
    /// Where.
    pub origin: Origin,
}

/// What the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A value that is probably not meant.
    Doubtful {
        /// The setting.
        name: &'static str,
        /// What speaks against it.
        advice: String,
        /// Where it was set.
        origin: Origin,
    },
    /// A setting that has no effect.
    Ignored {
        /// Its name.
        name: &'static str,
        /// Why, or what to do.
        advice: &'static str,
        /// Where it was set.
        origin: Origin,
    },
    /// A name that is almost a setting, or stands where only settings may.
    Unknown {
        /// What was written.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
        /// Where.
        origin: Origin,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubtful { name, advice, origin } => write!(f, "{name}: {advice} ({origin})"),
            Self::Ignored { name, advice, origin } => {
                write!(f, "{name}: has no effect; {advice} ({origin})")
            }
            Self::Unknown { name, nearest, origin } => {
                write!(f, "unknown setting `{name}` ({origin})")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => f.write_str("; it has no effect"),
                }
            }
        }
    }
}

/// The environment: names and texts, handed in.
pub type Environment = [(String, String)];

/// Everything that was written, before it is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'a> {
    /// What an embedding program sets.
    pub framework: &'a [Entry],
    /// What the settings file sets.
    pub file: &'a [Entry],
    /// The environment.
    pub environment: &'a Environment,
    /// The command line and the variables that extend it.
    pub arguments: Option<&'a Arguments>,
    /// How the file that `proxy_config` names is read; without it there can be none.
    pub read: Option<ReadFile>,
}

impl Layers<'_> {
    /// Lets the last word win for each setting.
    ///
    /// # Errors
    ///
    /// The first value that does not fit, or that this version cannot honour.
    pub fn resolve(&self) -> Result<Settings, SettingError> {
        let mut settings = Settings::default();
        for setting in table::settings() {
            let (raw, origin) = self.last_word(setting)?;
            let chosen = choose(setting, raw, origin, &mut settings.warnings)?;
            (setting.apply)(&mut settings, chosen.value.clone()).map_err(|unfit| {
                let (value, origin) = (chosen.value.to_string(), chosen.origin.clone());
                SettingError::Invalid { name: setting.name, value, expected: unfit.0, origin }
            })?;
            settings.chosen.push(chosen);
        }
        proxy::assemble(&mut settings, self.read)?;
        warn_of_danger(&mut settings);
        warn_of_limits(&mut settings);
        warn_of_plain_text(&mut settings);
        warn_of_upgrade(&mut settings);
        self.warn_of_unknown_names(&mut settings.warnings);
        Ok(settings)
    }

    fn last_word(&self, setting: &'static Setting) -> Result<(Raw, Origin), SettingError> {
        if let Some(given) = self.arguments.and_then(|arguments| arguments.find(setting)) {
            let Given { raw, origin, .. } = given;
            return Ok((raw.clone(), origin.clone()));
        }
        if let Some((variable, text)) = self.variable(&variable_name(setting.name)) {
            let origin = Origin::Environment(variable.to_owned());
            // What an option can name, a variable can.
            let is_object = matches!(setting.kind, Kind::Group | Kind::Hook(_) | Kind::Object);
            if is_object && setting.flags.is_empty() {
                return Err(SettingError::FileOnly { name: setting.name, origin });
            }
            return Ok((Raw::text(text), origin));
        }
        for entries in [self.file, self.framework] {
            // As in the file itself, the last assignment counts.
            if let Some(entry) = entries.iter().rfind(|entry| entry.name == setting.name) {
                let raw = match &entry.raw {
                    Raw::Nothing if setting.kind.none_is_default() => break,
                    // One item, whatever is in it: only variables have no other way than commas.
                    Raw::Text(text) if setting.kind == Kind::List && !text.is_empty() => {
                        Raw::List(vec![text.clone()])
                    }
                    raw => raw.clone(),
                };
                return Ok((raw, entry.origin.clone()));
            }
        }
        let from_environment = match setting.name {
            "bind" => self.variable("PORT").map(|(name, port)| (name, format!("0.0.0.0:{port}"))),
            "workers" => self.variable("WEB_CONCURRENCY").map(owned),
            "forwarded_allow_ips" => self.variable("FORWARDED_ALLOW_IPS").map(owned),
            // Whatever does not say yes says no.
            "sendfile" => self.variable("SENDFILE").map(|(name, text)| {
                let is_yes = ["y", "1", "yes", "true"].contains(&text.to_lowercase().as_str());
                (name, is_yes.to_string())
            }),
            _ => None,
        };
        Ok(match from_environment {
            Some((variable, text)) => (Raw::Text(text), Origin::Environment(variable.to_owned())),
            None => (Raw::text(setting.default), Origin::Default),
        })
    }

    /// A variable that is set; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<(&str, &str)> {
        let (name, text) = self.environment.iter().find(|(key, _)| key == name)?;
        (!text.trim().is_empty()).then_some((name, text))
    }

    fn warn_of_unknown_names(&self, warnings: &mut Vec<Warning>) {
        for entry in self.file.iter().chain(self.framework) {
            let nearest = table::nearest(&entry.name).map(|setting| setting.name.to_owned());
            // A program has names of its own; what only holds data has settings.
            let is_data =
                matches!(&entry.origin, Origin::File { path, .. } if path.ends_with(".toml"));
            if table::find(&entry.name).is_none() && (nearest.is_some() || is_data) {
                let (name, origin) = (entry.name.clone(), entry.origin.clone());
                warnings.push(Warning::Unknown { name, nearest, origin });
            }
        }
        for (variable, _) in self.environment {
            let Some(name) = variable.strip_prefix("OXICORN_") else { continue };
            let name = name.to_lowercase();
            if cli::VARIABLES.contains(&variable.as_str()) || table::find(&name).is_some() {
                continue;
            }
            if let Some(setting) = table::nearest(&name) {
                warnings.push(Warning::Unknown {
                    name: variable.clone(),
                    nearest: Some(variable_name(setting.name)),
                    origin: Origin::Environment(variable.clone()),
                });
            }
        }
    }
}

/// Says so when a switch makes two readers of one request possible.
fn warn_of_danger(settings: &mut Settings) {
    let chosen = settings.chosen("strip_header_spaces").filter(|_| settings.strip_header_spaces);
    if let Some(chosen) = chosen {
        let advice = "a proxy in front may read such fields in another way; switch it off when the \
                      clients are corrected";
        settings.warnings.push(Warning::Doubtful {
            name: chosen.setting.name,
            advice: advice.to_owned(),
            origin: chosen.origin.clone(),
        });
    }
}

/// A limit that another one always comes before does nothing, and should not be silent about it.
fn warn_of_limits(settings: &mut Settings) {
    let (limit, timeout) = (settings.request_timeout, settings.timeout);
    let has_one_thread = settings.threads <= 1 && !settings.worker_class.is_gevent();
    if !has_one_thread || limit.is_zero() || timeout.is_zero() || limit < timeout {
        return;
    }
    let advice = format!("with one thread, `timeout` ({} s) strikes first", timeout.as_secs_f64());
    if let Some(chosen) = settings.chosen("request_timeout") {
        let origin = chosen.origin.clone();
        settings.warnings.push(Warning::Doubtful { name: "request_timeout", advice, origin });
    }
}

/// What belongs to TLS does nothing without a certificate.
fn warn_of_plain_text(settings: &mut Settings) {
    if settings.speaks_tls() {
        return;
    }
    let is_set = [
        ("ca_certs", settings.ca_certs.is_some()),
        ("cert_reqs", settings.cert_reqs != 0),
        ("ciphers", settings.ciphers.is_some()),
        ("tls_minimum_version", settings.tls_minimum_version != "1.2"),
    ];
    for (name, _) in is_set.into_iter().filter(|(_, is_set)| *is_set) {
        if let Some(chosen) = settings.chosen(name) {
            let (advice, origin) =
                ("no TLS is spoken: set `certfile`".into(), chosen.origin.clone());
            settings.warnings.push(Warning::Doubtful { name, advice, origin });
        }
    }
}

/// The upgrade to HTTP/2 without TLS is never taken, so asking for it should not be silent.
fn warn_of_upgrade(settings: &mut Settings) {
    let asks = |chosen: &&Chosen| matches!(&chosen.value, Value::Text(mode) if mode == "upgrade" || mode == "both");
    if let Some(chosen) = settings.chosen("http2_cleartext").filter(asks) {
        let advice = "the upgrade from HTTP/1.1 is never taken: use `prior-knowledge`".to_owned();
        let origin = chosen.origin.clone();
        settings.warnings.push(Warning::Doubtful { name: "http2_cleartext", advice, origin });
    }
}

fn owned<'a>((variable, text): (&'a str, &str)) -> (&'a str, String) {
    (variable, text.to_owned())
}

fn variable_name(setting: &str) -> String {
    format!("OXICORN_{}", setting.to_uppercase())
}

/// Types one value, and says what comes of it in this version.
fn choose(
    setting: &'static Setting,
    raw: Raw,
    origin: Origin,
    warnings: &mut Vec<Warning>,
) -> Result<Chosen, SettingError> {
    let invalid = |expected| SettingError::Invalid {
        name: setting.name,
        value: raw.to_string(),
        expected,
        origin: origin.clone(),
    };
    let value = setting.kind.parse(&raw).map_err(|unfit| invalid(unfit.0))?;
    if setting.support != Support::Works && origin != Origin::Default {
        let default = setting.kind.parse(&Raw::text(setting.default));
        let is_default = default.is_ok_and(|default| default == value);
        match setting.support {
            Support::WarnIgnored(advice) if !is_default => {
                let origin = origin.clone();
                warnings.push(Warning::Ignored { name: setting.name, advice, origin });
            }
            Support::Rejected(advice) if !is_default => {
                return Err(SettingError::Unsupported { name: setting.name, advice, origin });
            }
            _ => {}
        }
    }
    Ok(Chosen { setting, value, origin })
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
