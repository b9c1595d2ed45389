//! What Watchkeeper is for, on real servers. Each scenario says in a line why it is there.
//!
//! Where no lab can be brought up, every scenario passes after printing `SKIPPED` and the reason.
//! `cargo test -p watchkeeper-lab -- --nocapture` shows it, and how long each part of a failover took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod both;
mod chaos;
mod etcd;
mod fenced;
mod lost;
mod page;
mod peer;
mod planned;
mod replication;
mod stopped;
mod support;
mod unit;
