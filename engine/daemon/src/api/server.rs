//! The socket and its routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use watchkeeper_core::alerting::Alert;
use watchkeeper_core::arbitration::Decision;
use watchkeeper_core::duty::Standing;
use watchkeeper_core::facts::{SEEN_FROM, Value};
use watchkeeper_core::guards::{Check, Duty, Guard};
use watchkeeper_core::model::{ClusterName, Status, Timestamp};
use watchkeeper_core::plan::PlanKind;
use watchkeeper_core::readiness::Readiness;
use watchkeeper_core::snapshot::{Facts, ServerFacts};
use watchkeeper_core::state::Maintenance;
use watchkeeper_core::stopped::Stopped;

use super::door::Listening;
use super::types::{
    AlertReport, CheckReport, ClusterReport, DutyReport, MaintenanceReport, Mistake, OrderReply,
    OrderRequest, PlanReport, PolicyReport, ServerReport, ServiceReport, StatusReport,
    StoppedReport,
};
use super::{alerts, rehearse};
use crate::cluster::{
    self, Answer, ChangeOrder, ClusterView, Clusters, Handle, Order, PolicyOrder, PolicyWish,
    Refusal, ResumeOrder, Setup,
};
use crate::deliver::Receivers;
use crate::duty::{Duties, Wish};
use crate::explain;
use crate::journal::{self, Journal, Query as JournalSearch};
use crate::ledger::Ledger;

/// How many records one request for the journal gives at most.
const PAGE: usize = 1_000;

/// Asks for a reload; the answer lists what changed, or what is wrong.
pub(crate) type ReloadRequest = oneshot::Sender<Result<Vec<String>, Vec<String>>>;

/// What the routes need.
pub struct ApiContext {
    /// The monitor's name.
    pub monitor: String,
    /// Since when the daemon has been running.
    pub started: Timestamp,
    /// The journal and its fold.
    pub ledger: Arc<Ledger>,
    /// The clusters' tasks and what they are watched with, by name.
    pub clusters: watch::Receiver<Clusters>,
    /// Which monitor may act.
    pub duties: Duties,
    /// Who can be told of alerts.
    pub receivers: watch::Receiver<Arc<Receivers>>,
    /// Takes requests to reload.
    pub reload: mpsc::Sender<ReloadRequest>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, Listening>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listening>) -> Self {
        Self { uid: stream.io().uid() }
    }
}

impl Peer {
    /// The name for the journal: the system's, from /etc/passwd, else the number.
    pub(super) fn name(&self) -> String {
        let Some(uid) = self.uid else { return "unknown".to_owned() };
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        });
        known.unwrap_or_else(|| format!("uid {uid}"))
    }
}

/// Answers until `stop` says otherwise.
pub async fn serve(
    listening: Listening,
    context: Arc<ApiContext>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/journal", get(journal))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/alerts/orders", post(alerts::order))
        .route("/v1/reload", post(reload))
        .route("/v1/clusters/{cluster}/explain", get(explained))
        .route("/v1/clusters/{cluster}/snapshot", get(snapshot))
        .route("/v1/clusters/{cluster}/orders", post(orders))
        .route("/v1/clusters/{cluster}/rehearse", get(rehearse::rehearse))
        .with_state(context)
        .into_make_service_with_connect_info::<Peer>();
    axum::serve(listening, router)
        .with_graceful_shutdown(async move {
            let _ = stop.changed().await;
        })
        .await
}

/// An answer that says what was wrong.
pub(super) struct Wrong(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, Json(Mistake { error: self.1 })).into_response()
    }
}

type Context = State<Arc<ApiContext>>;

async fn status(State(context): Context) -> Json<StatusReport> {
    let clusters = context.clusters.borrow().clone();
    let (term, seq, alerts, outbox) = context
        .ledger
        .with(|state| {
            let dead = state.post.outbox.entries().filter(|entry| entry.dead).count();
            let all = state.post.outbox.entries().count();
            let alerts: Vec<AlertReport> = state.alerts.firing().map(alert).collect();
            (state.term.0, state.seq, alerts, (all - dead, dead))
        })
        .await;
    Json(StatusReport {
        monitor: context.monitor.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: context.started,
        term,
        journal: seq,
        alerts,
        outbox,
        clusters: clusters
            .values()
            .map(|(handle, setup)| {
                let duty = context.duties.of(&handle.name).duty;
                report(handle, &handle.view.borrow(), &setup.borrow(), &duty)
            })
            .collect(),
    })
}

