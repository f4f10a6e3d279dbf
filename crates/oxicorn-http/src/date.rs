//! The Date field's value from a given time.

/// The IMF-fixdate of a Unix time in seconds (RFC 9110, section 5.6.7).
///
/// The format has four digits for the year; times beyond it show the last second of 9999.
#[must_use]
pub fn imf_fixdate(unix_secs: u64) -> [u8; 29] {
    let secs = unix_secs.min(LAST_SECOND);
    let (days, second) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);

    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    out[..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
    put_two(&mut out[5..7], day);
    out[8..11].copy_from_slice(MONTHS[(month - 1) as usize]);
    put_two(&mut out[12..14], year / 100);
    put_two(&mut out[14..16], year % 100);
    put_two(&mut out[17..19], second / 3600);
    put_two(&mut out[20..22], second / 60 % 60);
    put_two(&mut out[23..25], second % 60);
    out
}

/// Year, month and day of a number of days since 1 January 1970, in the Gregorian calendar.
///
/// Counted in years that begin in March, so that the leap day is the last of its year; an era is
/// 400 years, after which the calendar repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_FROM_YEAR_0_TO_1970;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn put_two(out: &mut [u8], number: u64) {
    out[0] = b'0' + (number / 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

/// 31 December 9999, 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;
/// From 1 March of year 0.
const DAYS_FROM_YEAR_0_TO_1970: u64 = 719_468;
const DAYS_OF_ERA: u64 = 146_097;
/// 1 January 1970 was a Thursday.
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
