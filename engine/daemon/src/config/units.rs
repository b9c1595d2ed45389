//! Durations and sizes as the file writes them. A guest's settings and the configuration's own
//! keys take the same durations: the core reads them for both.

use std::time::Duration;

use watchkeeper_core::settings::{self, DurationError};

/// Bytes of `512B`, `64KiB`, `64MiB`, `2GiB` or `1TiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] =
        [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    scaled(text, &UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A duration as settings and the command line write it.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    settings::parse_duration(text).map(|ms| Duration::from_millis(ms.unsigned_abs()))
}

/// A duration as the file would write it.
pub(crate) fn duration_text(time: Duration) -> String {
    settings::duration_text(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// A size as the file would write it.
pub(super) fn size_text(bytes: u64) -> String {
    let units: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.iter().find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{bytes}B"), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

/// The words most like `given`, all equally, if they are alike enough to be what was meant: a
/// third of the letters may differ.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let close = |word: &str| ((word.len().min(given.len()) + 1) / 3).max(1);
    let all: Vec<(usize, &str)> = known
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .filter(|(distance, word)| *distance <= close(word))
        .collect();
    let least = all.iter().map(|(distance, _)| *distance).min();
    all.into_iter().filter(|(distance, _)| Some(*distance) == least).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("64MiB", 67_108_864)] {
            assert_eq!(size(text), Some(bytes));
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size("64MB"), None);
        assert_eq!(size("99999999999TiB"), None);
        let time = Duration::from_secs(90);
        assert_eq!(duration("90s"), Ok(time));
        assert_eq!(duration_text(time), "90s");
    }

    #[test]
    fn what_was_meant_is_told_from_what_is_only_as_short() {
        let near = |given: &str, known: &[&str]| nearest(given, known.iter().copied()).join(" ");
        assert_eq!(near("intervall", &["interval", "timeout"]), "interval");
        assert_eq!(near("known_hosts", &["known-hosts", "key"]), "known-hosts");
        assert_eq!(near("nam", &["name"]), "name");
        assert_eq!(near("knid", &["unit", "stop"]), "");
        assert_eq!(near("dm4", &["dm1", "vp1", "dm2"]), "dm1 dm2");
        assert_eq!(near("", &["name"]), "");
    }
}
