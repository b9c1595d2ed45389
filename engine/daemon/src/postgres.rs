//! PostgreSQL as a client: kept connections, deadlines on everything.
//!
//! Queries go over the simple protocol, which poolers understand and which needs no prepared
//! statements. Each statement carries the server-side time limit that is left, so that a
//! query nobody waits for does not run on. A connection that did not answer in time is not used
//! again. No error names the password.
//!
//! A target has up to [`LANES`] connections: one in calm times, more only while a query hangs, so
//! that one that hangs delays no other.

mod metered;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_rustls::TlsConnector;
use watchkeeper_core::facts::ReasonCode;

use self::metered::{MAX_ANSWER, Meter, Metered};
use crate::kept::{Beacon, Connector, Kept, Live};
use crate::net::{self, NetError, address, is_reset, one_line};
use crate::secret::Secret;
use crate::share;
use crate::tls::{self, TlsError};

/// Connections per target at most.
const LANES: usize = 3;
/// How long one attempt to connect may take when nobody asks for less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows of an answer that are kept at most.
const MAX_ROWS: usize = 10_000;

/// Whether the connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PgTls {
    /// In the clear.
    Off,
    /// Encrypted, and the server's certificate is checked, or there is no connection.
    Require {
        /// The authorities' PEM file; without one, those of the operating system.
        ca: Option<PathBuf>,
    },
}

/// How a database is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgTarget {
    /// Host name or address.
    pub host: String,
    /// Port, usually 5432.
    pub port: u16,
    /// The database.
    pub dbname: String,
    /// The user.
    pub user: String,
    /// The password, where one is needed.
    pub password: Option<Secret>,
    /// Encryption.
    pub tls: PgTls,
}

/// Why a query was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PgError {
    /// There is no TCP connection.
    #[error("no connection to PostgreSQL")]
    Net(#[source] NetError),
    /// TLS is not set up as configured.
    #[error("the encryption of the connection is not usable as configured")]
    TlsSetup(#[source] TlsError),
    /// The server does not do TLS, or its certificate is not acceptable.
    #[error("no encrypted connection to {address}: {reason}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is not acceptable.
        reason: String,
    },
    /// The deadline passed on the way to the answer; a cut on the way cannot be ruled out.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// Host and port.
        address: String,
    },
    /// The port accepted just now, and the exchange was not completed in time.
    #[error("{address} accepted a connection and did not answer in time")]
    Silent {
        /// Host and port.
        address: String,
    },
    /// The connection ended in the middle of the exchange.
    #[error("{address} ended the connection")]
    Reset {
        /// Host and port.
        address: String,
    },
    /// User, password, database or access rule are not accepted.
    #[error("{address} refused the login of {user}: {reason}")]
    Denied {
        /// Host and port.
        address: String,
        /// The user.
        user: String,
        /// The server's words.
        reason: String,
    },
    /// The server says that it cannot serve now.
    #[error("{address} does not serve: {reason}")]
    NotServing {
        /// Host and port.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The server serves and rejects this statement.
    #[error("{address} rejected the statement ({sqlstate}): {reason}")]
    Rejected {
        /// Host and port.
        address: String,
        /// PostgreSQL's five-character code.
        sqlstate: String,
        /// The server's words.
        reason: String,
    },
    /// What came back is not PostgreSQL's protocol.
    #[error("{address} does not speak PostgreSQL's protocol: {reason}")]
    Protocol {
        /// Host and port.
        address: String,
        /// What was wrong with it.
        reason: String,
    },
}

impl PgError {
    /// The word for it.
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::Net(error) => error.code(),
            Self::Tls { .. } => ReasonCode::Tls,
            Self::TimedOut { .. } => ReasonCode::TimedOut,
            Self::Silent { .. } => ReasonCode::Silent,
            Self::Reset { .. } => ReasonCode::Reset,
            Self::Denied { .. } => ReasonCode::Denied,
            Self::NotServing { .. } => ReasonCode::Unhealthy,
            Self::Rejected { sqlstate, .. } if sqlstate == "42501" => ReasonCode::Denied,
            Self::TlsSetup(_) | Self::Rejected { .. } => ReasonCode::Monitor,
            Self::Protocol { .. } => ReasonCode::Protocol,
        }
    }

    /// PostgreSQL's code, where the server rejected a statement.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Rejected { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }
}

/// The kept connections to one database. Clones share them.
#[derive(Clone)]
pub struct Pg {
    inner: Arc<Inner>,
}

struct Inner {
    target: PgTarget,
    lanes: [Lane; LANES],
    free: Semaphore,
}

/// One connection, and whoever is using it.
struct Lane {
    kept: Kept<Dialer>,
    busy: Mutex<()>,
}

impl fmt::Debug for Pg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pg").field(self.target()).finish()
    }
}

/// Equal when they would connect to the same place in the same way.
impl PartialEq for Pg {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.target() == other.target()
    }
}

