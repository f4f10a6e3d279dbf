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

/// Whether it is a token (RFC 9110, section 5.6.2).
#[inline]
pub(crate) fn is_token(octets: &[u8]) -> bool {
    !octets.is_empty() && (is_free_of(octets, b'a', ends_plain_name) || all(octets, TCHAR))
}

/// Whether it may be a field value: sixteen octets at a time, and the last sixteen once more.
#[inline]
pub(crate) fn is_clean_value(octets: &[u8]) -> bool {
    let Some(last) = octets.last_chunk::<16>() else {
        return is_free_of(octets, b'a', ends_value) || is_value(octets);
    };
    is_value(last) && octets.as_chunks::<16>().0.iter().all(|block| is_value(block))
}

/// Whether a token is `name`, which is in lower case and has letters and `-` only.
///
/// One bit tells capitals from small letters, and setting it makes no other octet of a token one
/// of these. Eight octets at a time, and the last eight once more.
#[inline]
pub(crate) fn is_name(token: &[u8], name: &[u8]) -> bool {
    if token.len() != name.len() {
        return false;
    }
    let (Some(last), Some(last_name)) = (token.last_chunk::<8>(), name.last_chunk::<8>()) else {
        return token.iter().zip(name).fold(true, |same, (a, b)| same & (a | 0x20 == *b));
    };
    let is_same = |word: &[u8; 8], name: &[u8; 8]| {
        u64::from_le_bytes(*word) | (ONES * 0x20) == u64::from_le_bytes(*name)
    };
    let (words, names) = (token.as_chunks::<8>().0, name.as_chunks::<8>().0);
    is_same(last, last_name) && words.iter().zip(names).all(|(word, name)| is_same(word, name))
}

/// Whether `ends` (see [`run`]) marks none of the octets: eight at a time, and the last eight once
/// more. Fewer than eight are filled up with `filler`, which must not be marked.
#[inline(always)]
fn is_free_of(octets: &[u8], filler: u8, ends: impl Fn(u64) -> u64) -> bool {
    let Some(last) = octets.last_chunk::<8>() else {
        let fill = ONES * u64::from(filler);
        return ends(octets.iter().fold(fill, |word, &octet| word << 8 | u64::from(octet))) == 0;
    };
    let (words, _) = octets.as_chunks::<8>();
    let marked = |found, word: &[u8; 8]| found | ends(u64::from_le_bytes(*word));
    words.iter().fold(marked(0, last), marked) == 0
}

/// Whether all octets are of the class; true for none.
pub(crate) fn all(octets: &[u8], class: u8) -> bool {
    octets.iter().all(|&octet| is(octet, class))
}

/// Whether a whole field value is clean. Written without an early end, so that the compiler makes
/// it one pass over wide registers.
#[inline(always)]
pub(crate) fn is_value(octets: &[u8]) -> bool {
    !octets.iter().fold(false, |bad, &b| bad | ((b < b' ') & (b != b'\t')) | (b == 0x7f))
}

/// Where the token that begins at `start` ends.
#[inline]
pub(crate) fn token(octets: &[u8], start: usize) -> usize {
    let rest = octets.get(start..).unwrap_or(&[]);
    start + rest.iter().position(|&octet| !is(octet, TCHAR)).unwrap_or(rest.len())
}

