//! Watching one cluster: observations in, decisions recorded, plans begun.
//!
//! One task per cluster owns its facts and is the only one that begins plans for it, so there is
//! no moment at which two could be begun. It wakes for news, for time, for orders and for the end
//! of a plan, and in each case goes the same way: [`Watch::evaluate`].

mod claims;
mod hearing;
mod intake;
mod maintenance;
mod order;
mod policies;
mod setup;
mod stand;
mod standby;
mod stopped;
mod suspects;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use watchkeeper_core::alerting::{AlertBook, Claimed};
use watchkeeper_core::arbitration::{self, Decision, Standing, plan_kind};
use watchkeeper_core::duty::DUTY;
use watchkeeper_core::event::{Basis, Evaluated, Event};
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::facts::{FactBook, Observation};
use watchkeeper_core::guards::{Duty, Situation};
use watchkeeper_core::model::{ClusterName, ServerName, Side, Term, Timestamp};
use watchkeeper_core::plan::{OrderedBy, Plan, Request};
use watchkeeper_core::proposal::{Failure, FailureKind, Opinion};
use watchkeeper_core::snapshot::{Background, Snapshot};
use watchkeeper_core::state::{ClusterState, State};

pub use hearing::{Heard, Hearing};
pub use order::{Answer, ChangeOrder, Order, Refusal};
pub use policies::{PolicyOrder, PolicyWish};
pub use setup::{Seat, Setup};
pub use standby::StandbySetup;
pub use stopped::ResumeOrder;
pub(crate) use stopped::left;
pub use view::ClusterView;

use policies::Failures;
use standby::Unready;
use suspects::Suspects;

use crate::act::{self, Claim};
use crate::clock;
use crate::deliver;
use crate::duty::{Duties, Hand, View};
use crate::health;
use crate::journal::Events;
use crate::ledger::{Ledger, LedgerError};

/// How often the policies are asked even if nothing has changed, so that what counts repeats and
/// what depends on time comes up. News is acted on at once, without waiting for this.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// How long everything may take to be seen anew, at the start and after a plan, before the
/// policies are asked regardless.
pub(crate) const SETTLE: Duration = Duration::from_secs(10);

/// How long until servers that did not take the mark are told again.
const MARK_AGAIN: Duration = Duration::from_secs(10);

/// How long servers are given to take the mark of a new term.
const MARK_PATIENCE: Duration = Duration::from_secs(3);

/// The soonest that a policy is asked again because it wants to be.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// Waiting for everything to be seen anew.
#[derive(Debug, Clone, Copy)]
struct Settling {
    /// What was seen before this does not count.
    since: Timestamp,
    /// Not longer than this.
    until: Instant,
    /// Not shorter than this: a monitor that has just received the duty looks before it judges.
    from: Instant,
}

impl Settling {
    fn begin() -> Self {
        Self::begin_for(Duration::ZERO)
    }

    fn begin_for(least: Duration) -> Self {
        let now = Instant::now();
        Self { since: clock::now(), until: now + SETTLE.max(least), from: now + least }
    }
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
}

/// The ways to reach a cluster's task.
#[derive(Debug, Clone)]
pub struct Handle {
    /// The cluster.
    pub name: ClusterName,
    /// Orders of operators.
    pub orders: mpsc::Sender<Order>,
    /// What it saw and decided last.
    pub view: watch::Receiver<Arc<ClusterView>>,
}

/// The clusters that are watched, by name.
pub type Clusters = BTreeMap<ClusterName, (Handle, watch::Receiver<Arc<Setup>>)>;

