//! The world `policy`: a snapshot goes in, proposals come out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{InstancePre, Resource, Type};
use watchkeeper_core::model::{ServiceId, Timestamp};
use watchkeeper_core::proposal::{
    Action, AlertClaim, Evaluation, Failure, FailureKind, Grant, Proposal, Revision,
};
use watchkeeper_core::settings::{Setting, SettingValue, is_kebab};
use watchkeeper_core::snapshot::{Read, Snapshot};

use crate::call::{Call, LogLine, clean};
use crate::facts;
use crate::guest::{Called, Export, Function, Guest, Shared, called};
use crate::limits::Limits;
use crate::load::{LoadError, Said, World, check_description};
use crate::wire;

/// What this world asks of a component.
pub(crate) const WORLD: World = World {
    name: "policy",
    package: "watchkeeper:policy",
    version: "0.1.0",
    interfaces: &["types", "facts", "log"],
    resources: &["snapshot"],
    exports: &["describe", "evaluate", "migrate"],
};

/// What a policy says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name, in kebab case.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does: one line.
    pub summary: String,
    /// What it may propose. The configuration has to grant all of it.
    pub needs: BTreeSet<Grant>,
    /// The settings it understands.
    pub settings: Vec<Setting>,
}

/// What an evaluation came to.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the policy said, or why it said nothing.
    pub outcome: Result<Evaluation, Failure>,
    /// What it asked, whether it came to an end or not.
    pub reads: BTreeSet<Read>,
    /// What it logged and printed, in its order.
    pub log: Vec<LogLine>,
    /// How many further lines were dropped.
    pub dropped_lines: u64,
    /// How long it took, with making the instance.
    pub took: Duration,
}

#[derive(Debug)]
struct Describe;

impl Function for Describe {
    const NAME: &'static str = "describe";
    type Params<'a> = ();
    type Return = (wire::PolicyDescription,);
}

#[derive(Debug)]
struct Evaluate;

impl Function for Evaluate {
    const NAME: &'static str = "evaluate";
    type Params<'a> = (Resource<facts::Snapshot>, &'a [wire::SettingRef<'a>], &'a [u8]);
    type Return = (Result<wire::Evaluation, String>,);
}

#[derive(Debug)]
struct Migrate;

impl Function for Migrate {
    const NAME: &'static str = "migrate";
    type Params<'a> = (&'a str, &'a [u8]);
    type Return = (Result<Vec<u8>, String>,);
}

/// How a policy takes the snapshot. Its world says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handing {
    /// It gives it back before it answers: the world `policy`.
    Lent,
    /// It may keep it to the end of its instance: the world `policy-keeping`, for languages whose tools give back what was
    /// lent only after the answer, which is too late.
    Kept,
}

impl Handing {
    /// What the first parameter of `evaluate` is. Its types were compared before.
    fn of(first: Option<&Type>) -> Self {
        if matches!(first, Some(Type::Own(_))) { Self::Kept } else { Self::Lent }
    }

    /// The one snapshot of a call. Nothing stands behind it but the call itself.
    fn snapshot(self) -> Resource<facts::Snapshot> {
        match self {
            Self::Lent => Resource::new_borrow(0),
            Self::Kept => Resource::new_own(0),
        }
    }
}

/// A loaded policy.
#[derive(Debug)]
pub struct Policy {
    guest: Guest,
    evaluate: Export<Evaluate>,
    snapshot: Handing,
    migrate: Export<Migrate>,
    revision: Revision,
    description: Description,
}

