//! A stand-in Data Mover site on loopback: for the demo, and for tests of the daemon from end to end
//! that need neither root nor Data Mover.
//!
//! A [`Site`] is three servers in one process, each on a loopback address of its own, reached only
//! through real sockets: SSH, ActiveMQ's greeting, PostgreSQL's protocol, Data Mover's REST. Its
//! methods make things go wrong, and its own records tell what happened, independently of what a
//! monitor claims.
//!
//! # What differs from the real thing
//! None of the services is real. What they do not do:
//! - **ActiveMQ** greets and then only listens; it routes no message.
//! - **repository** understands no SQL: it knows the statements that the daemon sends, word for word, answers them
//!   from a few figures (subscriptions, slots, sequences, the greatest number in each table), and lets anybody in. Any
//!   other statement is an error that names it. A first copy is complete at once; a cut between the two repositories
//!   is seen at once, not after `wal_sender_timeout`.
//! - **daemon** has no port, as in Data Mover, and its connection to broker and repository is not a
//!   socket: it is ended when its broker ends.
//! - **agent** does hold a socket to a broker, with a heartbeat of the site's own kind.
//! - **REST** knows one resource, `/datamover/agents`.
//! - **SSH** runs a handful of commands that it carries out itself (see the list below), not a shell.
//! - A server that has **crashed** is silent as a dead host is, but its kernel still lives: what is sent
//!   to an old connection is acknowledged, and ping answers. A **cut** between a server and the
//!   outside lets connections be made and then says nothing, because loopback cannot drop by source.
//! - **systemd** is a table: `systemctl start` returns at launch, nothing restarts by itself, and
//!   a killed service is `failed`.
//!
//! Commands: `systemctl is-active|start|stop dm-NAME...`, `true`, `false`, `hostname`, `echo`, `sleep`.
//! Anything else ends with status 127.
//!
//! In the order of the data: [`config`], the sockets (wire, network), the state
//! (replication, events, world), the services, SSH with its commands, the [`sink`], access, the [`site`], and the
//! demo's [`control`] socket. [`etcd`], [`alertmanager`] and [`smtp`] stand apart: real ones, for monitors that share
//! the duty and for what they tell.

mod base64;
pub mod config;
mod wire;

mod network;

mod events;
mod replication;
mod world;

mod services;

mod readiness;
mod shell;
mod ssh;

pub mod sink;

mod access;
pub mod site;

pub mod control;

pub mod etcd;

pub mod alertmanager;

pub mod smtp;

pub use config::{Net, Ports, SiteConfig, SiteError};
pub use events::Overlap;
pub use network::Power;
pub use replication::Lags;
pub use site::Site;
pub use world::{Flaw, Unit};
