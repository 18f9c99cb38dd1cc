//! Times as AWS writes them. Everything inside is milliseconds since 1970, UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// `2026-01-31T12:00:00Z`, as in query replies.
pub(crate) fn iso8601(millis: i64) -> String {
    let (year, month, day, hour, minute, second) = civil(millis);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-01-31T12:00:00.000Z`, as in EC2's replies.
pub(crate) fn iso8601_millis(millis: i64) -> String {
    let seconds = iso8601(millis);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), millis.rem_euclid(1000))
}

/// `20260131T120000Z`, as in X-Amz-Date.
pub(crate) fn amz(millis: i64) -> String {
    let (year, month, day, hour, minute, second) = civil(millis);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `Sat, 31 Jan 2026 12:00:00 GMT` (RFC 9110 section 5.6.7).
pub(crate) fn http_date(millis: i64) -> String {
    let (year, month, day, hour, minute, second) = civil(millis);
    let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default();
    let days = millis.div_euclid(86_400_000).rem_euclid(7);
    let weekday = usize::try_from(days).ok().and_then(|index| DAYS.get(index)).copied().unwrap_or_default();
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Milliseconds of an X-Amz-Date; None where it is not exactly one.
pub(crate) fn parse_amz(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..16) != Some("Z") {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let millis =
        (days_from_civil(year, month, day) * 86_400 + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?)
            * 1000;
    if amz(millis) == text { Some(millis) } else { None }
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(millis: i64) -> (i64, i64, i64, i64, i64, i64) {
    let seconds = millis.div_euclid(1000);
    let of_day = seconds.rem_euclid(86_400);
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::{amz, http_date, iso8601, parse_amz};

    #[test]
    fn times_are_written_as_date_writes_them() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(iso8601(1_709_208_000_000), "2024-02-29T12:00:00Z");
        assert_eq!(amz(951_782_399_999), "20000228T235959Z");
        assert_eq!(parse_amz("20240229T120000Z"), Some(1_709_208_000_000));
        for junk in
            ["20230229T120000Z", "20240229T126000Z", "2024-02-29T12:00Z", "", "20240229t120000Z", "+0240229T120000Z"]
        {
            assert_eq!(parse_amz(junk), None, "{junk}");
        }
    }
}
