//! What operators want to be done about the duty.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use watchkeeper_core::duty::Grantor;
use watchkeeper_core::model::ClusterName;

use super::clerk::Clerk;
use crate::duty::{Order, Wish};

/// How long an operator waits for another monitor to give the duty away, before being told that it
/// takes longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often an operator's order is tried: etcd may have moved on since this monitor heard of it (its
/// holder may just have been told to give it away), and what does not fit says how it stands now.
const TRIES: usize = 3;

/// An order that waits for another monitor.
pub(super) struct Asked {
    cluster: ClusterName,
    holder: String,
    until: Instant,
    reply: oneshot::Sender<Result<String, String>>,
}

impl Clerk {
    pub(super) async fn obey(&mut self, order: Order) {
        let Order { cluster, wish, by, reason, reply } = order;
        let lease = self.session.borrow().certain();
        let Some(lease) = lease else {
            let text = "etcd has not confirmed this monitor's lease, so nothing can be done there";
            // Nobody waits for it any more: nothing was done.
            let _ = reply.send(Err(text.to_owned()));
            return;
        };
        let answer = match wish {
            Wish::Take { force } => {
                let grantor = Grantor::Operator { by, reason };
                match self.order_take(&cluster, lease, force, grantor).await {
                    Ok(Taking::Done(text)) => Ok(text),
                    Ok(Taking::Asked(holder)) => {
                        let until = Instant::now() + PATIENCE;
                        self.asked.push(Asked { cluster, holder, until, reply });
                        return;
                    }
                    Err(text) => Err(text),
                }
            }
            Wish::Give => self.order_give(&cluster).await,
            Wish::Cancel => Err("with etcd nothing is offered: what was given is taken back with \
                                 `watchkeeper duty take`"
                .to_owned()),
        };
        // Nobody waits for it any more: it is so all the same.
        let _ = reply.send(answer);
    }

    async fn order_take(
        &mut self,
        cluster: &ClusterName,
        lease: u64,
        force: bool,
        grantor: Grantor,
    ) -> Result<Taking, String> {
        let me = self.me.monitor.clone();
        self.want(cluster, &me, lease).await.map_err(|error| error.to_string())?;
        // A server that refuses the term in force takes one that an operator ordered.
        let refused =
            self.office.remarks.borrow().get(cluster).is_some_and(|it| it.refused().is_some());
        if let Some(term) = self.held(cluster).filter(|_| !refused) {
            let text = format!("{me} has it already, in term {}, and keeps it", term.0);
            return Ok(Taking::Done(text));
        }
        for _ in 0..TRIES {
            let holder = self.board.holder(cluster);
            let name = holder.as_ref().and_then(|it| it.identity.as_ref());
            let own = name == Some(&self.me);
            let name = name.map_or_else(|| "its holder".to_owned(), |it| it.monitor.to_string());
            if holder.is_some() && !force && !own {
                return Ok(Taking::Asked(name));
            }
            let since = holder.map_or(0, |it| it.revision);
            if since > 0 && !own {
                tracing::warn!(%cluster, holder = name, "the duty is taken by force: what its holder has begun, it may still be doing");
            }
            self.take(cluster, lease, since, grantor.clone()).await;
            if let Some(term) = self.held(cluster).filter(|term| term.0 > since) {
                return Ok(Taking::Done(format!("taken, in term {}", term.0)));
            }
        }
        if self.is_unanswered(cluster) {
            let text = "etcd did not answer, so it may be taken or not: `watchkeeper status` says so in a moment";
            return Err(text.to_owned());
        }
        Err("it could not be taken; `watchkeeper status` says why".to_owned())
    }

    async fn order_give(&mut self, cluster: &ClusterName) -> Result<String, String> {
        if self.held(cluster).is_none() {
            return Err("this monitor does not have the duty".to_owned());
        }
        let to = self.board.assigned_without(cluster, &self.me.monitor);
        let to = to.ok_or("no other monitor that watches the cluster is alive")?;
        let lease = self.board.monitor(&to).map(|it| it.lease).unwrap_or_default();
        self.want(cluster, &to, lease).await.map_err(|error| error.to_string())?;
        Ok(format!("{to} is to have it: it is given away as soon as no plan is in flight"))
    }

    /// Answers orders whose time has come.
    pub(super) fn answer(&mut self) {
        let now = Instant::now();
        for Asked { cluster, holder, until, reply } in std::mem::take(&mut self.asked) {
            let answer = match self.held(&cluster) {
                Some(term) => format!("{holder} has given it away; taken, in term {}", term.0),
                None if until <= now => format!(
                    "{holder} was asked to give it away, and has not done so yet: it does when no plan \
                     is in flight"
                ),
                None => {
                    self.asked.push(Asked { cluster, holder, until, reply });
                    continue;
                }
            };
            // Nobody waits for it any more: it is so all the same.
            let _ = reply.send(Ok(answer));
        }
    }
}

enum Taking {
    Done(String),
    /// Its holder was asked.
    Asked(String),
}