/// The task's own state: nothing in it is needed after a restart.
pub struct Watch {
    name: ClusterName,
    ledger: Arc<Ledger>,
    setup: watch::Receiver<Arc<Setup>>,
    observations: mpsc::Receiver<Observation>,
    orders: mpsc::Receiver<Order>,
    view: watch::Sender<Arc<ClusterView>>,
    stop: watch::Receiver<bool>,
    duties: Duties,
    /// The duty as it was when it was last looked at.
    duty: Duty,
    book: FactBook,
    /// What is found meanwhile of a server that seems to be gone.
    suspects: Suspects,
    /// Changed observations that are not recorded yet.
    unrecorded: Vec<Observation>,
    /// The number of the next snapshot.
    next_snapshot: u64,
    /// The last decision, without its texts: what is equal to it is not recorded again.
    last: Option<claims::Signature>,
    /// What the last recorded decision rests on.
    rests_on: Option<RestsOn>,
    /// The policies are not asked before every probe has ended once after this moment.
    settling: Option<Settling>,
    /// When a policy wants to look again.
    look_again: Option<Instant>,
    /// Leaving the mark of a term on the servers: nothing is judged before they have answered.
    marking: Option<Marking>,
    /// The servers that do not have it yet, and when they are told again.
    unmarked: Vec<ServerName>,
    mark_next: Instant,
    /// The term in which this monitor had the duty last.
    held: Option<Term>,
    /// What the policies said last.
    hearing: Arc<Mutex<Hearing>>,
    /// How often each policy failed in a row.
    failures: Failures,
    /// Since when the standby is not ready.
    unready: Unready,
    /// The plan that is being carried out.
    executor: Option<JoinHandle<Result<Option<PlanEnding>, LedgerError>>>,
}

impl Watch {
    /// Begins to watch.
    pub fn spawn(
        name: ClusterName,
        ledger: Arc<Ledger>,
        setup: watch::Receiver<Arc<Setup>>,
        observations: mpsc::Receiver<Observation>,
        duties: Duties,
        stop: watch::Receiver<bool>,
    ) -> (Handle, JoinHandle<Ended>) {
        let (order_sender, orders) = mpsc::channel(8);
        let view = watch::Sender::new(Arc::new(ClusterView::default()));
        let handle = Handle { name: name.clone(), orders: order_sender, view: view.subscribe() };
        let duty = duties.of(&name).duty;
        let watch = Self {
            name,
            ledger,
            duties,
            duty,
            setup,
            observations,
            orders,
            view,
            stop,
            book: FactBook::default(),
            suspects: Suspects::default(),
            unrecorded: Vec::new(),
            next_snapshot: 0,
            last: None,
            rests_on: None,
            settling: Some(Settling::begin()),
            look_again: None,
            marking: None,
            unmarked: Vec::new(),
            mark_next: Instant::now(),
            held: None,
            hearing: Arc::default(),
            failures: Failures::default(),
            unready: Unready::default(),
            executor: None,
        };
        (handle, tokio::spawn(watch.run()))
    }

