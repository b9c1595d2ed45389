//! Which monitor may act: the edge of [`watchkeeper_core::duty`].
//!
//! One task per daemon keeps the duty for all its clusters, in one of three ways: `alone`, where no
//! other monitor is there; `peer`, where two hand it to each other; `etcd`, where leases decide. It
//! records what happens to the duty, and publishes for each cluster a [`View`]: whether this
//! monitor may act in it, and what is wrong. The clusters' tasks go by that view, and before each
//! step the one who carries a plan out asks [`Duties::admit`].
//!
//! Invariants:
//! - A view says [`Duty::Held`] only after the grant is in the journal, and no longer than the grant.
//! - What is not known is not held: a task that ends leaves no view behind that lets anyone act.

mod alone;
mod etcd;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::duty::DUTY;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, MonitorName, Term};
use watchkeeper_core::proposal::{AlertClaim, Severity};

pub use etcd::SetupError as EtcdSetupError;

use crate::config::duty::{DutyConfig, Mode};
use crate::ledger::Ledger;

/// How long the end of the daemon waits for the duty to be given away.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a cluster's task goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether this monitor may act.
    pub duty: Duty,
    /// What is wrong with the duty.
    pub claims: Vec<Claimed>,
}

impl View {
    /// May act in this term, and nothing is wrong.
    pub(crate) const fn held(term: Term) -> Self {
        Self { duty: Duty::Held(term), claims: Vec::new() }
    }

    /// May not act, for this reason.
    pub(crate) fn not_held(why: impl Into<String>) -> Self {
        Self { duty: Duty::NotHeld(why.into()), claims: Vec::new() }
    }
}

/// The views of all clusters.
pub type Views = BTreeMap<ClusterName, View>;

/// What an operator wants to be done about the duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// This monitor is to have it.
    Take {
        /// Even if the other one cannot be asked.
        force: bool,
    },
    /// The other monitor is to have it.
    Give,
    /// An offer that is not accepted yet is to be taken back.
    Cancel,
}

/// An operator's wish, and where the answer goes.
#[derive(Debug)]
pub struct Order {
    /// The cluster.
    pub cluster: ClusterName,
    /// What is wanted.
    pub wish: Wish,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What was done, or why nothing was.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Says at the last moment whether a step may be carried out.
pub trait Fence: Send + Sync {
    /// Whether `term` is still this monitor's for `cluster`. What the journal holds of the cluster
    /// is known to any successor when this is answered with yes. The error is for the log.
    fn admit<'a>(
        &'a self,
        cluster: &'a ClusterName,
        term: Term,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// What a way to keep the duty is given.
pub(crate) struct Office {
    /// This monitor.
    pub(crate) monitor: MonitorName,
    /// Its journal.
    pub(crate) ledger: Arc<Ledger>,
    /// The clusters that it watches.
    pub(crate) clusters: watch::Receiver<BTreeSet<ClusterName>>,
    /// Where the views go.
    pub(crate) views: watch::Sender<Views>,
    /// What operators want.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Turns true when the daemon ends.
    pub(crate) stop: watch::Receiver<bool>,
}

/// The duty, as everybody else sees it. Cheap to clone.
#[derive(Clone)]
pub struct Duties {
    views: watch::Receiver<Views>,
    orders: mpsc::Sender<Order>,
    fence: Arc<dyn Fence>,
    observe: Duration,
}

impl Duties {
    /// Whether this monitor may act for a cluster.
    pub fn of(&self, cluster: &ClusterName) -> View {
        self.views
            .borrow()
            .get(cluster)
            .cloned()
            .unwrap_or_else(|| View::not_held("it is not known yet which monitor has the duty"))
    }

    /// Waits until a view may have changed since the last time.
    pub(crate) async fn changed(&mut self) {
        if self.views.changed().await.is_err() {
            // The daemon ends.
            std::future::pending::<()>().await;
        }
    }

    /// Whether a step may be carried out in this term; see [`Fence::admit`].
    pub async fn admit(&self, cluster: &ClusterName, term: Term) -> Result<(), String> {
        self.fence.admit(cluster, term).await
    }

    /// How long is observed after the duty was received, before anything is judged.
    pub(crate) const fn observe(&self) -> Duration {
        self.observe
    }

    /// Has an operator's wish carried out.
    pub async fn order(
        &self,
        cluster: ClusterName,
        wish: Wish,
        by: String,
        reason: String,
    ) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "the daemon is stopping".to_owned();
        let order = Order { cluster, wish, by, reason, reply };
        self.orders.send(order).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

/// The duty's task.
pub struct Keeper {
    duties: Duties,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Why the duty cannot be kept as configured.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    /// This way is not there yet.
    #[error("mode {0} is not there yet")]
    NotYet(&'static str),
    /// Etcd cannot be asked.
    #[error("etcd cannot be asked")]
    Etcd(#[from] EtcdSetupError),
}

impl Keeper {
    /// Begins to keep the duty for `clusters`.
    pub async fn start(
        config: &DutyConfig,
        monitor: MonitorName,
        ledger: Arc<Ledger>,
        clusters: watch::Receiver<BTreeSet<ClusterName>>,
    ) -> Result<Self, DutyError> {
        let views = watch::Sender::default();
        let stop = watch::Sender::new(false);
        let (sender, orders) = mpsc::channel(8);
        let seen = views.subscribe();
        let office = Office { monitor, ledger, clusters, views, orders, stop: stop.subscribe() };
        let (task, fence): (_, Arc<dyn Fence>) = match &config.mode {
            Mode::Alone => alone::start(office),
            Mode::Peer(_) => return Err(DutyError::NotYet("peer")),
            Mode::Etcd(config) => etcd::start(config, office)?,
        };
        let duties = Duties { views: seen, orders: sender, fence, observe: config.observe };
        Ok(Self { duties, stop, task })
    }

    /// The duty, for those who go by it.
    pub fn duties(&self) -> Duties {
        self.duties.clone()
    }

    /// Gives the duty away where that is arranged, and ends. Nothing may be carried out any more
    /// when this is called.
    pub async fn end(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(FAREWELL, &mut self.task).await.is_err() {
            tracing::warn!("the duty could not be given away within {} s", FAREWELL.as_secs());
            self.task.abort();
        }
    }
}

/// Something that is wrong with the duty for a cluster.
pub(crate) fn claim(name: &str, severity: Severity, summary: String) -> Claimed {
    Claimed {
        source: DUTY.to_owned(),
        claim: AlertClaim {
            name: name.to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary,
            labels: BTreeMap::new(),
        },
    }
}
