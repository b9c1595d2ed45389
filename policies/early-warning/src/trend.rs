//! Where a few measured points are going.
//!
//! Measured values jump, and one that jumps far must not decide. So the slope is the median of the
//! slopes between all pairs of points (Theil and Sen), and it is a trend only where almost all pairs
//! go the same way (Kendall): points around a constant do so by chance once in tens of thousands of
//! times. Nothing here depends on anything but the points, down to the last bit.

/// A slope between fewer points than this means nothing.
const ENOUGH: usize = 8;

/// Where points are going.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    /// What is added from one point to the next.
    slope: f64,
    /// The line's value at the last point.
    level: f64,
    /// From -1, all pairs fall, to 1, all pairs rise.
    agreement: f64,
    /// From the first point to the last, in steps.
    pub(crate) span: f64,
}

impl Trend {
    /// The trend of points at equal steps of time, oldest first; what is not a number was not
    /// measured. None if there are too few.
    pub(crate) fn of(points: &[f32]) -> Option<Self> {
        let measured: Vec<(f64, f64)> = (0_u32..)
            .zip(points)
            .filter(|(_, value)| !value.is_nan())
            .map(|(step, value)| (f64::from(step), f64::from(*value)))
            .collect();
        if measured.len() < ENOUGH {
            return None;
        }
        let (mut slopes, mut agreement) = (Vec::new(), 0.0);
        for (i, (at, value)) in measured.iter().enumerate() {
            for (later, other) in measured.iter().skip(i + 1) {
                let slope = (other - value) / (later - at);
                agreement += if slope == 0.0 { 0.0 } else { slope.signum() };
                slopes.push(slope);
            }
        }
        agreement /= f64::from(u32::try_from(slopes.len()).ok()?);
        let slope = median(slopes)?;
        let begins = median(measured.iter().map(|(at, value)| value - slope * at).collect())?;
        let (first, last) = (measured.first()?.0, measured.last()?.0);
        Some(Self { slope, level: begins + slope * last, agreement, span: last - first })
    }

    /// Whether at least this part of all pairs goes up, those that go down counted against it.
    pub(crate) fn rises(&self, agreement: f64) -> bool {
        self.slope > 0.0 && self.agreement >= agreement
    }

    /// In how many steps it comes to `limit`; none: it never does.
    pub(crate) fn steps_to(&self, limit: f64) -> Option<f64> {
        (self.slope > 0.0).then(|| ((limit - self.level) / self.slope).max(0.0))
    }
}

/// The one in the middle, or halfway between the two there.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_gaps_and_one_wild_point() {
        let mut points: Vec<f32> = (0_u8..12).map(|i| 10.0 + 2.0 * f32::from(i)).collect();
        points[3] = f32::NAN;
        points[7] = 500.0;
        let trend = Trend::of(&points).unwrap();
        assert!(trend.rises(0.8), "{trend:?}");
        assert!((trend.steps_to(52.0).unwrap() - 10.0).abs() < 0.5, "{trend:?}");
        assert!((trend.span - 11.0).abs() < f64::EPSILON);
        assert!(trend.steps_to(20.0).unwrap() == 0.0, "it is past it");
    }

    #[test]
    fn what_stands_still_or_falls_does_not_rise() {
        assert!(!Trend::of(&[5.0; 12]).unwrap().rises(0.1));
        assert_eq!(Trend::of(&[5.0; 12]).unwrap().steps_to(6.0), None);
        let falling: Vec<f32> = (0_u8..12).rev().map(f32::from).collect();
        assert!(!Trend::of(&falling).unwrap().rises(0.1));
        let to_and_fro: Vec<f32> = (0_u8..12).map(|i| f32::from(i % 2)).collect();
        assert!(!Trend::of(&to_and_fro).unwrap().rises(0.3));
    }

    #[test]
    fn few_points_are_no_trend() {
        let mut points = vec![f32::NAN; 12];
        for (i, point) in points.iter_mut().take(7).enumerate() {
            *point = f32::from(u8::try_from(i).unwrap());
        }
        assert_eq!(Trend::of(&points), None);
        assert_eq!(Trend::of(&[]), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
