//! Timing: several subjects take turns, so that what disturbs the machine disturbs them alike.

use std::time::{Duration, Instant};

use crate::Failed;

/// How many calls a subject makes in a row before the next has its turn: enough for its own code and
/// data to be in the caches, as in a daemon with several clusters.
const TURN: usize = 10;

/// One of those compared.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    pub(crate) call: Box<dyn FnMut() -> Result<(), Failed> + 'a>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(name: &'static str, call: impl FnMut() -> Result<(), Failed> + 'a) -> Self {
        Self { name, call: Box::new(call) }
    }
}

/// What was measured of one subject.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Sorted; never empty.
    times: Vec<Duration>,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>, mut times: Vec<Duration>) -> Result<Self, Failed> {
        let name = name.into();
        if times.is_empty() {
            return Err(format!("nothing was measured of {name}").into());
        }
        times.sort_unstable();
        Ok(Self { name, times })
    }

    pub(crate) fn min(&self) -> Duration {
        self.at(0)
    }

    pub(crate) fn median(&self) -> Duration {
        self.at(self.times.len() / 2)
    }

    /// So long or shorter were 99 of 100.
    pub(crate) fn p99(&self) -> Duration {
        self.at(self.times.len() * 99 / 100)
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    fn at(&self, i: usize) -> Duration {
        self.times.get(i).copied().unwrap_or_default()
    }
}

/// Lets the subjects take turns until each has made `calls`, after a tenth as many that do not count.
pub(crate) fn in_turns(calls: usize, subjects: &mut [Subject<'_>]) -> Result<Vec<Series>, Failed> {
    let turns = calls.div_ceil(TURN);
    let warm = turns.div_ceil(10);
    let mut times = vec![Vec::with_capacity(turns * TURN); subjects.len()];
    for turn in 0..warm + turns {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            for _ in 0..TURN {
                let begun = Instant::now();
                (subject.call)()?;
                let took = begun.elapsed();
                if turn >= warm {
                    times.push(took);
                }
            }
        }
    }
    subjects.iter().zip(times).map(|(subject, times)| Series::new(subject.name, times)).collect()
}
