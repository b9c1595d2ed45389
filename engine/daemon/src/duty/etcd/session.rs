//! This daemon's lease: how long everything that hangs on it is certainly its own.
//!
//! Invariant: [`Session::until`] is before the moment at which etcd lets the lease go. It is counted
//! on this machine's monotonic clock, from before the last renewal was sent, less a margin for
//! clocks that run at different speeds. A renewal counts only if a read that no stale leader can
//! answer was answered after it in the same term of etcd's leader: a leader that was cut off from the
//! others goes on renewing for a moment what the next one knows nothing of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use watchkeeper_core::model::ClusterName;

use super::client::Client;
use super::error::EtcdError;
use super::keys::{Alive, Identity, Keys};
use super::wire::{Index, Op, Transacted, Unchanged};

/// How long is waited before something that failed is tried again.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// How often a daemon looks whether another one of its name has gone.
const CONFLICT: Duration = Duration::from_secs(1);

/// How often etcd is read at the least, so that nothing depends on its telling news.
const FLOOR: Duration = Duration::from_secs(5);

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

/// How long before its end a lease is not relied on any more.
pub(super) fn margin(lease: Duration) -> Duration {
    (lease / 10).max(Duration::from_millis(200))
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
        let until = asked + ttl.min(self.lease).saturating_sub(margin(self.lease));
        self.index.send_replace(Some(index));
        self.session.send_replace(Session { lease: Some(lease), until, trouble: None });
    }

    /// Writes this monitor's key, unless another daemon of this name has it.
    async fn announce(&mut self, lease: u64) -> Result<(), Trouble> {
        let key = self.keys.monitor(&self.me.monitor);
        let mut clusters = self.clusters.borrow_and_update().clone();
        clusters.retain(|cluster| !self.unable.borrow_and_update().contains(cluster));
        let alive = Alive { journal: self.me.journal.clone(), clusters };
        // Names and digits always have a JSON form.
        let value = serde_json::to_string(&alive).unwrap_or_default();
        let mut since = 0;
        loop {
            let Transacted { met, found, .. } = self
                .client
                .transact(
                    &[Unchanged { key: key.clone(), since }],
                    &[Op::Put { key: key.clone(), value: value.clone(), lease: Some(lease) }],
                    &[Op::Get { key: key.clone() }],
                )
                .await
                .map_err(Trouble::Etcd)?;
            if met {
                return Ok(());
            }
            since = match found.into_iter().flatten().next() {
                None => 0,
                Some(entry) => match serde_json::from_slice::<Alive>(&entry.value) {
                    Ok(other) if other.journal != self.me.journal => {
                        return Err(Trouble::Conflict(other.journal));
                    }
                    _ => entry.revision,
                },
            };
        }
    }

    /// Keeps the lease alive until it is gone.
    async fn keep(&mut self, lease: u64) {
        let every = (self.lease / 3).min(FLOOR);
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
                Ok(Renewed::Confirmed) => due = Instant::now() + every,
                Ok(Renewed::Unclear) => due = Instant::now(),
                Ok(Renewed::Gone) => return,
                Err(error) => {
                    due = Instant::now() + again(&error);
                    self.note(Trouble::Etcd(error));
                }
            }
        }
    }

    async fn renew(&self, lease: u64) -> Result<Renewed, EtcdError> {
        let asked = Instant::now();
        let kept = self.client.keep_alive(lease).await?;
        let Some(ttl) = kept.ttl else { return Ok(Renewed::Gone) };
        let index = self.client.index(&self.keys.all()).await?;
        if index.header.raft_term != kept.raft_term {
            return Ok(Renewed::Unclear);
        }
        let key = self.keys.monitor(&self.me.monitor);
        if !index.entries.iter().any(|entry| entry.key == key && entry.lease == lease) {
            // Somebody took the name away.
            let _ = self.client.revoke(lease).await;
            return Ok(Renewed::Gone);
        }
        self.confirmed(lease, asked, ttl, index);
        Ok(Renewed::Confirmed)
    }
}

/// What came of a renewal.
enum Renewed {
    Confirmed,
    /// Etcd changed its leader meanwhile: to be done again.
    Unclear,
    Gone,
}
