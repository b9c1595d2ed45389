//! watchkeeper

pub mod secret;
