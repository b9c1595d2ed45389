//! watchkeeper

pub mod secret;

pub mod config;
