//! watchkeeper

pub mod secret;

pub mod clock;

mod net;

mod kept;

pub mod tls;

pub mod ssh;

pub mod postgres;

pub mod collect;