impl Policy {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        pre: InstancePre<Call>,
        digest: String,
    ) -> Result<Self, LoadError> {
        let guest = Guest::new(Arc::clone(shared), pre);
        let limits = Arc::clone(guest.limits());
        let ((evaluate, snapshot, migrate), (said,)) =
            guest.introduce::<Describe, _>(&WORLD, |pre, store, instance| {
                let evaluate = Export::<Evaluate>::find(pre, store, instance)?;
                let snapshot = Handing::of(evaluate.first_param(store, instance).as_ref());
                Ok((evaluate, snapshot, Export::find(pre, store, instance)?))
            })?;
        let needs = said.needs.to_core().into_iter().collect();
        let said = check_description(
            Said {
                name: said.name,
                version: said.version,
                summary: said.summary,
                settings: said.settings.into_iter().map(Into::into).collect(),
            },
            &limits,
        )?;
        let revision = Revision { digest, version: said.version.clone() };
        let description = Description {
            name: said.name,
            version: said.version,
            summary: said.summary,
            needs,
            settings: said.settings,
        };
        Ok(Self { guest, evaluate, snapshot, migrate, revision, description })
    }

    /// Its digest and version.
    pub const fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What it says of itself.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Asks the policy what it makes of `snapshot`. `settings` are in the order of the
    /// description, as `watchkeeper_core::settings::check` gives them; `state` is what the last
    /// evaluation for this cluster returned.
    ///
    /// Blocks the thread for at most the limit of a call, and for as long again for each call that
    /// has to end first if more are under way than the host has slots.
    pub fn evaluate(
        &self,
        snapshot: &Arc<Snapshot>,
        settings: &[SettingValue],
        state: &[u8],
    ) -> Evaluated {
        let began = Instant::now();
        let limits = self.guest.limits();
        let call = Call::evaluation(limits, Arc::clone(snapshot));
        let settings = wire::borrow(settings);
        let params = (self.snapshot.snapshot(), &*settings, state);
        let (outcome, call) = self.guest.call(&self.evaluate, params, call, limits.call);
        let outcome = outcome.and_then(|(answer,)| match answer {
            Ok(evaluation) => self.check(evaluation, snapshot),
            Err(reason) => Err(refused(reason, limits)),
        });
        let (log, dropped_lines, reader) = call.end();
        let reads = reader.map(watchkeeper_core::snapshot::Reader::into_reads).unwrap_or_default();
        Evaluated { outcome, reads, log, dropped_lines, took: began.elapsed() }
    }

    /// Has the policy take over the state of another version of it.
    pub fn migrate(&self, from_version: &str, state: &[u8]) -> Called<Vec<u8>> {
        let began = Instant::now();
        let limits = self.guest.limits();
        let call = Call::new(limits, Timestamp(0), 0);
        let (outcome, call) =
            self.guest.call(&self.migrate, (from_version, state), call, limits.call);
        let outcome = outcome.and_then(|(answer,)| match answer {
            Ok(state) => check_state(state, limits),
            Err(reason) => Err(refused(reason, limits)),
        });
        called(began, (outcome, call))
    }

    /// Checks the answer against the snapshot, the description and the limits.
    fn check(&self, found: wire::Evaluation, snapshot: &Snapshot) -> Result<Evaluation, Failure> {
        let limits = &**self.guest.limits();
        check_items("proposals", found.proposals.len(), limits)?;
        check_items("holds", found.holds.len(), limits)?;
        check_items("alerts", found.alerts.len(), limits)?;
        check_items("notes", found.notes.len(), limits)?;
        if !found.holds.is_empty() {
            self.needs(Grant::Hold)?;
        }
        if !found.alerts.is_empty() {
            self.needs(Grant::Alert)?;
        }
        let look_again = u64::try_from(limits.look_again.as_millis()).unwrap_or(u64::MAX);
        Ok(Evaluation {
            proposals: found
                .proposals
                .into_iter()
                .map(|proposal| self.proposal(proposal, snapshot, limits))
                .collect::<Result<_, _>>()?,
            holds: texts(found.holds, "a hold", limits)?,
            alerts: found
                .alerts
                .into_iter()
                .map(|alert| claim(alert, snapshot, limits))
                .collect::<Result<_, _>>()?,
            state: check_state(found.state, limits)?,
            look_again_ms: found.look_again.map(|ms| ms.max(look_again)),
            notes: texts(found.notes, "a note", limits)?,
        })
    }

    fn proposal(
        &self,
        proposal: wire::Proposal,
        snapshot: &Snapshot,
        limits: &Limits,
    ) -> Result<Proposal, Failure> {
        let action = match proposal.action {
            wire::Action::Rescue(id) => Action::Rescue(service(&id, snapshot)?),
            wire::Action::StopService(id) => Action::StopService(service(&id, snapshot)?),
            wire::Action::Failover => Action::Failover,
        };
        self.needs(action.grant())?;
        Ok(Proposal { action, reason: text(proposal.reason, "a reason", limits)? })
    }

    /// What a policy does, it has to have asked for: the configuration granted that, and no more.
    fn needs(&self, grant: Grant) -> Result<(), Failure> {
        if self.description.needs.contains(&grant) {
            return Ok(());
        }
        Err(invalid(format!("its answer needs the permission {grant}, which it does not ask for")))
    }
}

