//! Moments and durations as people and protocols write them. There is no clock here: a guest knows
//! the time only from what it is given.

/// The day count, from 1970-01-01, of a Gregorian date, by the rule of Howard Hinnant's note on
/// date algorithms: a year that begins in March has its leap day at its end.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    (365 * year + leap_days + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

/// A moment in milliseconds since 1970-01-01T00:00:00Z as RFC 3339 writes it, to the second.
pub fn rfc3339(ms: u64) -> String {
    let (day, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // 400 years have 146,097 days: never too early by this, and late by at most one.
    let mut year = 1970 + day * 400 / 146_097;
    if days(year, 1, 1) > day {
        year -= 1;
    } else if days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    let date = day - days(year, month, 1) + 1;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A duration in milliseconds for people, in its two largest units: `4 min 10 s`.
pub fn human(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The seconds since 1970-01-01T00:00:00Z of a date in an HTTP header, in the form that RFC 9110
/// (5.6.7) wants senders to use: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let date: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let in_range = (1970..10_000).contains(&year)
        && (1..=31).contains(&date)
        && hour < 24
        && minute < 60
        && second <= 60;
    (in_range && words.next() == Some("GMT"))
        .then(|| days(year, month, date) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_772_333_998_123), "2026-03-01T02:59:58Z");
        assert_eq!(rfc3339(4_107_542_399_999), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(1_735_689_599_000), "2024-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut before = String::new();
        for day in 0..146_097_u64 {
            let date = rfc3339(day * 86_400_000);
            assert!(date > before, "{date} after {before}");
            before = date;
        }
        assert_eq!(before, "2369-12-31T00:00:00Z");
    }

    #[test]
    fn durations_are_told_in_two_units() {
        assert_eq!(human(999), "999 ms");
        assert_eq!(human(59_999), "59 s");
        assert_eq!(human(250_000), "4 min 10 s");
        assert_eq!(human(7_260_000), "2 h 1 min");
        assert_eq!(human(90_000_000), "1 d 1 h");
    }

    #[test]
    fn dates_in_headers_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for wrong in ["", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
        assert_eq!(http_date("Sun, 06 Nov 99999999999999999 08:49:37 GMT"), None);
    }
}
