//! How often a receiver is tried.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::model::ReceiverName;

/// What each receiver may still have. It is not kept over a restart.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<ReceiverName, Bucket>);

/// So many attempts may begin at once; they come back evenly over a minute.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// Takes an attempt a minute's `limit` allows; else how long until the next one.
    pub(super) fn take(
        &mut self,
        receiver: &ReceiverName,
        limit: Option<u32>,
        now: Instant,
    ) -> Option<Duration> {
        let Some(limit) = limit else {
            self.0.remove(receiver);
            return None;
        };
        let most = f64::from(limit.max(1));
        let bucket = self.0.entry(receiver.clone()).or_insert(Bucket { left: most, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * most / 60.0).min(most);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - bucket.left) * 60.0 / most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_it_is_even() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let receiver = ReceiverName::new("ops").unwrap();
        let mut take = |ms: u64, limit| {
            rates.take(&receiver, limit, start + Duration::from_millis(ms)).map(|it| it.as_secs())
        };
        assert_eq!([take(0, Some(2)), take(0, Some(2))], [None, None]);
        assert_eq!(take(0, Some(2)), Some(30));
        assert_eq!(take(20_000, Some(2)), Some(10));
        assert_eq!(take(30_001, Some(2)), None);
        assert!(take(30_002, Some(2)).is_some());
        assert_eq!(take(30_003, None), None, "no limit any more");
        assert_eq!(take(600_000, Some(2)), None);
    }
}
