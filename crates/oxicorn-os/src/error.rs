//! What the kernel refused, in words.

use std::{fmt, io};

/// A system call that failed: what was being done, to what, and why it could not be.
#[derive(Debug)]
pub struct OsError {
    doing: &'static str,
    what: String,
    source: io::Error,
}

impl OsError {
    /// Names a failure: `doing` completes "cannot …", `what` is the thing it was done to.
    #[must_use]
    pub fn new(doing: &'static str, what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { doing, what: what.into(), source: source.into() }
    }

    /// What the kernel said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The kernel's number for it, if it came from the kernel.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.doing, self.what, reason(&self.source))
    }
}

impl std::error::Error for OsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The kernel's text in the manner of our messages: lower case, without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().collect::<String>() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_one_line_without_numbers() {
        let error = OsError::new("listen on", "0.0.0.0:80", io::Error::from_raw_os_error(13));
        assert_eq!(error.to_string(), "cannot listen on `0.0.0.0:80`: permission denied");
    }
}
