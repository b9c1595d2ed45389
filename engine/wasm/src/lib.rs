//! The host of guests: policies and notifiers are WebAssembly components, and this crate loads,
//! checks, limits and calls them.
//!
//! Guests are written by others and replaced while the daemon runs, so nothing a guest does may
//! harm more than its own say: each call gets a fresh instance with limits on time, memory, tables,
//! stack, host calls, log lines and the size of what it gives back, and ends in an answer or in a
//! named [`Failure`](watchkeeper_core::proposal::Failure). A guest is a pure function of what it is
//! called with: the few WASI interfaces that languages' runtimes import answer the same at every
//! replay, and anything else is refused when the component is loaded.
//!
//! The modules stand in reading order:
//!
//! 1. [`limits`]: what a guest may use
//! 2. `engine`: how wasmtime is set up, and why
//! 3. `ticker`: the thread that measures guests' time
//! 4. `cache`: compiled code on disk, and what protects it
//! 5. `call`: the state of one call: what is left of each limit, and the names of their breach
//! 6. `wasi`: the stand-ins for WASI
//! 7. `wire`: the contract's types as they cross the border, and their mapping to the core's
//! 8. `facts`: the questions a policy may ask
//! 9. [`load`]: from bytes to a component that is known to fit its world
//! 10. `guest`: a loaded component, and one call into it
//! 11. [`policy`], [`notifier`]: the two worlds
//! 12. [`host`]: what the daemon holds

pub mod limits;

mod engine;

mod ticker;

mod cache;

mod call;

mod wasi;

mod wire;

mod facts;

pub mod load;

mod guest;

pub mod policy;

pub mod notifier;

pub mod host;

pub use call::{LogLevel, LogLine};
pub use guest::Called;
pub use host::{Host, HostConfig, HostError};
pub use limits::Limits;
pub use load::{LoadError, digest};
pub use notifier::Notifier;
pub use policy::{Evaluated, Policy};
