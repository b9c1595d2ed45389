//! watchkeeper

pub mod secret;

pub mod journal;
