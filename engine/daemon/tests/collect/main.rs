//! Looking at servers, against real ones: OpenSSH, PostgreSQL, and hand-written servers that
//! misbehave. What is not installed is skipped, and the test says so.
//!
//! Not covered here: cuts on the network (the lab has them) and a real ActiveMQ.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod collector;
mod database;
mod ssh;
mod support;
mod wire;
