//! A service manager's end of what a daemon tells it.

use std::path::PathBuf;

use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{LONG, World};

/// Hears what the daemon says to its service manager, at once, as a real one does.
pub struct Manager {
    messages: mpsc::UnboundedReceiver<String>,
    /// What was said last about how things stand.
    status: Option<String>,
    path: PathBuf,
}

impl Manager {
    /// Listens for the daemon of `world`, which has not been started yet.
    pub fn of(world: &World) -> Self {
        let path = world.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let (heard, messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut message = [0; 4_096];
            while let Ok(size) = socket.recv(&mut message).await {
                let text = String::from_utf8(message[..size].to_vec()).expect("UTF-8");
                if heard.send(text).is_err() {
                    return;
                }
            }
        });
        Self { messages, status: None, path }
    }

    /// What a program is started by to speak to it, and to be watched if `silence_ms` is given.
    pub fn environment(&self, silence_ms: Option<u64>) -> Vec<String> {
        let mut words = vec!["env".to_owned(), format!("NOTIFY_SOCKET={}", self.path.display())];
        words.extend(silence_ms.map(|ms| format!("WATCHDOG_USEC={}", ms * 1_000)));
        words
    }

    /// The next message.
    pub async fn next(&mut self) -> String {
        timeout(LONG, self.receive()).await.expect("the daemon says something")
    }

    /// The next message, however long it takes.
    pub async fn receive(&mut self) -> String {
        let message = self.messages.recv().await.expect("a socket");
        if message.starts_with("STATUS=") {
            self.status = Some(message.clone());
        }
        message
    }

    /// What has come already.
    pub fn pending(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }

    /// The next message that is no status.
    pub async fn next_event(&mut self) -> String {
        loop {
            let message = self.next().await;
            if !message.starts_with("STATUS=") {
                return message;
            }
        }
    }

    /// Waits until the status has this in it: it is said once, and that may have been.
    pub async fn wait_status(&mut self, part: &str) -> String {
        loop {
            if let Some(status) = self.status.as_ref().filter(|it| it.contains(part)) {
                return status.clone();
            }
            self.next().await;
        }
    }

    /// Waits for that many pings.
    pub async fn wait_pings(&mut self, count: usize) {
        for _ in 0..count {
            while self.next().await != "WATCHDOG=1" {}
        }
    }
}
