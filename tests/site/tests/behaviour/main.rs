//! Each behaviour of the site, seen from outside through real sockets.
//!
//! Not covered: that the stand-ins resemble the real services, which the lab's real ones show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod control;
mod faults;
mod services;
mod ssh;
