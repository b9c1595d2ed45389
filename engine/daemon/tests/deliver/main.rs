//! Alerts reach their receivers, whatever the receivers do, and secrets stay where they belong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unnecessary_wraps,
    missing_docs
)]

mod bounds;
mod flood;
mod mail;
mod outbox;
mod support;
mod unrecorded;
mod vendors;
