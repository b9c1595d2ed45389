//! Takes, keeps and gives the duty: does what [`decide`] says, and records it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::duty::lease::board::{Board, Holder};
use watchkeeper_core::duty::lease::decide::{Case, Move, decide};
use watchkeeper_core::duty::lease::hold::Known;
use watchkeeper_core::duty::lease::keys::{Identity, Keys, Shared, Wanted};
use watchkeeper_core::duty::lease::{Entry, Index, News, Op, Transaction, take};
use watchkeeper_core::duty::{Change, Grantor, Standing};
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, MonitorName, Term};
use watchkeeper_core::past::Past;
use watchkeeper_core::proposal::Severity;
use watchkeeper_core::state::State;

use super::client::Client;
use super::desk::Desk;
use super::error::EtcdError;
use super::orders::Asked;
use super::publish::{Assumed, conflict};
use super::session::Session;
use crate::duty::{Office, View, claim};
use crate::errors::chain;

/// How long is waited after something failed, before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long this monitor leaves a duty alone that it has just given away: whoever it was given to may be
/// slow to take it.
const GIVEN: Duration = Duration::from_secs(2);

/// How often another monitor's word on where a cluster stands is recorded at the most: it is for people
/// only, who takes a duty reads it anew.
const SHARED: Duration = Duration::from_secs(1);

/// How long is waited from one duty given for balance to the next.
const BETWEEN: Duration = Duration::from_secs(1);

/// How long a monitor that could not take a duty does not count among those who should have it.
const UNABLE: Duration = Duration::from_mins(10);

/// What is known of one cluster beside the journal and etcd.
#[derive(Debug, Default)]
pub(super) struct Tenancy {
    /// The term that is held.
    held: Option<Term>,
    /// Since when.
    since: Option<Instant>,
    /// Nothing is tried before.
    not_before: Option<Instant>,
    /// Others should have it until then.
    unable: Option<Instant>,
    /// By whose word it was asked for the last time, if etcd has not answered: where it was taken all the same, its
    /// key bears this daemon's name, and it is recorded as that one's word.
    unanswered: Option<Grantor>,
    /// When another monitor's word on where the cluster stands was recorded last.
    shared: Option<Instant>,
    /// What went wrong the last time.
    problem: Option<Problem>,
}

/// What went wrong with one cluster's duty, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    name: &'static str,
    text: String,
}

impl Problem {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }
}

/// The task.
pub(super) struct Clerk {
    pub(super) client: Arc<Client>,
    pub(super) board: Board,
    pub(super) keys: Keys,
    pub(super) me: Identity,
    pub(super) desk: Arc<Desk>,
    pub(super) session: watch::Receiver<Session>,
    pub(super) index: watch::Receiver<Option<Index>>,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) lost: mpsc::UnboundedReceiver<(ClusterName, Term)>,
    pub(super) refused: watch::Receiver<BTreeMap<ClusterName, String>>,
    pub(super) assumed: watch::Sender<Assumed>,
    /// The clusters whose duty cannot be taken here.
    pub(super) unable: watch::Sender<BTreeSet<ClusterName>>,
    pub(super) tenures: BTreeMap<ClusterName, Tenancy>,
    /// The lease to which all that is known belongs.
    pub(super) lease: Option<u64>,
    /// The moment from which the board counts.
    pub(super) begun: Instant,
    pub(super) last_given: Option<Instant>,
    /// Orders that wait for another monitor.
    pub(super) asked: Vec<Asked>,
    pub(super) office: Office,
}

impl Clerk {
    /// Goes on until the daemon ends; then gives everything away.
    pub(super) async fn run(mut self) {
        loop {
            let wake = self.pass().await;
            tokio::select! {
                _ = self.office.stop.changed() => return self.farewell().await,
                changed = self.office.clusters.changed() => if changed.is_err() { return },
                Some(order) = self.office.orders.recv() => self.obey(order).await,
                changed = self.session.changed() => if changed.is_err() { return },
                changed = self.index.changed() => if changed.is_err() { return },
                _ = self.refused.changed() => {}
                Some(news) = self.news.recv() => self.take_in(news),
                Some((cluster, term)) = self.lost.recv() => self.over(&cluster, term).await,
                () = sleep_until(wake) => {}
            }
        }
    }

