//! The table: every setting once, one file per section of the reference.

mod buffering;
mod config_file;
mod debugging;
mod elsewhere;
mod gunicorn;
mod http;
mod limits;
mod logging;
mod proxies;
mod server_hooks;
mod server_mechanics;
mod server_socket;
mod tls;
mod worker_processes;

use crate::setting::Setting;
use crate::settings::Settings;
use crate::value::{Unfit, Value};

/// The sections, in the order of the reference.
const SECTIONS: [&[Setting]; 13] = [
    config_file::SETTINGS,
    server_socket::SETTINGS,
    worker_processes::SETTINGS,
    buffering::SETTINGS,
    limits::SETTINGS,
    proxies::SETTINGS,
    logging::SETTINGS,
    server_mechanics::SETTINGS,
    server_hooks::SETTINGS,
    debugging::SETTINGS,
    http::SETTINGS,
    tls::SETTINGS,
    elsewhere::SETTINGS,
];

/// The greatest value of counts that nobody needs larger.
const MOST: u64 = u32::MAX as u64;

/// Every setting, in the order of the reference.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.into_iter().flatten()
}

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.name == name)
}

/// Whether gunicorn has the setting too.
#[must_use]
pub(crate) fn is_gunicorns(setting: &Setting) -> bool {
    gunicorn::NAMES.contains(&setting.name)
}

/// The setting whose name is so close to `name` that a slip of the keys is likely.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static Setting> {
    let (distance, setting) = settings()
        .map(|setting| (crate::nearest::distance(name, setting.name), setting))
        .min_by_key(|(distance, _)| *distance)?;
    crate::nearest::is_close(name, distance).then_some(setting)
}

/// Stores nothing: for settings that this version knows but has no use for.
fn nothing(_: &mut Settings, _: Value) -> Result<(), Unfit> {
    Ok(())
}

#[cfg(test)]
mod tests;
