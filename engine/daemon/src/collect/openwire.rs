//! Whether an ActiveMQ broker serves: in OpenWire the broker speaks first.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::net::{self, address};

/// A greeting is some hundred bytes; one that claims more than 64 KiB is not a greeting.
const MAX_FRAME: u32 = 64 * 1024;
/// Type (1), magic (8) and version (4).
const MIN_FRAME: u32 = 13;
const WIRE_FORMAT_INFO: u8 = 1;
const MAGIC: &[u8; 8] = b"ActiveMQ";

/// Connects to the broker's OpenWire port and reads its greeting (`WireFormatInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWire {
    /// Host name or address.
    pub host: String,
    /// Port, usually 61616.
    pub port: u16,
}

impl OpenWire {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let mut stream = match net::connect(&self.host, self.port, deadline).await {
            Ok(stream) => stream,
            Err(error) => return Finding::from_net(&error),
        };
        let address = address(&self.host, self.port);
        match timeout_at(deadline, greeting(&mut stream)).await {
            Ok(Ok(Some(version))) => {
                let detail = format!("{address} greets with OpenWire version {version}");
                Finding::up(ReasonCode::Serving, &detail)
                    .with("version", Value::Integer(i64::from(version)))
            }
            Ok(Ok(None)) => {
                let detail = format!("{address} does not greet with OpenWire");
                Finding::down(ReasonCode::Protocol, &detail)
            }
            Ok(Err(error)) => Finding::from_exchange(&address, &error),
            Err(_) => Finding::silent(&address),
        }
    }
}

/// The broker's version of the protocol; none if these bytes are something else. Reads the whole
/// frame, so that the broker does not see its greeting refused.
pub(super) async fn greeting(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u32>> {
    let length = stream.read_u32().await?;
    if !(MIN_FRAME..=MAX_FRAME).contains(&length) {
        return Ok(None);
    }
    if stream.read_u8().await? != WIRE_FORMAT_INFO {
        return Ok(None);
    }
    let mut magic = [0; 8];
    stream.read_exact(&mut magic).await?;
    if magic != *MAGIC {
        return Ok(None);
    }
    let version = stream.read_u32().await?;
    let rest = u64::from(length - MIN_FRAME);
    let read = tokio::io::copy(&mut stream.take(rest), &mut tokio::io::sink()).await?;
    if read < rest {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<Option<u32>> {
        greeting(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_greeting_is_read_to_its_end_and_nothing_else_passes() {
        let whole = b"\0\0\0\x0f\x01ActiveMQ\0\0\0\x0c\0\0";
        assert_eq!(read(whole).await.unwrap(), Some(12));
        for cut in 0..whole.len() {
            assert_eq!(
                read(&whole[..cut]).await.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof,
                "cut at {cut}"
            );
        }
        assert_eq!(read(b"HTTP/1.1 400 Bad Request").await.unwrap(), None);
        assert_eq!(read(b"\0\0\0\x0f\x01ActiveMX\0\0\0\x0c\0\0").await.unwrap(), None);
        assert_eq!(read(b"\0\0\0\x0f\x02ActiveMQ\0\0\0\x0c\0\0").await.unwrap(), None);
        assert_eq!(read(b"\xff\xff\xff\xff\x01ActiveMQ").await.unwrap(), None);
        assert_eq!(read(b"\0\0\0\0").await.unwrap(), None);
    }
}
