//! The way to a mail server, up to where SMTP itself can begin.
//!
//! Invariant: what came before TLS counts for nothing behind it. Bytes that somebody on the way appends to the
//! server's agreement to STARTTLS end the connection instead of passing for the server's next reply.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::mail::{MailServer, MailTls};
use crate::net::{self, NetError};

/// The most that a reply before TLS may be long, in bytes.
const MAX_REPLY: usize = 16 << 10;

/// What stands for the greeting after STARTTLS: the server has greeted before and does not do so again.
const GREETED: &[u8] = b"220 greeted\r\n";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::deliver) enum ConnectError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("the connection to the mail server {0} broke")]
    Broke(String, #[source] io::Error),
    #[error("the mail server {0} does not speak SMTP")]
    NotSmtp(String),
    #[error("the mail server {address} does not begin: {reply}")]
    Refused { address: String, reply: String },
    #[error("the mail server {0} offers no STARTTLS: see `tls` of its [mail] table")]
    NoStartTls(String),
    #[error("something was said in between when TLS was to begin with the mail server {0}")]
    Injected(String),
    #[error("{0:?} can have no certificate")]
    Name(String),
    #[error("no TLS with the mail server {0}")]
    Tls(String, #[source] io::Error),
}

/// Connects as configured. `tls` is there if the server's `tls` says so.
pub(super) async fn connect(
    server: &MailServer,
    tls: Option<&Arc<ClientConfig>>,
    hello: &str,
    until: Instant,
) -> Result<Box<dyn AsyncTokioStream>, ConnectError> {
    let address = || net::address(&server.host, server.port);
    let mut stream = net::connect(&server.host, server.port, until).await?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let greeting = match server.tls {
        MailTls::StartTls => {
            agree(&mut stream, hello, &address()).await?;
            GREETED
        }
        MailTls::Whole | MailTls::Off => &[],
    };
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| ConnectError::Name(server.host.clone()))?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let inner = connector
        .connect(name, stream)
        .await
        .map_err(|error| ConnectError::Tls(address(), error))?;
    Ok(Box::new(Encrypted { greeting, inner }))
}

/// Has the server agree to TLS (RFC 3207).
async fn agree(stream: &mut TcpStream, hello: &str, address: &str) -> Result<(), ConnectError> {
    expect(stream, "220", address).await?;
    let broke = |error| ConnectError::Broke(address.to_owned(), error);
    stream.write_all(format!("EHLO {hello}\r\n").as_bytes()).await.map_err(broke)?;
    let offered = expect(stream, "250", address).await?;
    // The first line is the server's name.
    if !offered.lines().skip(1).any(|line| {
        line.get(4..).is_some_and(|keyword| keyword.trim().eq_ignore_ascii_case("STARTTLS"))
    }) {
        return Err(ConnectError::NoStartTls(address.to_owned()));
    }
    stream.write_all(b"STARTTLS\r\n").await.map_err(broke)?;
    expect(stream, "220", address).await.map(|_| ())
}

/// One reply with that code, and nothing behind it.
async fn expect(stream: &mut TcpStream, code: &str, address: &str) -> Result<String, ConnectError> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = end(&bytes) {
            break end;
        }
        let read = stream.read_buf(&mut bytes).await;
        let read = read.map_err(|error| ConnectError::Broke(address.to_owned(), error))?;
        if read == 0 || bytes.len() > MAX_REPLY {
            return Err(ConnectError::NotSmtp(address.to_owned()));
        }
    };
    if end != bytes.len() {
        return Err(ConnectError::Injected(address.to_owned()));
    }
    let reply = String::from_utf8_lossy(&bytes).into_owned();
    if reply.starts_with(code) {
        return Ok(reply);
    }
    let digits = reply.bytes().take_while(u8::is_ascii_digit).count();
    let reply = reply.lines().collect::<Vec<_>>().join(" ");
    Err(match digits {
        3 => ConnectError::Refused { address: address.to_owned(), reply },
        _ => ConnectError::NotSmtp(address.to_owned()),
    })
}

/// Where a reply ends: behind the first line that has no `-` after its code (RFC 5321, 4.2.1).
fn end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.ends_with(b"\n") && line.get(3) != Some(&b'-') {
            return Some(at);
        }
    }
    None
}

/// A connection under TLS, with what is read before anything that comes through it.
#[derive(Debug)]
struct Encrypted {
    greeting: &'static [u8],
    inner: TlsStream<TcpStream>,
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn a_reply_ends_with_the_line_that_says_so() {
        assert_eq!(end(b"250-mx\r\n250-SIZE\r\n250 OK\r\n"), Some(26));
        assert_eq!(end(b"250-mx\r\n250 O"), None);
        assert_eq!(end(b"220 go\r\n250 injected\r\n"), Some(8));
        assert_eq!(end(b"\n"), Some(1));
    }
}
