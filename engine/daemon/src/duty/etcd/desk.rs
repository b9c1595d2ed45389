//! The duty that is held, confirmed by etcd before each step, and shared as it changes.
//!
//! What is asked, and what is made of the answers, is [`watchkeeper_core::duty::lease::hold`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use watchkeeper_core::duty::lease::hold::{Confirmation, Hold, Known};
use watchkeeper_core::duty::lease::keys::{Identity, Keys};
use watchkeeper_core::duty::lease::{Entry, Op};
use watchkeeper_core::model::{ClusterName, Term};
use watchkeeper_core::past::Past;
use watchkeeper_core::state::State;

use super::client::Client;
use super::error::EtcdError;
use super::session::Session;
use crate::duty::Fence;
use crate::ledger::Ledger;

/// How often a change that no step waits for is written at the most.
const EVERY: Duration = Duration::from_millis(200);

/// How often is looked for what could not be written.
const LOOK: Duration = Duration::from_secs(1);

/// How long is waited before etcd is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Why a duty is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// It is not held, as far as this monitor knows itself.
    #[error("this monitor does not have the duty in term {}", .0.0)]
    NotHeld(Term),
    /// Etcd says that it is another's.
    #[error("etcd says that term {} is over", .0.0)]
    Over(Term),
    /// Etcd did not answer while the lease was certain.
    #[error("etcd has not confirmed the lease{}", .0.as_ref().map_or(String::new(), |error| format!(": {error}")))]
    Silent(Option<EtcdError>),
    /// Etcd does not take the state.
    #[error("etcd does not take where the cluster stands: {0}")]
    Refused(EtcdError),
}

/// All duties that are held.
pub(super) struct Desk {
    client: Arc<Client>,
    keys: Keys,
    me: Identity,
    ledger: Arc<Ledger>,
    session: watch::Receiver<Session>,
    held: Mutex<BTreeMap<ClusterName, Arc<Mutex<Hold>>>>,
    begun: Notify,
    lost: mpsc::UnboundedSender<(ClusterName, Term)>,
    refused: watch::Sender<BTreeMap<ClusterName, String>>,
}

impl Desk {
    pub(super) fn new(
        client: Arc<Client>,
        keys: Keys,
        me: Identity,
        ledger: Arc<Ledger>,
        session: watch::Receiver<Session>,
    ) -> (Self, mpsc::UnboundedReceiver<(ClusterName, Term)>) {
        let (lost, told) = mpsc::unbounded_channel();
        let (held, begun, refused) = (Mutex::default(), Notify::new(), watch::Sender::default());
        (Self { client, keys, me, ledger, session, held, begun, lost, refused }, told)
    }

    /// A duty was taken; `state` is what stood in etcd then.
    pub(super) async fn begin(
        &self,
        cluster: &ClusterName,
        term: Term,
        lease: u64,
        state: Option<&Entry>,
    ) {
        let held = Hold::begin(term, lease, state);
        self.held.lock().await.insert(cluster.clone(), Arc::new(Mutex::new(held)));
        self.begun.notify_one();
    }

    /// A duty is held no more.
    pub(super) async fn end(&self, cluster: &ClusterName) {
        self.held.lock().await.remove(cluster);
        self.refused.send_if_modified(|refused| refused.remove(cluster).is_some());
    }

    /// Where etcd does not take what the journal holds, and why.
    pub(super) fn refused(&self) -> watch::Receiver<BTreeMap<ClusterName, String>> {
        self.refused.subscribe()
    }

    async fn known(&self, cluster: &ClusterName) -> Known {
        let look = |state: &State| Known {
            version: state.clusters.get(cluster).map_or(0, |it| it.version),
            past: state.past(cluster),
        };
        self.ledger.with(look).await
    }

    async fn version(&self, cluster: &ClusterName) -> u64 {
        self.ledger.with(|state| state.clusters.get(cluster).map_or(0, |it| it.version)).await
    }

    /// Has etcd confirm that the duty is held, and know what the journal holds, before it returns.
    pub(super) async fn confirm(
        &self,
        cluster: &ClusterName,
        term: Term,
    ) -> Result<(), Unconfirmed> {
        let held = self.held.lock().await.get(cluster).cloned();
        let held = held.ok_or(Unconfirmed::NotHeld(term))?;
        let mut held = held.lock().await;
        if held.term() != term {
            return Err(Unconfirmed::NotHeld(term));
        }
        let mut last = None;
        loop {
            let until = self.until(&held).ok_or_else(|| Unconfirmed::Silent(last.clone()))?;
            let known = self.known(cluster).await;
            let asked = timeout(until - Instant::now(), self.ask(cluster, &mut held, &known, &[]));
            match asked.await {
                Ok(Ok(true)) if self.until(&held).is_some() => {
                    self.note(cluster, None);
                    return Ok(());
                }
                Err(_) | Ok(Ok(_)) => {}
                Ok(Err(Unconfirmed::Silent(error))) => {
                    last = error;
                    sleep(AGAIN).await;
                }
                Ok(Err(problem)) => {
                    self.report(cluster, &problem, &known);
                    return Err(problem);
                }
            }
        }
    }

