//! The `proxy` group: what a dictionary, a file of its own, a preset and single options say together.
//!
//! Weakest first: preset, then `proxy` or `proxy_config`, then the settings of single keys. Every
//! key is judged here, so that a mistake stops the start instead of opening a door.

mod preset;
mod read;

use std::borrow::Cow;

use self::read::{count, flag, headers, hops, map, networks, word};
use crate::error::SettingError;
use crate::layers::{Origin, Warning};
use crate::nearest;
use crate::network::Networks;
use crate::settings::{HeaderMap, Settings};
use crate::value::{Raw, Unfit, Value};

/// The keys, in the order in which they are printed.
pub const KEYS: [&str; 16] = [
    "trusted",
    "family",
    "x_for",
    "x_proto",
    "x_host",
    "x_port",
    "x_prefix",
    "forwarded",
    "hop_check",
    "headers",
    "map",
    "underscores",
    "strip",
    "strict",
    "proxy_protocol",
    "proxy_protocol_from",
];

/// Most proxies in a row.
const MOST_HOPS: u32 = 64;

/// How many proxies are stepped over: a number, or `None` for as far as trust reaches.
pub type Hops = Option<u32>;

/// Which forwarding fields the application does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word of its name")]
pub enum Strip {
    Never,
    #[default]
    Untrusted,
    Unused,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word of its name")]
pub enum LineVersions {
    #[default]
    Off,
    V1,
    V2,
    Any,
}

impl LineVersions {
    /// The versions that a word names; `auto` is gunicorn's for both.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "v1" => Some(Self::V1),
            "v2" => Some(Self::V2),
            "any" | "auto" => Some(Self::Any),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Any => "any",
        }
    }
}

/// The group, typed. The fields are its keys; see the reference for their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ProxyGroup {
    pub trusted: Networks,
    /// `family` is `forwarded`.
    pub rfc7239: bool,
    pub x_for: Hops,
    pub x_proto: u32,
    pub x_host: u32,
    pub x_port: u32,
    pub x_prefix: u32,
    pub forwarded: Hops,
    /// `hop_check` is `count`.
    pub count_only: bool,
    /// Pairs of a fact (`for`, `proto`, `host`, `port`, `prefix`) and the field it comes in.
    pub headers: Vec<(String, String)>,
    pub map: Vec<(String, String)>,
    pub underscores: HeaderMap,
    pub strip: Strip,
    pub strict: bool,
    pub proxy_protocol: LineVersions,
    pub proxy_protocol_from: Networks,
}

impl Default for ProxyGroup {
    fn default() -> Self {
        Self {
            trusted: Networks::default(),
            rfc7239: false,
            x_for: Some(0),
            x_proto: 0,
            x_host: 0,
            x_port: 0,
            x_prefix: 0,
            forwarded: Some(0),
            count_only: false,
            headers: Vec::new(),
            map: Vec::new(),
            underscores: HeaderMap::Drop,
            strip: Strip::Untrusted,
            strict: false,
            proxy_protocol: LineVersions::Off,
            proxy_protocol_from: Networks::default(),
        }
    }
}

/// How a file of the group is read: its tables and values, or why not.
pub type ReadFile = fn(&str) -> Result<Raw, String>;

/// A key of the group, and the setting that gave it.
struct Given {
    key: String,
    raw: Raw,
    setting: &'static str,
}

/// Puts the group together from the settings that were chosen, if any of them was set.
pub(crate) fn assemble(
    settings: &mut Settings,
    read: Option<ReadFile>,
) -> Result<(), SettingError> {
    let (given, origin) = collect(settings, read)?;
    if given.is_empty() {
        return Ok(());
    }
    let mut group = ProxyGroup { underscores: settings.header_map, ..ProxyGroup::default() };
    for Given { key, raw, setting } in &given {
        group.take(key, raw).map_err(|unfit| invalid(settings, setting, key, raw, unfit))?;
    }
    let by_gunicorn = LineVersions::named(&settings.proxy_protocol).unwrap_or_default();
    if group.proxy_protocol == LineVersions::Off {
        group.proxy_protocol = by_gunicorn;
    }
    group.check().map_err(|(key, value, expected)| SettingError::Invalid {
        name: "proxy",
        value: format!("{key} = {value}"),
        expected: Cow::Borrowed(expected),
        origin: origin.clone(),
    })?;
    for advice in group.doubts() {
        settings.warnings.push(Warning::Doubtful { name: "proxy", advice, origin: origin.clone() });
    }
    if let Some(chosen) = settings.chosen.iter_mut().find(|chosen| chosen.setting.name == "proxy") {
        chosen.value = Value::Table(group.rows());
        chosen.origin = origin;
    }
    settings.proxy = Some(group);
    Ok(())
}

fn invalid(
    settings: &Settings,
    setting: &'static str,
    key: &str,
    raw: &Raw,
    unfit: Unfit,
) -> SettingError {
    let origin = settings.chosen(setting).map_or(Origin::Default, |chosen| chosen.origin.clone());
    let value = if setting == "proxy" || setting == "proxy_config" {
        format!("{key} = {raw}")
    } else {
        raw.to_string()
    };
    SettingError::Invalid { name: setting, value, expected: unfit.0, origin }
}

