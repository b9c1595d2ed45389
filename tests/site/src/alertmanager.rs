//! A real Alertmanager on loopback, for tests of what is handed on to one. Its own tool, `amtool`, asks it.
//!
//! It needs Debian's prometheus-alertmanager. Where that is not there, [`Alertmanager::start`] says so in one line and
//! gives none, and the test ends.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "for tests: whatever goes wrong here ends the test"
)]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take: far longer than a busy machine needs.
const LONG: Duration = Duration::from_mins(1);

/// One that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Alertmanager {
    url: String,
    child: Child,
}

impl Alertmanager {
    /// One that keeps its data in `folder`, ready; it tells `webhook` of each alert by itself, at once, and of its end.
    /// None where it is not installed.
    ///
    /// # Panics
    /// If it is installed and does not become ready.
    pub fn start(folder: &Path, webhook: &str) -> Option<Self> {
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !there("prometheus-alertmanager") || !there("amtool") {
            println!("SKIPPED: Alertmanager is not installed (Debian: prometheus-alertmanager)");
            return None;
        }
        let config = folder.join("alertmanager.yml");
        let text = format!(
            "route: {{receiver: site, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\n\
             receivers: [{{name: site, webhook_configs: [{{url: '{webhook}'}}]}}]\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        let port = free_port();
        let log = File::create(folder.join("alertmanager.log")).expect("a log");
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // No others: it would listen on every address.
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("Alertmanager can be started");
        let alertmanager = Self { url: format!("http://127.0.0.1:{port}"), child };
        let begun = Instant::now();
        loop {
            let output = alertmanager.tool(&["alert", "query"]);
            if output.status.success() {
                return Some(alertmanager);
            }
            assert!(begun.elapsed() < LONG, "Alertmanager is not ready: {output:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every alert that it has and that is not over, silenced or not, as its API gives it.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn alerts(&self) -> Vec<Value> {
        let all = ["--active", "--silenced", "--inhibited", "--unprocessed"];
        let text = self.ok(&[&["--output=json", "alert", "query"][..], &all].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Silences what fits, each matcher written `NAME=VALUE`, for an hour; gives the silence's id.
    ///
    /// # Panics
    /// If it does not take it.
    pub fn silence(&self, matchers: &[&str]) -> String {
        let words = ["silence", "add", "--author=ada", "--comment=it is moved", "--duration=1h"];
        self.ok(&[&words[..], matchers].concat())
    }

    /// Ends a silence.
    ///
    /// # Panics
    /// If there is none of this id.
    pub fn expire(&self, silence: &str) {
        self.ok(&["silence", "expire", silence]);
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.tool(args);
        assert!(output.status.success(), "amtool {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn tool(&self, args: &[&str]) -> Output {
        let url = format!("--alertmanager.url={}", self.url);
        Command::new("amtool").arg(url).args(args).output().expect("amtool can be run")
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its number").port()
}
