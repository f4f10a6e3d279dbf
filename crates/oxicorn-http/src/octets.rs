//! Classes of octets, as one table: what RFC 9110 and RFC 9112 allow where.

/// `tchar`: methods and field names (RFC 9110, section 5.6.2).
pub(crate) const TCHAR: u8 = 1;
/// An octet of a request target: visible ASCII but `#` (RFC 9112, section 3.2).
pub(crate) const TARGET: u8 = 1 << 1;
/// An octet of a field value: HTAB, SP, visible ASCII, obs-text (RFC 9110, section 5.5).
pub(crate) const VALUE: u8 = 1 << 2;
/// An octet of a registered name or an IPv4 address, `%` excluded (RFC 3986, section 3.2.2).
pub(crate) const HOST: u8 = 1 << 3;

/// Whether the octet is of the class.
#[inline]
pub(crate) fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Whether all octets are of the class; true for none.
pub(crate) fn all(octets: &[u8], class: u8) -> bool {
    octets.iter().all(|&octet| is(octet, class))
}

/// Whether a whole field value is clean. Written without an early end, so that the compiler makes
/// it one pass over wide registers.
pub(crate) fn is_value(octets: &[u8]) -> bool {
    !octets.iter().fold(false, |bad, &b| bad | ((b < b' ') & (b != b'\t')) | (b == 0x7f))
}

/// Whether a whole request target is clean: see [`TARGET`]. One pass, as [`is_value`].
pub(crate) fn is_target(octets: &[u8]) -> bool {
    !octets.iter().fold(false, |bad, &b| bad | (b <= b' ') | (b >= 0x7f) | (b == b'#'))
}

/// Whether there is a `_`. Eight octets at a time: field names are too short for a call to
/// `memchr` to pay.
#[inline]
pub(crate) fn has_underscore(octets: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const UNDERSCORES: u64 = ONES * b'_' as u64;
    let (words, rest) = octets.as_chunks::<8>();
    let found = words.iter().fold(0, |found, &word| {
        // An octet of `zeros` is zero where there was a `_`; only then can the lowest such octet
        // borrow into its highest bit.
        let zeros = u64::from_le_bytes(word) ^ UNDERSCORES;
        found | (zeros.wrapping_sub(ONES) & !zeros & (ONES << 7))
    });
    found != 0 || rest.iter().fold(false, |found, &b| found | (b == b'_'))
}

/// Without SP and HTAB at both ends, and nothing else: never VT, FF or the 8-bit spaces.
pub(crate) fn trim(mut octets: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = octets {
        octets = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = octets {
        octets = rest;
    }
    octets
}

/// The members of a comma-separated list, trimmed (RFC 9110, section 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let b = octet as u8;
        let is_punctuation_of_token = matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        let is_punctuation_of_host = matches!(
            b,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        );
        let mut class = 0;
        if b.is_ascii_alphanumeric() || is_punctuation_of_token {
            class |= TCHAR;
        }
        if b.is_ascii_graphic() && b != b'#' {
            class |= TARGET;
        }
        if b == b'\t' || (b >= b' ' && b != 0x7f) {
            class |= VALUE;
        }
        if b.is_ascii_alphanumeric() || is_punctuation_of_host {
            class |= HOST;
        }
        table[octet] = class;
        octet += 1;
    }
    table
}
