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
pub mod etcd;
mod hand;
pub mod peer;
pub mod sights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::duty::DUTY;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, MonitorName, ServerName, Term};
use watchkeeper_core::proposal::{AlertClaim, Severity};

pub use etcd::SetupError as EtcdSetupError;
pub(crate) use etcd::answered as etcd_answered;
pub use hand::{Hand, Refusal};
pub(crate) use peer::{question as peer_question, reply as peer_reply};

use self::sights::Sights;
use crate::config::duty::{DutyConfig, Mode};
use crate::ledger::Ledger;

/// How long the end of the daemon waits for the duty to be given away.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the duty is shared, as the mark on servers has it. A later one outranks an earlier one,
/// whatever the terms are: they are counted in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With nobody.
    Alone,
    /// With one other monitor.
    Peer,
    /// Through etcd.
    Etcd,
}

/// What a cluster's servers said of a term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remark {
    /// The term of this monitor that it is about.
    of: Term,
    /// The greatest term that is in force on one of them instead, and why it is.
    refused: Option<(Term, String)>,
    /// Servers that cannot keep a mark, and why.
    unwritten: BTreeMap<ServerName, String>,
}

impl Remark {
    /// The greatest term that is in force instead.
    pub(crate) fn refused(&self) -> Option<Term> {
        self.refused.as_ref().map(|(term, _)| *term)
    }
}

/// What all clusters' servers said.
pub(crate) type Remarks = BTreeMap<ClusterName, Remark>;

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

    /// Gives another monitor, which may go on in this cluster by an operator's word alone, a moment
    /// to hear what the journal holds of it.
    fn tell<'a>(&'a self, cluster: &'a ClusterName, term: Term) -> BoxFuture<'a, ()> {
        let _ = (cluster, term);
        Box::pin(std::future::ready(()))
    }
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
    /// What the servers said of this monitor's terms.
    pub(crate) remarks: watch::Receiver<Remarks>,
    /// What this monitor sees of the servers, and what the others do.
    pub(crate) sights: Sights,
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
    way: Way,
    owner: String,
    remarks: Arc<watch::Sender<Remarks>>,
    remarked: watch::Receiver<Remarks>,
    sights: Sights,
}

impl Duties {
    /// Whether this monitor may act for a cluster.
    pub fn of(&self, cluster: &ClusterName) -> View {
        if let Err(why) = self.kept() {
            return View::not_held(why);
        }
        let mut view =
            self.views.borrow().get(cluster).cloned().unwrap_or_else(|| {
                View::not_held("it is not known yet which monitor has the duty")
            });
        let remarks = self.remarked.borrow();
        let remark = match (&view.duty, remarks.get(cluster)) {
            (Duty::Held(term), Some(remark)) if remark.of == *term => remark,
            _ => return view,
        };
        if !remark.unwritten.is_empty() {
            let summary = format!(
                "servers that cannot keep the mark of the term in force cannot refuse a monitor \
                 that has lost the duty: {}",
                remark.unwritten.values().cloned().collect::<Vec<_>>().join("; ")
            );
            view.claims.push(claim("term-mark-unwritable", Severity::Warning, summary));
        }
        if let Some((_, why)) = &remark.refused {
            view.claims.push(claim("duty-conflict", Severity::Critical, self.conflict(why)));
            view.duty = Duty::NotHeld(why.clone());
        }
        view
    }

    /// Whether there still is a task that keeps the duty: what it said last must not outlive it.
    fn kept(&self) -> Result<(), String> {
        let kept = self.views.has_changed().map(drop);
        kept.map_err(|_| "the task that keeps the duty has ended; restart the daemon".to_owned())
    }

    fn conflict(&self, why: &str) -> String {
        let what = match self.way {
            Way::Alone => {
                "another monitor acts on this cluster, and [duty] names none to share it with: stop \
                 one of them, or let them share the duty"
            }
            Way::Peer | Way::Etcd => "this monitor has lost the duty without hearing of it",
        };
        format!("{why}; {what}. If the other one is gone for good: `watchkeeper duty take`")
    }

