//! The rules, one screen each. A rule's `judge` raises alerts, in every phase; what proposes
//! actions is called in the order that [`crate`]'s `propose` gives, with its reasons.

pub(crate) mod agents;
pub(crate) mod failover;
pub(crate) mod reachability;
pub(crate) mod replication;
pub(crate) mod rescue;
pub(crate) mod services;
pub(crate) mod standing;
pub(crate) mod strays;
