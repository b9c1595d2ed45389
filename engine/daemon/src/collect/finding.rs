//! What one run of a probe found, before it is stamped with when and by whom.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use watchkeeper_core::facts::{Reason, ReasonCode, Value};
use watchkeeper_core::model::Status;

use crate::net::{self, NetError, is_reset};
use crate::postgres::PgError;
use crate::ssh::SshError;

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was found.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// What was measured on the way.
    pub values: BTreeMap<Arc<str>, Value>,
}

impl Finding {
    fn new(status: Status, code: ReasonCode, detail: &str) -> Self {
        let reason = Reason::new(code, net::one_line(detail));
        Self { status, reason, values: BTreeMap::new() }
    }

    pub(super) fn up(code: ReasonCode, detail: &str) -> Self {
        Self::new(Status::Up, code, detail)
    }

    pub(super) fn down(code: ReasonCode, detail: &str) -> Self {
        Self::new(Status::Down, code, detail)
    }

    pub(super) fn unknown(code: ReasonCode, detail: &str) -> Self {
        Self::new(Status::Unknown, code, detail)
    }

    /// Adds a measured value. A number that is none is left out.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        if !matches!(value, Value::Number(number) if !number.is_finite()) {
            self.values.insert(Arc::from(name), value);
        }
        self
    }

    /// A port could not be reached: refused is proof, everything else is not.
    pub(super) fn from_net(error: &NetError) -> Self {
        let status = match error {
            NetError::Refused { .. } => Status::Down,
            _ => Status::Unknown,
        };
        Self::new(status, error.code(), &net::chain(error))
    }

    /// An exchange on a connection made just now failed.
    pub(super) fn from_exchange(address: &str, error: &io::Error) -> Self {
        if is_reset(error) {
            let detail = format!("{address} ended the connection in the middle of the exchange");
            Self::down(ReasonCode::Reset, &detail)
        } else if error.kind() == io::ErrorKind::TimedOut {
            // The kernel gave up on unacknowledged bytes: that is about the way.
            Self::unknown(ReasonCode::TimedOut, &format!("{address} stopped acknowledging"))
        } else {
            Self::unknown(ReasonCode::Monitor, &format!("{address}: {}", net::chain(error)))
        }
    }

    pub(super) fn silent(address: &str) -> Self {
        let detail = format!("{address} accepted a connection and then did not answer in time");
        Self::down(ReasonCode::Silent, &detail)
    }

    /// SSH was the means and failed: nothing is said about what was to be looked at.
    pub(super) fn no_means(error: &SshError) -> Self {
        Self::unknown(error.code(), &net::chain(error))
    }

    /// SSH itself was looked at.
    pub(super) fn from_ssh(error: &SshError) -> Self {
        let status = match error.code() {
            ReasonCode::Refused | ReasonCode::Silent => Status::Down,
            _ => Status::Unknown,
        };
        Self::new(status, error.code(), &net::chain(error))
    }

    pub(super) fn from_pg(error: &PgError) -> Self {
        let status = match error.code() {
            ReasonCode::Refused
            | ReasonCode::Silent
            | ReasonCode::Reset
            | ReasonCode::Protocol
            | ReasonCode::Unhealthy => Status::Down,
            _ => Status::Unknown,
        };
        Self::new(status, error.code(), &net::chain(error))
    }
}