    /// What monitors see of the servers.
    pub const fn sights(&self) -> &Sights {
        &self.sights
    }

    /// Waits until a view may have changed since the last time.
    pub(crate) async fn changed(&mut self) {
        let changed = tokio::select! {
            changed = self.views.changed() => changed,
            changed = self.remarked.changed() => changed,
        };
        if changed.is_err() {
            // The daemon ends.
            std::future::pending::<()>().await;
        }
    }

    /// The hand that acts in a term.
    pub(crate) fn hand(&self, cluster: &ClusterName, term: Term, ordered: bool) -> Hand {
        Hand::new(cluster.clone(), term, self.way, self.owner.clone(), ordered)
    }

    /// Takes in that a server refuses this monitor in `term`: it does not act any more in it.
    pub(crate) fn refuse(&self, cluster: &ClusterName, term: Term, refusal: Refusal) {
        tracing::error!(%cluster, term = term.0, why = refusal.why, "a server refuses this monitor");
        self.remark(cluster, term, |remark| {
            let known = remark.refused.as_ref().map(|(term, _)| *term);
            if known.is_none_or(|known| refusal.term > known) {
                remark.refused = Some((refusal.term, refusal.why));
            }
        });
    }

    /// Takes in that a server cannot keep a mark.
    pub(crate) fn unmarked(
        &self,
        cluster: &ClusterName,
        term: Term,
        server: &ServerName,
        why: String,
    ) {
        self.remark(cluster, term, |remark| drop(remark.unwritten.insert(server.clone(), why)));
    }

    /// Takes in that a server has the mark.
    pub(crate) fn marked(&self, cluster: &ClusterName, term: Term, server: &ServerName) {
        let known = self
            .remarked
            .borrow()
            .get(cluster)
            .is_some_and(|remark| remark.of == term && remark.unwritten.contains_key(server));
        if known {
            self.remark(cluster, term, |remark| drop(remark.unwritten.remove(server)));
        }
    }

    fn remark(&self, cluster: &ClusterName, term: Term, change: impl FnOnce(&mut Remark)) {
        self.remarks.send_modify(|remarks| {
            let remark = remarks.entry(cluster.clone()).or_default();
            if remark.of != term {
                *remark = Remark { of: term, ..Remark::default() };
            }
            change(remark);
        });
    }

    /// Whether a step may be carried out in this term; see [`Fence::admit`].
    pub async fn admit(&self, cluster: &ClusterName, term: Term) -> Result<(), String> {
        self.kept()?;
        self.fence.admit(cluster, term).await
    }

    /// See [`Fence::tell`].
    pub(crate) async fn tell(&self, cluster: &ClusterName, term: Term) {
        self.fence.tell(cluster, term).await;
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
    /// The other monitor cannot be talked to as configured.
    #[error("the duty cannot be shared with the other monitor")]
    Peer(#[from] peer::LinkError),
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
        let remarks = Arc::new(watch::Sender::default());
        let remarked = remarks.subscribe();
        let journal: String = ledger.journal().id().chars().take(8).collect();
        let owner = format!("{monitor}-{journal}");
        let sights = Sights::default();
        let office = Office {
            sights: sights.clone(),
            monitor,
            ledger,
            clusters,
            views,
            remarks: remarks.subscribe(),
            orders,
            stop: stop.subscribe(),
        };
        let way = match &config.mode {
            Mode::Alone => Way::Alone,
            Mode::Peer(_) => Way::Peer,
            Mode::Etcd(_) => Way::Etcd,
        };
        let (task, fence): (_, Arc<dyn Fence>) = match &config.mode {
            Mode::Alone => alone::start(office),
            Mode::Peer(config) => peer::start(config, office).await?,
            Mode::Etcd(config) => etcd::start(config, office)?,
        };
        let duties = Duties {
            views: seen,
            orders: sender,
            fence,
            observe: config.observe,
            way,
            owner,
            remarks,
            remarked,
            sights,
        };
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