    async fn run(mut self) -> Ended {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.mark().await;
        self.resume().await;
        loop {
            let look_again = self.look_again;
            tokio::select! {
                _ = self.stop.changed() => break,
                observation = self.observations.recv() => match observation {
                    Some(observation) => {
                        if self.take_in(observation) {
                            self.evaluate().await;
                        }
                    }
                    None => break,
                },
                testimony = self.suspects.next() => {
                    self.take_in_testimonies(testimony);
                    self.evaluate().await;
                }
                Some(order) = self.orders.recv() => self.obey(order).await,
                changed = self.setup.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.adopt().await;
                }
                () = self.duties.changed() => self.look_at_duty().await,
                left = marks_left(&mut self.marking) => {
                    self.marked(left);
                    self.resume().await;
                    self.evaluate().await;
                }
                ending = finished(&mut self.executor) => self.plan_ended(ending).await,
                () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => {
                    self.look_again = None;
                    self.evaluate().await;
                }
                _ = tick.tick() => self.tick().await,
            }
        }
        // A step that was begun is finished by whoever starts next; nothing new is begun.
        self.stop_executor().await;
        Ended::Stopped
    }

    async fn tick(&mut self) {
        let state = self.ledger.cluster(&self.name).await;
        // Only where it counts: at the monitor that has the duty.
        let over = match self.duty {
            Duty::Held(_) => state.maintenance_over(clock::now()),
            Duty::NotHeld(_) | Duty::Uncertain(_) => Vec::new(),
        };
        if !over.is_empty() {
            let off = |service| Event::MaintenanceOff { by: "watchkeeper".to_owned(), service };
            self.record(over.into_iter().map(off).collect(), None).await;
        }
        if self.executor.is_none() && state.progress.is_some() {
            self.resume().await;
        }
        self.mark_again().await;
        self.evaluate().await;
    }

    /// Takes in that the duty came or went. What was seen before it came is looked at anew; a step
    /// that was begun when it went is left as intended, for whoever has the duty next.
    async fn look_at_duty(&mut self) {
        let View { duty, .. } = self.duties.of(&self.name);
        let before = std::mem::replace(&mut self.duty, duty);
        if self.duty != before {
            tracing::info!(cluster = %self.name, duty = ?self.duty, "the duty has changed");
            self.last = None;
            // What another term began does not go on beside what came after it.
            self.stop_executor().await;
            if let Duty::Held(term) = self.duty {
                let same = self.held.replace(term) == Some(term);
                self.mark().await;
                if !(same && matches!(before, Duty::Uncertain(_))) {
                    self.settling = Some(Settling::begin_for(self.duties.observe()));
                    self.setup.borrow().probe_all();
                }
                self.resume().await;
            }
            self.publish(None).await;
        }
        self.evaluate().await;
    }

    /// Ends carrying out, and waits until it has ended: nothing of it goes on beside whoever is next.
    async fn stop_executor(&mut self) {
        if let Some(executor) = self.executor.take() {
            executor.abort();
            // That it was ended is no news.
            let _ = executor.await;
        }
    }

    /// Leaves the mark of this term on both sides' servers, so that they refuse an older one.
    async fn mark(&mut self) {
        let Duty::Held(term) = self.duty else { return };
        let (setup, duties) = (Arc::clone(&self.setup.borrow()), self.duties.clone());
        if !setup.equipment.marks {
            return;
        }
        let ordered = self.ledger.cluster(&self.name).await.tenure.ordered();
        let hand = duties.hand(&self.name, term, ordered);
        let sides =
            [Side::Primary, Side::Secondary].map(|side| setup.topology.on(side).name.clone());
        let marking = tokio::spawn(leave_marks(setup, duties, hand, sides.to_vec()));
        self.marking = Some(Marking { task: marking, again: false });
    }

    /// Leaves the mark where it could not be left before: a server that returns must know whose term
    /// it is before an older monitor finds it.
    async fn mark_again(&mut self) {
        let Duty::Held(term) = self.duty else { return };
        if self.marking.is_some() || self.unmarked.is_empty() || Instant::now() < self.mark_next {
            return;
        }
        let ordered = self.ledger.cluster(&self.name).await.tenure.ordered();
        let (setup, duties) = (Arc::clone(&self.setup.borrow()), self.duties.clone());
        let hand = duties.hand(&self.name, term, ordered);
        let left = std::mem::take(&mut self.unmarked);
        let marking = tokio::spawn(leave_marks(setup, duties, hand, left));
        self.marking = Some(Marking { task: marking, again: true });
    }

    /// Waits for the servers to have taken the mark, if they are being asked.
    async fn await_marks(&mut self) {
        if let Some(marking) = self.marking.take() {
            self.marked(marking.task.await.unwrap_or_default());
        }
    }

    fn marked(&mut self, left: Vec<ServerName>) {
        self.unmarked = left;
        self.mark_next = Instant::now() + MARK_AGAIN;
    }

    /// Whether the servers are being told of a new term for the first time.
    fn is_marking(&self) -> bool {
        self.marking.as_ref().is_some_and(|marking| !marking.again)
    }

    /// Goes on with a plan that was in flight when the journal was last written.
    async fn resume(&mut self) {
        if self.executor.is_none()
            && matches!(self.duty, Duty::Held(_))
            && !self.is_marking()
            && let Some(progress) = self.ledger.cluster(&self.name).await.progress
        {
            tracing::warn!(cluster = %self.name, plan = progress.plan().number, "going on with the plan in flight");
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        let (ledger, name) = (Arc::clone(&self.ledger), self.name.clone());
        let (setup, known) = (Arc::clone(&self.setup.borrow()), self.suspects.known());
        let duties = self.duties.clone();
        self.executor = Some(tokio::spawn(async move {
            act::carry_out(&ledger, &name, &setup.equipment, &known, &duties).await
        }));
    }

    async fn plan_ended(&mut self, result: Result<Option<PlanEnding>, LedgerError>) {
        match result {
            Ok(ending) => tracing::info!(cluster = %self.name, ?ending, "plan is over"),
            Err(error) => {
                // The next tick tries again.
                tracing::error!(cluster = %self.name, error = &error as &dyn std::error::Error, "the plan waits for the journal");
            }
        }
        // What was seen before the plan says nothing about after it.
        self.settling = Some(Settling::begin());
        self.setup.borrow().probe_all();
        self.publish(None).await;
    }

    /// Takes a new setup over: between two evaluations, so that none is missed.
    async fn adopt(&mut self) {
        let setup = Arc::clone(&self.setup.borrow_and_update());
        self.book.retain(|probe| setup.probes.contains(probe));
        self.suspects.forget();
        self.mark().await;
        self.last = None;
        self.evaluate().await;
    }

    fn settled(&mut self, setup: &Setup) -> bool {
        if self.is_marking() {
            return false;
        }
        let Some(settling) = &self.settling else { return true };
        // Nobody waits for a `df` that hangs.
        let seen =
            setup.probes.iter().filter(|probe| probe.service.is_some() || probe.has_say()).all(
                |probe| self.book.get(probe).is_some_and(|fact| fact.latest.at >= settling.since),
            );
        let now = Instant::now();
        if (seen && now >= settling.from) || now >= settling.until {
            self.settling = None;
        }
        self.settling.is_none()
    }

    /// The one way from facts to a decision, its record, and its plan.
    async fn evaluate(&mut self) {
        let setup = Arc::clone(&self.setup.borrow());
        if !self.settled(&setup) {
            return;
        }
        let begun = Instant::now();
        let state = self.ledger.cluster(&self.name).await;
        if self.executor.is_some() && state.progress.is_none() {
            // The plan has just ended: its end is taken in first, and with it that what was seen
            // before says nothing any more.
            return;
        }
        let now = clock::now();
        self.hear_monitors(setup.topology.on(state.phase.side()));
        let snapshot = self.snapshot(&setup, &state, now);
        self.duties.sights().saw(&self.name, suspects::sights(snapshot.facts()));
        let View { duty, claims } = self.duties.of(&self.name);
        if let Duty::NotHeld(_) = duty {
            return self.only_look(snapshot, &state, claims, begun).await;
        }
        let heard = self.hear(&setup, &snapshot, &state).await;
        let fleet = self.fleet().await;
        let situation = Situation {
            snapshot: &snapshot,
            phase: state.phase,
            duty: &duty,
            limits: &setup.limits,
            arrangements: &setup.arrangements,
            last_change: state.cooling_since,
            fleet_changes: &fleet,
        };
        let standings = setup.standings(&state);
        let mut decision = arbitration::decide(&situation, &heard.opinions, &standings);
        let in_shadow = arbitration::in_shadow(&situation, &heard.opinions, &standings, &decision);
        let rollbacks = self.failures.count(&heard.opinions, &setup, &state);
        decision.alerts.extend(claims);
        decision.alerts.extend(claims::of_policies(&state));
        decision.alerts.extend(health::long_unknown(&self.book, now, setup.unknown_after));
        decision.alerts.extend(self.unready.claims(&setup.standby, &snapshot, &state));
        self.look_again = heard.look_again.map(|left| begun + left.max(SHORTEST_LOOK));

        let plan = decision.to_carry_out().map(|chosen| {
            let Duty::Held(term) = &duty else { return None };
            Some(Plan::make(Request {
                number: state.next_plan,
                kind: plan_kind(&chosen.proposal.action),
                term: *term,
                ordered_by: OrderedBy::Policy(chosen.policy.clone()),
                reason: chosen.proposal.reason.clone(),
                topology: &setup.topology,
                arrangements: &setup.arrangements,
                snapshot: &snapshot,
            }))
        });
        let plan = plan.flatten();
        decision.alerts.extend(claims::of_phase(&state, plan.as_ref()));
        let signature = claims::Signature::of(&decision, in_shadow.as_ref());
        let mut events: Vec<Event> = self.unrecorded.iter().cloned().map(Event::Observed).collect();
        let basis = self.basis(&setup, &duty, &standings);
        if self.last.as_ref() != Some(&signature) || plan.is_some() || basis.is_some() {
            events.push(Event::Evaluated(Box::new(Evaluated {
                snapshot: snapshot.as_ref().clone(),
                opinions: heard.opinions.clone(),
                decision: decision.clone(),
                in_shadow: in_shadow.clone(),
                basis,
            })));
        }
        events.extend(memories(&heard.opinions, &state));
        let another_revision = !rollbacks.is_empty();
        events.extend(rollbacks);
        let begins = plan.is_some();
        let doing = claims::doing(&decision, &state, plan.as_ref());
        if let Some(plan) = plan {
            tracing::warn!(cluster = %self.name, plan = plan.number, kind = %plan.kind, reason = plan.reason, "plan begins");
            events.push(Event::PlanBegun(Box::new(plan)));
        }
        let telling = Telling { decision: &decision, doing, now };
        if !self.record(events, Some(telling)).await {
            return;
        }
        self.unrecorded.clear();
        self.last = Some(signature);
        let another = setup.revisions.clone().filter(|_| another_revision);
        self.rests_on = Some(RestsOn { setup, duty, standings });
        if let Some(revisions) = another {
            revisions.want();
        }
        if begins {
            self.carry_out();
        }
        let (opinions, took) = (heard.opinions, begun.elapsed());
        self.publish(Some(Outcome { snapshot, opinions, decision, in_shadow, took })).await;
    }

    /// What the policies say, off the asynchronous threads.
    async fn hear(
        &self,
        setup: &Arc<Setup>,
        snapshot: &Arc<Snapshot>,
        state: &ClusterState,
    ) -> Heard {
        let (hearing, asked) = (Arc::clone(&self.hearing), Arc::clone(setup));
        let (snapshot, memories) = (Arc::clone(snapshot), state.memories.clone());
        let hear = move || {
            let mut hearing = hearing.lock().unwrap_or_else(PoisonError::into_inner);
            hearing.hear(&asked.seats, &snapshot, &memories, Instant::now())
        };
        tokio::task::spawn_blocking(hear).await.unwrap_or_else(|error| {
            tracing::error!(%error, "asking the policies ended unexpectedly");
            let detail = "the engine failed while asking it".to_owned();
            let failure = Failure { kind: FailureKind::Trap, detail };
            let opinions = setup.seats.iter().map(|seat| seat.failed(failure.clone())).collect();
            Heard { opinions, look_again: None }
        })
    }

    /// What a decision rests on now, if that is another than what the last recorded one rests on.
    fn basis(&self, setup: &Arc<Setup>, duty: &Duty, standings: &[Standing]) -> Option<Box<Basis>> {
        let same = |known: &RestsOn| {
            Arc::ptr_eq(&known.setup, setup) && known.duty == *duty && known.standings == standings
        };
        let known = self.rests_on.as_ref().is_some_and(same);
        (!known).then(|| Box::new(setup.basis(duty.clone(), standings)))
    }

    /// What a monitor without the duty does: it looks, so that it knows the facts when its turn
    /// comes, and leaves deciding and telling to the one who has it.
    async fn only_look(
        &mut self,
        snapshot: Arc<Snapshot>,
        state: &ClusterState,
        claims: Vec<Claimed>,
        begun: Instant,
    ) {
        let others = state.alerts.firing().map(|alert| alert.source.clone());
        let decision = Decision {
            alerts: claims,
            silent: others.filter(|source| source != DUTY).collect(),
            ..Decision::none()
        };
        let telling = Telling {
            decision: &decision,
            doing: "This monitor does not act.".to_owned(),
            now: snapshot.facts().at,
        };
        let events = self.unrecorded.iter().cloned().map(Event::Observed).collect();
        if self.record(events, Some(telling)).await {
            self.unrecorded.clear();
            self.look_again = None;
            let took = begun.elapsed();
            let outcome =
                Outcome { snapshot, opinions: Vec::new(), decision, in_shadow: None, took };
            self.publish(Some(outcome)).await;
        }
    }

    fn snapshot(&mut self, setup: &Setup, state: &ClusterState, at: Timestamp) -> Arc<Snapshot> {
        let number = self.next_snapshot.max(state.next_snapshot);
        self.next_snapshot = number + 1;
        let (rescues, changes) = (
            state.rescues.iter().cloned().collect::<Vec<_>>(),
            state.changes.iter().cloned().collect::<Vec<_>>(),
        );
        let in_maintenance: Vec<_> = state.services_in_maintenance.keys().cloned().collect();
        Arc::new(Snapshot::take(
            number,
            at,
            &setup.topology,
            &self.book,
            &Background {
                phase: state.phase,
                active_since: state.active_since,
                maintenance: state.maintenance.is_some(),
                services_in_maintenance: &in_maintenance,
                rescues: &rescues,
                changes: &changes,
            },
        ))
    }

    /// When other clusters' unplanned changes of side began.
    async fn fleet(&self) -> Vec<Timestamp> {
        self.ledger.with(|state| state.fleet_changes(&self.name)).await
    }

    /// Records events about this cluster, and what `telling` changes about who is to be told; false if
    /// the journal could not take them. Nothing may be done then.
    async fn record(&self, events: Vec<Event>, telling: Option<Telling<'_>>) -> bool {
        let name = &self.name;
        let mut overtaken = false;
        let written = self.ledger.record_with(|state| {
            overtaken = !admits(state, name, &events);
            if overtaken {
                return Events::new();
            }
            let mut events: Events =
                events.into_iter().map(|event| (Some(name.clone()), event)).collect();
            if let Some(Telling { decision, doing, now }) = telling {
                let firing = state.clusters.get(name).map(|cluster| &cluster.alerts);
                let changes = firing.unwrap_or(&AlertBook::default()).compare(
                    Some(name),
                    &decision.alerts,
                    &decision.silent,
                    now,
                );
                events.extend(deliver::alert_events(Some(name), &changes, &doing));
            }
            events
        });
        match written.await {
            // The duty has just gone: the next look at it says so.
            Ok(_) => !overtaken,
            Err(error) => {
                tracing::error!(cluster = %name, error = &error as &dyn std::error::Error, "nothing is done while the journal cannot be written");
                self.view.send_modify(|view| {
                    Arc::make_mut(view).trouble = Some(crate::errors::chain(&error));
                });
                false
            }
        }
    }

    async fn publish(&self, evaluated: Option<Outcome>) {
        let state = self.ledger.cluster(&self.name).await;
        self.view.send_modify(|view| {
            let view = Arc::make_mut(view);
            view.state = state;
            if let Some(Outcome { snapshot, opinions, decision, in_shadow, took }) = evaluated {
                view.evaluations += 1;
                view.snapshot = Some(snapshot);
                view.opinions = opinions;
                view.decision = Some(decision);
                view.in_shadow = in_shadow;
                view.took = took;
                view.trouble = None;
            }
        });
    }
}

