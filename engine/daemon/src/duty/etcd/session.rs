//! This daemon's lease: how long everything that hangs on it is certainly its own.
//!
//! Invariant: [`Session::until`] is before the moment at which etcd lets the lease go, on this
//! machine's monotonic clock. What a renewal is worth, and for how long, [`span`] says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use watchkeeper_core::duty::lease::Index;
use watchkeeper_core::duty::lease::keys::{Alive, Identity, Keys};
use watchkeeper_core::duty::lease::span::{self, Renewed};
use watchkeeper_core::model::ClusterName;

use super::client::Client;
use super::error::EtcdError;

/// How long is waited before something that failed is tried again.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// How often a daemon looks whether another one of its name has gone.
const CONFLICT: Duration = Duration::from_secs(1);

/// The lease, as far as it is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// The lease; none: there is none.
    pub(super) lease: Option<u64>,
    /// It lasts until then at the least.
    pub(super) until: Instant,
    /// What is wrong.
    pub(super) trouble: Option<Trouble>,
}

/// What is wrong with the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Etcd does not do what is asked.
    Etcd(EtcdError),
    /// Another daemon with this name runs, with this journal.
    Conflict(String),
}

impl Session {
    /// None yet. Etcd has until then to answer for the first time.
    pub(super) fn none(patience: Duration) -> Self {
        Self { lease: None, until: Instant::now() + patience, trouble: None }
    }

    /// The lease, if it certainly lasts now.
    pub(super) fn certain(&self) -> Option<u64> {
        self.lease.filter(|_| Instant::now() < self.until)
    }
}

/// How long is waited after an error. A refused login costs etcd a tenth of a second's work each time.
const fn again(error: &EtcdError) -> Duration {
    match error {
        EtcdError::Denied { .. } => Duration::from_secs(1),
        _ => AGAIN,
    }
}

/// The task that keeps the lease.
pub(super) struct SessionTask {
    pub(super) client: Arc<Client>,
    pub(super) keys: Keys,
    pub(super) me: Identity,
    pub(super) lease: Duration,
    pub(super) clusters: watch::Receiver<BTreeSet<ClusterName>>,
    /// Those of them whose duty cannot be taken here.
    pub(super) unable: watch::Receiver<BTreeSet<ClusterName>>,
    pub(super) session: watch::Sender<Session>,
    /// What was there when the lease was renewed.
    pub(super) index: watch::Sender<Option<Index>>,
}

impl SessionTask {
    /// Has a lease, and a new one whenever it is gone, for ever.
    pub(super) async fn run(mut self) {
        loop {
            match self.open().await {
                Ok(lease) => {
                    self.keep(lease).await;
                    tracing::warn!("the lease in etcd is gone; beginning anew");
                    self.session.send_modify(|session| session.lease = None);
                }
                Err(Trouble::Etcd(error)) => {
                    let wait = again(&error);
                    self.note(Trouble::Etcd(error));
                    sleep(wait).await;
                }
                Err(conflict) => {
                    self.note(conflict);
                    sleep(CONFLICT).await;
                }
            }
        }
    }

    /// Tells of trouble; of the first only, while it is of one kind.
    fn note(&self, trouble: Trouble) {
        self.session.send_if_modified(|session| {
            let same = matches!(
                (&session.trouble, &trouble),
                (Some(Trouble::Etcd(_)), Trouble::Etcd(_))
                    | (Some(Trouble::Conflict(_)), Trouble::Conflict(_))
            );
            if !same {
                tracing::warn!(?trouble, "the lease in etcd is not confirmed");
                session.trouble = Some(trouble);
            }
            !same
        });
    }

    /// Gets a lease, and this monitor's key on it.
    async fn open(&mut self) -> Result<u64, Trouble> {
        let asked = Instant::now();
        let (lease, ttl) = self.client.grant(self.lease).await.map_err(Trouble::Etcd)?;
        if let Err(trouble) = self.announce(lease).await {
            // It ends by itself as well.
            let _ = self.client.revoke(lease).await;
            return Err(trouble);
        }
        let index = self.client.index(&self.keys.all()).await.map_err(Trouble::Etcd)?;
        self.confirmed(lease, asked, ttl, index);
        Ok(lease)
    }

    fn confirmed(&self, lease: u64, asked: Instant, ttl: Duration, index: Index) {
        let until = asked + span::certain_for(ttl, self.lease);
        self.index.send_replace(Some(index));
        self.session.send_replace(Session { lease: Some(lease), until, trouble: None });
    }

    /// Writes this monitor's key, unless another daemon of this name has it.
    async fn announce(&mut self, lease: u64) -> Result<(), Trouble> {
        let mut clusters = self.clusters.borrow_and_update().clone();
        clusters.retain(|cluster| !self.unable.borrow_and_update().contains(cluster));
        let alive = Alive { journal: self.me.journal.clone(), clusters };
        let mut since = 0;
        loop {
            let put = span::announce(&self.keys, &self.me, &alive, lease, since);
            let answer = self.client.transact(&put).await.map_err(Trouble::Etcd)?;
            if answer.met {
                return Ok(());
            }
            let found = answer.found.first().and_then(Option::as_ref);
            since = span::announce_after(&self.me, found).map_err(Trouble::Conflict)?;
        }
    }

    /// Keeps the lease alive until it is gone.
    async fn keep(&mut self, lease: u64) {
        let every = span::renewed_every(self.lease);
        let mut due = Instant::now() + every;
        loop {
            let changed = tokio::select! {
                () = sleep_until(due) => None,
                changed = self.clusters.changed() => Some(changed),
                changed = self.unable.changed() => Some(changed),
            };
            match changed {
                None => {}
                // The daemon ends; the lease is revoked by who ends it.
                Some(Err(_)) => std::future::pending::<()>().await,
                Some(Ok(())) => match self.announce(lease).await {
                    Ok(()) => continue,
                    Err(Trouble::Conflict(_) | Trouble::Etcd(EtcdError::NoLease { .. })) => {
                        return;
                    }
                    Err(Trouble::Etcd(_)) => {
                        self.clusters.mark_changed();
                        sleep(AGAIN).await;
                    }
                },
            }
            match self.renew(lease).await {
                Ok(Some(Renewed::Confirmed)) => due = Instant::now() + every,
                Ok(Some(Renewed::Unclear)) => due = Instant::now(),
                Ok(Some(Renewed::Displaced) | None) => return,
                Err(error) => {
                    due = Instant::now() + again(&error);
                    self.note(Trouble::Etcd(error));
                }
            }
        }
    }

    /// Lets the lease go on; none: there is no such lease any more.
    async fn renew(&self, lease: u64) -> Result<Option<Renewed>, EtcdError> {
        let asked = Instant::now();
        let kept = self.client.keep_alive(lease).await?;
        let Some(ttl) = kept.ttl else { return Ok(None) };
        let index = self.client.index(&self.keys.all()).await?;
        let renewed = span::renewed(kept.raft_term, &index, &self.keys, &self.me, lease);
        match renewed {
            Renewed::Confirmed => self.confirmed(lease, asked, ttl, index),
            Renewed::Unclear => {}
            Renewed::Displaced => {
                let _ = self.client.revoke(lease).await;
            }
        }
        Ok(Some(renewed))
    }
}
