//! A connection that the site can silence or cut while somebody uses it.
//!
//! Invariant: a silent connection neither delivers nor accepts a byte and does not end; a closed
//! one fails every further read and write, which makes its user drop it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::network::{Network, Node};

/// Locks, also after a panic elsewhere: what is guarded here is consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Control {
    silent: bool,
    closed: bool,
    wakers: [Option<Waker>; 2],
}

/// What the network knows of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The server of the site that it belongs to.
    pub(crate) server: usize,
    /// The local port if it was accepted, none if it was made from the server.
    pub(crate) port: Option<u16>,
    /// Who is at the other end.
    pub(crate) remote: Node,
    control: Mutex<Control>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, server: usize, port: Option<u16>, remote: Node) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, server, port, remote, control: Mutex::default() }
    }

    pub(crate) fn set_silent(&self, silent: bool) {
        lock(&self.control).silent = silent;
        self.wake();
    }

    /// Ends it. With `reset` the other end is told by RST instead of FIN.
    pub(crate) fn close(&self, reset: bool) {
        if reset {
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        lock(&self.control).closed = true;
        self.wake();
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut lock(&self.control).wakers);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Ready once bytes may pass; remembers who asked, because a verdict can change meanwhile.
    fn poll_open(&self, cx: &Context<'_>, writing: bool) -> Poll<io::Result<()>> {
        let mut control = lock(&self.control);
        if control.closed {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let [read, write] = &mut control.wakers;
        *(if writing { write } else { read }) = Some(cx.waker().clone());
        if control.silent { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

/// One end of a connection, held by whoever serves or uses it.
#[derive(Debug)]
pub(crate) struct Wire {
    connection: Arc<Connection>,
    id: u64,
    network: Weak<Network>,
}

impl Wire {
    pub(crate) const fn new(connection: Arc<Connection>, id: u64, network: Weak<Network>) -> Self {
        Self { connection, id, network }
    }

    /// The other end's address, for the log.
    pub(crate) fn peer(&self) -> String {
        self.connection.stream.peer_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(network) = self.network.upgrade() {
            network.dropped(self.id);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.connection.poll_open(cx, false))?;
            ready!(self.connection.stream.poll_read_ready(cx))?;
            match self.connection.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.connection.poll_open(cx, true))?;
            ready!(self.connection.stream.poll_write_ready(cx))?;
            match self.connection.stream.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.connection.poll_open(cx, true))?;
        let _ = socket2::SockRef::from(&self.connection.stream).shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
