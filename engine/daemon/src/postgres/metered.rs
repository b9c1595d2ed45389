//! A connection over which only so much comes.
//!
//! The library keeps an answer until its end, and a message until it is whole. A server that sends rows
//! without end, or one message of two gigabytes, would fill the monitor's memory before any deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What may come until the next question: 4 MiB, and thousands of rows.
pub(super) const MAX_ANSWER: usize = 4 << 20;

/// How much may still come.
#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// The whole.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_ANSWER)))
    }

    /// A question begins: the whole may come again.
    pub(super) fn reset(&self) {
        self.0.store(MAX_ANSWER, Ordering::Relaxed);
    }

    /// Whether more came than may.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// A connection with its meter.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) stream: TcpStream,
    pub(super) meter: Meter,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.is_over() {
            return Poll::Ready(Err(io::Error::other("it answers without end")));
        }
        let before = buffer.filled().len();
        let result = std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let came = buffer.filled().len().saturating_sub(before);
        let left = self.meter.0.load(Ordering::Relaxed);
        self.meter.0.store(left.saturating_sub(came), Ordering::Relaxed);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
