//! What the journal holds since a moment, and how that is told.

use std::time::{Duration, SystemTime};

use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::model::{Status, Timestamp};
use watchkeeper_core::plan::{Plan, PlanKind};

use crate::error::DemoError;
use crate::stage::{Stage, wait};
use crate::teller::Teller;

/// How long anything may take, on a machine that does much else. It takes seconds at most.
const WITHIN: Duration = Duration::from_secs(45);

/// A part of the journal that grows.
pub(crate) struct Episode {
    begun: Timestamp,
    last: u64,
    records: Vec<Record>,
}

impl Episode {
    /// From now on.
    pub(crate) async fn begin(stage: &Stage) -> Result<Self, DemoError> {
        let newest: Vec<Record> = stage.ask_json(&["journal", "show", "--limit", "1"]).await?;
        let last = newest.last().map_or(0, |record| record.seq);
        Ok(Self { begun: now(), last, records: Vec::new() })
    }

    /// From now on, time starting now: for what is done a while after [`Episode::begin`].
    pub(crate) fn restart_clock(&mut self) {
        self.begun = now();
    }

    /// Waits until `found` finds something in what was recorded since the beginning.
    pub(crate) async fn until<T>(
        &mut self,
        stage: &mut Stage,
        what: &str,
        mut found: impl FnMut(&[Record]) -> Option<T>,
    ) -> Result<T, DemoError> {
        wait(what, WITHIN, async || {
            stage.alive()?;
            self.follow(stage).await?;
            Ok(found(&self.records))
        })
        .await
    }

    async fn follow(&mut self, stage: &Stage) -> Result<(), DemoError> {
        let after = self.last.to_string();
        let more: Vec<Record> = stage.ask_json(&["journal", "show", "--after", &after]).await?;
        self.last = more.last().map_or(self.last, |record| record.seq);
        self.records.extend(more);
        Ok(())
    }

    /// What was recorded since the beginning, as far as it was waited for.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Milliseconds from the beginning until `record`.
    pub(crate) const fn after(&self, record: &Record) -> u64 {
        record.at.since(self.begun)
    }

    /// Everything since the beginning that has to do with plans: what was seen down, decided,
    /// done, and told.
    pub(crate) fn tell(&self, teller: &Teller) {
        let mut plan: Option<&Plan> = None;
        for record in &self.records {
            let tell = |word, text: &str| teller.event(self.after(record), word, text);
            match &record.event {
                // After a plan everything is looked at again; what is as meant is no news.
                Event::Observed(it) if it.status == Status::Down && plan.is_none() => {
                    tell("saw", &format!("{} is down: {}", it.probe, it.reason.detail));
                }
                Event::PlanBegun(begun) => {
                    plan = Some(begun);
                    tell("decided", &format!("{}: {}", begun.kind, begun.reason));
                }
                Event::StepEnded { step, outcome, .. } => {
                    let act = plan.and_then(|plan| plan.steps.get(*step));
                    let act = act.map_or_else(String::new, |step| step.act.to_string());
                    let word =
                        if matches!(outcome, Outcome::Done { .. }) { "did" } else { "failed" };
                    tell(word, &format!("{act}: {}", outcome.detail()));
                }
                Event::PlanEnded { ending, .. } => {
                    tell(
                        "result",
                        &match ending {
                            PlanEnding::Completed => "the plan is completed".to_owned(),
                            PlanEnding::Refused { detail, .. }
                            | PlanEnding::Failed { detail, .. } => {
                                format!("the plan ended: {detail}")
                            }
                        },
                    );
                }
                Event::AlertFired(alert) => {
                    tell("alert", &format!("{} {}", alert.claim.severity, alert.claim.name));
                }
                _ => {}
            }
        }
    }
}

/// How the first plan of a kind ended, when it has: its record and its ending.
pub(crate) fn ended(
    records: &[Record],
    kind: impl Fn(&PlanKind) -> bool,
) -> Option<(Record, PlanEnding)> {
    let number = records.iter().find_map(|record| match &record.event {
        Event::PlanBegun(plan) if kind(&plan.kind) => Some(plan.number),
        _ => None,
    })?;
    records.iter().find_map(|record| match &record.event {
        Event::PlanEnded { plan, ending } if *plan == number => {
            Some((record.clone(), ending.clone()))
        }
        _ => None,
    })
}

/// The delivery of the notification that an alert of this name fires.
pub(crate) fn delivered(records: &[Record], name: &str) -> Option<Record> {
    let queued = records.iter().find_map(|record| match &record.event {
        Event::NotificationMade(made) => {
            let mut alerts = made.alerts.iter().map(|it| &it.alert);
            let fires = alerts.any(|it| it.claim.name == name && it.ends_at.is_none());
            fires.then_some(made.id)
        }
        _ => None,
    })?;
    let delivered = |record: &&Record| matches!(record.event, Event::NotificationDelivered { id, .. } if id == queued);
    records.iter().find(delivered).cloned()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
