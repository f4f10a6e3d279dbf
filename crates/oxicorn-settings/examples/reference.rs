//! Prints the reference of all settings, which is committed as `docs/reference/settings.md`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(oxicorn_settings::render::markdown().as_bytes())
}
