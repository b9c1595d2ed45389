//! Reaching a TCP port, and saying exactly why that failed.
//!
//! The difference between refused and timed out decides whether a service is proven down, so
//! everything that connects does it here.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use watchkeeper_core::facts::ReasonCode;

use crate::terminal;

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetError {
    /// The name has no address.
    #[error("the name {host} cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        source: Arc<io::Error>,
    },
    /// The host answered that nobody listens.
    #[error("{address} refused the connection")]
    Refused {
        /// Host and port.
        address: String,
    },
    /// Nothing came back in time.
    #[error("{address} did not answer a connection attempt in time")]
    TimedOut {
        /// Host and port.
        address: String,
    },
    /// The network says that there is no way.
    #[error("there is no way to {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The network's answer.
        source: Arc<io::Error>,
    },
    /// It failed on this side.
    #[error("cannot connect to {address}")]
    Local {
        /// Host and port.
        address: String,
        /// What failed.
        source: Arc<io::Error>,
    },
}

impl NetError {
    /// The word for it.
    pub const fn code(&self) -> ReasonCode {
        match self {
            Self::Resolve { .. } | Self::Unreachable { .. } => ReasonCode::Unreachable,
            Self::Refused { .. } => ReasonCode::Refused,
            Self::TimedOut { .. } => ReasonCode::TimedOut,
            Self::Local { .. } => ReasonCode::Monitor,
        }
    }
}

/// `host:port`, with brackets where the host is an IPv6 address.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Connects before `deadline`. Small writes are sent at once.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, NetError> {
    let address = address(host, port);
    let attempt = async {
        let found = lookup_host((host, port)).await.map_err(|error| NetError::Resolve {
            host: host.to_owned(),
            source: Arc::new(error),
        })?;
        let addresses: Vec<_> = found.collect();
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| from_io(address.clone(), error))?;
        // Without it a small request may wait for an acknowledgement; nothing else depends on it.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    };
    match timeout_at(deadline, attempt).await {
        Ok(result) => result,
        Err(_) => Err(NetError::TimedOut { address }),
    }
}

fn from_io(address: String, error: io::Error) -> NetError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NetError::Refused { address },
        io::ErrorKind::TimedOut => NetError::TimedOut { address },
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => NetError::Unreachable { address, source: Arc::new(error) },
        _ => NetError::Local { address, source: Arc::new(error) },
    }
}

/// Whether `error` says that the other side ended the connection.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WriteZero
    )
}

/// Whether `error` says that the TLS exchange was not acceptable; such errors come wrapped in I/O
/// errors, more than once.
pub(crate) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>() || inner.downcast_ref::<io::Error>().is_some_and(is_tls)
    })
}

/// The messages of `error` and all its causes, on one line of at most [`MAX_DETAIL`] bytes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    one_line(&text)
}

/// The longest explanation that is kept with a fact, in bytes.
pub(crate) const MAX_DETAIL: usize = 300;

/// `text` without characters that act on a terminal, and not longer than [`MAX_DETAIL`].
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() >= MAX_DETAIL {
            line.push('…');
            break;
        }
        line.push(if terminal::acts(c) { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn refused_and_unresolvable_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let deadline = Instant::now() + Duration::from_secs(5);
        let refused = connect("127.0.0.1", port, deadline).await.unwrap_err();
        assert_eq!(refused.code(), ReasonCode::Refused);
        let nowhere = connect("name with spaces", 1, deadline).await.unwrap_err();
        assert!(matches!(nowhere, NetError::Resolve { .. }), "{nowhere:?}");
    }

    #[test]
    fn details_stay_on_one_bounded_line() {
        let line = one_line(&format!(" a\nb\u{1b}[31m{} ", "x".repeat(1000)));
        assert!(line.starts_with("a b [31m") && line.len() < MAX_DETAIL + 8);
        assert_eq!(one_line("right\u{202e}to left\u{2028}"), "right to left");
    }
}