/// Whether a plan among these events may still be begun in its term.
fn admits(state: &State, name: &ClusterName, events: &[Event]) -> bool {
    let tenure = state.clusters.get(name).map(|cluster| &cluster.tenure);
    events.iter().all(|event| match (event, tenure) {
        (Event::PlanBegun(plan), Some(tenure)) => tenure.admits(plan.term).is_ok(),
        _ => true,
    })
}

/// What a recorded decision rests on.
struct RestsOn {
    setup: Arc<Setup>,
    duty: Duty,
    /// The policies' standings, in the modes that counted.
    standings: Vec<Standing>,
}

/// What an evaluation came to.
struct Outcome {
    snapshot: Arc<Snapshot>,
    opinions: Vec<Opinion>,
    decision: Decision,
    in_shadow: Option<Decision>,
    took: Duration,
}

/// What people are to be told of a decision.
struct Telling<'a> {
    decision: &'a Decision,
    /// What is done, in a line.
    doing: String,
    now: Timestamp,
}

/// Leaving marks.
struct Marking {
    task: JoinHandle<Vec<ServerName>>,
    /// Whether that was tried before in this term.
    again: bool,
}

/// Leaves the mark of a term on servers; gives those that do not have it afterwards.
async fn leave_marks(
    setup: Arc<Setup>,
    duties: Duties,
    hand: Hand,
    servers: Vec<ServerName>,
) -> Vec<ServerName> {
    let deadline = Instant::now() + MARK_PATIENCE;
    let claims = servers.iter().map(|it| act::claim(&setup.equipment, it, &hand, deadline));
    let claims = futures_util::future::join_all(claims).await;
    let mut left = Vec::new();
    for (server, claim) in servers.into_iter().zip(claims) {
        match claim {
            Claim::Left => duties.marked(&hand.cluster, hand.term, &server),
            Claim::Refused(refusal) => duties.refuse(&hand.cluster, hand.term, refusal),
            Claim::Unreachable(why) => {
                tracing::debug!(why, "no mark was left");
                left.push(server);
            }
            Claim::Unwritten(why) => {
                duties.unmarked(&hand.cluster, hand.term, &server, why);
                left.push(server);
            }
        }
    }
    left
}

