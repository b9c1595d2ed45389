//! How a site is reached: its network, its addresses, and the secrets that a monitor needs.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use russh::keys::ssh_key::LineEnding;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

use crate::config::{Net, SiteConfig, SiteError, Tls};
use crate::site::Site;
use crate::ssh;

/// Where a running site holds the claim to its network: this address' last byte and port.
const CLAIM: (u8, u16) = (254, 9999);

impl Site {
    /// What the site was made of.
    pub fn config(&self) -> &SiteConfig {
        &self.world.config
    }

    /// The servers' names, in the order of their addresses.
    pub fn servers(&self) -> Vec<String> {
        self.world.config.servers.iter().map(|server| server.name.to_string()).collect()
    }

    /// The three bytes that all addresses of the site begin with.
    pub fn net(&self) -> [u8; 3] {
        self.world.net
    }

    /// A server's address.
    pub fn address(&self, server: &str) -> Result<Ipv4Addr, SiteError> {
        self.world.server(server).map(|index| self.world.network.address(index))
    }

    /// The user that may log in through SSH.
    pub const fn ssh_user(&self) -> &'static str {
        ssh::USER
    }

    /// The private key that may log in, in OpenSSH's format.
    pub fn client_key(&self) -> Result<String, SiteError> {
        let key = self.world.keys.client.to_openssh(LineEnding::LF);
        key.map(|key| key.to_string()).map_err(|error| SiteError::Key(ssh::USER.to_owned(), error))
    }

    /// A `known_hosts` file of the servers' present host keys.
    pub fn known_hosts(&self) -> Result<String, SiteError> {
        let mut lines = String::new();
        for server in self.world.servers() {
            let Some(key) = self.world.keys.host(server) else { continue };
            let name = self.world.name(server);
            let public = key
                .public_key()
                .to_openssh()
                .map_err(|error| SiteError::Key(name.to_string(), error))?;
            let address = self.world.network.address(server);
            let _ = writeln!(lines, "[{address}]:{} {public}", self.world.config.ports.ssh);
        }
        Ok(lines)
    }

    /// Addresses and ports as lines for a shell, such as `DM1=127.0.71.1`.
    pub fn env(&self) -> String {
        let ports = self.world.config.ports;
        let mut lines = String::new();
        for server in self.world.servers() {
            let name = self.world.name(server).as_str().to_uppercase().replace(['-', '.'], "_");
            let _ = writeln!(lines, "{name}={}", self.world.network.address(server));
        }
        let rest = if self.world.tls.is_some() { "https" } else { "http" };
        let _ = write!(
            lines,
            "SSH_USER={}\nSSH_PORT={}\nACTIVEMQ_PORT={}\nREPOSITORY_PORT={}\nREST_PORT={}\n\
             REST_SCHEME={rest}\nSINK_URL={}\n",
            ssh::USER,
            ports.ssh,
            ports.activemq,
            ports.repository,
            ports.rest,
            self.sink().url()
        );
        lines
    }

    /// Writes `known_hosts`, `id_ed25519` (readable by its owner only) and `site.env` into a folder,
    /// which is made if it is missing.
    pub fn write_access(&self, folder: &Path) -> Result<(), SiteError> {
        let write = |name: &str, mode, text: String| {
            let path = folder.join(name);
            let written = fs::create_dir_all(folder).and_then(|()| {
                // An old file would keep its mode.
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error);
                    }
                    _ => {}
                }
                let mut options = fs::OpenOptions::new();
                let mut file = options.write(true).create_new(true).mode(mode).open(&path)?;
                file.write_all(text.as_bytes())
            });
            written.map_err(|error| SiteError::File(path, error))
        };
        write("known_hosts", 0o644, self.known_hosts()?)?;
        write("id_ed25519", 0o600, self.client_key()?)?;
        write("site.env", 0o644, self.env())
    }
}

pub(crate) fn server_config(tls: &Tls) -> Result<Arc<rustls::ServerConfig>, SiteError> {
    let bad = |what: &dyn std::fmt::Display| SiteError::Tls(what.to_string());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(tls.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).map_err(|error| bad(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| bad(&error))?, key)
        .map_err(|error| bad(&error))?;
    Ok(Arc::new(config))
}

/// Takes the network, so that no other site of this machine uses it as long as the listener lives.
pub(crate) async fn claim(net: Net) -> Result<(TcpListener, [u8; 3]), SiteError> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let at = |net: [u8; 3]| SocketAddr::from(([net[0], net[1], net[2], CLAIM.0], CLAIM.1));
    if let Net::Fixed(net) = net {
        let claimed = TcpListener::bind(at(net)).await;
        return Ok((claimed.map_err(|error| SiteError::Listen(at(net), error))?, net));
    }
    // Processes start in different places, and go on where another one's claims end.
    let [low, high, ..] = std::process::id().to_le_bytes();
    for _ in 0..1000 {
        let [step, wide] = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let second = 72 + low.wrapping_add(wide) % 128;
        let net = [127, second, high.wrapping_mul(31).wrapping_add(low).wrapping_add(step)];
        if let Ok(claimed) = TcpListener::bind(at(net)).await {
            return Ok((claimed, net));
        }
    }
    Err(SiteError::NoNetwork)
}
