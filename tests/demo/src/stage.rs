//! Where the story plays: a folder, the stand-in site in this process, and the real daemon as a
//! process of its own, reached only as an administrator would reach it: by its files and commands.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use watchkeeper_site::{Net, Site, SiteConfig, SiteError, control};

use crate::error::DemoError;

/// How long a command may take, on a machine that does much else.
const COMMAND: Duration = Duration::from_secs(20);

/// How long the daemon may take to end in good order.
const END: Duration = Duration::from_secs(10);

/// How often a condition is looked at that nobody tells of.
const LOOK: Duration = Duration::from_millis(50);

/// The policy's name, in the configuration and as a file.
pub(crate) const POLICY: &str = "data-mover-ha";

/// Where to find what was built.
pub(crate) struct Built {
    /// The program `watchkeeper`.
    pub(crate) watchkeeper: PathBuf,
    /// The folder with `policies/` and `plugins/`.
    pub(crate) guests: PathBuf,
}

/// The folder, the site and the daemon.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) site: Arc<Site>,
    watchkeeper: PathBuf,
    daemon: Child,
    control: JoinHandle<Result<(), SiteError>>,
}

impl Stage {
    /// Lays out a folder, starts the site, then the daemon. Says nothing about its being ready.
    pub(crate) async fn open(built: &Built) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("watchkeeper-demo-").tempdir()?.keep();
        for (kind, name) in [("policies", POLICY), ("plugins", "webhook")] {
            let to = folder.join(kind);
            std::fs::create_dir(&to).map_err(at(&to))?;
            let file = format!("{name}.wasm");
            let from = built.guests.join(kind).join(&file);
            std::fs::copy(&from, to.join(&file)).map_err(at(&from))?;
        }
        let site = Arc::new(Site::start(SiteConfig::new(Net::Unique)).await?);
        let access = folder.join("site");
        site.write_access(&access)?;
        let listener = control::listen(&access)?;
        let (serving, served) = (Arc::clone(&site), access.clone());
        let control = tokio::spawn(async move { control::serve(serving, &served, listener).await });
        let [a, b, c] = site.net();
        let config = include_str!("../watchkeeper.toml").replace("NET", &format!("{a}.{b}.{c}"));
        write(&folder.join("watchkeeper.toml"), &config)?;
        let path = folder.join("daemon.log");
        let log = File::create(&path).map_err(at(&path))?;
        let daemon = Command::new(&built.watchkeeper)
            .args(["run", "--config", "watchkeeper.toml"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| DemoError::Start { path: built.watchkeeper.clone(), source })?;
        Ok(Self { folder, site, watchkeeper: built.watchkeeper.clone(), daemon, control })
    }

    /// What `watchkeeper ARGUMENTS` prints.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Result<String, DemoError> {
        let command = arguments.join(" ");
        let output = Command::new(&self.watchkeeper)
            .args(arguments)
            .args(["--config", "watchkeeper.toml"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(COMMAND, output)
            .await
            .map_err(|_| DemoError::Late {
                what: format!("an answer to `{command}`"),
                within: COMMAND,
            })?
            .map_err(|source| DemoError::Start { path: self.watchkeeper.clone(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DemoError::Command { command, status: output.status, said })
    }

    /// What `watchkeeper ARGUMENTS --json` prints.
    pub(crate) async fn ask_json<T: DeserializeOwned>(
        &self,
        arguments: &[&str],
    ) -> Result<T, DemoError> {
        let text = self.ask(&[arguments, &["--json"]].concat()).await?;
        serde_json::from_str(&text)
            .map_err(|source| DemoError::Json { command: arguments.join(" "), source })
    }

    /// Puts a file in its place in one go, as a deployment should.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let (path, beside) = (self.folder.join(name), self.folder.join("new"));
        std::fs::write(&beside, bytes).map_err(at(&beside))?;
        std::fs::rename(&beside, &path).map_err(at(&path))
    }

    /// Reads a file of the folder.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, DemoError> {
        let path = self.folder.join(name);
        std::fs::read(&path).map_err(at(&path))
    }

    /// Whether the daemon still runs; an error if it does not.
    pub(crate) fn alive(&mut self) -> Result<(), DemoError> {
        match self.daemon.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(DemoError::Unexpected(format!("the daemon ended by itself: {status}")))
            }
        }
    }

    /// The last lines of the daemon's log.
    pub(crate) fn log(&self) -> String {
        let log = self.read("daemon.log").unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(30))
            .fold(String::new(), |text, line| text + line + "\n")
    }

    /// Asks the daemon to end and waits for it; then the site ends.
    pub(crate) async fn close(mut self) -> Result<(), DemoError> {
        let asked = self.daemon.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        // One that has ended already is told by its status below.
        let _ = asked.map(|id| kill(id, Signal::SIGTERM));
        let ended = timeout(END, self.daemon.wait()).await;
        self.control.abort();
        let Ok(status) = ended else {
            self.daemon.kill().await?;
            return Err(DemoError::Late { what: "the daemon's end".to_owned(), within: END });
        };
        let status = status?;
        if status.success() {
            Ok(())
        } else {
            Err(DemoError::Unexpected(format!("the daemon ended with {status}")))
        }
    }
}

/// Looks until there is something, or the time is over.
pub(crate) async fn wait<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, DemoError>,
) -> Result<T, DemoError> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(DemoError::Late { what: what.to_owned(), within });
        }
        sleep(LOOK).await;
    }
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    std::fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> DemoError {
    let path = path.to_owned();
    |source| DemoError::File { path, source }
}
