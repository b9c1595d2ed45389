//! What the tests look at a site with.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use watchkeeper_site::{Net, Site, SiteConfig};

/// Bounds everything that has to happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long silence is watched.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

pub(crate) async fn site() -> Site {
    Site::start(SiteConfig::new(Net::Unique)).await.unwrap()
}

pub(crate) fn at(site: &Site, server: &str, port: u16) -> SocketAddr {
    SocketAddr::from((site.address(server).unwrap(), port))
}

/// An SSH client that accepts one host key, as `known_hosts` has it.
pub(crate) struct Client {
    known: String,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let key = key.public_key().to_openssh().unwrap();
        Ok(self.known.lines().any(|line| line.contains(&key)))
    }
}

pub(crate) async fn login_as(
    site: &Site,
    server: &str,
    user: &str,
    key: PrivateKey,
    known: String,
) -> Result<(Handle<Client>, bool), russh::Error> {
    let config = Arc::new(client::Config::default());
    let address = at(site, server, site.config().ports.ssh);
    let connecting = client::connect(config, address, Client { known });
    let mut handle = timeout(SOON, connecting).await.unwrap()?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let accepted = handle.authenticate_publickey(user, key).await?.success();
    Ok((handle, accepted))
}

pub(crate) async fn login(site: &Site, server: &str) -> Handle<Client> {
    let key = PrivateKey::from_openssh(site.client_key().unwrap()).unwrap();
    let known = site.known_hosts().unwrap();
    let (handle, accepted) = login_as(site, server, "dmuser", key, known).await.unwrap();
    assert!(accepted);
    handle
}

/// Exit status, standard output and standard error of a command.
pub(crate) async fn exec(handle: &Handle<Client>, command: &str) -> (u32, String, String) {
    let run = async {
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.exec(true, command).await.unwrap();
        let (mut exit, mut out, mut err) = (None, vec![], vec![]);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => out.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, ext: 1 } => err.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => exit = Some(exit_status),
                _ => {}
            }
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (exit.expect("an exit status"), text(out), text(err))
    };
    timeout(SOON, run).await.expect("the command to end")
}

pub(crate) async fn goodbye(handle: Handle<Client>) {
    handle.disconnect(Disconnect::ByApplication, "", "").await.unwrap();
}

/// Connects to PostgreSQL.
pub(crate) async fn sql(site: &Site, server: &str) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    let address = site.address(server).unwrap().to_string();
    config.host(&address).port(site.config().ports.repository).user("dmuser").dbname("datamover");
    let connecting = config.connect(tokio_postgres::NoTls);
    let (client, connection) = timeout(SOON, connecting).await.unwrap().unwrap();
    tokio::spawn(connection);
    client
}

/// How far the standby is behind; no row while it receives nothing.
pub(crate) const LAG: &str = "select pg_wal_lsn_diff('5/0', r.replay_lsn)::bigint \
     from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid \
     where s.slot_name = 'dm_repository' and r.state = 'streaming'";

/// The first column of the first row.
pub(crate) async fn value(client: &tokio_postgres::Client, question: &str) -> Option<String> {
    let messages = timeout(SOON, client.simple_query(question)).await.unwrap().unwrap();
    messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

pub(crate) const ACCEPT: &str = "application/vnd.com.teradata.datamover-v1.0+json";

/// An HTTP client that uses no provider or certificate store of the machine's.
pub(crate) fn http() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).no_proxy()
}

/// Status and body of the list of agents.
pub(crate) async fn agents(site: &Site, server: &str) -> (u16, serde_json::Value) {
    let client = http().tls_certs_only([]).build().unwrap();
    let url = format!("http://{}/datamover/agents", at(site, server, site.config().ports.rest));
    let answer = client.get(url).header("Accept", ACCEPT).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// Connects to a broker and reads its greeting.
pub(crate) async fn broker(site: &Site, server: &str) -> io::Result<TcpStream> {
    let address = at(site, server, site.config().ports.activemq);
    let mut stream = timeout(SOON, TcpStream::connect(address)).await??;
    let len = timeout(SOON, stream.read_u32()).await?? as usize;
    let mut body = vec![0; len];
    timeout(SOON, stream.read_exact(&mut body)).await??;
    assert_eq!(body[0], 1, "WireFormatInfo");
    assert_eq!(&body[1..9], b"ActiveMQ");
    Ok(stream)
}

/// Asserts that nothing is said and the connection does not end.
pub(crate) async fn assert_silent(stream: &mut TcpStream) {
    let read = timeout(SILENCE, stream.read_u8()).await;
    assert!(read.is_err(), "not silent: {read:?}");
}

/// Asserts that a connection is neither accepted nor refused.
pub(crate) async fn assert_hangs(address: SocketAddr) {
    let connected = timeout(SILENCE, TcpStream::connect(address)).await;
    assert!(connected.is_err(), "{address} answered: {connected:?}");
}
