//! Scenarios on the lab: the real daemon and the real policy against real sshd, PostgreSQL and
//! ActiveMQ, on hosts that can be killed, cut and unplugged (see the lab's README).
//!
//! This crate is what the scenarios in `tests/` are written with: a [`Lab`] of their own, a
//! [`Monitor`] that runs the daemon on the host vp1 (or a [`Unit`], which has systemd run it), the sink that its alerts go to, and
//! [`Witness`], which looks at the processes of both sides all the time and knows whether they
//! were ever active at once.
//!
//! A lab needs root and kernel features that not every machine has. There, [`Lab::up`] gives
//! nothing and says why, in one line that begins with `SKIPPED`. Everything else that goes wrong
//! ends the test with a panic that says what was waited for.

#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "for tests: whatever goes wrong here ends the test"
)]

pub mod bmc;
pub mod chaos;
mod lab;
mod machine;
mod monitor;
mod timeline;
mod unit;
mod witness;

pub use lab::Lab;
pub use machine::{labs_at_once, optimise, unfit};
pub use monitor::{Monitor, Setup, make_keys};
pub use timeline::{Timeline, now};
pub use unit::Unit;
pub use witness::Witness;

use std::path::Path;
use std::time::{Duration, Instant};

/// The repository's folder.
pub fn repository() -> &'static Path {
    machine::root()
}

/// How long is waited for things that take seconds on a good day.
pub const LIMIT: Duration = Duration::from_mins(2);

/// Looks until `look` finds what is wanted, at most for [`LIMIT`].
///
/// # Panics
/// When the time is over, with `what` was waited for and what was found in its place.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if Instant::now() >= deadline => {
                panic!("waited {} s for {what}; instead: {instead}", LIMIT.as_secs())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
