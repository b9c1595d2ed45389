//! The daemon as a process of its own, and questions to it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use watchkeeper::api::StatusReport;

use super::LONG;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_watchkeeper-e2e-daemon");

/// What a command left behind.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs `watchkeeper` with these arguments on this configuration.
pub async fn cli(config: &Path, args: &[&str]) -> Said {
    let run = Command::new(PROGRAM)
        .args(args)
        .arg("--config")
        .arg(config)
        .env("NO_COLOR", "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(LONG, run)
        .await
        .unwrap_or_else(|_| panic!("watchkeeper {args:?} did not end"))
        .expect("the program can be run");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it; its log goes to the end of a file. `shell` is put before it: a program and its
    /// arguments that run what follows them.
    pub fn start(config: &Path, socket: &Path, log: &Path, filter: &str, shell: &[String]) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let program = PROGRAM.to_owned();
        let mut words = shell.iter().chain([&program]);
        let first = words.next().expect("a program");
        let child = Command::new(first)
            .args(words)
            .args(["run", "--config"])
            .arg(config)
            .env("WATCHKEEPER_LOG", filter)
            .env("NO_COLOR", "1")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon can be started");
        Self { child, socket: socket.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Its end, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be waited for")
    }

    /// SIGKILL: what a crash leaves is there when this returns.
    pub async fn kill9(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it can be told");
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        timeout(LONG, self.child.wait()).await.expect("it stops").expect("it can be waited for")
    }

    /// How everything stands; none while it does not answer.
    pub async fn status(&self) -> Option<StatusReport> {
        let text =
            timeout(Duration::from_secs(10), get(&self.socket, "/v1/status")).await.ok()??;
        let body = text.split_once("\r\n\r\n")?.1;
        Some(serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}")))
    }
}

async fn get(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    http(&mut stream, path, "application/json").await
}

/// Asks for `path` and gives the whole answer, headers first.
pub async fn http(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    path: &str,
    accept: &str,
) -> Option<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: here\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
