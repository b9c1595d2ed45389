//! What is remembered: of each value the last points at two paces, and whether it is warned of.
//!
//! What changes is recorded in the journal, so it changes once per sample and is kept small: four bytes
//! a point, and the times follow from the number of the sample. Samples are taken at whole multiples
//! of the pace since 1970, so a look in between changes nothing.

/// Points kept at each pace.
pub(crate) const POINTS: usize = 12;

/// A coarse point is one of so many fine ones.
pub(crate) const COARSE: u64 = 12;

/// The format below; anything else is begun anew.
const FORMAT: [u8; 2] = [b'w', 1];

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Memory {
    /// The number of the last sample: the time divided by the pace. 0: none was taken.
    pub(crate) sample: u64,
    pub(crate) series: Vec<Series>,
}

/// A value on its way.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Series {
    pub(crate) id: Id,
    /// What it is about, for people, beside where it is.
    pub(crate) about: String,
    /// The last points, oldest first; not a number where nothing was measured.
    pub(crate) fine: Vec<f32>,
    pub(crate) coarse: Vec<f32>,
    /// Whether it is warned of.
    pub(crate) raised: bool,
    /// How many samples in a row have spoken for the other.
    pub(crate) doubts: u8,
}

/// Which value. It is ordered, so that the memory has one form only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Id {
    pub(crate) server: String,
    /// The service's place in `Service::ALL`; none: the server itself.
    pub(crate) service: Option<u8>,
    pub(crate) measure: String,
}

impl Series {
    /// Takes in what was measured at `sample`; `before` is the number of the last sample.
    pub(crate) fn push(&mut self, before: u64, sample: u64, value: f32) {
        push(&mut self.fine, sample.saturating_sub(before), value);
        let coarse = (sample / COARSE).saturating_sub(before / COARSE);
        if coarse > 0 || self.coarse.is_empty() {
            push(&mut self.coarse, coarse, value);
        }
    }

    /// Whether nothing that was measured is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.fine.iter().chain(&self.coarse).all(|value| value.is_nan())
    }
}

/// Puts a point behind the others, `steps` after the last; what was missed in between is not a number.
fn push(points: &mut Vec<f32>, steps: u64, value: f32) {
    let missed = usize::try_from(steps.saturating_sub(1)).unwrap_or(usize::MAX).min(POINTS);
    if !points.is_empty() {
        points.extend(std::iter::repeat_n(f32::NAN, missed));
    }
    points.push(value);
    points.drain(..points.len().saturating_sub(POINTS));
}

impl Memory {
    /// Reads what was written at the pace `every`; at another, or in another format, it begins anew.
    pub(crate) fn read(bytes: &[u8], every: u64) -> Self {
        let mut reader = Reader(bytes);
        reader.memory(every).unwrap_or_default()
    }

    /// Writes it.
    pub(crate) fn write(&self, every: u64) -> Vec<u8> {
        let mut out = FORMAT.to_vec();
        out.extend(every.to_le_bytes());
        out.extend(self.sample.to_le_bytes());
        for series in &self.series {
            for text in [&series.id.server, &series.id.measure, &series.about] {
                let text = text.as_bytes();
                let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
                out.push(length);
                out.extend(text.iter().take(usize::from(length)));
            }
            out.push(series.id.service.unwrap_or(u8::MAX));
            out.push(u8::from(series.raised));
            out.push(series.doubts);
            for points in [&series.fine, &series.coarse] {
                out.push(u8::try_from(points.len()).unwrap_or(0));
                out.extend(points.iter().flat_map(|point| point.to_le_bytes()));
            }
        }
        out
    }
}

/// Takes what was written off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn points(&mut self) -> Option<Vec<f32>> {
        let count = self.byte()?;
        (0..count).map(|_| self.take().map(f32::from_le_bytes)).collect()
    }

    fn memory(&mut self, every: u64) -> Option<Memory> {
        if self.take()? != FORMAT || u64::from_le_bytes(self.take()?) != every {
            return None;
        }
        let mut memory = Memory { sample: u64::from_le_bytes(self.take()?), series: Vec::new() };
        while !self.0.is_empty() {
            let (server, measure, about) = (self.text()?, self.text()?, self.text()?);
            let service = Some(self.byte()?).filter(|it| *it != u8::MAX);
            memory.series.push(Series {
                id: Id { server, service, measure },
                about,
                raised: self.byte()? != 0,
                doubts: self.byte()?,
                fine: self.points()?,
                coarse: self.points()?,
            });
        }
        Some(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let id = Id { server: "dm1".to_owned(), service: Some(1), measure: "lag-ms".to_owned() };
        Series { id, about: "/var".to_owned(), raised: true, doubts: 2, ..Series::default() }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let mut one = series();
        for sample in 100..130 {
            one.push(sample - 1, sample, 0.25);
        }
        let other = Series { id: Id { service: None, ..one.id.clone() }, ..one.clone() };
        let memory = Memory { sample: 129, series: vec![one, other] };
        let bytes = memory.write(600_000);
        assert_eq!(Memory::read(&bytes, 600_000), memory);
        assert_eq!(Memory::read(&bytes, 60_000), Memory::default(), "another pace");
        assert_eq!(Memory::read(&[], 600_000), Memory::default());
        for cut in [1, 5, 17, 19, 30, bytes.len() - 1] {
            assert_eq!(Memory::read(&bytes[..cut], 600_000), Memory::default(), "cut at {cut}");
        }
    }

    #[test]
    fn it_stays_small_and_gaps_stay_gaps() {
        let mut one = series();
        let mut before = 0;
        for sample in (1_000..2_000).filter(|sample| sample % 10 != 5) {
            one.push(before, sample, 1.0);
            before = sample;
        }
        assert_eq!((one.fine.len(), one.coarse.len()), (POINTS, POINTS));
        assert!(one.fine[7].is_nan() && !one.fine[8].is_nan(), "{:?}", one.fine);
        // After a long time nothing is left of what was.
        one.push(before, before + 1_000, 3.0);
        assert_eq!(one.fine.iter().filter(|point| !point.is_nan()).count(), 1);
        one.push(0, 3_000, f32::NAN);
        assert!(one.is_empty());
    }
}
