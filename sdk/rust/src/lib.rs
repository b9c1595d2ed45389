//! What authors of Watchkeeper policies and notifiers write against.
#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod bindings;

#[doc(hidden)]
pub mod arena;

pub mod settings;

pub mod json;

pub mod time;

#[cfg(feature = "policy")]
pub mod policy;

#[cfg(feature = "notifier")]
pub mod notifier;

#[cfg(feature = "testkit")]
pub mod testkit;

// The policy in the repository's README has to compile, too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod repository_readme {}
