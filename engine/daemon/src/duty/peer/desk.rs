//! What is said to the other monitor and what is made of what it says: the edge of
//! [`watchkeeper_core::duty::peer`].
//!
//! Questions are asked and answered at the same time, by any number of tasks: every change goes
//! through the ledger, which decides by the tenure as it is at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use watchkeeper_core::duty::peer::{
    Answer, Ask, PROTOCOL, Report, conclude, heed, may_give, respond,
};
use watchkeeper_core::duty::{Change, Standing, Tenure};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ClusterName, MonitorName, Term, Timestamp};
use watchkeeper_core::state::State;

use super::super::Remarks;
use super::super::sights::Sights;
use super::link::{Dialer, Trouble};
use super::wire::{Complaint, Question, Reply, Sender, read};
use crate::clock;
use crate::errors::chain;
use crate::ledger::{Ledger, LedgerError};
use crate::net;

/// How far the clocks may be apart: alerts, notes and cooldowns carry one monitor's times to the
/// other.
const CLOCKS_APART: u64 = 2_000;

/// What has been heard of the other monitor.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// When it answered last.
    pub(super) reached: Option<Instant>,
    /// Why it did not answer the last question.
    pub(super) trouble: Option<Trouble>,
    /// What is wrong with what it asked last, and when that was.
    pub(super) complaint: Option<(String, Instant)>,
    /// What it watches.
    pub(super) watches: BTreeSet<ClusterName>,
    /// Where the duty is, by its word.
    pub(super) reports: BTreeMap<ClusterName, Report>,
    /// Whether its clock shows another time.
    pub(super) skewed: bool,
    /// Whether it said that it is about to end.
    pub(super) stopping: bool,
}

impl Heard {
    /// What is wrong with what it asked last, if it asks at all within `patience`.
    pub(super) fn complaint(&self, patience: Duration) -> Option<&str> {
        let (why, at) = self.complaint.as_ref()?;
        (at.elapsed() <= patience).then_some(why)
    }

    /// Its report on a cluster; that of a monitor that has never heard of it if it made none.
    pub(super) fn report(&self, cluster: &ClusterName) -> Report {
        let unknown = || Report::of(cluster, &Tenure::default());
        self.reports.get(cluster).cloned().unwrap_or_else(unknown)
    }
}

/// This monitor, as far as the other one is concerned.
pub(super) struct Desk {
    pub(super) me: MonitorName,
    pub(super) peer: MonitorName,
    /// Whether this monitor's watch is the primary.
    pub(super) first: bool,
    pub(super) beat: Duration,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clusters: watch::Receiver<BTreeSet<ClusterName>>,
    pub(super) remarks: watch::Receiver<Remarks>,
    pub(super) sights: Sights,
    pub(super) dialer: Dialer,
    pub(super) heard: watch::Sender<Heard>,
    /// Whether this monitor is about to end.
    pub(super) stopping: AtomicBool,
}

impl Desk {
    pub(super) fn watches(&self, cluster: &ClusterName) -> bool {
        self.clusters.borrow().contains(cluster)
    }

    /// Whether the other monitor answered within the last `beats`.
    pub(super) fn well(&self, beats: u32) -> bool {
        let reached = self.heard.borrow().reached;
        reached.is_some_and(|reached| reached.elapsed() <= self.patience(beats))
    }

    /// How long so many beats are to be waited for: however short they are, a network needs its time.
    pub(super) fn patience(&self, beats: u32) -> Duration {
        self.beat.saturating_mul(beats).max(Duration::from_secs(1))
    }

    /// Asks the other monitor, and takes in what comes back.
    pub(super) async fn exchange(&self, ask: Ask) -> Result<Answer, Trouble> {
        let result = self.try_exchange(&ask).await;
        let trouble = result.as_ref().err().cloned();
        self.heard.send_if_modified(|heard| {
            if heard.trouble == trouble {
                return false;
            }
            match &trouble {
                Some(trouble) => {
                    tracing::warn!(peer = %self.peer, %trouble, "the other monitor does not answer");
                }
                None => tracing::info!(peer = %self.peer, "the other monitor answers again"),
            }
            heard.trouble = trouble;
            true
        });
        result
    }

