//! Durations and sizes as the file writes them.

/// Milliseconds of `250ms`, `30s`, `5m`, `2h` or `1d`.
pub(super) fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    scaled(text, &UNITS)
}

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

/// A duration as the file would write it, for the command line.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    duration(text)
        .map(std::time::Duration::from_millis)
        .ok_or_else(|| "a duration is a whole number with ms, s, m, h or d, such as 30m".to_owned())
}

/// A duration as the file would write it.
pub(super) fn duration_text(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units.iter().find(|(factor, _)| ms > 0 && ms % factor == 0);
    fits.map_or_else(|| format!("{ms}ms"), |(factor, unit)| format!("{}{unit}", ms / factor))
}

/// A size as the file would write it.
pub(super) fn size_text(bytes: u64) -> String {
    let units: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.iter().find(|(factor, _)| bytes > 0 && bytes % factor == 0);
    fits.map_or_else(|| format!("{bytes}B"), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

/// The word most like `given`, if one is alike enough to be what was meant.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(given.len()) / 3)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1d", 86_400_000)] {
            assert_eq!(duration(text), Some(ms));
            assert_eq!(duration_text(ms), text);
        }
        for bad in ["", "5", "s", "-5s", "5 s", "1.5s", "99999999999999999999s", "5sec"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("64MiB", 67_108_864)] {
            assert_eq!(size(text), Some(bytes));
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size("64MB"), None);
        assert_eq!(size("99999999999TiB"), None);
    }
}
