//! The one place that reads the wall clock.
//!
//! A [`Timestamp`] says when something was, for people and for the journal. How long something
//! took, and when it is due, is measured with `Instant`, which never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

use watchkeeper_core::model::Timestamp;

/// The present moment. A clock set before 1970 reads as 1970.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