type Rows = Vec<Vec<Option<String>>>;

impl Pg {
    /// Connects at the first use.
    pub fn new(target: PgTarget) -> Self {
        let lane = || Lane { kept: Kept::new(Dialer::new(&target)), busy: Mutex::new(()) };
        let lanes = [lane(), lane(), lane()];
        Self { inner: Arc::new(Inner { target, lanes, free: Semaphore::new(LANES) }) }
    }

    /// Where it connects to.
    pub fn target(&self) -> &PgTarget {
        &self.inner.target
    }

    /// Rises by one whenever the connection that is used in calm times ends.
    pub fn losses(&self) -> watch::Receiver<u64> {
        let [first, ..] = &self.inner.lanes;
        first.kept.losses()
    }

    /// The rows that `sql` returns, every value as text, NULL as none.
    ///
    /// A kept connection that turns out to have ended is made anew once; `sql` must therefore be
    /// harmless to repeat.
    pub async fn query_rows(&self, sql: &str, deadline: Instant) -> Result<Rows, PgError> {
        let _others = share::others();
        let (_permit, lane, _busy) = self.lane(deadline).await?;
        match self.run(lane, sql, deadline).await {
            (Err(PgError::Reset { .. }), false) => self.run(lane, sql, deadline).await.0,
            (result, _) => result,
        }
    }

    /// Carries `sql` out, once: after an error it may have had its effect or not.
    pub async fn execute(&self, sql: &str, deadline: Instant) -> Result<(), PgError> {
        let _others = share::others();
        let (_permit, lane, _busy) = self.lane(deadline).await?;
        self.run(lane, sql, deadline).await.0.map(drop)
    }

    async fn lane(
        &self,
        deadline: Instant,
    ) -> Result<(SemaphorePermit<'_>, &Lane, MutexGuard<'_, ()>), PgError> {
        let late = || PgError::TimedOut { address: self.address() };
        let permit = timeout_at(deadline, self.inner.free.acquire()).await;
        let permit = permit.map_err(|_| late())?.map_err(|_| late())?;
        // A permit means that a lane is free or about to be.
        for lane in &self.inner.lanes {
            if let Ok(busy) = lane.busy.try_lock() {
                return Ok((permit, lane, busy));
            }
        }
        let [first, ..] = &self.inner.lanes;
        let busy = timeout_at(deadline, first.busy.lock()).await.map_err(|_| late())?;
        Ok((permit, first, busy))
    }

    fn address(&self) -> String {
        address(&self.inner.target.host, self.inner.target.port)
    }

    /// The result, and whether the connection was made for it.
    async fn run(
        &self,
        lane: &Lane,
        sql: &str,
        deadline: Instant,
    ) -> (Result<Rows, PgError>, bool) {
        let (live, fresh) = match lane.kept.get(deadline).await {
            Ok(found) => found,
            Err(error) => return (Err(error), true),
        };
        // Dropped while waiting, a query may still be under way: such a connection is not reused.
        let mut unfinished = Unfinished { lane, live: Some(live.clone()) };
        let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        let limit = format!("set statement_timeout = {left}");
        let Connection { client, meter } = &live.connection;
        meter.reset();
        let both = async { tokio::join!(client.simple_query(&limit), client.simple_query(sql)) };
        let result = match timeout_at(deadline, both).await {
            Err(_) if fresh => Err(PgError::Silent { address: self.address() }),
            Err(_) => Err(PgError::TimedOut { address: self.address() }),
            Ok((_, Ok(messages))) => {
                unfinished.live = None;
                Ok(rows(messages))
            }
            Ok((_, Err(_))) if meter.is_over() => Err(PgError::Protocol {
                address: self.address(),
                reason: format!("it answers with more than {} MiB", MAX_ANSWER >> 20),
            }),
            Ok((_, Err(error))) => {
                if error.as_db_error().is_some() && !error.is_closed() {
                    unfinished.live = None;
                }
                Err(lane.kept.connector().failure(&error, fresh))
            }
        };
        (result, fresh)
    }
}

struct Unfinished<'a> {
    lane: &'a Lane,
    live: Option<Arc<Live<Connection>>>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            self.lane.kept.discard(live);
        }
    }
}

fn rows(messages: Vec<SimpleQueryMessage>) -> Rows {
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned)).collect())
        }
        _ => None,
    });
    rows.take(MAX_ROWS).collect()
}

struct Dialer {
    target: PgTarget,
    accepted: AtomicBool,
}

impl Dialer {
    fn new(target: &PgTarget) -> Self {
        Self { target: target.clone(), accepted: AtomicBool::new(false) }
    }

