//! A real SMTP server on loopback, with TLS and a login, for tests of e-mail; and certificates for servers there.
//!
//! It needs Debian's python3-aiosmtpd. Where that is not there, [`Smtp::start`] says so in one line and gives none, and
//! the test ends.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests: whatever goes wrong here ends the test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Debian's, which has its packages.
const PYTHON: &str = "/usr/bin/python3";

/// The only password that it takes, of any user.
pub const PASSWORD: &str = "hunter2/of\"steel";

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Smtp {
    folder: PathBuf,
    /// For STARTTLS.
    pub port: u16,
    /// For TLS from the first byte.
    pub whole: u16,
    child: Child,
}

impl Smtp {
    /// One that keeps what it gets in `folder`, where its certificate `server` is.
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub fn start(folder: &Path) -> Option<Self> {
        let there = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: aiosmtpd is not installed (Debian: python3-aiosmtpd)");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/smtp_server.py");
        let mut child = Command::new(PYTHON)
            .arg(script)
            .args([folder.join("server.pem"), folder.join("server.key"), folder.to_owned()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("it says its ports");
        let ports: Vec<u16> =
            line.split_whitespace().map(|port| port.parse().expect("a port")).collect();
        Some(Self { folder: folder.to_owned(), port: ports[0], whole: ports[1], child })
    }

    /// The `number`th e-mail that came; null if there is none.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn came(&self, number: usize) -> Value {
        let text = std::fs::read_to_string(self.folder.join(format!("{number}.json")));
        text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"))
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a certificate for 127.0.0.1 that vouches for itself, `NAME.pem`, and its key, `NAME.key`.
///
/// # Panics
/// If `openssl` cannot.
pub fn certificate(folder: &Path, name: &str) {
    let path = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(path("key"))
        .arg("-out")
        .arg(path("pem"))
        .output()
        .expect("openssl can be run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
