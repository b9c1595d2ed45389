//! From the checked configuration to what the daemon runs with.
//!
//! Everything here is built fully and can fail; nothing that runs is touched. [`reload`] is the
//! one that puts the result in force.

mod equip;
mod guests;
mod look;
mod receivers;

pub mod reload;

pub use equip::{EquipError, Equipped, equip};
pub use guests::{Before, GuestError, Shelf, host_config, seat};
pub use receivers::{receivers, routing};
