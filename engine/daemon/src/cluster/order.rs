//! What operators ask for.

use tokio::sync::oneshot;
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::{self, Check, Duty, Guard, GuardHold};
use watchkeeper_core::lifecycle::{Trigger, step};
use watchkeeper_core::model::{Side, Timestamp};
use watchkeeper_core::plan::{OrderedBy, Plan, PlanKind, Request};

use super::Watch;
use super::policies::PolicyOrder;
use super::stand::Stand;
use super::stopped::ResumeOrder;

/// A change of side, as an operator orders it.
#[derive(Debug, Clone)]
pub struct ChangeOrder {
    /// Failover, switchover or switchback.
    pub kind: PlanKind,
    /// Who orders it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Guards that are not to hold it.
    pub overrides: Vec<Guard>,
    /// Only show the plan.
    pub dry_run: bool,
}

/// What an operator asks for, and where the answer goes.
#[derive(Debug)]
pub enum Order {
    /// A change of side.
    Change(ChangeOrder, oneshot::Sender<Result<Answer, Refusal>>),
    /// Maintenance mode on, with its reason and its end, if it has one.
    MaintenanceOn {
        /// The service it is for, as the operator wrote it; none: the whole cluster.
        service: Option<String>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// Maintenance mode off.
    MaintenanceOff {
        /// The service it was for, as the operator wrote it; none: the whole cluster.
        service: Option<String>,
        /// Who.
        by: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// This side is active.
    Declare {
        /// The side.
        side: Side,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// No further step of the plan in flight.
    Abort {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// The plan that stopped on its way goes on.
    Resume(ResumeOrder, oneshot::Sender<Result<Answer, Refusal>>),
    /// The plan that stopped on its way is given up.
    Abandon {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// What becomes of a policy.
    Policy(PolicyOrder, oneshot::Sender<Result<Answer, Refusal>>),
    /// Nothing but an answer, which shows that the task turns.
    Ping(oneshot::Sender<()>),
}

/// What was done about an order.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is so now.
    Done,
    /// The plan that begins, or would.
    Plan {
        /// The plan.
        plan: Box<Plan>,
        /// Whether it begins.
        begun: bool,
        /// What would hold it, in a dry run.
        holds: Vec<GuardHold>,
        /// What each guard says of it, in a dry run, whether it is overridden or not.
        checks: Vec<Check>,
    },
    /// The plan stops before its next step.
    Aborted {
        /// The plan.
        plan: Box<Plan>,
        /// The step that is next or under way, counted from 0.
        step: usize,
    },
    /// The plan is given up.
    Abandoned {
        /// Its number.
        plan: u64,
        /// The side that counts as active; none: an operator has to say.
        side: Option<Side>,
        /// Why.
        why: String,
    },
}

/// Why an order was refused: all reasons at once.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Guards hold it.
    Held(Vec<GuardHold>),
    /// It is not possible.
    Impossible(String),
    /// The journal cannot be written.
    Unrecorded,
}

impl Watch {
    pub(super) async fn obey(&mut self, order: Order) {
        let (answer, reply) = match order {
            Order::Change(order, reply) => (self.change(order).await, reply),
            Order::MaintenanceOn { by, reason, until, service, reply } => {
                (self.maintenance_on(by, reason, until, service.as_deref()).await, reply)
            }
            Order::MaintenanceOff { by, service, reply } => {
                (self.maintenance_off(by, service.as_deref()).await, reply)
            }
            Order::Declare { side, by, reason, reply } => {
                let phase = self.ledger.cluster(&self.name).await.phase;
                let answer = match step(phase, Trigger::OperatorDeclares(side)) {
                    Ok(_) => self.note(Event::Declared { side, by, reason }).await,
                    Err(refused) => Err(Refusal::Impossible(refused.to_string())),
                };
                (answer, reply)
            }
            Order::Abort { by, reason, reply } => (self.abort(by, reason).await, reply),
            Order::Resume(order, reply) => (self.resume_order(order).await, reply),
            Order::Abandon { by, reason, reply } => (self.abandon(by, reason).await, reply),
            Order::Policy(order, reply) => (self.policy(order).await, reply),
            Order::Ping(answer) => {
                let _ = answer.send(());
                return;
            }
        };
        // Whoever has the answer and looks finds it so.
        self.publish(None).await;
        // Nobody waits for it any more: that is theirs to decide.
        let _ = reply.send(answer);
        self.evaluate().await;
    }

    /// Records what an operator says, where it counts: at the monitor that has the duty.
    pub(super) async fn note(&self, event: Event) -> Result<Answer, Refusal> {
        self.has_the_duty()?;
        if self.record(vec![event], None).await {
            Ok(Answer::Done)
        } else {
            Err(Refusal::Unrecorded)
        }
    }

    /// What operators say counts at the monitor that has the duty, and only that one knows how things
    /// stand.
    pub(super) fn has_the_duty(&self) -> Result<(), Refusal> {
        let (Duty::NotHeld(why) | Duty::Uncertain(why)) = self.duties.of(&self.name).duty else {
            return Ok(());
        };
        let why = format!("this monitor does not have the duty: {why}; say it to the one that has");
        Err(Refusal::Impossible(why))
    }

    async fn change(&mut self, order: ChangeOrder) -> Result<Answer, Refusal> {
        self.await_marks().await;
        let stand = self.stand().await;
        let situation = stand.situation();
        let checks = guards::checks(&situation, &order.kind);
        let holds = held(&checks, &order.overrides);
        let Stand { setup, state, snapshot, duty, .. } = &stand;
        let term = match duty {
            Duty::Held(term) => *term,
            // It is only to be looked at, and the guard says why it would not begin here.
            Duty::NotHeld(_) | Duty::Uncertain(_) if order.dry_run => state.tenure.seen(),
            Duty::NotHeld(_) | Duty::Uncertain(_) => return Err(Refusal::Held(holds)),
        };
        let plan = Plan::make(Request {
            number: state.next_plan,
            kind: order.kind,
            term,
            ordered_by: OrderedBy::Operator(order.by),
            reason: with_overrides(order.reason, &order.overrides),
            topology: &setup.topology,
            arrangements: &setup.arrangements,
            snapshot,
        });
        if order.dry_run {
            return Ok(Answer::Plan { plan: Box::new(plan), begun: false, holds, checks });
        }
        if !holds.is_empty() {
            return Err(Refusal::Held(holds));
        }
        let begun = Event::PlanBegun(Box::new(plan.clone()));
        if !self.record(vec![stand.seen(), begun], None).await {
            return Err(Refusal::Unrecorded);
        }
        // Who ordered it looks at once how it goes.
        self.carry_out();
        let (holds, checks) = (Vec::new(), Vec::new());
        Ok(Answer::Plan { plan: Box::new(plan), begun: true, holds, checks })
    }
}

/// What holds an order that overrides these guards, as far as they can be.
pub(super) fn held(checks: &[Check], overrides: &[Guard]) -> Vec<GuardHold> {
    let holds = checks.iter().filter_map(Check::hold);
    holds
        .filter(|hold| !(hold.guard.can_be_overridden() && overrides.contains(&hold.guard)))
        .collect()
}

pub(super) fn with_overrides(reason: String, overrides: &[Guard]) -> String {
    if overrides.is_empty() {
        return reason;
    }
    let names: Vec<&str> = overrides.iter().map(|guard| guard.as_str()).collect();
    format!("{reason} (overriding the guards {})", names.join(", "))
}
