//! The places that alerts are sent to, and what each may do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchkeeper_core::alerting::{Filter, Routing};
use watchkeeper_core::model::{ClusterName, ReceiverName};
use watchkeeper_core::proposal::Severity;

use super::conversation::Notify;
use super::mail::Mailer;
use super::secrets::Secrets;
use crate::config::Tree;
use crate::config::host::HostGrant;
use crate::config::mail::MailGrant;
use crate::tls::TlsError;

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
    /// The methods that its requests may have.
    pub methods: Vec<reqwest::Method>,
    /// The commands it may run, by name.
    pub commands: BTreeMap<String, CommandGrant>,
    /// The secrets it may use.
    pub secrets: Secrets,
    /// The mail server it may use, and for whom.
    pub mail: Option<MailGrant>,
    /// The certificate authorities that count for its HTTPS requests, in PEM; none: the operating system's.
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
    /// Most attempts a minute; further ones wait. None: as many as there are.
    pub rate_limit: Option<u32>,
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
    /// The mail server's TLS cannot be set up.
    #[error("receiver {receiver}: its mail server cannot be used")]
    Mail {
        /// Which receiver.
        receiver: ReceiverName,
        /// Why.
        source: TlsError,
    },
}

/// A receiver that is ready to work.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) config: ReceiverConfig,
    pub(super) http: reqwest::Client,
    pub(super) mail: Option<Mailer>,
}

/// All receivers, and who of them is told what. Built fully, then swapped in.
#[derive(Clone, Default)]
pub struct Receivers {
    pub(super) ready: BTreeMap<ReceiverName, Arc<Receiver>>,
    routing: Routing,
}

impl Receivers {
    /// Makes each ready to work. `tree` has the routes, inhibitions and escalations; none: each receiver
    /// is told of every alert that it wants, each by itself.
    pub fn new(configs: Vec<ReceiverConfig>, tree: Option<Tree>) -> Result<Self, ReceiverError> {
        // An error only says that the cryptography has been chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ready = |config: ReceiverConfig| {
            let http = client(&config)?;
            let mail =
                config.mail.clone().map(Mailer::new).transpose().map_err(|source| {
                    ReceiverError::Mail { receiver: config.name.clone(), source }
                })?;
            Ok((config.name.clone(), Arc::new(Receiver { config, http, mail })))
        };
        let filters = configs.iter().map(|config| {
            let clusters = config.clusters.iter().cloned().collect();
            (config.name.clone(), Filter { min_severity: config.min_severity, clusters })
        });
        let routing = tree.unwrap_or_default().routing(filters.collect());
        let ready = configs.into_iter().map(ready).collect::<Result<_, _>>()?;
        Ok(Self { ready, routing })
    }

    /// Who is told what.
    pub const fn routing(&self) -> &Routing {
        &self.routing
    }

    /// Whether these are the same receivers with the same plugins.
    pub fn is_like(&self, other: &Self) -> bool {
        self.routing == other.routing
            && self.ready.len() == other.ready.len()
            && self.ready.values().zip(other.ready.values()).all(|(one, two)| {
                let (one, two) = (&one.config, &two.config);
                one.notifier.identity() == two.notifier.identity()
                    && one.name == two.name
                    && one.hosts == two.hosts
                    && one.methods == two.methods
                    && one.commands == two.commands
                    && one.secrets == two.secrets
                    && one.mail == two.mail
                    && one.ca == two.ca
                    && one.min_severity == two.min_severity
                    && one.clusters == two.clusters
                    && one.timeout == two.timeout
                    && one.first_backoff == two.first_backoff
                    && one.max_backoff == two.max_backoff
                    && one.give_up_after == two.give_up_after
                    && one.rate_limit == two.rate_limit
            })
    }

    /// Their configurations, by name.
    pub fn iter(&self) -> impl Iterator<Item = &ReceiverConfig> {
        self.ready.values().map(|receiver| &receiver.config)
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