fn alert(alert: &Alert) -> AlertReport {
    AlertReport {
        name: alert.claim.name.clone(),
        severity: alert.claim.severity,
        summary: alert.claim.summary.clone(),
        code: alert.claim.code.clone(),
        since: alert.starts_at,
        source: alert.source.clone(),
    }
}

/// What others have found of a server in its present silence.
fn seen_from(facts: &Facts, server: &ServerFacts) -> BTreeMap<String, String> {
    if server.state.status == Status::Up {
        return BTreeMap::new();
    }
    let own = facts.measures.iter().filter(|measure| {
        measure.server == server.name
            && measure.service.is_none()
            && measure.at >= server.state.since
    });
    own.filter_map(|measure| match (measure.name.strip_prefix(SEEN_FROM)?, &measure.value) {
        (witness, Value::Text(word)) => Some((witness.to_owned(), word.to_string())),
        _ => None,
    })
    .collect()
}

fn report(handle: &Handle, view: &ClusterView, setup: &Setup, duty: &Duty) -> ClusterReport {
    let state = &view.state;
    let facts = view.snapshot.as_ref().map(|snapshot| snapshot.facts());
    let decision = view.decision.as_ref();
    ClusterReport {
        name: handle.name.to_string(),
        phase: state.phase.to_string(),
        active: state.phase.side(),
        active_since: state.active_since,
        duty: duty_report(duty, state.tenure.standing()),
        maintenance: state.maintenance.as_ref().map(maintenance),
        services_in_maintenance: state
            .services_in_maintenance
            .iter()
            .map(|(id, it)| (id.to_string(), maintenance(it)))
            .collect(),
        plan: state.progress.as_ref().map(|progress| {
            let plan = progress.plan();
            PlanReport {
                number: plan.number,
                kind: plan.kind.to_string(),
                reason: plan.reason.clone(),
                step: progress.index() + 1,
                steps: plan.steps.len(),
                act: plan
                    .steps
                    .get(progress.index())
                    .map_or_else(|| "ending".to_owned(), |step| step.act.to_string()),
            }
        }),
        stopped: state.stopped.as_ref().map(|it| stopped(it, view, setup)),
        servers: facts.map_or_else(Vec::new, |facts| {
            facts
                .servers
                .iter()
                .map(|it| ServerReport {
                    name: it.name.clone(),
                    address: setup
                        .equipment
                        .servers
                        .get(&it.name)
                        .map_or_else(String::new, |server| server.address.clone()),
                    role: it.role,
                    place: it.place,
                    status: it.state.status,
                    detail: it.state.reason.detail.to_string(),
                    seen_from: seen_from(facts, it),
                })
                .collect()
        }),
        services: facts.map_or_else(Vec::new, |facts| {
            facts
                .services
                .iter()
                .map(|it| ServiceReport {
                    server: it.id.server.clone(),
                    service: it.id.service,
                    expected: it.expected,
                    maintenance: state.services_in_maintenance.contains_key(&it.id),
                    status: it.state.status,
                    detail: it.state.reason.detail.to_string(),
                    since: it.state.since,
                })
                .collect()
        }),
        readiness: view
            .snapshot
            .as_ref()
            .and_then(|snapshot| Readiness::of(snapshot, &setup.standby.bounds)),
        policies: policies(view, setup),
        alerts: state.alerts.firing().map(alert).collect(),
        wants: decision.and_then(|decision| {
            let chosen = decision.chosen.as_ref()?;
            Some(format!("{}: {}", chosen.proposal.action, chosen.proposal.reason))
        }),
        held_by: decision
            .map_or_else(Vec::new, |it| it.holds.iter().map(ToString::to_string).collect()),
        in_shadow: view.in_shadow.as_ref().map(Decision::in_words),
        evaluations: view.evaluations,
        last_evaluation_us: u64::try_from(view.took.as_micros()).unwrap_or(u64::MAX),
        trouble: view.trouble.clone(),
    }
}

fn stopped(stopped: &Stopped, view: &ClusterView, setup: &Setup) -> StoppedReport {
    let plan = stopped.plan();
    let (step, why) = stopped.where_and_why();
    let left = view.snapshot.as_ref().map(|it| cluster::left(stopped, it, setup));
    let (side, because) = left.map_or_else(
        || (None, "nothing has been looked at yet".to_owned()),
        |left| (left.side, left.why),
    );
    let not_begun = plan.steps.iter().enumerate();
    StoppedReport {
        number: plan.number,
        kind: plan.kind.to_string(),
        reason: plan.reason.clone(),
        at: stopped.at,
        step: step + 1,
        steps: plan.steps.len(),
        act: plan.steps.get(step).map_or_else(String::new, |step| step.act.to_string()),
        begun: stopped.progress.was_begun(step),
        why,
        needs_word: stopped.progress.needs_word(),
        left: not_begun
            .filter(|(index, _)| !stopped.progress.was_begun(*index))
            .map(|(_, step)| step.act.to_string())
            .collect(),
        if_abandoned: side,
        if_abandoned_why: because,
    }
}