/// All keys that were given, weakest first, and where the first of them is.
fn collect(
    settings: &Settings,
    read: Option<ReadFile>,
) -> Result<(Vec<Given>, Origin), SettingError> {
    let mut given = Vec::new();
    let mut first = None;
    let (mut from_dict, mut from_file) = (None, None);
    for (setting, value) in &settings.proxy_parts {
        let is_unset = match value {
            Value::Unset | Value::Flag(false) => true,
            Value::List(items) => items.is_empty(),
            Value::Pairs(pairs) => pairs.is_empty(),
            _ => false,
        };
        let Some(chosen) = settings.chosen(setting).filter(|_| !is_unset) else { continue };
        let origin = || chosen.origin.clone();
        first.get_or_insert_with(origin);
        let wrong = |expected: String, value: &str| SettingError::Invalid {
            name: setting,
            value: value.to_owned(),
            expected: Cow::Owned(expected),
            origin: origin(),
        };
        match (*setting, value) {
            ("proxy_preset", Value::Text(name)) => {
                let rows =
                    preset::rows(name).ok_or_else(|| wrong(preset::EXPECTED.into(), name))?;
                given.splice(0..0, rows.into_iter().map(|(key, raw)| Given { key, raw, setting }));
            }
            ("proxy_config", Value::Text(path)) => {
                let read = read.ok_or_else(|| wrong("no file here".into(), path))?;
                match read(path) {
                    Ok(Raw::Table(rows)) => from_file = Some((rows, origin(), path.clone())),
                    Ok(_) => return Err(wrong("a table of keys in the file".into(), path)),
                    Err(why) => return Err(wrong(format!("a JSON or TOML file ({why})"), path)),
                }
            }
            ("proxy", Value::Table(rows)) => from_dict = Some(rows.clone()),
            (_, value) => {
                let key = setting.strip_prefix("proxy_").unwrap_or(setting);
                let key = if key == "protocol_from" { "proxy_protocol_from" } else { key };
                given.push(Given { key: key.to_owned(), raw: as_raw(value), setting });
            }
        }
    }
    let whole = match (from_dict, from_file) {
        (Some(_), Some((_, origin, value))) => {
            let expected = Cow::Borrowed("either a dictionary `proxy` or a file, not both");
            return Err(SettingError::Invalid { name: "proxy_config", value, expected, origin });
        }
        (Some(rows), None) => Some((rows, "proxy")),
        (None, Some((rows, ..))) => Some((rows, "proxy_config")),
        (None, None) => None,
    };
    if let Some((rows, setting)) = whole {
        let presets = given.iter().take_while(|given| given.setting == "proxy_preset").count();
        let rows = rows.into_iter().map(|(key, raw)| Given { key, raw, setting });
        given.splice(presets..presets, rows);
    }
    Ok((given, first.unwrap_or(Origin::Default)))
}

fn as_raw(value: &Value) -> Raw {
    match value {
        Value::Flag(flag) => Raw::Flag(*flag),
        Value::List(items) => Raw::List(items.clone()),
        Value::Pairs(pairs) => Raw::Pairs(pairs.clone()),
        Value::Text(text) => Raw::Text(text.clone()),
        other => Raw::Object(other.to_string()),
    }
}

impl ProxyGroup {
    /// Takes in one key.
    fn take(&mut self, key: &str, raw: &Raw) -> Result<(), Unfit> {
        match key {
            "trusted" => self.trusted = networks(raw)?,
            "family" => self.rfc7239 = word(raw, &["x-forwarded", "forwarded"])? == 1,
            "x_for" => self.x_for = hops(raw)?,
            "x_proto" => self.x_proto = count(raw)?,
            "x_host" => self.x_host = count(raw)?,
            "x_port" => self.x_port = count(raw)?,
            "x_prefix" => self.x_prefix = count(raw)?,
            "forwarded" => self.forwarded = hops(raw)?,
            "hop_check" => self.count_only = word(raw, &["cidr", "count"])? == 1,
            "headers" => self.headers = headers(raw)?,
            "map" => self.map = map(raw)?,
            "underscores" => {
                const CHOICES: [HeaderMap; 3] =
                    [HeaderMap::Drop, HeaderMap::Refuse, HeaderMap::Dangerous];
                self.underscores = CHOICES[word(raw, &["drop", "refuse", "keep"])?];
            }
            "strip" => {
                const CHOICES: [Strip; 3] = [Strip::Never, Strip::Untrusted, Strip::Unused];
                self.strip = CHOICES[word(raw, &["never", "untrusted", "unused"])?];
            }
            "strict" => self.strict = flag(raw)?,
            "proxy_protocol" => {
                let index = word(raw, &["off", "v1", "v2", "any"])?;
                const CHOICES: [LineVersions; 4] =
                    [LineVersions::Off, LineVersions::V1, LineVersions::V2, LineVersions::Any];
                self.proxy_protocol = CHOICES[index];
            }
            "proxy_protocol_from" => self.proxy_protocol_from = networks(raw)?,
            _ => {
                let close = KEYS
                    .into_iter()
                    .map(|known| (nearest::distance(key, known), known))
                    .min()
                    .filter(|(distance, _)| nearest::is_close(key, *distance));
                return Err(Unfit(Cow::Owned(match close {
                    Some((_, known)) => format!("a key of the group, perhaps `{known}`"),
                    None => format!("a key of the group ({})", KEYS.join(", ")),
                })));
            }
        }
        Ok(())
    }