    /// One piece of news and all that wait behind it.
    fn take_in(&mut self, first: News) {
        let mut next = Some(first);
        while let Some(news) = next {
            self.board.take_in(news, self.begun.elapsed());
            next = self.news.try_recv().ok();
        }
    }

    /// Looks at everything once; gives when to look again at the latest.
    async fn pass(&mut self) -> Instant {
        let clusters = self.office.clusters.borrow_and_update().clone();
        let lease = self.session.borrow_and_update().lease;
        self.renew(lease).await;
        self.read().await;
        let mut wake = Instant::now() + AGAIN;
        if let Some(lease) = lease.filter(|_| self.session.borrow().certain().is_some()) {
            for cluster in &clusters {
                wake = wake.min(self.look(cluster, lease).await);
            }
            self.drop_unwatched(&clusters).await;
        }
        self.admit_inability();
        self.assume(&clusters).await;
        self.answer();
        wake
    }

    /// Takes in that the lease is another one, or none: nothing that hung on the old one is held.
    async fn renew(&mut self, lease: Option<u64>) {
        if self.lease == lease {
            return;
        }
        self.lease = lease;
        self.board = Board::new(self.keys.clone());
        self.index.mark_changed();
        for (cluster, term) in self.all_held() {
            self.lose(&cluster, term, "the lease in etcd is over").await;
        }
    }

