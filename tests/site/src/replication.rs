//! The repository's replication and sequences, as far as SQL can see them.
//!
//! State only: no WAL is written or sent. The figures answer as PostgreSQL 15's views would.

use std::collections::BTreeMap;

/// The four lags that Data Mover's sync log reports, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lags {
    /// Generated, not sent.
    pub sending: u64,
    /// Sent, not written.
    pub receiving: u64,
    /// Written, not flushed.
    pub write: u64,
    /// Flushed, not applied.
    pub replay: u64,
}

/// The publisher's position in the WAL; a fixed figure, since nothing is written.
pub(crate) const CURRENT_LSN: u64 = 0x0005_0000_0000;

/// Replication from the side that is active at the start to its standby.
#[derive(Debug, Clone)]
pub(crate) struct Replication {
    pub(crate) subscription: String,
    pub(crate) publisher: usize,
    pub(crate) subscriber: usize,
    pub(crate) lags: Lags,
    /// `alter subscription ... enable/disable`, as the subscriber's catalogue has it.
    pub(crate) enabled: bool,
    /// The apply worker fails and is started again, over and over.
    pub(crate) broken: bool,
    /// How often it failed.
    pub(crate) apply_errors: u64,
    /// A repository's sequences; not replicated, so each server has its own. None: never used.
    pub(crate) sequences: BTreeMap<usize, BTreeMap<String, Option<i64>>>,
}

impl Replication {
    pub(crate) fn new(subscription: &str, publisher: usize, subscriber: usize) -> Self {
        let used = [("job_id_seq", Some(1042)), ("task_id_seq", Some(9001))];
        let sequences = |used: [(&str, Option<i64>); 2]| {
            used.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        Self {
            subscription: subscription.to_owned(),
            publisher,
            subscriber,
            lags: Lags::default(),
            enabled: true,
            broken: false,
            apply_errors: 0,
            sequences: BTreeMap::from([
                (publisher, sequences(used)),
                (subscriber, sequences(used.map(|(name, _)| (name, None)))),
            ]),
        }
    }

    /// Sent, written, flushed and applied positions.
    pub(crate) const fn positions(&self) -> [u64; 4] {
        let sent = CURRENT_LSN.saturating_sub(self.lags.sending);
        let written = sent.saturating_sub(self.lags.receiving);
        let flushed = written.saturating_sub(self.lags.write);
        [sent, written, flushed, flushed.saturating_sub(self.lags.replay)]
    }
}

/// A WAL position as PostgreSQL prints it.
pub(crate) fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

/// The position that PostgreSQL printed so.
pub(crate) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_behind_by_their_lags() {
        let mut replication = Replication::new("s", 0, 1);
        replication.lags = Lags { sending: 1, receiving: 10, write: 100, replay: 1000 };
        let [sent, written, flushed, applied] = replication.positions();
        assert_eq!(CURRENT_LSN - sent, 1);
        assert_eq!((sent - written, written - flushed, flushed - applied), (10, 100, 1000));
        assert_eq!(parse_lsn(&lsn(applied)), Some(applied));
        assert_eq!(lsn(CURRENT_LSN), "5/0");
        assert_eq!(parse_lsn("5"), None);
    }
}
