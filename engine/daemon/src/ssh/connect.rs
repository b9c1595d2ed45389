//! Making one SSH connection: known host, one key, bounded in time.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelId, ChannelOpenFailure, Preferred, client, kex};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::known_hosts::{HostKeys, Verdict, fingerprint};
use super::view::View;
use super::{SshError, SshTarget};
use crate::kept::{Beacon, Connector};
use crate::net::{self, address, is_reset};

/// After this long without anything from the server, it is asked for a sign of life.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
/// After this many unanswered signs the connection counts as lost.
const KEEPALIVE_MISSES: usize = 2;
/// Ends what keepalives cannot: a login that stalls.
const NOTHING_AT_ALL: Duration = Duration::from_secs(15);
/// Commands at the same time on a connection. OpenSSH's default limit (`MaxSessions`) is 10.
const SESSIONS: usize = 8;

/// An established, authenticated connection.
pub(super) struct Connection {
    pub(super) handle: client::Handle<Watch>,
    /// Permits for commands.
    pub(super) sessions: Semaphore,
    /// For looking at others from there.
    pub(super) view: View,
    /// Whether it ended because nothing came from the server any more.
    pub(super) fell_silent: Arc<AtomicBool>,
}

pub(super) struct Dialer {
    pub(super) target: SshTarget,
    /// Whether the latest attempt has got through to the port.
    accepted: AtomicBool,
}

impl Dialer {
    pub(super) fn new(target: SshTarget) -> Self {
        Self { target, accepted: AtomicBool::new(false) }
    }

    pub(super) fn address(&self) -> String {
        address(&self.target.host, self.target.port)
    }

    async fn key(&self) -> Result<PrivateKey, SshError> {
        let path = || self.target.key.clone();
        let text = tokio::fs::read_to_string(&self.target.key)
            .await
            .map_err(|error| SshError::KeyFile { path: path(), source: Arc::new(error) })?;
        russh::keys::decode_secret_key(&text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted
            | russh::keys::Error::SshKey(russh::keys::ssh_key::Error::Encrypted) => {
                SshError::KeyEncrypted { path: path() }
            }
            error => SshError::KeyInvalid { path: path(), source: Arc::new(error) },
        })
    }

    fn failure(&self, error: russh::Error) -> SshError {
        let address = self.address();
        match error {
            russh::Error::IO(error) if is_reset(&error) => SshError::Reset { address },
            russh::Error::Disconnect
            | russh::Error::HUP
            | russh::Error::SendError
            | russh::Error::RecvError => SshError::Reset { address },
            russh::Error::KeepaliveTimeout
            | russh::Error::InactivityTimeout
            | russh::Error::ConnectionTimeout => SshError::Silent { address },
            error => SshError::Protocol { address, source: Arc::new(error) },
        }
    }
}

impl Connector for Dialer {
    type Connection = Connection;
    type Error = SshError;

