//! A recurring window, as a site writes it: `Sat 22:00-02:00 Europe/Berlin`.
//!
//! Days come first: `daily`, or names such as `Mon,Wed` and `Mon-Fri`, of the day on which the window
//! begins. Then the clock times, the end on the next day if it is not after the beginning. Then the
//! time zone by its name in the IANA database.
//!
//! Where clocks are set forward over a time of the window, it begins or ends an hour later by the clock;
//! where they are set back, at the first of the two moments at which the clock shows it. So a window is an
//! hour shorter or longer in such a night, as for anybody who goes by a clock on the wall.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// A recurring window.
pub(crate) struct Window {
    /// As it is written.
    pub(crate) text: String,
    days: [bool; 7],
    begin: Time,
    end: Time,
    zone: TimeZone,
}

/// One time that it is open.
pub(crate) struct Open {
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

/// In the order of [`Window::days`].
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Window {
    /// Reads it; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, times, zone] = words[..] else {
            return Err(wrong(text, "it has to be days, times and a zone"));
        };
        let days = parse_days(days).map_err(|problem| wrong(text, &problem))?;
        let (begin, end) =
            times.split_once('-').ok_or_else(|| wrong(text, "the times have to be HH:MM-HH:MM"))?;
        let time = |time: &str| {
            parse_time(time)
                .ok_or_else(|| wrong(text, &format!("{time:?} is no time of day HH:MM")))
        };
        let zone = TimeZone::get(zone)
            .map_err(|_| wrong(text, &format!("there is no time zone {zone:?}")))?;
        Ok(Self { text: text.to_owned(), days, begin: time(begin)?, end: time(end)?, zone })
    }

    /// The opening that `now` is in, or the next one. None beyond the calendar's end.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Open> {
        let today = now.to_zoned(self.zone.clone()).date();
        // It may have begun yesterday; within eight days each day of the week comes.
        (-1..=8).find_map(|days: i64| {
            let date = today.checked_add(days.days()).ok()?;
            let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
            self.days.get(weekday).filter(|begins| **begins)?;
            let over_midnight = Span::new().days(i64::from(self.end <= self.begin));
            let begin = date.to_datetime(self.begin).to_zoned(self.zone.clone()).ok()?;
            let until = date.checked_add(over_midnight).ok()?.to_datetime(self.end);
            let end = until.to_zoned(self.zone.clone()).ok()?;
            (end.timestamp() > now).then(|| Open { begin: begin.timestamp(), end: end.timestamp() })
        })
    }
}

fn wrong(text: &str, problem: &str) -> String {
    format!("the window {text:?}: {problem}; one is such as \"Sat 22:00-02:00 Europe/Berlin\"")
}

fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        for (i, open) in days.iter_mut().enumerate() {
            // Over the end of the week as well, as Sat-Mon.
            *open |=
                if first <= last { (first..=last).contains(&i) } else { i >= first || i <= last };
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, String> {
    DAYS.iter().position(|name| name.eq_ignore_ascii_case(text)).ok_or_else(|| {
        format!("there is no day {text:?}; there are daily, Mon, Tue, Wed, Thu, Fri, Sat and Sun")
    })
}

fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The opening at or after a moment, in UTC.
    fn open(window: &str, now: &str) -> (String, String) {
        let open = Window::parse(window).unwrap().next(now.parse().unwrap()).unwrap();
        (open.begin.to_string(), open.end.to_string())
    }

    #[test]
    fn a_window_opens_on_its_days_over_midnight_and_over_the_end_of_a_month() {
        let window = "Sat 22:00-02:00 Europe/Berlin";
        let saturday = ("2026-01-31T21:00:00Z".to_owned(), "2026-02-01T01:00:00Z".to_owned());
        for now in ["2026-01-26T00:00:00Z", "2026-01-31T21:00:00Z", "2026-02-01T00:59:59Z"] {
            assert_eq!(open(window, now), saturday, "{now}");
        }
        let next = ("2026-02-07T21:00:00Z".to_owned(), "2026-02-08T01:00:00Z".to_owned());
        assert_eq!(open(window, "2026-02-01T01:00:00Z"), next);
        assert_eq!(
            open("Fri-Mon 00:00-00:00 UTC", "2026-01-29T12:00:00Z").0,
            "2026-01-30T00:00:00Z"
        );
        assert_eq!(
            open("Mon,thu 01:00-01:30 Asia/Kolkata", "2026-01-30T00:00:00Z").0,
            "2026-02-01T19:30:00Z"
        );
    }

    /// 2026-03-29 and 2026-10-25 are the nights in which clocks are set in Berlin.
    #[test]
    fn in_the_nights_in_which_clocks_are_set_it_goes_by_the_clock() {
        let night = "daily 01:00-04:00 Europe/Berlin";
        // Two hours: 02:00 to 03:00 does not exist.
        let short = ("2026-03-29T00:00:00Z".to_owned(), "2026-03-29T02:00:00Z".to_owned());
        assert_eq!(open(night, "2026-03-28T12:00:00Z"), short);
        // Four hours: 02:00 to 03:00 is there twice.
        let long = ("2026-10-24T23:00:00Z".to_owned(), "2026-10-25T03:00:00Z".to_owned());
        assert_eq!(open(night, "2026-10-24T12:00:00Z"), long);
        // A beginning that does not exist is an hour later; one that is there twice, the first.
        assert_eq!(
            open("daily 02:30-05:00 Europe/Berlin", "2026-03-29T00:30:00Z").0,
            "2026-03-29T01:30:00Z"
        );
        assert_eq!(
            open("daily 02:30-05:00 Europe/Berlin", "2026-10-24T22:30:00Z").0,
            "2026-10-25T00:30:00Z"
        );
    }

    #[test]
    fn what_is_no_window_is_told_with_an_example() {
        for (text, problem) in [
            ("", "it has to be days, times and a zone"),
            ("Sat 22:00-02:00", "it has to be days, times and a zone"),
            ("Sot 22:00-02:00 UTC", "there is no day \"Sot\""),
            ("Sat 22:00 UTC", "the times have to be HH:MM-HH:MM"),
            ("Sat 24:00-02:00 UTC", "\"24:00\" is no time of day"),
            ("Sat 2:00-3:00 UTC", "\"2:00\" is no time of day"),
            ("Sat 22:00-02:00 Europe/Berlon", "there is no time zone \"Europe/Berlon\""),
        ] {
            let told = Window::parse(text).err().unwrap();
            assert!(told.contains(problem) && told.contains("one is such as"), "{told}");
        }
    }
}