fn service(id: &wire::ServiceRef, snapshot: &Snapshot) -> Result<ServiceId, Failure> {
    let service = id.service.into();
    if let Some(found) = snapshot.service(&id.server, service) {
        return Ok(found.id.clone());
    }
    Err(invalid(match snapshot.server(&id.server) {
        Some(server) => {
            format!("it proposed something for {service} on {}, which has none", server.name)
        }
        None => {
            format!("it named the server {:?}, which the cluster does not have", short(&id.server))
        }
    }))
}

fn claim(alert: wire::Alert, snapshot: &Snapshot, limits: &Limits) -> Result<AlertClaim, Failure> {
    if !is_kebab(&alert.name) || alert.name.len() > MAX_WORD {
        let name = short(&alert.name);
        return Err(invalid(format!("the alert name {name:?} is not a short one in kebab case")));
    }
    if alert.code.len() > MAX_WORD {
        return Err(too_large(format!("an alert's code has more than {MAX_WORD} bytes")));
    }
    if alert.labels.len() > limits.labels {
        return Err(too_large(format!("an alert has more than {} labels", limits.labels)));
    }
    if alert.labels.iter().any(|(name, _)| name.is_empty()) {
        return Err(invalid("a label has no name".to_owned()));
    }
    let server = match &alert.server {
        None => None,
        Some(name) => {
            Some(snapshot.server(name).map(|found| found.name.clone()).ok_or_else(|| {
                invalid(format!(
                    "an alert names the server {:?}, which the cluster does not have",
                    short(name)
                ))
            })?)
        }
    };
    let labels = alert
        .labels
        .into_iter()
        .map(|(name, value)| Ok((text(name, "a label", limits)?, text(value, "a label", limits)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    Ok(AlertClaim {
        name: alert.name,
        severity: alert.severity.into(),
        server,
        service: alert.service.map(Into::into),
        code: clean(alert.code),
        summary: text(alert.summary, "a summary", limits)?,
        labels: wire::labels(labels),
    })
}

/// The longest name or code of an alert, in bytes.
const MAX_WORD: usize = 64;

/// So much of a guest's text as fits into a message.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_WORD)).unwrap_or(text)
}

fn check_items(what: &str, count: usize, limits: &Limits) -> Result<(), Failure> {
    if count <= limits.items {
        return Ok(());
    }
    Err(too_large(format!("it gave {count} {what}; at most {} are accepted", limits.items)))
}

fn texts(all: Vec<String>, what: &str, limits: &Limits) -> Result<Vec<String>, Failure> {
    all.into_iter().map(|each| text(each, what, limits)).collect()
}

fn text(text: String, what: &str, limits: &Limits) -> Result<String, Failure> {
    if text.len() <= limits.text_bytes {
        return Ok(clean(text));
    }
    Err(too_large(format!(
        "{what} has {} bytes; at most {} are accepted",
        text.len(),
        limits.text_bytes
    )))
}

pub(crate) fn check_state(state: Vec<u8>, limits: &Limits) -> Result<Vec<u8>, Failure> {
    if state.len() <= limits.state_bytes {
        return Ok(state);
    }
    let size = state.len();
    Err(too_large(format!("its state has {size} bytes; at most {} are kept", limits.state_bytes)))
}

/// What a guest says when it cannot answer, cut at the limit of a text.
pub(crate) fn refused(reason: String, limits: &Limits) -> Failure {
    let cut = reason.floor_char_boundary(limits.text_bytes);
    let mut reason = reason;
    reason.truncate(cut);
    Failure { kind: FailureKind::Refused, detail: clean(reason) }
}

pub(crate) const fn invalid(detail: String) -> Failure {
    Failure { kind: FailureKind::Invalid, detail }
}

pub(crate) const fn too_large(detail: String) -> Failure {
    Failure { kind: FailureKind::Result, detail }
}
