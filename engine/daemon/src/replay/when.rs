//! From when to when: so long ago, or at a moment.

use std::str::FromStr;
use std::time::Duration;

use watchkeeper_core::model::Timestamp;

use crate::config;

/// A moment as the command line writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long before the end.
    Ago(Duration),
    /// At this moment.
    At(Timestamp),
    /// At the present moment.
    Now,
}

impl When {
    /// The moment, where `end` is what it is counted back from.
    pub fn moment(self, end: Timestamp, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(time) => {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Timestamp(end.0.saturating_sub(ms))
            }
            Self::At(at) => at,
            Self::Now => now,
        }
    }
}

impl FromStr for When {
    type Err = String;

    /// `now`, a duration such as `30d`, or RFC 3339: `2026-11-03T03:12:07Z`, with an offset, with
    /// fewer parts from the right, and in UTC if nothing else is said.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Some(at) = moment(text) {
            return Ok(Self::At(at));
        }
        config::duration(text).map(Self::Ago).map_err(|_| {
            format!(
                "{text:?} is none of: a time back such as 30d or 24h, a moment such as \
                 2026-11-03T03:12:07Z or 2026-11-03, now"
            )
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (digits(parts.next()?)?, digits(parts.next()?)?, digits(parts.next()?)?);
    let long = u64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let lengths = [31, 28 + long, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || day == 0 || day > *lengths.get(before)? {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
        + lengths.iter().take(before).sum::<u64>()
        + (day - 1);
    let midnight = days.checked_mul(86_400_000)?;
    if rest.is_empty() {
        return Some(Timestamp(midnight));
    }
    let (time, offset_ms) = offset(rest.strip_prefix(['T', 't', ' '])?)?;
    let at = i64::try_from(midnight + time_of_day(time)?).ok()?.checked_sub(offset_ms)?;
    u64::try_from(at).ok().map(Timestamp)
}

/// The time without its offset, and that in milliseconds east of UTC.
fn offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (time, offset) = text.split_at(at);
    let ms = i64::try_from(time_of_day(offset.get(1..)?)?).ok()?;
    Some((time, if offset.starts_with('-') { -ms } else { ms }))
}

/// Milliseconds of `03:12`, `03:12:07` or `03:12:07.5`.
fn time_of_day(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), digits)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let padded: String = fraction.chars().chain(std::iter::repeat('0')).take(3).collect();
    digits(fraction)?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000 + digits(&padded)?)
}

/// A number of digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_printed() {
        for at in [0, 951_782_400_000, 1_772_333_998_123, 1_709_251_199_999, 4_107_542_399_999] {
            let at = Timestamp(at);
            assert_eq!(at.to_string().parse(), Ok(When::At(at)), "{at}");
        }
        for (text, at) in [
            ("2026-03-01", "2026-03-01T00:00:00.000Z"),
            ("2026-03-01T04:30", "2026-03-01T04:30:00.000Z"),
            ("2026-03-01 04:30:05", "2026-03-01T04:30:05.000Z"),
            ("2026-03-01T04:30:05.25Z", "2026-03-01T04:30:05.250Z"),
            ("2026-03-01T01:30:00+02:00", "2026-02-28T23:30:00.000Z"),
            ("2026-02-28T23:30:00-01:30", "2026-03-01T01:00:00.000Z"),
        ] {
            let Ok(When::At(read)) = text.parse() else { panic!("{text}") };
            assert_eq!(read.to_string(), at, "{text}");
        }
    }

    #[test]
    fn a_time_back_is_counted_from_the_end() {
        let (end, now) = (Timestamp(100_000_000), Timestamp(900_000_000));
        let moment = |text: &str| text.parse::<When>().map(|it| it.moment(end, now));
        assert_eq!(moment("24h"), Ok(Timestamp(13_600_000)));
        assert_eq!(moment("30d"), Ok(Timestamp(0)));
        assert_eq!(moment("now"), Ok(now));
    }

    #[test]
    fn what_is_neither_is_refused_with_examples() {
        for bad in [
            "",
            "yesterday",
            "30",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-01T24:00",
            "2026-01-01Tx",
            "2026-01-01T00:00:00:00",
            "1969-12-31",
            "2026-01-01T00:00:0é",
            "2026-1-101",
        ] {
            let error = bad.parse::<When>().unwrap_err();
            assert!(error.contains("30d") && error.contains("2026-11-03"), "{bad}: {error}");
        }
    }
}
