//! watchkeeper

pub mod journal;
