//! Local time as the logs print it, computed once per second and thread.
//!
//! The zone is read once, before the first fork ([`load_zone`]); the offset is looked up for each
//! second, so a change to daylight saving time shows in the next line.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Reads the machine's time zone (`TZ`, else `/etc/localtime`); later calls do nothing.
pub(crate) fn load_zone() {
    zone();
}

/// Seconds since 1970, by the wall clock.
pub(crate) fn unix_secs(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Appends `2026-11-22 19:44:06 +0000`.
pub(crate) fn write_iso(unix_secs: i64, out: &mut Vec<u8>) {
    with_texts(unix_secs, |texts| out.extend_from_slice(&texts.iso));
}

/// Appends `22/Nov/2026:19:44:06 +0000`.
pub(crate) fn write_common(unix_secs: i64, out: &mut Vec<u8>) {
    with_texts(unix_secs, |texts| out.extend_from_slice(&texts.common));
}

/// Both notations of one second.
#[derive(Default)]
struct Texts {
    unix_secs: Option<i64>,
    iso: Vec<u8>,
    common: Vec<u8>,
}

impl Texts {
    fn fill(&mut self, unix_secs: i64, zone: &TimeZone) {
        self.unix_secs = Some(unix_secs);
        self.iso.clear();
        self.common.clear();
        let time = Timestamp::from_second(unix_secs).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = zone.to_offset(time);
        let at = offset.to_datetime(time);
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let sign = if offset.seconds() < 0 { '-' } else { '+' };
        let minutes = offset.seconds().unsigned_abs() / 60;
        let (ahead, past) = (minutes / 60, minutes % 60);
        let name = MONTHS.get(usize::from(month.unsigned_abs()) - 1).unwrap_or(&"Jan");
        // Writing to a `Vec` cannot fail.
        let _ = write!(
            self.iso,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {sign}{ahead:02}{past:02}"
        );
        let _ = write!(
            self.common,
            "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} {sign}{ahead:02}{past:02}"
        );
    }
}

fn with_texts(unix_secs: i64, use_them: impl FnOnce(&Texts)) {
    thread_local! {
        static TEXTS: RefCell<Texts> = RefCell::default();
    }
    // A log line may be written while a thread ends, when its cache is gone already.
    let mut use_them = Some(use_them);
    let cached = TEXTS.try_with(|texts| {
        let mut texts = texts.borrow_mut();
        if texts.unix_secs != Some(unix_secs) {
            texts.fill(unix_secs, zone());
        }
        if let Some(use_them) = use_them.take() {
            use_them(&texts);
        }
    });
    if let (Err(_), Some(use_them)) = (cached, use_them) {
        let mut texts = Texts::default();
        texts.fill(unix_secs, zone());
        use_them(&texts);
    }
}

fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(zone: &str, unix_secs: i64) -> (String, String) {
        let mut texts = Texts::default();
        texts.fill(unix_secs, &TimeZone::posix(zone).unwrap());
        (String::from_utf8(texts.iso).unwrap(), String::from_utf8(texts.common).unwrap())
    }

    #[test]
    fn both_notations_show_the_same_moment() {
        let (iso, common) = texts("UTC0", 1_795_376_646);
        assert_eq!(iso, "2026-11-22 19:44:06 +0000");
        assert_eq!(common, "22/Nov/2026:19:44:06 +0000");
    }

    #[test]
    fn the_offset_follows_daylight_saving_time() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(texts(berlin, 1_792_889_999).0, "2026-10-25 02:59:59 +0200");
        assert_eq!(texts(berlin, 1_792_890_000).0, "2026-10-25 02:00:00 +0100");
    }

    #[test]
    fn offsets_west_and_with_minutes_are_signed_and_padded() {
        assert_eq!(texts("NST3:30", 0).0, "1969-12-31 20:30:00 -0330");
        assert_eq!(texts("IST-5:30", 0).1, "01/Jan/1970:05:30:00 +0530");
    }

    #[test]
    fn the_cache_is_not_stale() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write_iso(1_000_000_000, &mut first);
        write_iso(1_000_000_001, &mut second);
        assert_ne!(first, second);
        let mut again = Vec::new();
        write_iso(1_000_000_000, &mut again);
        assert_eq!(first, again);
    }
}