    async fn connect(&self, beacon: Beacon) -> Result<Connection, SshError> {
        let target = &self.target;
        self.accepted.store(false, Ordering::Relaxed);
        let until = Instant::now() + target.connect_timeout;
        let key = Arc::new(self.key().await?);
        let known = HostKeys::read(&target.known_hosts, &target.host, target.port).await;
        let known = known.map_err(|error| SshError::KnownHosts {
            path: target.known_hosts.clone(),
            source: Arc::new(error),
        })?;
        let config = Arc::new(config(&known));
        let stream = net::connect(&target.host, target.port, until).await.map_err(SshError::Net)?;
        self.accepted.store(true, Ordering::Relaxed);
        // A connection that is given up is given up with all that has not been sent yet: its kernel would
        // go on repeating it for a minute or two, and a command would arrive when the way is free again.
        stream.set_zero_linger().map_err(|error| {
            let (address, source) = (self.address(), Arc::new(error));
            SshError::Net(net::NetError::Local { address, source })
        })?;

        let verdict = Arc::new(Mutex::new(None));
        let fell_silent = Arc::new(AtomicBool::new(false));
        let (explain, explanations) = mpsc::unbounded_channel();
        let watch = Watch {
            known,
            target: target.clone(),
            verdict: verdict.clone(),
            explain,
            fell_silent: fell_silent.clone(),
            _beacon: beacon,
        };
        let login = async {
            let connected = client::connect_stream(config, stream, watch).await;
            let refused = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(error) = refused {
                return Err(error);
            }
            let mut handle = connected.map_err(|error| self.failure(error))?;
            let hash = if key.algorithm().is_rsa() {
                let best = handle.best_supported_rsa_hash().await;
                best.map_err(|error| self.failure(error))?.flatten()
            } else {
                None
            };
            let key = PrivateKeyWithHashAlg::new(key, hash);
            let answer = handle.authenticate_publickey(target.user.clone(), key).await;
            if answer.map_err(|error| self.failure(error))?.success() {
                Ok(handle)
            } else {
                Err(SshError::Denied {
                    address: self.address(),
                    user: target.user.clone(),
                    key: target.key.clone(),
                })
            }
        };
        let handle = timeout_at(until, login)
            .await
            .unwrap_or_else(|_| Err(SshError::Silent { address: self.address() }))?;
        Ok(Connection {
            handle,
            sessions: Semaphore::new(SESSIONS),
            view: View::new(explanations),
            fell_silent,
        })
    }

    fn out_of_time(&self) -> SshError {
        let address = self.address();
        if self.accepted.load(Ordering::Relaxed) {
            SshError::Silent { address }
        } else {
            SshError::TimedOut { address }
        }
    }
}

fn config(known: &HostKeys) -> client::Config {
    let defaults = Preferred::DEFAULT;
    let mut exchanges = defaults.kex.to_vec();
    // The cheapest first: connecting is part of how fast a failure is confirmed.
    exchanges.sort_by_key(|name| *name != kex::CURVE25519 && *name != kex::CURVE25519_PRE_RFC_8731);
    client::Config {
        preferred: Preferred {
            kex: Cow::Owned(exchanges),
            key: Cow::Owned(known.preferred(&defaults.key)),
            ..defaults
        },
        inactivity_timeout: Some(NOTHING_AT_ALL),
        keepalive_interval: Some(KEEPALIVE_EVERY),
        keepalive_max: KEEPALIVE_MISSES,
        nodelay: true,
        ..client::Config::default()
    }
}

/// Watches over one connection: judges the host key, passes explanations on, notes how it ends, and
/// holds the beacon that tells of it.
pub(super) struct Watch {
    known: HostKeys,
    target: SshTarget,
    verdict: Arc<Mutex<Option<SshError>>>,
    explain: mpsc::UnboundedSender<String>,
    fell_silent: Arc<AtomicBool>,
    _beacon: Beacon,
}

impl client::Handler for Watch {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        // Certificates are never asked for, so one that is shown is not acceptable.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let address = address(&self.target.host, self.target.port);
        let (fingerprint, path) = (fingerprint(key), self.target.known_hosts.clone());
        let error = match self.known.judge(key) {
            Verdict::Known => return Ok(true),
            Verdict::Unknown => SshError::HostKeyUnknown { address, fingerprint, path },
            Verdict::Changed { line } => {
                SshError::HostKeyChanged { address, fingerprint, path, line }
            }
            Verdict::Revoked { line } => {
                SshError::HostKeyRevoked { address, fingerprint, path, line }
            }
        };
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Ok(false)
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        if matches!(reason, ChannelOpenFailure::ConnectFailed) {
            let _ = self.explain.send(net::one_line(description));
        }
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        let client::DisconnectReason::Error(error) = reason else { return Ok(()) };
        let silence =
            matches!(error, russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout);
        self.fell_silent.store(silence, Ordering::Relaxed);
        Err(error)
    }
}
