//! Real servers on loopback, ended with the test, and small ones that misbehave.

use std::io::Read;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use watchkeeper::collect::{ProbeKind, ProbeSpec};
use watchkeeper::postgres::{Pg, PgTarget, PgTls};
use watchkeeper::secret::Secret;
use watchkeeper::ssh::{Ssh, SshTarget};
use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::model::{ServerName, Service};

/// Long enough for a slow machine; a test that works never waits for it.
pub(crate) const LONG: Duration = Duration::from_mins(1);

pub(crate) fn soon() -> Instant {
    Instant::now() + LONG
}

/// Awaits that `condition` holds, looking again and again.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let limit = soon();
    while !condition().await {
        assert!(Instant::now() < limit, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn server() -> ServerName {
    ServerName::new("dm1").unwrap()
}

pub(crate) fn spec(name: &str, kind: ProbeKind) -> ProbeSpec {
    ProbeSpec {
        id: ProbeId { server: server(), service: Some(Service::Daemon), name: Arc::from(name) },
        kind,
        interval: Duration::from_hours(1),
        confirm_interval: Duration::from_millis(20),
        timeout: Duration::from_secs(30),
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("watchkeeper-collect-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command to its end; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text} {error}");
    text
}

/// Who logs in.
pub(crate) fn login() -> String {
    run("id", &["-un"])
}

fn is_root() -> bool {
    run("id", &["-u"]) == "0"
}

/// A child that is killed with the test.
pub(crate) struct Server(Child);

impl From<Child> for Server {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Server {
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap())
    }

    pub(crate) fn kill(&mut self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(self.pid(), signal);
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // For PostgreSQL, which ends at once by it. Others may have inherited that it is ignored.
            let _ = nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGQUIT);
            self.kill(nix::sys::signal::Signal::SIGTERM);
        }
    }
}

/// An sshd of the test's own: own host key, own user key, own port.
pub(crate) struct Sshd {
    pub(crate) folder: Folder,
    pub(crate) port: u16,
    _server: Server,
}

const SSHD: &str = "/usr/sbin/sshd";

impl Sshd {
    pub(crate) async fn start(extra: &str) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            println!("skipped: {SSHD} is not installed");
            return None;
        }
        if is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let folder = Folder::new();
        for name in ["host", "user", "stranger"] {
            keygen(&folder.path(name), "");
        }
        std::fs::copy(folder.path("user.pub"), folder.path("authorized")).unwrap();
        let port = free_port();
        let at = folder.0.display();
        let config = format!(
            "{extra}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
             AuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\nMaxStartups 100\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n"
        );
        let config = folder.write("sshd_config", &config);
        let log = std::fs::File::create(folder.path("sshd.log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { folder, port, _server: Server(child) };
        until("sshd accepts", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        let key = std::fs::read_to_string(sshd.folder.path("host.pub")).unwrap();
        sshd.folder.write("known", &format!("[127.0.0.1]:{port} {key}"));
        Some(sshd)
    }

    pub(crate) fn target(&self) -> SshTarget {
        SshTarget {
            server: server(),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: login(),
            key: self.folder.path("user"),
            known_hosts: self.folder.path("known"),
            connect_timeout: Duration::from_secs(30),
        }
    }

    pub(crate) fn ssh(&self) -> Ssh {
        Ssh::new(self.target())
    }
}

pub(crate) fn keygen(path: &Path, passphrase: &str) {
    let path = path.to_str().unwrap();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", passphrase, "-f", path]);
}

/// A PostgreSQL of the test's own, with the superuser `boss`.
pub(crate) struct Postgres {
    pub(crate) server: Server,
    pub(crate) port: u16,
    /// Removed after the server has been ended.
    _folder: Folder,
}

const POSTGRES: &str = "/usr/lib/postgresql/15/bin";
pub(crate) const PASSWORD: &str = "open sesame";

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let program = format!("{POSTGRES}/{program}");
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", &program]);
    command
}

