//! Each server's SSH server: one user, one key, a handful of commands, and forwarding.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session};
use russh::server::{Handle, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet};
use tokio::net::TcpListener;

use crate::shell::{self, Output};
use crate::wire::lock;
use crate::world::World;
use crate::{SiteConfig, SiteError};

/// The user that Data Mover's services run as.
pub(crate) const USER: &str = "dmuser";

/// How long a forwarded connection may take to be made.
const FORWARD_WITHIN: Duration = Duration::from_secs(10);

/// The site's SSH keys.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The key that may log in.
    pub(crate) client: PrivateKey,
    hosts: Mutex<Vec<PrivateKey>>,
}

impl Keys {
    /// Makes the keys, or takes the host keys that are kept in the configured folder.
    pub(crate) fn new(config: &SiteConfig) -> Result<Self, SiteError> {
        let hosts = config.servers.iter().map(|server| match &config.host_keys {
            None => random(server.name.as_str()),
            Some(folder) => kept(folder, server.name.as_str()),
        });
        let hosts = hosts.collect::<Result<_, _>>()?;
        Ok(Self { client: random(USER)?, hosts: Mutex::new(hosts) })
    }

    /// A server's host key.
    pub(crate) fn host(&self, server: usize) -> Option<PrivateKey> {
        lock(&self.hosts).get(server).cloned()
    }

    /// Gives a server a new host key, which new connections see.
    pub(crate) fn change_host(&self, server: usize, name: &str) -> Result<(), SiteError> {
        let key = random(name)?;
        if let Some(place) = lock(&self.hosts).get_mut(server) {
            *place = key;
        }
        Ok(())
    }
}

fn random(name: &str) -> Result<PrivateKey, SiteError> {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
        .map_err(|error| SiteError::Key(name.to_owned(), error))
}

fn kept(folder: &Path, name: &str) -> Result<PrivateKey, SiteError> {
    let path = folder.join(format!("{name}_host_ed25519"));
    let key_error = |error| SiteError::Key(path.display().to_string(), error);
    if path.exists() {
        return PrivateKey::read_openssh_file(&path).map_err(key_error);
    }
    let key = random(name)?;
    key.write_openssh_file(&path, LineEnding::LF).map_err(key_error)?;
    Ok(key)
}

/// Serves SSH on a server for ever.
pub(crate) async fn serve(world: Arc<World>, server: usize, listener: Arc<TcpListener>) {
    loop {
        let wire = world.network.accept(server, &listener).await;
        let Some(key) = world.keys.host(server) else { return };
        let config = Config {
            keys: vec![key],
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_millis(10),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            ..Config::default()
        };
        let login =
            Login { by: format!("ssh from {}", wire.peer()), world: Arc::clone(&world), server };
        tokio::spawn(async move {
            if let Ok(session) = russh::server::run_stream(Arc::new(config), wire, login).await
                && let Err(error) = session.await
            {
                tracing::debug!(%error, "an SSH session ended");
            }
        });
    }
}

struct Login {
    world: Arc<World>,
    server: usize,
    by: String,
}

impl Login {
    fn may(&self, user: &str, key: &russh::keys::PublicKey) -> Auth {
        let known = self.world.keys.client.public_key().key_data() == key.key_data();
        if user == USER && known { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.may(user, offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.may(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let target = self.resolve(host, port);
        let (world, server) = (Arc::clone(&self.world), self.server);
        tokio::spawn(async move {
            let Some(target) = target else {
                return reply.reject(ChannelOpenFailure::ConnectFailed).await;
            };
            let connecting = world.network.connect(server, target);
            match tokio::time::timeout(FORWARD_WITHIN, connecting).await {
                Ok(Ok(mut wire)) => {
                    reply.accept().await;
                    let mut stream = channel.into_stream();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut wire).await;
                }
                Ok(Err(_)) | Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let (world, server, by) = (Arc::clone(&self.world), self.server, self.by.clone());
        let handle = session.handle();
        tokio::spawn(async move {
            let output = world.slowly(shell::run(&world, server, &command, &by)).await;
            // It fails only when the client has gone.
            let _ = finish(&handle, channel, output).await;
        });
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }
}

impl Login {
    /// Addresses, and the names of the site's servers.
    fn resolve(&self, host: &str, port: u32) -> Option<SocketAddr> {
        let port = u16::try_from(port).ok()?;
        let address = match self.world.server(host) {
            Ok(server) => IpAddr::V4(self.world.network.address(server)),
            Err(_) => host.parse().ok().filter(|it: &IpAddr| it.is_ipv4() && it.is_loopback())?,
        };
        Some(SocketAddr::new(address, port))
    }
}

async fn finish(handle: &Handle, channel: ChannelId, output: Output) -> Result<(), ()> {
    if !output.stdout.is_empty() {
        handle.data(channel, output.stdout.into_bytes()).await.map_err(drop)?;
    }
    if !output.stderr.is_empty() {
        handle.extended_data(channel, 1, output.stderr.into_bytes()).await.map_err(drop)?;
    }
    handle.exit_status_request(channel, output.exit).await?;
    handle.eof(channel).await?;
    handle.close(channel).await
}
