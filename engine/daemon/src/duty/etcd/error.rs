//! Why etcd did not do what was asked. No error holds a password or a token.

use crate::tls::TlsError;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EtcdError {
    /// There was no answer, or it says that there is none at present.
    #[error("{endpoint} does not answer: {problem}")]
    NoAnswer { endpoint: String, problem: String },
    /// What came is not an answer of etcd's.
    #[error("{endpoint} does not answer as etcd does: {problem}")]
    Garbage { endpoint: String, problem: String },
    /// The lease is over.
    #[error("{endpoint} says that the lease is over")]
    NoLease { endpoint: String },
    /// What was to be kept is too large.
    #[error("{endpoint} takes nothing that large: {message}")]
    TooLarge { endpoint: String, message: String },
    /// The login, or what it allows, does not suffice.
    #[error("{endpoint} refuses the login: {message}")]
    Denied { endpoint: String, message: String },
    /// Something else.
    #[error("{endpoint} refuses: {message}")]
    Refused { endpoint: String, message: String },
}

impl EtcdError {
    /// Whether another member may do it, or this one later.
    pub(super) const fn passes(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Garbage { .. } | Self::Denied { .. })
    }
}

/// Why etcd cannot be asked at all, as configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Certificates or keys.
    #[error("TLS for etcd is not usable as configured")]
    Tls(#[from] TlsError),
    /// The HTTP library refuses.
    #[error("the HTTP client for etcd cannot be set up")]
    Client(#[source] reqwest::Error),
}
