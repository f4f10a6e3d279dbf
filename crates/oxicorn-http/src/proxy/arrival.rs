//! When a request came to the proxy in front: `X-Request-Start` and `X-Queue-Start`.
//!
//! The value is the wall clock's time since 1970, as `t=1700000000.123` or a bare number. Proxies
//! write seconds, milliseconds, microseconds or nanoseconds; which of them is seen from how large
//! the number is.

use crate::Head;
use crate::head::mark;

const NAMES: [&[u8]; 2] = [b"x-request-start", b"x-queue-start"];

/// Longest wait that is believed, in milliseconds: who is further back than this has another clock.
const LONGEST: u64 = 6 * 3600 * 1000;

/// Milliseconds that a request had been on its way when it arrived here, as its fields say.
///
/// `now` gives the milliseconds since 1970, and is asked only if there is such a field. What is
/// malformed, in the future or absurdly long ago counts as nothing; of several the longest counts.
#[must_use]
pub fn waited(head: &Head, bytes: &[u8], now: impl FnOnce() -> u64) -> u64 {
    let marks = NAMES.iter().fold(0, |marks, name| marks | mark(name));
    if head.marks & marks == 0 {
        return 0;
    }
    let starts = head.fields.iter().filter_map(|field| {
        let name = field.name.of(bytes);
        let asked = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
        asked.then(|| start(field.value.of(bytes)))?
    });
    let mut starts = starts.peekable();
    if starts.peek().is_none() {
        return 0;
    }
    let now = now();
    let waits = starts.filter_map(|start| now.checked_sub(start));
    waits.filter(|wait| *wait <= LONGEST).max().unwrap_or(0)
}

/// The milliseconds since 1970 that a value stands for.
fn start(value: &[u8]) -> Option<u64> {
    let number = value.strip_prefix(b"t=").unwrap_or(value);
    let point = number.iter().position(|octet| *octet == b'.').unwrap_or(number.len());
    let (whole, fraction) = number.split_at(point);
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    // Nineteen digits: nanoseconds of this century.
    if whole.is_empty() || whole.len() > 19 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let whole = decimal(whole)?;
    match whole.checked_ilog10().unwrap_or(0) {
        ..11 => {
            let mut millis = [b'0'; 3];
            let digits = fraction.len().min(millis.len());
            millis[..digits].copy_from_slice(&fraction[..digits]);
            Some(whole * 1000 + decimal(&millis)?)
        }
        11..14 => Some(whole),
        14..17 => Some(whole / 1000),
        _ => Some(whole / 1_000_000),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Event, Rules};

    /// 14 November 2023, in milliseconds.
    const NOW: u64 = 1_700_000_000_000;

    fn waited_of(fields: &str) -> u64 {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = Head::default();
        let received = Connection::new().receive(bytes.as_bytes(), &mut head, &Rules::default());
        assert_eq!(received.expect("a good request").event, Event::Head);
        waited(&head, bytes.as_bytes(), || NOW)
    }

    #[test]
    fn every_unit_is_understood() {
        for value in [
            "t=1699999998",
            "1699999998",
            "t=1699999998.000",
            "1699999997.9999",
            "1699999998000",
            "t=1699999998000.25",
            "t=1699999998000000",
            "1699999998000000000",
        ] {
            let waited = waited_of(&format!("X-Request-Start: {value}\r\n"));
            assert!((2000..=2001).contains(&waited), "{value}: {waited}");
        }
        assert_eq!(waited_of("x-queue-start: t=1699999999.5\r\n"), 500);
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        for value in [
            "",
            "t=",
            "t=-1",
            "t=+1699999998",
            "soon",
            "t=1699999998.x",
            "t=16999.99998.1",
            "0x6553f0fe",
            "1 699 999 998",
            // In the future, long ago, and far too many digits.
            "t=1700000001",
            "t=1699900000",
            "0",
            "99999999999999999999999999",
            "18446744073709551615",
        ] {
            assert_eq!(waited_of(&format!("X-Request-Start: {value}\r\n")), 0, "{value}");
        }
        assert_eq!(waited_of(""), 0);
        assert_eq!(waited_of("X-Request-Started: t=1699999998\r\n"), 0);
    }

    #[test]
    fn the_first_proxy_counts() {
        let both = "X-Queue-Start: t=1699999999\r\nX-Request-Start: t=1699999997\r\n";
        assert_eq!(waited_of(both), 3000);
        let future = "X-Request-Start: t=1700000009\r\nX-Request-Start: t=1699999999\r\n";
        assert_eq!(waited_of(future), 1000);
    }
}
