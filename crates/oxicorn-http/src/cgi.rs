//! Names and values of PEP 3333's environ, as bytes.

/// Writes the environ key of a field name into `out`: `HTTP_` and the name in upper case with `-`
/// as `_`; `CONTENT_TYPE` and `CONTENT_LENGTH` without the prefix.
pub fn key(name: &[u8], out: &mut Vec<u8>) {
    let _ = (name, out);
}

/// Percent-decodes a path once. Bad escapes are kept as they are; `+` and `//` stay.
///
/// Returns `None` when there is nothing to decode, so that the caller can use the path itself.
#[must_use]
pub fn decode_path(path: &[u8]) -> Option<Vec<u8>> {
    let _ = path;
    None
}
