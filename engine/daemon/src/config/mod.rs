//! The configuration: read as it is written, then checked into a type that cannot be wrong.
//!
//! A mistake costs an administrator one round at most: every mistake is reported at once, with
//! its place, what was expected, and the nearest valid word. What goes through [`load()`] needs no
//! further check by the parts that use it.
//!
//! In reading order: [`problem`], what a mistake looks like; [`checked`], [`cluster`],
//! [`duty`] and [`probe`], the result; `keys`, the list of all keys, from which the documentation, defaults,
//! bounds and suggestions come.

pub mod problem;

pub mod host;

pub mod mail;

pub mod probe;

pub mod cluster;

pub mod duty;

pub mod tree;

pub mod checked;

pub mod difference;

mod units;

pub mod keys;

mod excerpt;

mod source;

mod settings;

mod reader;

mod read;

mod load;

pub mod conversation;

pub use checked::Config;
pub use difference::differences;
pub use keys::expected;
pub use load::{Mode, load, load_as};
pub use problem::{Level, Location, Problem, Problems};
pub use tree::{HEARTBEAT, Heartbeat, Tree};
pub use units::duration;

pub(crate) use units::{duration_text, nearest};