    /// Reads what changed without its being told.
    async fn read(&mut self) {
        if !self.index.has_changed().unwrap_or(false) {
            return;
        }
        let Some(index) = self.index.borrow_and_update().clone() else { return };
        for key in self.board.compare(&index, self.begun.elapsed()) {
            match self.client.read(&key).await {
                Ok(Some(entry)) => self.board.take_in(News::Put(entry), self.begun.elapsed()),
                // Its removal is told, or found the next time.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "what changed in etcd cannot be read now");
                    self.index.mark_changed();
                    return;
                }
            }
        }
    }

    /// Does what there is to do about one cluster; gives when to look again at the latest.
    async fn look(&mut self, cluster: &ClusterName, lease: u64) -> Instant {
        // A loss is followed by a look at who has it, and that by what it says.
        for _ in 0..3 {
            let next = self.next(cluster, lease).await;
            let later = Instant::now() + AGAIN;
            match next {
                Move::Hold(_) => return later,
                Move::Wait(left) => return Instant::now() + left,
                Move::Take { since } => {
                    let wait = self.tenures.get(cluster).and_then(|it| it.not_before);
                    if let Some(wait) = wait.filter(|wait| *wait > Instant::now()) {
                        return wait;
                    }
                    let grantor = self.grantor(cluster, since);
                    self.take(cluster, lease, since, grantor).await;
                    return later;
                }
                Move::Give { to } => {
                    let free = self.last_given.map(|at| at + BETWEEN);
                    if let Some(free) = free.filter(|free| *free > Instant::now()) {
                        return free;
                    }
                    self.last_given = Some(Instant::now());
                    self.give(cluster, &format!("{to} should have it")).await;
                    return later;
                }
                Move::Lose => {
                    let held = self.tenures.get(cluster).and_then(|it| it.held);
                    let term = held.unwrap_or_default();
                    self.lose(cluster, term, "etcd says that it is over").await;
                }
                Move::Leave => {
                    self.leave(cluster).await;
                    return later;
                }
                Move::Conflict => {
                    let journal = self.board.holder(cluster).and_then(|it| it.identity);
                    let journal = journal.map_or_else(String::new, |it| it.journal);
                    let text = conflict(&self.me.monitor, &journal);
                    self.trouble(cluster, Some(Problem::new("duty-conflict", text)));
                    return later;
                }
            }
        }
        Instant::now()
    }

    async fn next(&mut self, cluster: &ClusterName, lease: u64) -> Move {
        let now = Instant::now();
        let (standing, in_flight) = self.recorded(cluster).await;
        let tenancy = self.tenures.entry(cluster.clone()).or_insert_with(|| Tenancy {
            // What an earlier incarnation had.
            held: standing,
            since: standing.map(|_| now),
            ..Tenancy::default()
        });
        let (held, since) = (tenancy.held, tenancy.since.unwrap_or(now));
        let (now, since) = (now - self.begun, since - self.begun);
        let holder = self.board.holder(cluster);
        let free = now.saturating_sub(self.board.free_since(cluster, now));
        let assigned = self.board.assigned(cluster);
        let alive = assigned.and_then(|it| self.board.monitor(it)).map_or(now, |it| it.since);
        decide(&Case {
            me: &self.me,
            lease,
            held,
            holder: holder.as_ref(),
            assigned,
            wanted: assigned.is_some_and(|it| self.board.is_wanted(cluster, it)),
            surplus: self.all_held().len() > self.board.share(),
            calm: now.saturating_sub(alive.max(since)),
            free: if holder.is_some() { Duration::ZERO } else { free },
            in_flight,
        })
    }

    /// The term that the journal says is held, and whether a plan is in flight.
    async fn recorded(&self, cluster: &ClusterName) -> (Option<Term>, bool) {
        let look = |state: &State| {
            let Some(cluster) = state.clusters.get(cluster) else { return (None, false) };
            let held = match cluster.tenure.standing() {
                Standing::Held { term } => Some(*term),
                // Handed to a peer before the configuration said etcd: the other has it or not, what
                // etcd says counts now.
                _ => None,
            };
            (held, cluster.progress.is_some() || cluster.phase.in_flight())
        };
        self.office.ledger.with(look).await
    }

    /// By whose word the duty is this monitor's that nobody has, or whose key in the revision `since` bears its name.
    fn grantor(&mut self, cluster: &ClusterName, since: u64) -> Grantor {
        let tenancy = self.tenures.entry(cluster.clone()).or_default();
        tenancy.unanswered.take_if(|_| since == 0);
        tenancy.unanswered.clone().unwrap_or(Grantor::Lease)
    }

    /// Whether etcd has yet to say if the duty is this monitor's.
    pub(super) fn is_unanswered(&self, cluster: &ClusterName) -> bool {
        self.tenures.get(cluster).is_some_and(|it| it.unanswered.is_some())
    }

    /// Takes the duty if its key is as it was in the revision `since`.
    pub(super) async fn take(
        &mut self,
        cluster: &ClusterName,
        lease: u64,
        since: u64,
        grantor: Grantor,
    ) {
        let result = self.try_take(cluster, lease, since, grantor).await;
        if let Err(problem) = &result {
            tracing::warn!(%cluster, problem = problem.text, "the duty is not taken");
            let tenancy = self.tenures.entry(cluster.clone()).or_default();
            tenancy.not_before = Some(Instant::now() + AGAIN);
            tenancy.unable = Some(Instant::now() + UNABLE);
            // It has answered.
            tenancy.unanswered = None;
        }
        self.trouble(cluster, result.err());
    }

    async fn try_take(
        &mut self,
        cluster: &ClusterName,
        lease: u64,
        since: u64,
        grantor: Grantor,
    ) -> Result<(), Problem> {
        let duty = self.keys.duty(cluster);
        let asked = take::take(&self.keys, cluster, &self.me, lease, since);
        let answer = match self.client.transact(&asked).await {
            Ok(answer) => answer,
            // If it goes on, the lease is not confirmed either, and that is told. A lease that has just run
            // out, on a busy machine, says nothing about what this monitor can do with its next one.
            Err(error) if error.passes() || matches!(error, EtcdError::NoLease { .. }) => {
                tracing::debug!(%cluster, %error, "the duty cannot be taken now");
                if error.passes() {
                    self.tenures.entry(cluster.clone()).or_default().unanswered = Some(grantor);
                }
                return Ok(());
            }
            Err(error) => return Err(Problem::new("duty-refused", chain(&error))),
        };
        let found = answer.found.into_iter().next().flatten();
        let revision = answer.revision;
        if !answer.met {
            // Another one was faster: that is no problem. Or this monitor was, and the answer that said so was lost.
            self.board.take_in(News::of(&duty, found, revision), self.begun.elapsed());
            let holder = self.board.holder(cluster).and_then(|it| it.identity);
            let tenancy = self.tenures.entry(cluster.clone()).or_default();
            tenancy.unanswered = (holder.as_ref() == Some(&self.me)).then_some(grantor);
            return Ok(());
        }
        let value = take::written(&self.me).into_bytes();
        let entry = Entry { key: duty, value, revision, lease };
        self.board.take_in(News::Put(entry), self.begun.elapsed());
        let term = Term(revision);
        let recorded = self.record_taken(cluster, term, grantor, found.as_ref()).await;
        if let Err(problem) = recorded {
            // Somebody who can record it may have it.
            let undo = take::undo(&self.keys, cluster, term);
            if let Err(error) = self.client.transact(&undo).await {
                tracing::warn!(%cluster, %error, "the duty that could not be recorded stays");
            }
            return Err(problem);
        }
        tracing::info!(%cluster, term = term.0, "the duty is taken");
        self.desk.begin(cluster, term, lease, found.as_ref()).await;
        let tenancy = self.tenures.entry(cluster.clone()).or_default();
        tenancy.held = Some(term);
        tenancy.since = Some(Instant::now());
        tenancy.not_before = None;
        tenancy.unable = None;
        tenancy.unanswered = None;
        Ok(())
    }

    async fn record_taken(
        &self,
        cluster: &ClusterName,
        term: Term,
        grantor: Grantor,
        state: Option<&Entry>,
    ) -> Result<(), Problem> {
        let by_operator = matches!(grantor, Grantor::Operator { .. });
        let shared = match take::shared(state) {
            Ok(shared) => shared,
            Err(error) if by_operator => {
                tracing::warn!(%cluster, %error, "what stands in etcd cannot be read: going on from the own journal");
                None
            }
            Err(error) => {
                let text = format!(
                    "where the cluster stands cannot be read in etcd, so the duty is not taken: \
                     {error}; a newer Watchkeeper may have written it; `watchkeeper duty take \
                     --force` goes on from what this monitor knows itself"
                );
                return Err(Problem::new("duty-unreadable", text));
            }
        };
        self.record(cluster, |state| {
            take::taken(&self.me, state.cluster(cluster).version, term, grantor, shared)
        })
        .await
    }

    /// Records a change of the duty if it fits what is known.
    async fn record(
        &self,
        cluster: &ClusterName,
        change: impl FnOnce(&State) -> Change,
    ) -> Result<(), Problem> {
        let mut misfit = None;
        let recorded = self.office.ledger.record_with(|state| {
            let change = change(state);
            let mut tenure = state.cluster(cluster).tenure;
            if let Err(error) = tenure.apply(&change) {
                misfit = Some(format!(
                    "{error}; etcd's revisions are behind what this journal has seen, so etcd was set \
                     up anew or restored from an old backup: see docs/operations.md"
                ));
                return Vec::new();
            }
            vec![(Some(cluster.clone()), Event::Duty(change))]
        });
        match (recorded.await, misfit) {
            (_, Some(text)) => Err(Problem::new("duty-out-of-term", text)),
            (Err(error), None) => Err(Problem::new("duty-unrecorded", chain(&error))),
            (Ok(_), None) => Ok(()),
        }
    }

    /// Acts no more: the term is over.
    async fn lose(&mut self, cluster: &ClusterName, term: Term, why: &str) {
        tracing::warn!(%cluster, term = term.0, why, "the duty is lost");
        self.desk.end(cluster).await;
        let tenancy = self.tenures.entry(cluster.clone()).or_default();
        tenancy.held = None;
        tenancy.since = None;
        let left = |_: &State| Change::Left { term, holder: None, why: why.to_owned() };
        let problem = self.record(cluster, left).await.err();
        self.trouble(cluster, problem);
    }

    /// A step was refused because a term is over.
    async fn over(&mut self, cluster: &ClusterName, term: Term) {
        if self.tenures.get(cluster).and_then(|it| it.held) != Some(term) {
            return;
        }
        let duty = self.keys.duty(cluster);
        if let Ok(entry) = self.client.read(&duty).await {
            self.board.take_in(News::of(&duty, entry, term.0), self.begun.elapsed());
        }
        self.lose(cluster, term, "etcd has refused a step of it").await;
    }

    /// Another monitor has it: notes that, and where the cluster stands by its word.
    async fn leave(&mut self, cluster: &ClusterName) {
        let Some(Holder { identity, revision, .. }) = self.board.holder(cluster) else { return };
        let holder = identity.map(|it| it.monitor);
        let state = self.board.state(cluster);
        let shared = state.and_then(|entry| serde_json::from_slice::<Shared>(&entry.value).ok());
        let mut problem = None;
        if self.is_news(cluster, revision, holder.as_ref()).await {
            let why = "it holds the lease in etcd".to_owned();
            let left = |_: &State| Change::Left { term: Term(revision), holder, why };
            problem = self.record(cluster, left).await.err();
        }
        let heard = self.tenures.get(cluster).and_then(|it| it.shared);
        if let Some(Shared { term, version, by, past }) = shared
            && by != self.me
            && heard.is_none_or(|at| at.elapsed() >= SHARED)
            && self.known(cluster).await.is_none_or(|known| (term, version) > known)
        {
            let share = |_: &State| Change::Shared { term, version, past };
            problem = problem.or(self.record(cluster, share).await.err());
            self.tenures.entry(cluster.clone()).or_default().shared = Some(Instant::now());
        }
        self.trouble(cluster, problem);
    }

    /// Whether the journal does not say yet that another monitor has it; or whether alerts of the
    /// cluster are still here, which are that one's to end.
    async fn is_news(
        &self,
        cluster: &ClusterName,
        revision: u64,
        holder: Option<&MonitorName>,
    ) -> bool {
        let look = |state: &State| {
            let Some(cluster) = state.clusters.get(cluster) else { return true };
            let known = match cluster.tenure.standing() {
                Standing::Elsewhere { term, holder: known } => {
                    term.0 == revision && known.as_ref() == holder
                }
                _ => false,
            };
            let alerts = cluster.alerts.firing();
            let left_over = holder.is_some()
                && alerts.into_iter().any(|it| it.source != watchkeeper_core::duty::DUTY);
            !known || left_over
        };
        self.office.ledger.with(look).await
    }

    async fn known(&self, cluster: &ClusterName) -> Option<(Term, u64)> {
        self.office
            .ledger
            .with(|state| state.clusters.get(cluster).and_then(|it| it.tenure.known()))
            .await
    }

    /// Gives the duty away: records that first, and in etcd the key goes as the state is written.
    async fn give(&mut self, cluster: &ClusterName, why: &str) {
        self.give_if(cluster, why, false).await;
    }

    /// The same; `in_any_case` also with a plan in flight, which the successor goes on with.
    async fn give_if(&mut self, cluster: &ClusterName, why: &str, in_any_case: bool) {
        let Some(term) = self.tenures.get(cluster).and_then(|it| it.held) else { return };
        let in_any_case = in_any_case || *self.office.stop.borrow();
        let mut known = None;
        let recorded = self.office.ledger.record_with(|state| {
            let cluster_state = state.cluster(cluster);
            // Begun since it was decided: it is carried to its end first.
            if cluster_state.progress.is_some() && !in_any_case {
                return Vec::new();
            }
            let past: Past = state.past(cluster);
            known = Some(Known { version: cluster_state.version, past });
            let change = Change::Left { term, holder: None, why: why.to_owned() };
            vec![(Some(cluster.clone()), Event::Duty(change))]
        });
        if let Err(error) = recorded.await {
            self.trouble(cluster, Some(Problem::new("duty-unrecorded", chain(&error))));
            return;
        }
        let Some(known) = known else { return };
        tracing::info!(%cluster, term = term.0, why, "the duty is given away");
        let tenancy = self.tenures.entry(cluster.clone()).or_default();
        tenancy.held = None;
        tenancy.since = None;
        tenancy.not_before = Some(Instant::now() + GIVEN);
        // Nothing is done in the term any more; what acts hears of it before another can have it.
        self.unassume(cluster, why);
        match self.desk.release(cluster, term, &known).await {
            Ok(()) => {
                let duty = self.keys.duty(cluster);
                let gone = News::Deleted { key: duty, revision: term.0 };
                self.board.take_in(gone, self.begun.elapsed());
            }
            Err(problem) => {
                tracing::warn!(%cluster, %problem, "the duty's key stays until the lease is over");
            }
        }
    }

    /// Gives up what is no longer watched.
    async fn drop_unwatched(&mut self, clusters: &BTreeSet<ClusterName>) {
        let gone: Vec<_> =
            self.tenures.keys().filter(|name| !clusters.contains(*name)).cloned().collect();
        for cluster in gone {
            self.give_if(&cluster, "this monitor no longer watches the cluster", true).await;
            // What could not be given is tried again the next time.
            if self.tenures.get(&cluster).is_none_or(|tenancy| tenancy.held.is_none()) {
                self.tenures.remove(&cluster);
            }
        }
    }

    /// Lets others have what cannot be taken here: a duty that was given to this monitor for balance
    /// would be without one until the giver took it again, and again.
    fn admit_inability(&self) {
        let now = Instant::now();
        let unable: BTreeSet<ClusterName> = self
            .tenures
            .iter()
            .filter(|(_, tenancy)| tenancy.unable.is_some_and(|until| now < until))
            .map(|(name, _)| name.clone())
            .collect();
        self.unable.send_if_modified(|known| {
            let differs = *known != unable;
            *known = unable;
            differs
        });
    }

    fn unassume(&self, cluster: &ClusterName, why: &str) {
        self.assumed.send_modify(|assumed| {
            if let Some(view) = assumed.views.get_mut(cluster) {
                *view = View::not_held(why);
            }
        });
    }

    fn trouble(&mut self, cluster: &ClusterName, problem: Option<Problem>) {
        self.tenures.entry(cluster.clone()).or_default().problem = problem;
    }

    /// Says what is so, if the lease is certain.
    async fn assume(&self, clusters: &BTreeSet<ClusterName>) {
        let mut views = BTreeMap::new();
        for cluster in clusters {
            views.insert(cluster.clone(), self.view(cluster).await);
        }
        self.assumed.send_if_modified(|assumed| {
            let differs = assumed.views != views || assumed.lease != self.lease;
            (assumed.views, assumed.lease) = (views, self.lease);
            differs
        });
    }

    async fn view(&self, cluster: &ClusterName) -> View {
        let tenancy = self.tenures.get(cluster);
        let held = tenancy.and_then(|it| it.held).filter(|_| self.lease.is_some());
        let duty = match held {
            // What an earlier incarnation had is not held before it is taken over.
            Some(term) if self.recorded(cluster).await.0 == Some(term) => Duty::Held(term),
            _ => Duty::NotHeld(self.why_not(cluster)),
        };
        let problem = tenancy.and_then(|it| it.problem.as_ref());
        let mut claims: Vec<_> = problem
            .map(|it| claim(it.name, Severity::Critical, it.text.clone()))
            .into_iter()
            .collect();
        let refused = self.refused.borrow().get(cluster).cloned();
        claims.extend(refused.map(|text| claim("duty-unshared", Severity::Critical, text)));
        View { duty, claims }
    }

    fn why_not(&self, cluster: &ClusterName) -> String {
        match self.board.holder(cluster) {
            Some(Holder { identity: Some(identity), revision, .. }) => {
                format!("{} has the duty, in term {revision}", identity.monitor)
            }
            Some(_) => "the duty's key in etcd cannot be read".to_owned(),
            None => "nobody has taken the duty yet".to_owned(),
        }
    }

    /// Gives everything away; then the lease may go.
    async fn farewell(mut self) {
        if self.session.borrow().certain().is_none() {
            // It goes with the lease.
            return;
        }
        for (cluster, _) in self.all_held() {
            self.give(&cluster, "this monitor stops").await;
        }
        if let Some(lease) = self.lease
            && let Err(error) = self.client.revoke(lease).await
        {
            tracing::warn!(%error, "the lease in etcd goes by itself later");
        }
    }

    /// Says in etcd who is to have a cluster's duty.
    pub(super) async fn want(
        &self,
        cluster: &ClusterName,
        monitor: &MonitorName,
        lease: u64,
    ) -> Result<(), EtcdError> {
        let wanted = Wanted { monitor: monitor.clone() };
        let value = serde_json::to_string(&wanted).unwrap_or_default();
        let put = Op::Put { key: self.keys.wanted(cluster), value, lease: Some(lease) };
        let put = Transaction { then: vec![put], ..Transaction::default() };
        self.client.transact(&put).await.map(|_| ())
    }

    fn all_held(&self) -> Vec<(ClusterName, Term)> {
        self.tenures.iter().filter_map(|(name, it)| Some((name.clone(), it.held?))).collect()
    }

    /// The term that is held.
    pub(super) fn held(&self, cluster: &ClusterName) -> Option<Term> {
        self.tenures.get(cluster).and_then(|it| it.held)
    }
}
