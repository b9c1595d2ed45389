//! What can go wrong between here and a command on another server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use watchkeeper_core::facts::ReasonCode;

use crate::net::NetError;

/// Why a command was not carried out, or its end not seen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SshError {
    /// The private key cannot be read.
    #[error("cannot read the private key {path}")]
    KeyFile {
        /// The configured file.
        path: PathBuf,
        /// What is wrong.
        source: Arc<io::Error>,
    },
    /// The private key needs a passphrase, and nobody is there to type it.
    #[error("the private key {path} is encrypted; give the monitor a key without a passphrase")]
    KeyEncrypted {
        /// The configured file.
        path: PathBuf,
    },
    /// The file is not a private key of a known kind.
    #[error("{path} is not a usable private key")]
    KeyInvalid {
        /// The configured file.
        path: PathBuf,
        /// What is wrong.
        source: Arc<russh::keys::Error>,
    },
    /// The file of known host keys cannot be read.
    #[error("cannot read the known host keys in {path}")]
    KnownHosts {
        /// The configured file.
        path: PathBuf,
        /// What is wrong.
        source: Arc<io::Error>,
    },
    /// The file has no key of this host.
    #[error(
        "the host key of {address} is not known: it showed {fingerprint} and {path} has no entry \
         for it; compare the fingerprint on the server's console, then add the key to that file"
    )]
    HostKeyUnknown {
        /// Host and port.
        address: String,
        /// Algorithm and SHA-256 fingerprint that the host showed.
        fingerprint: String,
        /// The file of known host keys.
        path: PathBuf,
    },
    /// The host shows another key than the known one.
    #[error(
        "the host key of {address} has changed: it showed {fingerprint}, which is not the key in \
         {path} line {line}; if the server was not reinstalled, somebody else may be answering; \
         replace that line only after comparing the fingerprint on the server's console"
    )]
    HostKeyChanged {
        /// Host and port.
        address: String,
        /// Algorithm and SHA-256 fingerprint that the host showed.
        fingerprint: String,
        /// The file of known host keys.
        path: PathBuf,
        /// Where the known key stands in it, counted from 1.
        line: usize,
    },
    /// The host shows a key that the file marks as revoked.
    #[error("{address} showed the host key {fingerprint}, which {path} line {line} revokes")]
    HostKeyRevoked {
        /// Host and port.
        address: String,
        /// Algorithm and SHA-256 fingerprint that the host showed.
        fingerprint: String,
        /// The file of known host keys.
        path: PathBuf,
        /// Where the revocation stands, counted from 1.
        line: usize,
    },
    /// There is no TCP connection.
    #[error("no SSH connection")]
    Net(#[source] NetError),
    /// An attempt to connect was still under way at the caller's deadline.
    #[error("{address} could not be reached over SSH in time")]
    TimedOut {
        /// Host and port.
        address: String,
    },
    /// The port accepted and the SSH exchange was not completed in time.
    #[error("{address} accepted a connection and did not complete the SSH login in time")]
    Silent {
        /// Host and port.
        address: String,
    },
    /// The server does not take this user with this key.
    #[error("{address} refused the login of {user} with the key {key}")]
    Denied {
        /// Host and port.
        address: String,
        /// The user.
        user: String,
        /// The private key's file.
        key: PathBuf,
    },
    /// The connection ended before the command was started.
    #[error("{address} ended the SSH connection")]
    Reset {
        /// Host and port.
        address: String,
    },
    /// The connection works, and the server opens no further session on it.
    #[error("{address} refused to open a session: {reason}")]
    NoSession {
        /// Host and port.
        address: String,
        /// The server's reason.
        reason: String,
    },
    /// The server refused to start the command.
    #[error("{address} refused to run the command")]
    NotStarted {
        /// Host and port.
        address: String,
    },
    /// The deadline passed while the command was running, or the server fell silent. The command was
    /// told to end, and may still run.
    #[error("the command on {address} did not end in time")]
    CommandTimedOut {
        /// Host and port.
        address: String,
    },
    /// The connection ended while the command was running. It may have run to its end or not.
    #[error("the connection to {address} ended while the command was running")]
    CommandLost {
        /// Host and port.
        address: String,
    },
    /// What came back is not SSH, or not SSH that both sides speak.
    #[error("{address} does not speak SSH as expected")]
    Protocol {
        /// Host and port.
        address: String,
        /// What was wrong with it.
        source: Arc<russh::Error>,
    },
}

impl SshError {
    /// The word for it.
    pub const fn code(&self) -> ReasonCode {
        match self {
            Self::KeyFile { .. }
            | Self::KeyEncrypted { .. }
            | Self::KeyInvalid { .. }
            | Self::KnownHosts { .. } => ReasonCode::Monitor,
            Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. } => ReasonCode::HostKey,
            Self::Net(error) => error.code(),
            Self::TimedOut { .. } | Self::CommandTimedOut { .. } => ReasonCode::TimedOut,
            Self::Silent { .. } => ReasonCode::Silent,
            Self::Denied { .. } | Self::NotStarted { .. } => ReasonCode::Denied,
            Self::Reset { .. } | Self::CommandLost { .. } => ReasonCode::Reset,
            Self::NoSession { .. } => ReasonCode::Unhealthy,
            Self::Protocol { .. } => ReasonCode::Protocol,
        }
    }

    /// Whether the command may have had an effect, so that it must be looked at before it is
    /// tried again.
    pub const fn may_have_run(&self) -> bool {
        matches!(self, Self::CommandTimedOut { .. } | Self::CommandLost { .. })
    }
}