    async fn try_exchange(&self, ask: &Ask) -> Result<Answer, Trouble> {
        let question =
            Question { protocol: PROTOCOL, sender: self.sender().await, ask: ask.clone() };
        let form = |error: serde_json::Error| Trouble::Unable(error.to_string());
        let body = serde_json::to_vec(&question).map_err(form)?;
        let (sent, begun) = (clock::now(), Instant::now());
        let returned = self.dialer.send(body).await?;
        let took = begun.elapsed();
        let (peer, address) = (&self.peer, self.dialer.address());
        if !returned.good {
            return Err(match serde_json::from_slice::<Complaint>(&returned.body) {
                Ok(Complaint { passing: true, why, .. }) => {
                    Trouble::Unable(format!("{peer} cannot answer now: {}", net::one_line(&why)))
                }
                Ok(Complaint { why, .. }) => {
                    Trouble::Refused(format!("{peer} says: {}", net::one_line(&why)))
                }
                Err(_) => {
                    let status = returned.status;
                    Trouble::Refused(format!("{address} answers with HTTP status {status}"))
                }
            });
        }
        let Reply { sender, answer, .. } =
            read(&returned.body).map_err(|error| Trouble::Refused(format!("{peer}: {error}")))?;
        self.check(&sender).map_err(Trouble::Refused)?;
        let skewed = apart(sent, sender.now, took);
        self.hear(&sender).await.map_err(|error| Trouble::Unable(chain(&error)))?;
        if let Some(cluster) = ask.cluster() {
            let concluded = self.change(cluster, |_, tenure| conclude(tenure, ask, &answer, peer));
            concluded.await.map_err(|error| Trouble::Unable(chain(&error)))?;
        }
        self.heard.send_modify(|heard| {
            heard.reached = Some(Instant::now());
            heard.skewed = skewed;
        });
        Ok(answer)
    }

    /// Answers the other monitor.
    pub(super) async fn answer(&self, body: &[u8]) -> Result<Reply, Complaint> {
        let question = read::<Question>(body).map_err(|error| error.to_string());
        let question = question.and_then(|it| self.check(&it.sender).map(|()| it));
        let complaint = question.as_ref().err().cloned();
        self.heard.send_if_modified(|heard| {
            let differs = heard.complaint.as_ref().map(|(why, _)| why) != complaint.as_ref();
            if let Some(why) = complaint.as_ref().filter(|_| differs) {
                tracing::error!(peer = %self.peer, why, "the other monitor is not listened to");
            }
            heard.complaint = complaint.map(|why| (why, Instant::now()));
            differs
        });
        let question = question.map_err(Complaint::lasting)?;
        let unrecorded = |error: LedgerError| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the other monitor is not answered"
            );
            Complaint::passing("its journal cannot be written")
        };
        self.hear(&question.sender).await.map_err(unrecorded)?;
        let answer = self.respond(&question.ask).await.map_err(unrecorded)?;
        Ok(Reply { protocol: PROTOCOL, sender: self.sender().await, answer })
    }

    async fn respond(&self, ask: &Ask) -> Result<Answer, LedgerError> {
        let Some(cluster) = ask.cluster() else { return Ok(Answer::Heard) };
        if !self.watches(cluster) {
            let why = format!("{} does not watch {cluster}", self.me);
            return Ok(Answer::Refused { why });
        }
        if matches!(ask, Ask::Offer { .. }) && self.stopping.load(Ordering::SeqCst) {
            let why = format!("{} is being stopped", self.me);
            return Ok(Answer::Refused { why });
        }
        let mut answer = Answer::Heard;
        self.change(cluster, |state, tenure| {
            let response = match ask {
                Ask::Request { by, reason, .. } => {
                    let why = format!("{by} wants {} to have it: {reason}", self.peer);
                    self.requested(state, cluster, &why)
                }
                _ => None,
            };
            let (change, given) = response.unwrap_or_else(|| {
                let response = respond(tenure, &self.peer, ask, || state.past(cluster));
                (response.change, response.answer)
            });
            answer = given;
            change
        })
        .await?;
        Ok(answer)
    }

    /// What to do about an operator's wish to move the duty from here; none if it is not here.
    fn requested(
        &self,
        state: &State,
        cluster: &ClusterName,
        why: &str,
    ) -> Option<(Option<Change>, Answer)> {
        let here = state.clusters.get(cluster)?;
        match here.tenure.standing() {
            Standing::Held { .. } => Some(match self.offer(state, cluster, true, why) {
                Ok(change) => (Some(change), Answer::Giving),
                Err(why) => (None, Answer::Refused { why }),
            }),
            Standing::Offered { .. } => Some((None, Answer::Giving)),
            Standing::None | Standing::Elsewhere { .. } => None,
        }
    }

    /// The offer of the duty to the other monitor, or why it cannot be made.
    pub(super) fn offer(
        &self,
        state: &State,
        cluster: &ClusterName,
        ordered: bool,
        why: &str,
    ) -> Result<Change, String> {
        let here = state.cluster(cluster);
        let offer = may_give(&here.tenure, here.phase, &self.peer, ordered, why)?;
        if here.progress.is_some() {
            return Err("a plan is in flight, and is carried to its end first".to_owned());
        }
        Ok(offer)
    }

    /// Who this monitor is, and what it says with everything.
    async fn sender(&self) -> Sender {
        let watches = self.clusters.borrow().clone();
        let reports = self
            .ledger
            .with(|state| {
                let known = state.clusters.keys().chain(&watches).collect::<BTreeSet<_>>();
                let unknown = Tenure::default();
                known
                    .into_iter()
                    .map(|name| {
                        let tenure = state.clusters.get(name).map(|cluster| &cluster.tenure);
                        Report::of(name, tenure.unwrap_or(&unknown))
                    })
                    .collect()
            })
            .await;
        let (from, to) = (self.me.clone(), self.peer.clone());
        let stopping = self.stopping.load(Ordering::SeqCst);
        let sights = self.sights.told(Instant::now(), |cluster| watches.contains(cluster));
        Sender { from, to, now: clock::now(), stopping, watches, reports, sights }
    }

    /// Whether it is the monitor that is configured, and means this one.
    fn check(&self, sender: &Sender) -> Result<(), String> {
        let (me, peer) = (&self.me, &self.peer);
        if sender.from == *me {
            return Err(format!(
                "both monitors are named {me}: give each a name of its own in [monitor], and the \
                 other's in [duty.peer]"
            ));
        }
        if sender.from != *peer {
            return Err(format!(
                "the monitor with that certificate is named {}, and [duty.peer] of {me} says {peer}: \
                 correct one of them",
                sender.from
            ));
        }
        if sender.to != *me {
            return Err(format!(
                "{peer} means a monitor named {}, and this one is {me}: correct [duty.peer] there or \
                 [monitor] here",
                sender.to
            ));
        }
        Ok(())
    }

    /// Takes in where the duty is by the other's word, and what it sees.
    async fn hear(&self, sender: &Sender) -> Result<(), LedgerError> {
        self.sights.heard(&sender.from, &sender.sights, Instant::now());
        let reports: BTreeMap<ClusterName, Report> =
            sender.reports.iter().map(|it| (it.cluster.clone(), it.clone())).collect();
        self.heard.send_if_modified(|heard| {
            let same = heard.watches == sender.watches
                && heard.reports == reports
                && heard.stopping == sender.stopping;
            if same {
                return false;
            }
            heard.stopping = sender.stopping;
            heard.watches.clone_from(&sender.watches);
            heard.reports = reports;
            true
        });
        let (heard, clusters) = (self.heard.borrow().clone(), self.clusters.borrow().clone());
        self.record(|state| {
            let unknown = Tenure::default();
            let changes = clusters.iter().filter_map(|name| {
                let tenure = state.clusters.get(name).map_or(&unknown, |it| &it.tenure);
                let change = heed(tenure, &heard.report(name), &self.peer, self.first)?;
                Some((name.clone(), change))
            });
            changes.collect()
        })
        .await
    }

    /// Records what `decide` makes of the cluster as it is at that moment.
    pub(super) async fn change(
        &self,
        cluster: &ClusterName,
        decide: impl FnOnce(&State, &Tenure) -> Option<Change>,
    ) -> Result<(), LedgerError> {
        self.record(|state| {
            let unknown = Tenure::default();
            let tenure = state.clusters.get(cluster).map_or(&unknown, |it| &it.tenure);
            decide(state, tenure).map(|change| (cluster.clone(), change)).into_iter().collect()
        })
        .await
    }

    async fn record(
        &self,
        decide: impl FnOnce(&State) -> Vec<(ClusterName, Change)>,
    ) -> Result<(), LedgerError> {
        let records = self
            .ledger
            .record_with(|state| {
                let changes = decide(state).into_iter();
                changes.map(|(name, change)| (Some(name), Event::Duty(change))).collect()
            })
            .await?;
        for record in records {
            if let (Some(cluster), Event::Duty(change)) = (&record.cluster, &record.event) {
                log(cluster, change);
            }
        }
        Ok(())
    }

    /// The greatest term that is in force on the cluster's servers, as far as they said so.
    pub(super) fn in_force(&self, cluster: &ClusterName) -> Term {
        let remarks = self.remarks.borrow();
        remarks.get(cluster).and_then(super::super::Remark::refused).unwrap_or_default()
    }
}

