//! watchkeeper

pub mod secret;

pub mod journal;

pub mod deliver;
