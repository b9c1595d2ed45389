//! The connection between two monitors: HTTP over TLS that each is sure of.
//!
//! Each side listens and each side dials, and both accept exactly one certificate, the other's, byte
//! for byte. The handshake proves that the other one has its key. No authority and no host name
//! counts, so nothing that somebody else signs can take the other monitor's place.
//!
//! Invariants:
//! - Nothing of HTTP is read from anyone who has not proved to be the other monitor.
//! - Everything has an end: handshakes, questions and connections that say nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    ServerConfig, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::wire::{MAX_BODY, PATH};
use crate::config::duty::PeerConfig;
use crate::crowd::{Crowd, Room};
use crate::errors::chain;

/// How long a question may take, its answer included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection and its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// How long a connection on which nothing arrives is kept.
const IDLE: Duration = Duration::from_mins(1);

/// How many connections are looked after at once, those included that prove nothing.
const CONNECTIONS: usize = 256;

/// How many of them may come from one address: the other monitor needs one or two.
const FROM_ONE: usize = 32;

/// How often it is logged at most that a stranger was turned away.
const COMPLAIN: Duration = Duration::from_mins(1);

/// Why the link cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A certificate cannot be read.
    #[error("there is no certificate in {path}; `watchkeeper duty keys` makes one")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The private key cannot be read.
    #[error("there is no private key in {path}; `watchkeeper duty keys` makes one")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Both monitors have the same certificate.
    #[error(
        "{} is this monitor's own certificate: each monitor has a key and a certificate of its own, \
         and `peer-certificate` is a copy of the other's", .0.display()
    )]
    Own(PathBuf),
    /// The key is not the certificate's, or the library refuses.
    #[error("{certificate} and {key} cannot be used together")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The library refuses.
    #[error("HTTP cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address} for the other monitor")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody is there.
    #[error("{0}")]
    Unreachable(String),
    /// It is not the other monitor, or will not talk to this one: that stays so until somebody
    /// changes something.
    #[error("{0}")]
    Refused(String),
    /// It is the other monitor, and this cannot be done now.
    #[error("{0}")]
    Unable(String),
}

/// Who this monitor is, and whom it talks to.
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pinned: Arc<Pinned>,
    paths: Paths,
}

/// The files, for messages.
#[derive(Debug, Clone)]
struct Paths {
    certificate: PathBuf,
    key: PathBuf,
    peer: PathBuf,
}

impl Identity {
    /// Reads what `config` names.
    pub(super) fn load(config: &PeerConfig) -> Result<Self, LinkError> {
        let (certificate, peer) =
            (certificate(&config.certificate)?, certificate(&config.peer_certificate)?);
        if certificate == peer {
            return Err(LinkError::Own(config.peer_certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_file(&config.key)
            .map_err(|source| LinkError::Key { path: config.key.clone(), source })?;
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let paths = Paths {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            peer: config.peer_certificate.clone(),
        };
        Ok(Self { certificate, key, pinned: Arc::new(Pinned { peer, algorithms }), paths })
    }

    /// The way to ask the monitor at `address`.
    pub(super) fn dialer(&self, address: &str) -> Result<Dialer, LinkError> {
        let mut tls = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| self.pair(source))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.pinned) as _)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(|source| self.pair(source))?;
        // A resumed session would not be asked for its certificate again.
        tls.resumption = rustls::client::Resumption::disabled();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(HANDSHAKE)
            .timeout(PATIENCE)
            .pool_idle_timeout(IDLE / 2)
            .pool_max_idle_per_host(1)
            .tcp_nodelay(true)
            .build()
            .map_err(LinkError::Client)?;
        let url = format!("https://{address}{PATH}");
        Ok(Dialer { client, url, address: address.to_owned(), paths: self.paths.clone() })
    }

    /// Listens on `address` for the other monitor.
    pub(super) async fn listen(&self, address: &str) -> Result<Door, LinkError> {
        let mut tls = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| self.pair(source))?
            .with_client_cert_verifier(Arc::clone(&self.pinned) as _)
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(|source| self.pair(source))?;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
        let listen = |source| LinkError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let (sender, visitors) = mpsc::channel(1);
        let porter = tokio::spawn(receive(listener, TlsAcceptor::from(Arc::new(tls)), sender));
        Ok(Door { visitors, local, porter })
    }

    fn pair(&self, source: rustls::Error) -> LinkError {
        let (certificate, key) = (self.paths.certificate.clone(), self.paths.key.clone());
        LinkError::Pair { certificate, key, source }
    }
}

fn certificate(path: &Path) -> Result<CertificateDer<'static>, LinkError> {
    CertificateDer::from_pem_file(path)
        .map_err(|source| LinkError::Certificate { path: path.to_owned(), source })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Accepts one certificate.