/// Whether the other's clock shows another time than this one's: `sent` and `took` say when, by this
/// one, the other can have looked at its own.
fn apart(sent: Timestamp, theirs: Timestamp, took: Duration) -> bool {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let behind = sent.since(theirs);
    let ahead = theirs.since(sent.plus(took));
    behind.max(ahead) > CLOCKS_APART
}

fn log(cluster: &ClusterName, change: &Change) {
    match change {
        Change::Taken { term, grantor, .. } => {
            tracing::warn!(%cluster, term = term.0, ?grantor, "this monitor has the duty");
        }
        Change::Offered { next, to, why, .. } => {
            tracing::warn!(%cluster, term = next.0, %to, why, "the duty is offered");
        }
        Change::Declined { term } => {
            tracing::info!(%cluster, term = term.0, "an offer of the duty was withdrawn");
        }
        Change::Left { term, holder, why } => {
            let holder = holder.as_ref().map(ToString::to_string);
            tracing::warn!(%cluster, term = term.0, holder, why, "this monitor does not have the duty");
        }
        Change::Shared { term, version, .. } => {
            tracing::debug!(%cluster, term = term.0, version, "the past is known");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_if_no_moment_of_the_exchange_explains_the_difference() {
        let (sent, took) = (Timestamp(100_000), Duration::from_millis(400));
        for (theirs, expected) in
            [(100_000, false), (98_000, false), (97_999, true), (102_400, false), (102_401, true)]
        {
            assert_eq!(apart(sent, Timestamp(theirs), took), expected, "{theirs}");
        }
    }
}