/// Where the run of octets that begins at `start` ends: at the first one that `ends` marks.
///
/// `ends` looks at eight octets at once, the first one lowest, and sets the highest bit of those
/// that end the run. Only the lowest bit has to be right: subtraction borrows upwards. The sums
/// stay inside their octets; they are written as wrapping ones because a check of each costs more
/// than the sum.
#[inline(always)]
pub(crate) fn run(octets: &[u8], start: usize, ends: impl Fn(u64) -> u64) -> usize {
    let mut at = start;
    let (words, tail) = octets.get(start..).unwrap_or(&[]).as_chunks::<8>();
    for &word in words {
        let found = ends(u64::from_le_bytes(word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    // The filling is control characters, which end every run.
    at + ends(u64::from_le_bytes(last)).trailing_zeros() as usize / 8
}

/// Where the field value that begins at `start` ends: [`run`] with wider steps, as values are long.
#[inline(always)]
pub(crate) fn value(octets: &[u8], start: usize) -> usize {
    let (blocks, _) = octets.get(start..).unwrap_or(&[]).as_chunks::<16>();
    let clean = blocks.iter().take_while(|block| is_value(*block)).count();
    run(octets, start + 16 * clean, ends_value)
}

/// Marks what is no letter, digit or `-`, for [`run`]: most field names have nothing else.
#[inline]
pub(crate) fn ends_plain_name(word: u64) -> u64 {
    let octets = word & !HIGH;
    let letters = octets | (ONES * 0x20);
    let within = |octets: u64, first: u8, last: u8| {
        octets.wrapping_add(ONES * u64::from(0x80 - first))
            & !octets.wrapping_add(ONES * u64::from(0x7f - last))
    };
    let hyphen = !(octets ^ (ONES * b'-' as u64)).wrapping_add(!HIGH);
    let plain = within(letters, b'a', b'z') | within(octets, b'0', b'9') | hyphen;
    !(plain & !word) & HIGH
}

/// Marks what is no octet of a field value (see [`VALUE`]), for [`run`].
#[inline]
pub(crate) fn ends_value(word: u64) -> u64 {
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let tabs = word ^ (ONES * b'\t' as u64);
    // Exact, unlike the others: what stays marked must not hide a control character behind a tab.
    let no_tabs = (tabs & !HIGH).wrapping_add(!HIGH) | tabs;
    let deletes = word ^ (ONES * 0x7f);
    let deletes = deletes.wrapping_sub(ONES) & !deletes;
    ((controls & no_tabs) | deletes) & HIGH
}

/// Marks what is no octet of a request target (see [`TARGET`]), for [`run`].
#[inline]
pub(crate) fn ends_target(word: u64) -> u64 {
    let low = word.wrapping_sub(ONES * 0x21) & !word;
    let hash = word ^ (ONES * b'#' as u64);
    let hash = hash.wrapping_sub(ONES) & !hash;
    // 0x7f and everything above it.
    let high = word | (word & !HIGH).wrapping_add(ONES);
    (low | hash | high) & HIGH
}

const ONES: u64 = u64::MAX / 255;
/// The highest bit of each octet.
const HIGH: u64 = ONES << 7;

/// Whether there is a `_`. Eight octets at a time: field names are too short for a call to
/// `memchr` to pay.
#[inline]
pub(crate) fn has_underscore(octets: &[u8]) -> bool {
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
    trim_end(octets)
}

/// Without SP and HTAB at the end.
#[inline]
pub(crate) fn trim_end(mut octets: &[u8]) -> &[u8] {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each octet at each place of a word and behind it, with neighbours that borrow and carry.
    #[test]
    fn runs_end_where_the_table_says() {
        type Ends = fn(u64) -> u64;
        type Class = fn(u8) -> bool;
        let cases: [(Class, Ends); 3] = [
            (|octet| is(octet, VALUE), ends_value),
            (|octet| is(octet, TARGET), ends_target),
            (|octet| octet.is_ascii_alphanumeric() || octet == b'-', ends_plain_name),
        ];
        for (class, ends) in cases {
            for neighbour in 0..=255 {
                for octet in 0..=255 {
                    for place in 0..11 {
                        let mut octets = [b'a'; 12];
                        octets[place] = octet;
                        octets[place + 1] = neighbour;
                        let table = octets.iter().position(|&octet| !class(octet));
                        let found = run(&octets, 0, ends);
                        let expected = table.unwrap_or(octets.len());
                        // A space behind a tab may end it early: the head is then scanned.
                        let cautious = octet == b'\t' && neighbour == b' ' && found == place + 1;
                        assert!(found == expected || cautious, "{octets:?}: {found}");
                    }
                }
            }
        }
    }

    /// Whole tokens and values, with each octet at each place.
    #[test]
    fn words_say_what_the_table_says() {
        for len in [1, 2, 7, 8, 9, 15, 16, 17, 33] {
            let mut octets = vec![b'a'; len];
            for place in 0..len {
                for octet in 0..=255 {
                    octets[place] = octet;
                    for neighbour in [b'a', b' ', b'\t', octet] {
                        octets[(place + 1) % len] = neighbour;
                        assert_eq!(is_token(&octets), all(&octets, TCHAR), "{octets:?}");
                        assert_eq!(is_clean_value(&octets), all(&octets, VALUE), "{octets:?}");
                    }
                    octets[(place + 1) % len] = b'a';
                }
                octets[place] = b'a';
            }
        }
        assert!(!is_token(b""));
        assert!(is_clean_value(b""));
    }

    #[test]
    fn names_are_compared_without_case() {
        let names: [&[u8]; 4] = [b"te", b"content-length", b"connection", b"proxy-authorization"];
        for name in names {
            assert!(is_name(&name.to_ascii_uppercase(), name));
            assert!(!is_name(&name[1..], name));
            for place in 0..name.len() {
                for octet in (0..=255).filter(|&octet| is(octet, TCHAR)) {
                    let mut token = name.to_vec();
                    token[place] = octet;
                    assert_eq!(
                        is_name(&token, name),
                        token.eq_ignore_ascii_case(name),
                        "{token:?}"
                    );
                }
            }
        }
    }
}
