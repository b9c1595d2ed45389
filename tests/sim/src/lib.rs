//! A site in which everything is simulated but what decides.
//!
//! Two monitors watch a cluster of three servers. What they make of what they see is the engine's own
//! code (`watchkeeper-core`): facts, policies, guards, plans, the fold of the journal, the protocol by
//! which the duty passes. Time, the network, the servers and the journals' disks are simulated here, so
//! that faults can hit at every moment, and a run is repeated exactly by its seed.
//!
//! What stands around the core in the daemon, the loop that looks, decides and records, is written a
//! second time in [`monitor`], as short as possible: the daemon's own is tried by the end-to-end tests.
//!
//! 1. [`world`]: servers, what runs on them, and the ways between
//! 2. [`etcd`]: what the monitors share the duty through, where they do not hand it to each other
//! 3. [`deeds`]: what a step's command does when it arrives
//! 4. [`monitor`]: what a monitor knows, decides and asks
//! 5. [`faults`]: what goes wrong, when
//! 6. [`checks`]: what must never be, and what must be at the end
//! 7. [`setting`]: what differs from run to run beside that
//! 8. [`run`]: one seed from its beginning to its end

#![expect(
    clippy::indexing_slicing,
    reason = "servers and monitors are numbered here, from the start"
)]

pub mod world;

pub mod etcd;

pub mod deeds;

pub mod monitor;

pub mod faults;

pub mod checks;

pub mod setting;

pub mod run;
