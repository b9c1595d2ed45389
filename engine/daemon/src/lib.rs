//! The edge of Watchkeeper: everything that touches the world, and the program `watchkeeper`.
//!
//! The modules stand in the order of the data. Each uses those above it, and [`daemon`] alone
//! knows them all:
//!
//! - [`errors`], [`clock`], [`secret`]: what everything needs
//! - `terminal`: what people read, and nothing that acts on where they read it
//! - `log`: the way of the log's lines out, which holds nobody up
//! - [`trust`]: whose policies and plugins are used
//! - `share`: whose time a step took
//! - `process`: commands on this machine
//! - `fence`: what switches a server's power
//! - `crowd`: how many of the same may be in at once
//! - `certificate`: until when one is good
//! - `net`, `kept`, [`tls`], [`ssh`], [`postgres`]: ways to other machines
//! - [`config`]: what a site wants, checked
//! - [`collect`]: probes, from servers to observations
//! - [`journal`], [`ledger`]: what was seen, decided and done, and its fold
//! - [`health`]: what is wrong with the monitor itself
//! - [`deliver`]: alerts to receivers
//! - [`duty`]: which monitor may act
//! - [`act`]: plans to servers
//! - [`revisions`]: the policies' last revisions
//! - [`cluster`]: one cluster watched, from observations to plans
//! - [`wiring`]: from the configuration to all of these, at the start and at each change
//! - [`explain`]: from the journal to the story of a decision
//! - [`replay`]: from the journal to what other policies would have decided
//! - [`api`], [`cli`]: people's way in
//! - [`service_manager`]: what systemd is told
//! - `watched`: the folders whose files matter
//! - [`daemon`]: the start, the end
//! - [`fuzzing`]: for tests, where bytes from outside come in

pub mod errors;

pub mod clock;

pub mod secret;

mod terminal;

mod log;

pub mod trust;

mod share;

mod process;

mod fence;

mod crowd;

mod net;

mod kept;

mod certificate;

pub mod tls;

pub mod ssh;

pub mod postgres;

pub mod config;

pub mod collect;

pub mod journal;

pub mod ledger;

pub mod health;

pub mod deliver;

pub mod duty;

pub mod act;

pub mod revisions;

pub mod cluster;

pub mod wiring;

pub mod explain;

pub mod replay;

pub mod api;

pub mod cli;

pub mod service_manager;

mod watched;

pub mod daemon;

pub mod fuzzing;