    fn failure(&self, error: &tokio_postgres::Error, fresh: bool) -> PgError {
        let address = address(&self.target.host, self.target.port);
        if let Some(said) = error.as_db_error() {
            let reason = one_line(said.message());
            let code = said.code();
            return match code.code() {
                // Shutting down, starting up, crashed; no resources left; its own I/O failed.
                _ if *code == SqlState::QUERY_CANCELED => {
                    if fresh {
                        PgError::Silent { address }
                    } else {
                        PgError::TimedOut { address }
                    }
                }
                text if text.starts_with("57")
                    || text.starts_with("53")
                    || text.starts_with("58") =>
                {
                    PgError::NotServing { address, reason }
                }
                text if text.starts_with("XX") => PgError::NotServing { address, reason },
                text if text.starts_with("28") || text == "3D000" => {
                    PgError::Denied { address, user: self.target.user.clone(), reason }
                }
                text => PgError::Rejected { address, sqlstate: text.to_owned(), reason },
            };
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                if net::is_tls(io) {
                    return PgError::Tls { address, reason: net::chain(io) };
                }
                if is_reset(io) {
                    return PgError::Reset { address };
                }
            }
            cause = error.source();
        }
        let reason = net::chain(error);
        if error.is_closed() {
            PgError::Reset { address }
        } else if reason.contains("TLS") {
            PgError::Tls { address, reason }
        } else if reason.contains("authentication") || reason.contains("password") {
            PgError::Denied { address, user: self.target.user.clone(), reason }
        } else {
            PgError::Protocol { address, reason }
        }
    }

    async fn login<T>(
        &self,
        config: &Config,
        stream: TcpStream,
        tls: T,
        beacon: Beacon,
    ) -> Result<Connection, PgError>
    where
        T: TlsConnect<Metered>,
        T::Stream: Send + 'static,
    {
        let meter = Meter::new();
        let stream = Metered { stream, meter: meter.clone() };
        let (client, connection) =
            config.connect_raw(stream, tls).await.map_err(|error| self.failure(&error, true))?;
        tokio::spawn(async move {
            let _beacon = beacon;
            let _ = connection.await;
        });
        Ok(Connection { client, meter })
    }
}

/// A connection that is logged in, and how much may still come over it.
struct Connection {
    client: Client,
    meter: Meter,
}

impl Connector for Dialer {
    type Connection = Connection;
    type Error = PgError;

    async fn connect(&self, beacon: Beacon) -> Result<Connection, PgError> {
        let target = &self.target;
        self.accepted.store(false, Ordering::Relaxed);
        let until = Instant::now() + CONNECT_TIMEOUT;
        let mut config = Config::new();
        config.user(&target.user).dbname(&target.dbname).application_name("watchkeeper");
        if let Some(password) = &target.password {
            config.password(password.expose());
        }
        let stream = net::connect(&target.host, target.port, until).await.map_err(PgError::Net)?;
        self.accepted.store(true, Ordering::Relaxed);
        let login = async {
            match &target.tls {
                PgTls::Off => {
                    config.ssl_mode(SslMode::Disable);
                    self.login(&config, stream, NoTls, beacon).await
                }
                PgTls::Require { ca } => {
                    config.ssl_mode(SslMode::Require);
                    let mut tls = MakeRustls::new(ca.as_deref()).map_err(PgError::TlsSetup)?;
                    let connect =
                        MakeTlsConnect::<Metered>::make_tls_connect(&mut tls, &target.host);
                    let connect = connect.map_err(|error| PgError::Tls {
                        address: address(&target.host, target.port),
                        reason: error.to_string(),
                    })?;
                    self.login(&config, stream, connect, beacon).await
                }
            }
        };
        timeout_at(until, login).await.unwrap_or_else(|_| {
            Err(PgError::Silent { address: address(&target.host, target.port) })
        })
    }

    fn out_of_time(&self) -> PgError {
        let address = address(&self.target.host, self.target.port);
        if self.accepted.load(Ordering::Relaxed) {
            PgError::Silent { address }
        } else {
            PgError::TimedOut { address }
        }
    }
}

/// rustls in the shape that tokio-postgres asks for. Offers no channel binding.
struct MakeRustls {
    connector: TlsConnector,
}

impl MakeRustls {
    fn new(ca: Option<&std::path::Path>) -> Result<Self, TlsError> {
        Ok(Self { connector: TlsConnector::from(Arc::new(tls::client_config(ca)?)) })
    }
}

impl MakeTlsConnect<Metered> for MakeRustls {
    type Stream = Encrypted;
    type TlsConnect = ConnectRustls;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ConnectRustls, Self::Error> {
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
        Ok(ConnectRustls { connector: self.connector.clone(), name })
    }
}

struct ConnectRustls {
    connector: TlsConnector,
    name: rustls::pki_types::ServerName<'static>,
}

impl TlsConnect<Metered> for ConnectRustls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Metered) -> Self::Future {
        Box::pin(async move { Ok(Encrypted(self.connector.connect(self.name, stream).await?)) })
    }
}

struct Encrypted(tokio_rustls::client::TlsStream<Metered>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
