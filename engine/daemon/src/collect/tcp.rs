//! Whether a port accepts connections. The weakest probe: prefer one that speaks the protocol.

use tokio::time::Instant;
use watchkeeper_core::facts::ReasonCode;

use super::finding::Finding;
use crate::net::{self, address};

/// Connects and hangs up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Tcp {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        match net::connect(&self.host, self.port, deadline).await {
            Ok(_) => {
                let detail = format!("{} accepts connections", address(&self.host, self.port));
                Finding::up(ReasonCode::Serving, &detail)
            }
            Err(error) => Finding::from_net(&error),
        }
    }
}
