//! What the core promises, in DESIGN.md's words. A module for each part that promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::disallowed_methods, reason = "a test reads and writes files; the core does not")]

mod alerting;
mod arbitration;
mod duty;
mod execution;
mod guards;
mod history;
mod interruptions;
mod journal_format;
mod lifecycle;
mod plans;
mod readiness;
mod replay;
mod snapshot;
mod telling;
mod world;