    /// What the keys must be to each other; the key at fault, its value, and what was expected.
    fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        if self.count_only && self.x_for.is_none() {
            return Err(("x_for", "auto".into(), "a number where hop_check is count"));
        }
        if self.count_only && self.forwarded.is_none() {
            return Err(("forwarded", "auto".into(), "a number where hop_check is count"));
        }
        let reads_x = self.x_for != Some(0)
            || [self.x_proto, self.x_host, self.x_port, self.x_prefix].iter().any(|n| *n > 0);
        if self.rfc7239 && reads_x {
            return Err(("family", "forwarded".into(), "x_for and the like to be 0 beside it"));
        }
        if !self.rfc7239 && self.forwarded != Some(0) {
            let value = self.forwarded.map_or("auto".into(), |n| n.to_string());
            return Err(("forwarded", value, "family to be forwarded beside it"));
        }
        let from = &self.proxy_protocol_from;
        if self.proxy_protocol != LineVersions::Off && from.is_empty() {
            let value = self.proxy_protocol.word().into();
            return Err(("proxy_protocol", value, "proxy_protocol_from to name the balancers"));
        }
        if self.proxy_protocol == LineVersions::Off && !from.is_empty() {
            let expected = "proxy_protocol to name a version beside it";
            return Err(("proxy_protocol_from", from.to_string(), expected));
        }
        Ok(())
    }

    /// What is allowed, and probably not meant.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let is_local = |networks: &Networks| {
            !networks.everyone
                && !networks.is_empty()
                && networks.networks.iter().all(|network| network.address.is_loopback())
        };
        let facts = [
            ("x_proto", "X-Forwarded-Proto", self.x_proto),
            ("x_host", "X-Forwarded-Host", self.x_host),
            ("x_port", "X-Forwarded-Port", self.x_port),
            ("x_prefix", "X-Forwarded-Prefix", self.x_prefix),
        ];
        let reads = self.x_for != Some(0)
            || self.forwarded != Some(0)
            || !self.map.is_empty()
            || facts.iter().any(|(_, _, count)| *count > 0);
        if self.trusted.everyone {
            doubts.push(
                "`*` trusts every client that reaches the port; name the proxies in `trusted`"
                    .to_owned(),
            );
        }
        if reads && self.trusted.is_empty() {
            doubts.push("nobody is in `trusted`, so no field is believed".to_owned());
        }
        let several = |hops: Hops| hops.is_some_and(|count| count > 1);
        if (several(self.x_for) || several(self.forwarded))
            && !self.count_only
            && is_local(&self.trusted)
        {
            doubts.push(
                "more than one proxy is stepped over, but only this machine is in `trusted`; \
                 add the outer proxies"
                    .to_owned(),
            );
        }
        if is_local(&self.trusted) {
            for (key, field, _) in facts.into_iter().filter(|(_, _, count)| *count > 0) {
                doubts.push(format!(
                    "{key} is on: see that the proxy sets {field} itself; the usual nginx block \
                     passes the client's own one through"
                ));
            }
        }
        doubts
    }

    /// Every key with its value, as they can be written.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, Raw)> {
        let text = |text: &str| Raw::text(text);
        let hops = |hops: Hops| hops.map_or(Raw::text("auto"), number);
        let pairs = |pairs: &[(String, String)]| Raw::Pairs(pairs.to_vec());
        let rows = [
            Raw::List(self.trusted.items()),
            text(if self.rfc7239 { "forwarded" } else { "x-forwarded" }),
            hops(self.x_for),
            number(self.x_proto),
            number(self.x_host),
            number(self.x_port),
            number(self.x_prefix),
            hops(self.forwarded),
            text(if self.count_only { "count" } else { "cidr" }),
            pairs(&self.headers),
            pairs(&self.map),
            text(match self.underscores {
                HeaderMap::Drop => "drop",
                HeaderMap::Refuse => "refuse",
                HeaderMap::Dangerous => "keep",
            }),
            text(match self.strip {
                Strip::Never => "never",
                Strip::Untrusted => "untrusted",
                Strip::Unused => "unused",
            }),
            Raw::Flag(self.strict),
            text(self.proxy_protocol.word()),
            Raw::List(self.proxy_protocol_from.items()),
        ];
        KEYS.into_iter().map(str::to_owned).zip(rows).collect()
    }
}

fn number(count: u32) -> Raw {
    Raw::Integer(i64::from(count))
}

#[cfg(test)]
mod tests;
