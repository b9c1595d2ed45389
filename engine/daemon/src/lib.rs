//! watchkeeper

pub mod secret;

pub mod config;

pub mod cli;
