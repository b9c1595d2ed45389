//! The socket: who may come in, how many at once, and for how long.
//!
//! Invariants: the socket is never there with other rights than it is to have, not even for a
//! moment; a user's program that opens one connection after the other keeps no other user out and
//! takes no file handles from the probes; a connection over which nothing goes, in either direction, has an end.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, Sleep, sleep};

use crate::crowd::{Crowd, Room};

/// How many connections one user may have at once.
const OF_ONE: usize = 32;

/// How many there may be in all.
const CONNECTIONS: usize = 128;

/// How long a connection is kept over which nothing goes: longer than the command line waits for any answer.
const IDLE: Duration = Duration::from_mins(2);

/// A socket that is being listened on.
#[derive(Debug)]
pub struct Listening {
    listener: UnixListener,
    crowd: Crowd<Option<u32>>,
    idle: Duration,
}

impl Listening {
    /// Listens on `path`, which may be left over from a daemon that is gone. Only the owner and the
    /// group may connect: `group`, else the daemon's own.
    pub async fn on(path: &Path, group: Option<&str>) -> io::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(ErrorKind::AddrInUse, "another daemon answers there"));
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let why = "what is there is no socket, and is left as it is";
                return Err(io::Error::new(ErrorKind::AlreadyExists, why));
            }
            _ => {}
        }
        // Made under another name, and only then under its own: with the rights that it is to have.
        let draft = path.with_extension("new");
        for gone in [&draft, path] {
            match std::fs::remove_file(gone) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let listener = UnixListener::bind(&draft)?;
        if let Some(group) = group {
            give_to(&draft, group)?;
        }
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o660))?;
        std::fs::rename(&draft, path)?;
        Ok(Self { listener, crowd: Crowd::new(OF_ONE, CONNECTIONS), idle: IDLE })
    }
}

/// Gives a file to a group, which is one of the process's own unless it is root's.
fn give_to(path: &Path, group: &str) -> io::Result<()> {
    let known = nix::unistd::Group::from_name(group)?;
    let gid = known.map(|known| known.gid.as_raw()).ok_or_else(|| {
        let why = format!("`socket-group`: there is no group {group:?}");
        io::Error::new(ErrorKind::NotFound, why)
    })?;
    std::os::unix::fs::chown(path, None, Some(gid)).map_err(|error| {
        let why = format!(
            "`socket-group`: it cannot be given to the group {group:?}, of which the daemon's user \
             has to be a member: {error}"
        );
        io::Error::new(error.kind(), why)
    })
}

impl Listener for Listening {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                    let Some(room) = self.crowd.enter(uid) else {
                        tracing::warn!(?uid, "a user has too many connections; one is hung up on");
                        continue;
                    };
                    let idle = (self.idle, Box::pin(sleep(self.idle)));
                    return (Visit { stream, uid, idle, _room: room }, from);
                }
                Err(error) => {
                    // Out of file handles, mostly: the next attempt may find some.
                    tracing::warn!(%error, "nobody can be let in");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection. It ends when nothing has gone over it for long: an answer in many parts, as a rehearsal's, may take
/// its time.
#[derive(Debug)]
pub struct Visit {
    stream: UnixStream,
    uid: Option<u32>,
    idle: (Duration, Pin<Box<Sleep>>),
    _room: Room<Option<u32>>,
}

impl Visit {
    /// The user at its other end, by the operating system's word.
    pub(super) const fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// Something went over it.
    fn stirs(&mut self) {
        let until = Instant::now() + self.idle.0;
        self.idle.1.as_mut().reset(until);
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.stirs();
                Poll::Ready(result)
            }
            Poll::Pending => {
                std::task::ready!(self.idle.1.as_mut().poll(context));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.stirs();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn answering(listening: Listening) -> tokio::task::JoinHandle<()> {
        let router = axum::Router::new().route("/", axum::routing::get(|| async { "yes" }));
        tokio::spawn(async move { axum::serve(listening, router).await.unwrap() })
    }

    #[tokio::test]
    async fn only_its_owner_and_its_group_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchkeeper.sock");
        let own = nix::unistd::getegid();
        let group = nix::unistd::Group::from_gid(own).unwrap().unwrap();
        for group in [None, Some(group.name.as_str())] {
            let listening = Listening::on(&path, group).await.unwrap();
            let found = std::fs::metadata(&path).unwrap();
            assert_eq!(found.mode() & 0o7777, 0o660);
            assert_eq!((found.uid(), found.gid()), (nix::unistd::geteuid().as_raw(), own.as_raw()));
            drop(listening);
            // What is left over from a daemon that is gone is replaced.
            assert!(path.exists());
        }
        let unknown = Listening::on(&path, Some("no such group")).await.unwrap_err();
        assert!(unknown.to_string().contains("socket-group"), "{unknown}");
        assert!(!path.exists(), "nobody can connect to what has not got its group");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "kept").unwrap();
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            let refused = Listening::on(path, None).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }

    #[tokio::test]
    async fn one_user_s_silent_connections_end_and_are_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchkeeper.sock");
        let mut listening = Listening::on(&path, None).await.unwrap();
        listening.idle = Duration::from_millis(300);
        let server = answering(listening);
        let mut silent = Vec::new();
        for _ in 0..OF_ONE + 10 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        // All are hung up on, some at once and the others when they have said nothing for long.
        for stream in &mut silent {
            let mut answer = Vec::new();
            timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
            assert!(answer.is_empty());
        }
        let mut stream = UnixStream::connect(&path).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.ends_with("yes"), "{answer}");
        server.abort();
    }

    /// A rehearsal takes longer than a silent connection is kept, and tells of each step as it goes.
    #[tokio::test]
    async fn an_answer_in_parts_may_take_longer_than_silence_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchkeeper.sock");
        let mut listening = Listening::on(&path, None).await.unwrap();
        listening.idle = Duration::from_secs(2);
        let handler = || async {
            axum::body::Body::from_stream(futures_util::stream::unfold(0, |part| async move {
                sleep(Duration::from_millis(500)).await;
                (part < 10).then(|| (Ok::<_, io::Error>(format!("{part};")), part + 1))
            }))
        };
        let router = axum::Router::new().route("/", axum::routing::get(handler));
        let server = tokio::spawn(async move { axum::serve(listening, router).await.unwrap() });
        let mut stream = UnixStream::connect(&path).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.ends_with("0;1;2;3;4;5;6;7;8;9;"), "{answer}");
        server.abort();
    }

    #[tokio::test]
    async fn half_a_request_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchkeeper.sock");
        let mut listening = Listening::on(&path, None).await.unwrap();
        listening.idle = Duration::from_millis(300);
        let server = answering(listening);
        for part in ["GET / HT", "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, part.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        }
        server.abort();
    }
}