impl Postgres {
    /// `prepare` may put files into the folder, which is the data folder's parent.
    pub(crate) async fn start(settings: &[&str], prepare: impl FnOnce(&Folder)) -> Option<Self> {
        if !Path::new(POSTGRES).exists() {
            println!("skipped: PostgreSQL 15 is not installed");
            return None;
        }
        let folder = Folder::new();
        folder.write("password", PASSWORD);
        prepare(&folder);
        if is_root() {
            run("chown", &["-R", "postgres", folder.0.to_str().unwrap()]);
        }
        let made = as_postgres("initdb")
            .args(["--no-sync", "-A", "scram-sha-256", "-U", "boss", "-E", "UTF8", "--locale=C"])
            .arg("--pwfile")
            .arg(folder.path("password"))
            .arg("-D")
            .arg(folder.path("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let log = std::fs::File::create(folder.path("log")).unwrap();
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(folder.path("data")).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "wal_level=logical",
            "wal_retrieve_retry_interval=200ms",
        ]
        .iter()
        .chain(settings)
        {
            command.arg("-c").arg(setting);
        }
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let postgres = Self { _folder: folder, port, server: Server(child) };
        let pg = postgres.pg();
        until("PostgreSQL serves", async || pg.query_rows("select 1", soon()).await.is_ok()).await;
        Some(postgres)
    }

    pub(crate) fn target(&self) -> PgTarget {
        PgTarget {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            dbname: "postgres".to_owned(),
            user: "boss".to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls: PgTls::Off,
        }
    }

    pub(crate) fn pg(&self) -> Pg {
        Pg::new(self.target())
    }
}

/// A certificate authority and a certificate of it for 127.0.0.1.
pub(crate) fn certificates(folder: &Folder) {
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let extensions =
        folder.write("ext", "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n");
    for name in ["ca", "other"] {
        let (key, out) = (path(&format!("{name}.key")), path(&format!("{name}.pem")));
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=authority",
                "-keyout",
                &key,
                "-out",
                &out,
            ],
        );
    }
    run(
        "openssl",
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=server",
            "-keyout",
            &path("server.key"),
            "-out",
            &path("server.csr"),
        ],
    );
    run(
        "openssl",
        &[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &path("server.csr"),
            "-CA",
            &path("ca.pem"),
            "-CAkey",
            &path("ca.key"),
            "-CAcreateserial",
            "-extfile",
            extensions.to_str().unwrap(),
            "-out",
            &path("server.pem"),
        ],
    );
}

/// What a hand-written server does with each connection.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Accepts, and says nothing.
    Silent,
    /// Accepts, and hangs up.
    HangUp,
    /// Sends these pieces, each in a packet of its own, then hangs up.
    Say(Vec<Vec<u8>>),
    /// Sends these pieces and then nothing more.
    SayAndStall(Vec<Vec<u8>>),
    /// Sends the first, then the second for ever.
    Endless(Vec<u8>, Vec<u8>),
}

/// A hand-written server; it ends with the test's runtime.
pub(crate) struct Stub {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicU32>,
    pub(crate) manner: Arc<std::sync::Mutex<Manner>>,
}

impl Stub {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicU32::new(0));
        let manner = Arc::new(std::sync::Mutex::new(manner));
        let (count, how) = (connections.clone(), manner.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let manner = how.lock().unwrap().clone();
                tokio::spawn(behave(stream, manner));
            }
        });
        Self { port, connections, manner }
    }

    /// An HTTP answer, sent in one piece.
    pub(crate) async fn http(status: &str, body: &str) -> Self {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Self::start(Manner::Say(vec![answer.into_bytes()])).await
    }

    pub(crate) fn count(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn behave(mut stream: TcpStream, manner: Manner) {
    let _ = stream.set_nodelay(true);
    let pieces = match &manner {
        Manner::Say(pieces) | Manner::SayAndStall(pieces) => pieces.clone(),
        Manner::Endless(first, _) => vec![first.clone()],
        Manner::Silent | Manner::HangUp => vec![],
    };
    for piece in pieces {
        if stream.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    match manner {
        Manner::HangUp => {}
        Manner::Say(_) => {
            // Closing with unread bytes would reset the connection before the answer is read.
            let _ = stream.shutdown().await;
            let mut rest = vec![0; 4096];
            while matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await, Ok(1..)) {}
        }
        Manner::Endless(_, more) => while stream.write_all(&more).await.is_ok() {},
        Manner::Silent | Manner::SayAndStall(_) => {
            let mut rest = vec![0; 4096];
            while matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await, Ok(1..)) {}
        }
    }
}

/// Whether a process with this text in its command line exists.
pub(crate) fn process_exists(text: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let mut line = Vec::new();
        let opened = std::fs::File::open(entry.path().join("cmdline"));
        let _ = opened.and_then(|mut file| file.read_to_end(&mut line));
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    })
}