fn maintenance(it: &Maintenance) -> MaintenanceReport {
    MaintenanceReport {
        by: it.by.clone(),
        reason: it.reason.clone(),
        since: it.since,
        until: it.until,
    }
}

fn duty_report(duty: &Duty, standing: &Standing) -> DutyReport {
    let (held, why) = match duty {
        Duty::Held(_) => (true, None),
        Duty::NotHeld(why) | Duty::Uncertain(why) => (false, Some(why.clone())),
    };
    let term = match (duty, standing) {
        (Duty::Held(term), _)
        | (
            _,
            Standing::Held { term }
            | Standing::Elsewhere { term, .. }
            | Standing::Offered { next: term, .. },
        ) => term.0,
        (_, Standing::None) => 0,
    };
    let holder = match standing {
        Standing::Elsewhere { holder, .. } if !held => holder.clone(),
        _ => None,
    };
    DutyReport { held, term, holder, why }
}

fn policies(view: &ClusterView, setup: &Setup) -> Vec<PolicyReport> {
    setup
        .seats
        .iter()
        .map(|seat| {
            let guest = seat.guest.as_ref();
            let known = view.state.policies.get(&seat.standing.policy);
            let mode = seat.mode(&view.state);
            let failed = view
                .opinions
                .iter()
                .find(|opinion| opinion.policy == seat.standing.policy)
                .and_then(|opinion| opinion.outcome.as_ref().err())
                .map(ToString::to_string);
            PolicyReport {
                name: seat.standing.policy.to_string(),
                revision: guest.ok().map(|guest| guest.revision().clone()),
                summary: guest
                    .map_or_else(|_| String::new(), |guest| guest.description().summary.clone()),
                grants: seat.standing.grants.iter().map(ToString::to_string).collect(),
                mode,
                configured_mode: Some(seat.standing.mode).filter(|configured| *configured != mode),
                rolled_back: known.and_then(|it| it.rolled_back.clone()),
                earlier: known
                    .zip(guest.ok())
                    .and_then(|(known, guest)| known.before(guest.revision()).cloned()),
                problem: guest.err().cloned().or(failed),
            }
        })
        .collect()
}

pub(super) fn known<'a>(clusters: &'a Clusters, name: &str) -> Result<&'a Handle, Wrong> {
    clusters
        .iter()
        .find(|(known, _)| known.as_str() == name)
        .map(|(_, (handle, _))| handle)
        .ok_or_else(|| {
            let names: Vec<&str> = clusters.keys().map(ClusterName::as_str).collect();
            Wrong(
                StatusCode::NOT_FOUND,
                format!("there is no cluster {name:?}; there is {}", names.join(", ")),
            )
        })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalQuery {
    /// Only records after this one.
    #[serde(default)]
    after: u64,
    /// At most this many.
    limit: Option<usize>,
    /// Only about this cluster.
    cluster: Option<ClusterName>,
    /// Only of this kind.
    kind: Option<String>,
    /// The last ones instead of the first.
    #[serde(default)]
    last: bool,
}

async fn journal(
    State(context): Context,
    Query(query): Query<JournalQuery>,
) -> Result<Response, Wrong> {
    if let Some(kind) = query.kind.as_deref().filter(|kind| !journal::KINDS.contains(kind)) {
        let known = journal::KINDS.join(", ");
        let text = format!("no record is of the kind `{kind}`; the kinds are {known}");
        return Err(Wrong(StatusCode::BAD_REQUEST, text));
    }
    let filter = JournalSearch {
        after: query.after,
        limit: query.limit.unwrap_or(PAGE).min(PAGE),
        cluster: query.cluster,
        kinds: query.kind.into_iter().collect(),
        newest: query.last,
        ..JournalSearch::default()
    };
    let records = context.ledger.journal().read(filter).await.map_err(unreadable)?;
    Ok(Json(records).into_response())
}

