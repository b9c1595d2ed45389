//! What the monitors' journals say, on one clock.

use watchkeeper_core::event::{Event, Record};

use super::fault::Host;

/// A record, and whose it is.
#[derive(Debug, Clone)]
pub struct Written {
    /// The monitor's host.
    pub monitor: Host,
    /// Its number in that journal.
    pub seq: u64,
    /// When, in milliseconds since 1970, on the machine's clock.
    pub at: u64,
    /// What.
    pub event: Event,
}

/// Both journals, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Past {
    records: Vec<Written>,
}

impl Past {
    /// Takes a journal in. `ahead` says how many milliseconds its clock went ahead, if it did; then every record that
    /// is later than `now` is from after that.
    pub fn add(&mut self, monitor: Host, journal: Vec<Record>, now: u64, ahead: u64) {
        self.records.extend(journal.into_iter().map(|record| {
            let told = record.at.0;
            let at = if told > now { told.saturating_sub(ahead) } else { told };
            Written { monitor, seq: record.seq, at, event: record.event }
        }));
        self.records.sort_by_key(|written| (written.at, written.monitor, written.seq));
    }

    /// Everything.
    pub fn records(&self) -> &[Written] {
        &self.records
    }
}
