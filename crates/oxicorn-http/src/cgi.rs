//! Names and values of PEP 3333's environ, as bytes.

/// Writes the environ key of a field name into `out`, replacing what it held: `HTTP_` and the name
/// in upper case with `-` as `_`; `CONTENT_TYPE` and `CONTENT_LENGTH` without the prefix.
///
/// Only the names spelled with `-` lose the prefix: a `Content_Length` that the policy lets
/// through can never set the length that the application reads by.
pub fn key(name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if !name.eq_ignore_ascii_case(b"content-type") && !name.eq_ignore_ascii_case(b"content-length")
    {
        out.extend_from_slice(b"HTTP_");
    }
    out.extend(name.iter().map(|&b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
}

/// Percent-decodes a path once. Bad escapes are kept as they are; `+` and `//` stay.
///
/// Returns `None` when there is nothing to decode, so that the caller can use the path itself.
#[must_use]
pub fn decode_path(path: &[u8]) -> Option<Vec<u8>> {
    let mut percent = memchr::memchr(b'%', path)?;
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    loop {
        out.extend_from_slice(&rest[..percent]);
        rest = &rest[percent..];
        if let Some(octet) = escape(rest) {
            out.push(octet);
            rest = &rest[3..];
        } else {
            out.push(b'%');
            rest = &rest[1..];
        }
        let Some(next) = memchr::memchr(b'%', rest) else {
            out.extend_from_slice(rest);
            return Some(out);
        };
        percent = next;
    }
}

/// The octet of an escape at the very start.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *text else { return None };
    Some(hex(high)? << 4 | hex(low)?)
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
