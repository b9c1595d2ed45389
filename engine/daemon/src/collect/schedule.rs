//! When a probe runs next: calmly while all is well, fast while a failure is being confirmed.
//!
//! Nothing here is random: the spread follows from the probe's name and the number of the run, so
//! that probes do not fall into step and a run can be explained.

use std::time::Duration;

use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::model::Status;

/// After this many equal findings in a row a failure is established, and the calm interval is
/// enough.
pub(crate) const CONFIRMATIONS: u32 = 30;
/// First runs are spread over at most this long.
const FIRST_SPREAD: Duration = Duration::from_millis(500);

pub(super) struct Schedule {
    interval: Duration,
    confirm_interval: Duration,
    seed: u64,
    runs: u64,
    last: Status,
    equal: u32,
}

impl Schedule {
    pub(super) fn new(probe: &ProbeId, interval: Duration, confirm_interval: Duration) -> Self {
        let seed = probe.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { interval, confirm_interval, seed, runs: 0, last: Status::Up, equal: 0 }
    }

    /// A number below 1000 for this run.
    fn spread(&self) -> u32 {
        let mixed = (self.seed ^ self.runs).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from((mixed >> 40) % 1000).unwrap_or(0)
    }

    /// How long the very first run waits.
    pub(super) fn first(&self) -> Duration {
        (self.interval / 4).min(FIRST_SPREAD) * self.spread() / 1000
    }

    /// Whether the latest run found all well. Before the first it is not known.
    pub(super) fn content(&self) -> bool {
        self.runs > 0 && self.last == Status::Up
    }

    /// How long after the start of a run that found `status` the next one starts.
    pub(super) fn after(&mut self, status: Status) -> Duration {
        self.runs = self.runs.wrapping_add(1);
        self.equal = if status == self.last { self.equal.saturating_add(1) } else { 1 };
        self.last = status;
        if status != Status::Up && self.equal <= CONFIRMATIONS {
            return self.confirm_interval.min(self.interval);
        }
        // Between 95 % and 105 %.
        self.interval * 19 / 20 + self.interval / 10 * self.spread() / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use watchkeeper_core::model::ServerName;

    fn schedule(name: &str) -> Schedule {
        let server = ServerName::new("dm1").unwrap();
        let probe = ProbeId { server, service: None, name: Arc::from(name) };
        Schedule::new(&probe, Duration::from_secs(10), Duration::from_millis(200))
    }

    #[test]
    fn trouble_is_confirmed_fast_and_then_watched_calmly() {
        let mut schedule = schedule("ssh");
        let calm = Duration::from_millis(9_500)..=Duration::from_millis(10_500);
        let fast = Duration::from_millis(200);
        for _ in 0..100 {
            assert!(calm.contains(&schedule.after(Status::Up)));
        }
        for _ in 0..CONFIRMATIONS {
            assert_eq!(schedule.after(Status::Down), fast);
        }
        assert!(calm.contains(&schedule.after(Status::Down)));
        assert_eq!(schedule.after(Status::Unknown), fast, "another finding is news again");
        assert!(calm.contains(&schedule.after(Status::Up)));
        assert_eq!(schedule.after(Status::Down), fast);
    }

    #[test]
    fn the_spread_is_the_same_every_time_and_differs_between_probes() {
        let series = |name| {
            let mut schedule = schedule(name);
            (0..5).map(|_| schedule.after(Status::Up)).collect::<Vec<_>>()
        };
        assert_eq!(series("ssh"), series("ssh"));
        assert_ne!(series("ssh"), series("tcp"));
        assert!(schedule("ssh").first() < FIRST_SPREAD);
    }
}
