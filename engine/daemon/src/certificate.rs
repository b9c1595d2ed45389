//! Until when a certificate is good.
//!
//! Whoever checks certificates here (rustls) does not say when they end, and a library that reads all
//! of X.509 is a lot for one field at a fixed place. So this reads as far as that field (RFC 5280,
//! section 4.1) and no further. It judges nothing: what it is given has been checked already.

/// DER's tags on the way.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate in DER, in seconds since 1970-01-01T00:00:00Z; none if it cannot be read.
pub(crate) fn ends(certificate: &[u8]) -> Option<i64> {
    let (signed, _) = inside(certificate, SEQUENCE)?;
    let (fields, _) = inside(signed, SEQUENCE)?;
    let mut rest = fields;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.rest;
    }
    // Serial number, signature's algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.rest;
    }
    let (validity, _) = inside(rest, SEQUENCE)?;
    let not_after = element(element(validity)?.rest)?;
    seconds(not_after.tag, not_after.content)
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = if first < 0x80 {
        (usize::from(first), bytes)
    } else {
        // The number of the length's own bytes: a certificate does not need more than three.
        let (length, bytes) = bytes.split_at_checked(usize::from(first & 0x7f))?;
        if length.is_empty() || length.len() > 3 {
            return None;
        }
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), bytes)
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

fn inside(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|it| it.tag == tag).map(|it| (it.content, it.rest))
}

/// `YYMMDDhhmmssZ`, where years from 50 on are of the last century, or `YYYYMMDDhhmmssZ`.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|it| it.iter().all(u8::is_ascii_digit))?;
    let (years, rest) = match tag {
        UTC_TIME => digits.split_at_checked(2)?,
        GENERALIZED_TIME => digits.split_at_checked(4)?,
        _ => return None,
    };
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, it| sum * 10 + i64::from(it - b'0'));
    let year = match (tag, number(years)) {
        (UTC_TIME, year @ 0..50) => 2_000 + year,
        (UTC_TIME, year) => 1_900 + year,
        (_, year) => year,
    };
    let mut pairs = rest.chunks_exact(2).map(number);
    let mut next = || pairs.next();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// The days from 1970-01-01 to a Gregorian date, counting years from March so that a leap day is the
/// last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_until(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut wanted = rcgen::CertificateParams::new(vec!["dm1".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        wanted.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_ways_of_writing_it() {
        for ((year, month, day), expected) in [
            ((2026, 3, 1), 1_772_323_200),
            ((2028, 2, 29), 1_835_395_200),
            ((2049, 12, 31), 2_524_521_600),
            // From 2050 on it is written with four digits.
            ((2050, 1, 1), 2_524_608_000),
            ((2124, 1, 1), 4_859_740_800),
        ] {
            assert_eq!(ends(&made_until(year, month, day)), Some(expected), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = made_until(2026, 3, 1);
        for cut in 0..whole.len() {
            assert_eq!(ends(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(ends(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        for (tag, text) in [
            (UTC_TIME, "260301000000"),
            (UTC_TIME, "2603010000Z"),
            (UTC_TIME, "26030100000x"),
            (GENERALIZED_TIME, "20261301000000Z"),
            (0x16, "260301000000Z"),
        ] {
            assert_eq!(seconds(tag, text.as_bytes()), None, "{text}");
        }
        assert_eq!(seconds(UTC_TIME, b"500101000000Z"), Some(-631_152_000));
    }
}