    /// Until when the lease that a duty hangs on is certain, if it is now.
    fn until(&self, held: &Hold) -> Option<Instant> {
        let session = self.session.borrow();
        (session.certain() == Some(held.lease())).then_some(session.until)
    }

    fn report(&self, cluster: &ClusterName, problem: &Unconfirmed, known: &Known) {
        match problem {
            Unconfirmed::Over(term) => {
                // If nobody listens, the daemon ends.
                let _ = self.lost.send((cluster.clone(), *term));
            }
            Unconfirmed::Refused(_) => {
                self.note(cluster, Some(format!("{problem}; {}", largest(&known.past))));
            }
            _ => {}
        }
    }

    fn note(&self, cluster: &ClusterName, problem: Option<String>) {
        self.refused.send_if_modified(|refused| match problem {
            Some(problem) => refused.insert(cluster.clone(), problem.clone()) != Some(problem),
            None => refused.remove(cluster).is_some(),
        });
    }

    /// Writes the state if it has changed, and does `also`, if the duty is held; false: to be done
    /// again.
    async fn ask(
        &self,
        cluster: &ClusterName,
        held: &mut Hold,
        known: &Known,
        also: &[Op],
    ) -> Result<bool, Unconfirmed> {
        let asked = held.confirm(&self.keys, cluster, &self.me, known, also).map_err(|error| {
            let (endpoint, message) = ("this monitor".to_owned(), error.to_string());
            Unconfirmed::Refused(EtcdError::Refused { endpoint, message })
        })?;
        let answer = self.client.transact(&asked).await.map_err(|error| {
            if error.passes() {
                Unconfirmed::Silent(Some(error))
            } else {
                Unconfirmed::Refused(error)
            }
        })?;
        match held.conclude(known.version, &answer) {
            Confirmation::Confirmed => Ok(true),
            Confirmation::Again => Ok(false),
            Confirmation::Over => Err(Unconfirmed::Over(held.term())),
        }
    }

    /// Writes where the cluster stands and removes the duty's key, at once.
    pub(super) async fn release(
        &self,
        cluster: &ClusterName,
        term: Term,
        known: &Known,
    ) -> Result<(), Unconfirmed> {
        let held = self.held.lock().await.remove(cluster);
        let held = held.ok_or(Unconfirmed::NotHeld(term))?;
        let mut held = held.lock().await;
        held.write_again();
        let delete = [Op::Delete { key: self.keys.duty(cluster) }];
        loop {
            match self.ask(cluster, &mut held, known, &delete).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Unconfirmed::Silent(_)) if self.until(&held).is_some() => sleep(AGAIN).await,
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Keeps what etcd knows up to date, for ever.
    pub(super) async fn herald(self: Arc<Self>) {
        let mut news = self.ledger.news();
        loop {
            let all: Vec<_> = self.held.lock().await.clone().into_iter().collect();
            for (cluster, held) in all {
                let (term, version) = {
                    let held = held.lock().await;
                    (held.term(), held.version())
                };
                if version != Some(self.version(&cluster).await)
                    && let Err(problem) = self.confirm(&cluster, term).await
                {
                    tracing::warn!(%cluster, %problem, "where the cluster stands is not shared");
                }
            }
            sleep(EVERY).await;
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = self.begun.notified() => {}
                () = sleep(LOOK) => {}
            }
        }
    }
}

impl Fence for Desk {
    fn admit<'a>(
        &'a self,
        cluster: &'a ClusterName,
        term: Term,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move { self.confirm(cluster, term).await.map_err(|problem| problem.to_string()) }
            .boxed()
    }
}

/// The largest part of what a successor needs to know, for people.
fn largest(past: &Past) -> String {
    let size = |value: Result<String, serde_json::Error>| value.map_or(0, |text| text.len());
    let memories = past.memories.iter().map(|(policy, memory)| {
        (format!("what {policy} remembers"), size(serde_json::to_string(memory)))
    });
    let others = [
        ("the plan in flight".to_owned(), size(serde_json::to_string(&past.progress))),
        ("the alerts".to_owned(), size(serde_json::to_string(&past.alerts))),
        ("earlier rescues".to_owned(), size(serde_json::to_string(&past.rescues))),
    ];
    let (what, bytes) =
        others.into_iter().chain(memories).max_by_key(|(_, size)| *size).unwrap_or_default();
    format!("its largest part is {what}: {bytes} of {} bytes", size(serde_json::to_string(past)))
}