fn unreadable(error: impl std::error::Error) -> Wrong {
    Wrong(StatusCode::INTERNAL_SERVER_ERROR, crate::errors::chain(&error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    /// The evaluation's record; without it the last one that wanted something.
    record: Option<u64>,
}

async fn explained(
    State(context): Context,
    UrlPath(cluster): UrlPath<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<Response, Wrong> {
    let name = known(&context.clusters.borrow(), &cluster)?.name.clone();
    let journal = context.ledger.journal();
    let from = match query.record {
        Some(record) => record,
        None => {
            let last = JournalSearch {
                cluster: Some(name.clone()),
                kinds: vec!["evaluated".to_owned()],
                newest: true,
                limit: PAGE,
                ..JournalSearch::default()
            };
            let evaluations = journal.read(last).await.map_err(unreadable)?;
            let telling = explain::most_telling(&evaluations).ok_or_else(|| {
                Wrong(StatusCode::NOT_FOUND, format!("nothing has been decided for {name} yet"))
            })?;
            let stopped = context.ledger.cluster(&name).await.stopped.is_some();
            of_plan(journal, &name, telling, stopped).await?.unwrap_or(telling)
        }
    };
    let records = journal
        .read(JournalSearch {
            after: from.saturating_sub(1),
            cluster: Some(name.clone()),
            limit: PAGE,
            ..JournalSearch::default()
        })
        .await
        .map_err(unreadable)?;
    let story = explain::tell(&records).ok_or_else(|| {
        Wrong(StatusCode::NOT_FOUND, format!("record {from} is no evaluation of {name}"))
    })?;
    Ok(Json(story).into_response())
}

/// The evaluation that led to the last plan, if that has stopped on its way, or was taken up again by
/// the record at `telling`: the story of the plan begins there.
async fn of_plan(
    journal: &Journal,
    cluster: &ClusterName,
    telling: u64,
    stopped: bool,
) -> Result<Option<u64>, Wrong> {
    let of_cluster = JournalSearch { cluster: Some(cluster.clone()), ..JournalSearch::default() };
    let following = JournalSearch { after: telling, limit: 10, ..of_cluster.clone() };
    let resumed = explain::is_of_resumption(&journal.read(following).await.map_err(unreadable)?);
    if !stopped && !resumed {
        return Ok(None);
    }
    let mut before = (!stopped).then_some(telling);
    for kind in ["plan-begun", "evaluated"] {
        let last = JournalSearch {
            kinds: vec![kind.to_owned()],
            up_to: before,
            newest: true,
            limit: 1,
            ..of_cluster.clone()
        };
        let found = journal.read(last).await.map_err(unreadable)?;
        let Some(record) = found.first() else { return Ok(None) };
        before = Some(record.seq);
    }
    Ok(before)
}

async fn snapshot(
    State(context): Context,
    UrlPath(cluster): UrlPath<String>,
) -> Result<Response, Wrong> {
    let clusters = context.clusters.borrow().clone();
    let snapshot = known(&clusters, &cluster)?.view.borrow().snapshot.clone();
    let snapshot = snapshot.ok_or_else(|| {
        Wrong(StatusCode::NOT_FOUND, "no evaluation has been made yet".to_owned())
    })?;
    Ok(Json(snapshot.as_ref()).into_response())
}

async fn reload(State(context): Context) -> Result<Response, Wrong> {
    let (reply, answer) = oneshot::channel();
    let gone = || Wrong(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping".to_owned());
    context.reload.send(reply).await.map_err(|_| gone())?;
    match answer.await.map_err(|_| gone())? {
        Ok(changes) => Ok(Json(changes).into_response()),
        Err(problems) => Err(Wrong(StatusCode::UNPROCESSABLE_ENTITY, problems.join("\n"))),
    }
}

async fn orders(
    State(context): Context,
    UrlPath(cluster): UrlPath<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<OrderRequest>,
) -> Result<Json<OrderReply>, Wrong> {
    let Handle { name, orders: sender, .. } = known(&context.clusters.borrow(), &cluster)?.clone();
    let (reply, answer) = oneshot::channel();
    let overrides = overrides(&request).to_vec();
    let order = match order(request, peer.name(), reply) {
        Asked::Cluster(order) => order,
        Asked::Duty(wish, reason) => {
            let said = context.duties.order(name, wish, peer.name(), reason).await;
            return Ok(Json(match said {
                Ok(said) => OrderReply::Duty { said },
                Err(why) => OrderReply::Impossible { why },
            }));
        }
    };
    let gone = || Wrong(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping".to_owned());
    sender.send(order).await.map_err(|_| gone())?;
    match answer.await.map_err(|_| gone())? {
        Ok(Answer::Done) => Ok(Json(OrderReply::Done)),
        Ok(Answer::Plan { plan, begun: true, .. }) => Ok(Json(OrderReply::Begun { plan })),
        Ok(Answer::Plan { plan, begun: false, holds, checks }) => {
            let report = |check| checked(check, &plan.kind, &overrides);
            let checks = checks.into_iter().map(report).collect();
            Ok(Json(OrderReply::Shown { plan, holds, checks }))
        }
        Ok(Answer::Aborted { plan, step }) => Ok(Json(OrderReply::Aborted { plan, step })),
        Ok(Answer::Abandoned { plan, side, why }) => {
            Ok(Json(OrderReply::Abandoned { plan, side, why }))
        }
        Err(Refusal::Held(holds)) => Ok(Json(OrderReply::Held { holds })),
        Err(Refusal::Impossible(why)) => Ok(Json(OrderReply::Impossible { why })),
        Err(Refusal::Unrecorded) => Err(Wrong(
            StatusCode::SERVICE_UNAVAILABLE,
            "the journal cannot be written, so nothing is done; see `watchkeeper status`"
                .to_owned(),
        )),
    }
}

/// The guards that are not to hold it.
fn overrides(request: &OrderRequest) -> &[Guard] {
    match request {
        OrderRequest::Failover { overrides, .. }
        | OrderRequest::Switchover { overrides, .. }
        | OrderRequest::Switchback { overrides, .. }
        | OrderRequest::Resume { overrides, .. } => overrides,
        OrderRequest::MaintenanceOn { .. }
        | OrderRequest::MaintenanceOff { .. }
        | OrderRequest::Declare { .. }
        | OrderRequest::Abort { .. }
        | OrderRequest::Abandon { .. }
        | OrderRequest::TakeDuty { .. }
        | OrderRequest::GiveDuty { .. }
        | OrderRequest::CancelDuty { .. }
        | OrderRequest::PolicyMode { .. }
        | OrderRequest::PolicyRollback { .. }
        | OrderRequest::PolicyRetry { .. } => &[],
    }
}

pub(super) fn checked(check: Check, kind: &PlanKind, overrides: &[Guard]) -> CheckReport {
    let guard = check.guard;
    let can_be_overridden = guard.can_be_overridden();
    CheckReport {
        check,
        assures: guard.assures(kind).to_owned(),
        can_be_overridden,
        overridden: can_be_overridden && overrides.contains(&guard),
    }
}

/// Who a request is for.
enum Asked {
    /// The cluster's task.
    Cluster(Order),
    /// Whoever keeps the duty; with the reason.
    Duty(Wish, String),
}

fn order(
    request: OrderRequest,
    by: String,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
) -> Asked {
    let change = |kind, reason, overrides, dry_run| ChangeOrder {
        kind,
        by: by.clone(),
        reason,
        overrides,
        dry_run,
    };
    Asked::Cluster(match request {
        OrderRequest::TakeDuty { reason, force } => {
            return Asked::Duty(Wish::Take { force }, reason);
        }
        OrderRequest::GiveDuty { reason } => return Asked::Duty(Wish::Give, reason),
        OrderRequest::CancelDuty { reason } => return Asked::Duty(Wish::Cancel, reason),
        OrderRequest::Failover { reason, overrides, dry_run } => {
            Order::Change(change(PlanKind::Failover, reason, overrides, dry_run), reply)
        }
        OrderRequest::Switchover { reason, overrides, dry_run } => {
            Order::Change(change(PlanKind::Switchover, reason, overrides, dry_run), reply)
        }
        OrderRequest::Switchback { reason, overrides, dry_run } => {
            Order::Change(change(PlanKind::Switchback, reason, overrides, dry_run), reply)
        }
        OrderRequest::MaintenanceOn { reason, until, service } => {
            Order::MaintenanceOn { by, reason, until, service, reply }
        }
        OrderRequest::MaintenanceOff { service } => Order::MaintenanceOff { by, service, reply },
        OrderRequest::PolicyMode { policy, mode, reason } => {
            let wish = PolicyWish::Mode(mode);
            Order::Policy(PolicyOrder { policy, wish, by, reason }, reply)
        }
        OrderRequest::PolicyRollback { policy, reason } => {
            let wish = PolicyWish::Rollback;
            Order::Policy(PolicyOrder { policy, wish, by, reason }, reply)
        }
        OrderRequest::PolicyRetry { policy, reason } => {
            Order::Policy(PolicyOrder { policy, wish: PolicyWish::Retry, by, reason }, reply)
        }
        OrderRequest::Declare { side, reason } => Order::Declare { side, by, reason, reply },
        OrderRequest::Abort { reason } => Order::Abort { by, reason, reply },
        OrderRequest::Resume { reason, step: word, overrides } => {
            Order::Resume(ResumeOrder { word, by, reason, overrides }, reply)
        }
        OrderRequest::Abandon { reason } => Order::Abandon { by, reason, reply },
    })
}
