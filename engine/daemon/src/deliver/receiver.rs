//! The places that alerts are sent to, and what each may do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use watchkeeper_core::model::{ClusterName, ReceiverName};
use watchkeeper_core::proposal::Severity;

use super::conversation::Notify;
use super::secrets::Secrets;

/// A host that a receiver may talk to: `host`, `host:port`, or the same with `http://` or
/// `https://` before it. Without a scheme it is HTTPS; without a port, the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostGrant {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host: expected host, host:port, https://host:port or http://host:port")]
pub struct BadHost(pub String);

impl std::str::FromStr for HostGrant {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&whole).map_err(|_| bad())?;
        let only_host = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !whole.ends_with('/');
        match url.host_str() {
            Some(host) if only_host && matches!(url.scheme(), "http" | "https") => Ok(Self {
                scheme: url.scheme().to_owned(),
                host: host.to_owned(),
                port: url.port_or_known_default(),
            }),
            _ => Err(bad()),
        }
    }
}

impl HostGrant {
    /// Whether it covers `url`, in which no placeholder is left.
    pub fn covers(&self, url: &Url) -> bool {
        url.scheme() == self.scheme
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == self.port
    }
}

/// A command that a receiver may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandGrant {
    /// The program. No shell is involved.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<String>,
}

/// A receiver as configured.
#[derive(Clone)]
pub struct ReceiverConfig {
    /// Its name.
    pub name: ReceiverName,
    /// The plugin with its settings.
    pub notifier: Arc<dyn Notify>,
    /// The hosts it may talk to.
    pub hosts: Vec<HostGrant>,
    /// The commands it may run, by name.
    pub commands: BTreeMap<String, CommandGrant>,
    /// The secrets it may use.
    pub secrets: Secrets,
    /// The certificate authorities that count for it, in PEM; none: the operating system's.
    pub ca: Option<PathBuf>,
    /// It gets nothing less severe.
    pub min_severity: Severity,
    /// The clusters whose alerts it gets; empty: all. Alerts about the monitor go to all.
    pub clusters: Vec<ClusterName>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The pause after the first failure; it doubles with each further one.
    pub first_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How long after it was queued a notification is tried; then it is dead.
    pub give_up_after: Duration,
}

/// A receiver that cannot work as configured.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReceiverError {
    /// The file with certificate authorities cannot be read.
    #[error("receiver {receiver}: cannot read the certificate authorities in {path}")]
    Ca {
        /// Which receiver.
        receiver: ReceiverName,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The file is not what it should be, or TLS cannot be set up.
    #[error("receiver {receiver}: TLS cannot be set up")]
    Tls {
        /// Which receiver.
        receiver: ReceiverName,
        /// Why.
        source: Arc<reqwest::Error>,
    },
}

/// A receiver that is ready to work.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) config: ReceiverConfig,
    pub(super) http: reqwest::Client,
}

/// All receivers. Built fully, then swapped in.
#[derive(Clone, Default)]
pub struct Receivers(pub(super) BTreeMap<ReceiverName, Arc<Receiver>>);

impl Receivers {
    /// Makes each ready to work.
    pub fn new(configs: Vec<ReceiverConfig>) -> Result<Self, ReceiverError> {
        // An error only says that the cryptography has been chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ready = |config: ReceiverConfig| {
            let http = client(&config)?;
            Ok((config.name.clone(), Arc::new(Receiver { config, http })))
        };
        configs.into_iter().map(ready).collect::<Result<_, _>>().map(Self)
    }

    /// Their configurations, by name.
    pub fn iter(&self) -> impl Iterator<Item = &ReceiverConfig> {
        self.0.values().map(|receiver| &receiver.config)
    }
}

fn client(config: &ReceiverConfig) -> Result<reqwest::Client, ReceiverError> {
    let tls =
        |source| ReceiverError::Tls { receiver: config.name.clone(), source: Arc::new(source) };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")))
        // A redirect would lead out of what is granted; a proxy of the environment, too.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(config.timeout);
    if let Some(path) = &config.ca {
        let pem = std::fs::read(path).map_err(|source| ReceiverError::Ca {
            receiver: config.name.clone(),
            path: path.clone(),
            source: Arc::new(source),
        })?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(tls)?);
    }
    builder.build().map_err(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_its_host_scheme_and_port_only() {
        let covers = |grant: &str, url: &str| {
            grant.parse::<HostGrant>().unwrap().covers(&Url::parse(url).unwrap())
        };
        assert!(covers("hooks.example.com", "https://hooks.example.com/a?b"));
        assert!(covers("Hooks.Example.com:443", "https://hooks.example.com"));
        assert!(covers("http://[::1]:8080", "http://[::1]:8080/x"));
        for url in [
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com.evil.org/",
            "https://hooks.example.com@evil.org/",
            "https://evil.org/hooks.example.com",
        ] {
            assert!(!covers("hooks.example.com", url), "{url}");
        }
        for bad in ["", "a b", "ftp://x", "x/y", "https://x/", "https://u@x"] {
            assert!(bad.parse::<HostGrant>().is_err(), "{bad}");
        }
    }
}
