//! Messages to the service manager: one datagram each, in the form of `sd_notify(3)`.
//!
//! Our own lines rather than the crate sd-notify, which blocks its thread for as long as the
//! service manager does not read, and knows no abstract sockets.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

/// How long one message may wait for a service manager that does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most characters of a status that are told. systemd ignores messages of more than 4,096
/// bytes, and people see one line.
const STATUS: usize = 1_000;

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Started, or reloaded.
    Ready,
    /// A reload begins.
    Reloading,
    /// The end begins.
    Stopping,
    /// Everything turns.
    Ping,
    /// How things stand, for people.
    Status(String),
}

impl Message {
    fn text(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()),
            Self::Stopping => "STOPPING=1\nSTATUS=stopping".to_owned(),
            Self::Ping => "WATCHDOG=1".to_owned(),
            Self::Status(line) => {
                // A line of its own would be taken for another message.
                let line = line.chars().map(|c| if c.is_control() { ' ' } else { c });
                format!("STATUS={}", line.take(STATUS).collect::<String>())
            }
        }
    }
}

/// Microseconds on the clock that the service manager compares with its own.
fn monotonic_us() -> i128 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1_000)
}

/// The way to the service manager.
#[derive(Debug, Clone)]
pub(super) struct Notifier {
    socket: Option<OsString>,
}

impl Notifier {
    /// To the socket of this name: a path, or `@` and an abstract name. None tells nobody.
    pub(super) fn to(socket: Option<OsString>) -> Self {
        Self { socket: socket.filter(|name| !name.is_empty()) }
    }

    /// Whether anybody is told.
    pub(super) fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// Tells it. What cannot be told is logged: the daemon's work does not depend on it.
    pub(super) async fn tell(&self, message: &Message) {
        let Some(name) = &self.socket else { return };
        let sent = timeout(PATIENCE, send(name, message.text().as_bytes())).await;
        let error = match sent {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let socket = name.to_string_lossy();
        tracing::warn!(%error, %socket, told = ?message, "the service manager could not be told");
    }
}

/// Each on a socket of its own, so that it finds a service manager that has made a new one.
async fn send(name: &OsString, message: &[u8]) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let why = "NOTIFY_SOCKET is neither an absolute path nor an abstract name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    tokio::net::UnixDatagram::from_std(socket)?.send(message).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: impl Into<String>) -> String {
        Message::Status(line.into()).text()
    }

    #[test]
    fn a_status_is_one_line_and_no_message_of_another_kind() {
        assert_eq!(text("prod\nREADY=1\0\r"), "STATUS=prod READY=1  ");
        assert_eq!(text("ä".repeat(5_000)).chars().count(), "STATUS=".len() + STATUS);
    }

    #[tokio::test]
    async fn abstract_sockets_are_found_and_nonsense_is_named() {
        let name = format!("watchkeeper-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send(&format!("@{name}").into(), b"READY=1").await.unwrap();
        let mut heard = [0; 20];
        let size = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..size], b"READY=1");

        let error = send(&"vsock:2:1".into(), b"READY=1").await.unwrap_err();
        assert!(error.to_string().contains("NOTIFY_SOCKET"), "{error}");
    }
}