#[derive(Debug)]
struct Pinned {
    peer: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn check(&self, shown: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if *shown == self.peer {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    /// Only versions of TLS are allowed that do not get here.
    fn too_old() -> rustls::Error {
        rustls::Error::General("only TLS 1.3 is spoken".to_owned())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The way to ask the other monitor. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    client: reqwest::Client,
    url: String,
    address: String,
    paths: Paths,
}

/// What came back, whole.
#[derive(Debug)]
pub(super) struct Returned {
    /// Whether it is an answer, not a complaint.
    pub(super) good: bool,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Dialer {
    /// Where the other monitor is expected.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a question and waits for what comes back.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<Returned, Trouble> {
        if body.len() > MAX_BODY {
            let size = body.len() >> 20;
            return Err(Trouble::Unable(format!(
                "what is known of the cluster takes {size} MiB, and {} MiB at most can be handed \
                 over: let its policies remember less",
                MAX_BODY >> 20
            )));
        }
        let request =
            self.client.post(&self.url).header("content-type", "application/json").body(body);
        let mut response = request.send().await.map_err(|error| self.classify(error))?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.classify(error))? {
            if body.len() + chunk.len() > MAX_BODY {
                let limit = MAX_BODY >> 20;
                let why = format!("what {} answers is longer than {limit} MiB", self.address);
                return Err(Trouble::Refused(why));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Returned { good: status.is_success(), status: status.as_u16(), body })
    }

    fn classify(&self, error: reqwest::Error) -> Trouble {
        let error = error.without_url();
        let address = &self.address;
        match tls_error(&error) {
            Some(rustls::Error::InvalidCertificate(_)) => Trouble::Refused(format!(
                "{address} shows another certificate than the one in {}: put a copy of the other \
                 monitor's certificate there, and restart this monitor",
                self.paths.peer.display()
            )),
            Some(rustls::Error::AlertReceived(alert)) if is_about_certificates(*alert) => {
                Trouble::Refused(format!(
                    "{address} does not accept this monitor's certificate: put a copy of {} where \
                     its `peer-certificate` says, and restart the monitor there",
                    self.paths.certificate.display()
                ))
            }
            Some(other) => Trouble::Refused(format!(
                "{address} does not talk TLS 1.3 as a monitor does ({other}): look at `address` and \
                 at what listens there"
            )),
            None if error.is_timeout() => {
                Trouble::Unreachable(format!("{address} does not answer in time"))
            }
            None => Trouble::Unreachable(format!("{address} cannot be asked: {}", chain(&error))),
        }
    }
}

/// What TLS said, wherever it is in the chain.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // Its source is what its inner error came from, not that error itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

const fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
    )
}

/// Where the other monitor comes in.
pub(super) struct Door {
    visitors: mpsc::Receiver<(Visitor, SocketAddr)>,
    local: SocketAddr,
    porter: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.porter.abort();
    }
}

impl Listener for Door {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.visitors.recv().await {
            Some(visitor) => visitor,
            // The porter goes only with the door.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.local)
    }
}

async fn receive(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    visitors: mpsc::Sender<(Visitor, SocketAddr)>,
) {
    let crowd = Crowd::new(FROM_ONE, CONNECTIONS);
    let strangers = Arc::new(std::sync::Mutex::new(None::<Instant>));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the other monitor cannot be let in");
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some(room) = crowd.enter(from.ip()) else { continue };
        let (acceptor, visitors) = (acceptor.clone(), visitors.clone());
        let strangers = Arc::clone(&strangers);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match timeout(HANDSHAKE, shake_hands(acceptor, stream)).await {
                Ok(Ok(stream)) => {
                    let _ = visitors.send((Visitor::new(stream, room), from)).await;
                }
                Ok(Err(why)) => complain(&strangers, from, &why),
                Err(_) => complain(&strangers, from, "it does not say who it is"),
            }
        });
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            // What it has sent is read, or it would be told of a broken connection instead of why.
            let mut rest = [0; 1024];
            let drain = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
            let _ = timeout(Duration::from_millis(500), drain).await;
            Err(match tls_error(&error) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    "it shows another certificate than the one in `peer-certificate`".to_owned()
                }
                _ => chain(&error),
            })
        }
    }
}

/// Logs that somebody was turned away, and not each time: it may be a scanner.
fn complain(last: &std::sync::Mutex<Option<Instant>>, from: SocketAddr, why: &str) {
    let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() > COMPLAIN) {
        *last = Some(Instant::now());
        tracing::warn!(%from, why, "somebody who is not the other monitor was turned away");
    }
}

/// The connection of the other monitor. It ends when nothing has come over it for long.
pub(super) struct Visitor {
    stream: TlsStream<TcpStream>,
    idle: Pin<Box<Sleep>>,
    _room: Room<IpAddr>,
}

impl Visitor {
    fn new(stream: TlsStream<TcpStream>, room: Room<IpAddr>) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE)), _room: room }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.idle.as_mut().reset(Instant::now() + IDLE);
                Poll::Ready(result)
            }
            Poll::Pending => {
                std::task::ready!(self.idle.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
