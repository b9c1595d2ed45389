//! The daemon from end to end on the stand-in site: the real program, the real policy, real sockets.
//!
//! Real, where Debian's packages are there: etcd, Alertmanager and an SMTP server. Not covered here: Data Mover's real
//! services, real SSH servers and dead networks (`tests/lab`), invented histories (`tests/sim`), and how fast anything
//! is. A test here waits for what has to come, for as long as a busy machine may need, and asserts on no time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod harness;

mod alertmanager;
mod alerts;
mod configuration;
mod crash;
mod delivery;
mod dmcluster;
mod duty;
mod etcd;
mod failover;
mod fencing;
mod guests;
mod journal;
mod mail;
mod maintenance;
mod measured;
mod orders;
mod outage;
mod peer;
mod planned;
mod policies;
mod reach;
mod readiness;
mod rehearsal;
mod repair;
mod replay;
mod service_manager;
mod steps;
mod stopped;
mod stopping;
mod swap;
mod trust;
mod vantages;