/// Waits for marks that are being left; for ever if there are none.
async fn marks_left(marking: &mut Option<Marking>) -> Vec<ServerName> {
    let Some(Marking { task, .. }) = marking else { return std::future::pending().await };
    let left = task.await.unwrap_or_default();
    *marking = None;
    left
}

/// Waits for the plan in flight; for ever if there is none.
async fn finished(
    executor: &mut Option<JoinHandle<Result<Option<PlanEnding>, LedgerError>>>,
) -> Result<Option<PlanEnding>, LedgerError> {
    let Some(handle) = executor else { return std::future::pending().await };
    let result = handle.await;
    *executor = None;
    match result {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "carrying the plan out ended unexpectedly; it is taken up again");
            Ok(None)
        }
    }
}

/// What policies want remembered that is not yet.
fn memories(opinions: &[Opinion], state: &ClusterState) -> Vec<Event> {
    let mut memories = Vec::new();
    for opinion in opinions {
        let Ok(evaluation) = &opinion.outcome else { continue };
        let remembered = state.memories.get(&opinion.policy).map(|memory| &memory.state);
        if remembered.map_or(!evaluation.state.is_empty(), |state| *state != evaluation.state) {
            memories.push(Event::Remembered {
                policy: opinion.policy.clone(),
                version: opinion.revision.version.clone(),
                state: evaluation.state.clone(),
            });
        }
    }
    memories
}
