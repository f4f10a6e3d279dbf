//! The settings in force, for `--print-config`.

use crate::settings::Settings;

/// Every setting in force as `name = value   # origin`, for `--print-config`.
#[must_use]
pub fn listing(settings: &Settings) -> Vec<String> {
    let width = settings.all().map(|chosen| chosen.setting.name.len()).max().unwrap_or(0);
    let line = |chosen: &crate::settings::Chosen| {
        let name = chosen.setting.name;
        format!("{name:width$} = {}   # {}", chosen.value, chosen.origin)
    };
    settings.all().map(line).collect()
}
