//! A real etcd on loopback, of one member or several, for tests that share the duty through it.
//!
//! It needs Debian's etcd-server and etcd-client. Where they are not there, [`Etcd::start`] says so in
//! one line and gives none, and the test ends.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests: whatever goes wrong here ends the test"
)]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take: far longer than a busy machine needs.
const LONG: Duration = Duration::from_mins(1);

/// TLS files of the members: certificate, key and the authority that signed them.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The members' certificate, for 127.0.0.1.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that clients trust.
    pub ca: PathBuf,
    /// Whether clients have to show a certificate of that authority.
    pub ask_clients: bool,
}

#[derive(Debug)]
struct Member {
    name: String,
    client: u16,
    peer: u16,
    child: Option<Child>,
}

/// Members that run. Dropping it ends them.
#[derive(Debug)]
pub struct Etcd {
    folder: PathBuf,
    members: Vec<Member>,
    tls: Option<Certificates>,
}

impl Etcd {
    /// So many members in `folder`, ready; none where etcd is not installed.
    ///
    /// # Panics
    /// If it is installed and does not become ready.
    pub fn start(folder: &Path, members: usize) -> Option<Self> {
        Self::start_with(folder, members, None)
    }

    /// The same, over TLS.
    ///
    /// # Panics
    /// If it is installed and does not become ready.
    pub fn start_with(folder: &Path, members: usize, tls: Option<Certificates>) -> Option<Self> {
        let there = |program: &str| {
            let run = Command::new(program).arg("--version").env("ETCDCTL_API", "3").output();
            run.is_ok_and(|output| output.status.success() || !output.stdout.is_empty())
        };
        if !there("etcd") || Command::new("etcdctl").arg("version").output().is_err() {
            println!(
                "SKIPPED: etcd and etcdctl are not installed (Debian: etcd-server, etcd-client)"
            );
            return None;
        }
        let members = (0..members).map(|number| {
            let (client, peer) = (free_port(), free_port());
            Member { name: format!("m{number}"), client, peer, child: None }
        });
        let mut etcd = Self { folder: folder.to_owned(), members: members.collect(), tls };
        for number in 0..etcd.members.len() {
            etcd.launch(number);
        }
        etcd.wait_ready();
        Some(etcd)
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn endpoint(&self, member: &Member) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), member.client)
    }

    /// Where the members are asked.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| self.endpoint(member)).collect()
    }

    /// Starts a member on its data.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch(&mut self, number: usize) {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer);
        let all: Vec<String> =
            self.members.iter().map(|it| format!("{}={}", it.name, peer(it))).collect();
        let member = &self.members[number];
        let (client, peer) = (self.endpoint(member), peer(member));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{}.log", member.name)))
            .expect("a log");
        let mut command = Command::new("etcd");
        command
            .args(["--name", &member.name, "--initial-cluster-state", "new"])
            .arg("--data-dir")
            .arg(self.folder.join(&member.name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(",")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        if let Some(tls) = &self.tls {
            command.arg("--cert-file").arg(&tls.certificate).arg("--key-file").arg(&tls.key);
            if tls.ask_clients {
                command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(&tls.ca);
            }
        }
        let child = command.spawn().expect("etcd can be started");
        self.members[number].child = Some(child);
    }

    /// Waits until every member that runs answers.
    ///
    /// # Panics
    /// If one does not.
    pub fn wait_ready(&self) {
        for member in self.members.iter().filter(|member| member.child.is_some()) {
            let endpoint = self.endpoint(member);
            let begun = Instant::now();
            loop {
                let output = self.ctl_at(&endpoint, &["endpoint", "health"]);
                if output.status.success() {
                    break;
                }
                assert!(begun.elapsed() < LONG, "{endpoint} is not ready: {output:?}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// `kill -9` of a member; its data stays.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self, number: usize) {
        let mut child = self.members[number].child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// The number of the member that leads.
    ///
    /// # Panics
    /// If none does.
    pub fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            for (number, member) in self.members.iter().enumerate() {
                let status =
                    self.ctl_at(&self.endpoint(member), &["endpoint", "status", "-w", "json"]);
                let status: serde_json::Value =
                    serde_json::from_slice(&status.stdout).unwrap_or_default();
                let leader = &status[0]["Status"]["leader"];
                if !leader.is_null() && *leader == status[0]["Status"]["header"]["member_id"] {
                    return number;
                }
            }
            assert!(begun.elapsed() < LONG, "no member leads");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `etcdctl ARGS`, which has to end well; gives what it prints.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn ctl(&self, args: &[&str]) -> String {
        let output = self.ctl_at(&self.endpoints().join(","), args);
        assert!(output.status.success(), "etcdctl {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn ctl_at(&self, endpoints: &str, args: &[&str]) -> Output {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", endpoints, "--command-timeout", "2s"]);
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.ca);
            command.arg("--cert").arg(&tls.certificate).arg("--key").arg(&tls.key);
        }
        command.args(args).output().expect("etcdctl can be run")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its number").port()
}
