//! Stand-ins for the parts of Data Mover that nobody but its vendor can supply: daemon, agent and REST.
//!
//! They exist so that the lab can fail in the ways that the real parts do: over real sockets, through a real `ActiveMQ`
//! and a real `PostgreSQL`. They keep the promises that a monitor relies on, and no others:
//! - the daemon does not come up without broker or repository, and ends when it loses the broker, or the repository
//!   for long;
//! - it takes the numbers of its jobs from sequences of the repository, which replication does not carry over;
//! - an agent registers through the broker, and finds the next broker by itself;
//! - REST answers whether or not there is a daemon, and says which.
//!
//! In the order of the data: an agent's heart-beat, the daemon that keeps it, the link that asks, the answer over HTTP.

pub mod stomp;

pub mod protocol;

pub mod agent;
pub mod repository;

pub mod daemon;
pub mod link;

pub mod rest;
pub mod tls;
