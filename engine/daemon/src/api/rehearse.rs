//! A rehearsal, told as it goes: a line of JSON for the plan, for each step, and for the end.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use watchkeeper_core::guards::GuardHold;
use watchkeeper_core::plan::{Plan, PlanKind};

use super::server::{ApiContext, Peer, Wrong, checked, known};
use super::types::CheckReport;
use crate::act::rehearse::{Trial, step};
use crate::cluster::{Answer, ChangeOrder, Order, Setup};

/// A line of a rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rehearsal")]
pub enum RehearsalLine {
    /// The plan that would begin, and what would hold it.
    Plan {
        /// The plan.
        plan: Box<Plan>,
        /// What would hold it.
        holds: Vec<GuardHold>,
        /// What each guard says, in the order in which they are asked.
        checks: Vec<CheckReport>,
    },
    /// What a step would find.
    Step {
        /// Counted from 1.
        step: usize,
        /// What it is for.
        act: String,
        /// What was tried, and what came of it.
        trials: Vec<Trial>,
    },
    /// It is over.
    Ended {
        /// The steps that could not be done now, or of which that cannot be told.
        failing: Vec<usize>,
    },
}

/// A change of side that can be rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RehearsalKind {
    /// The unplanned change.
    #[default]
    Failover,
    /// The planned change to the secondary.
    Switchover,
    /// The planned return to the primary.
    Switchback,
}

impl RehearsalKind {
    /// The name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Switchover => "switchover",
            Self::Switchback => "switchback",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RehearsalQuery {
    /// Which change; a failover, if nothing is said.
    #[serde(default)]
    kind: RehearsalKind,
}

/// Has the plan made that would be made now, and tries it step by step. Whoever hangs up ends it.
pub(super) async fn rehearse(
    State(context): State<Arc<ApiContext>>,
    UrlPath(cluster): UrlPath<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<RehearsalQuery>,
) -> Result<Response, Wrong> {
    let (orders, setup) = {
        let clusters = context.clusters.borrow();
        let name = known(&clusters, &cluster)?.name.clone();
        let found = clusters
            .get(&name)
            .map(|(handle, setup)| (handle.orders.clone(), Arc::clone(&setup.borrow())));
        found.ok_or_else(gone)?
    };
    let (reply, answer) = oneshot::channel();
    let order = ChangeOrder {
        kind: match query.kind {
            RehearsalKind::Failover => PlanKind::Failover,
            RehearsalKind::Switchover => PlanKind::Switchover,
            RehearsalKind::Switchback => PlanKind::Switchback,
        },
        by: peer.name(),
        reason: "a rehearsal".to_owned(),
        overrides: Vec::new(),
        dry_run: true,
    };
    orders.send(Order::Change(order, reply)).await.map_err(|_| gone())?;
    let Ok(Answer::Plan { plan, holds, checks, .. }) = answer.await.map_err(|_| gone())? else {
        let why = "the plan cannot be made now; see `watchkeeper status`".to_owned();
        return Err(Wrong(StatusCode::CONFLICT, why));
    };
    let checks = checks.into_iter().map(|check| checked(check, &plan.kind, &[])).collect();
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(carry_on(setup, plan, holds, checks, sender));
    let lines = stream::unfold(receiver, |mut receiver: mpsc::Receiver<String>| async move {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

fn gone() -> Wrong {
    Wrong(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping".to_owned())
}

async fn carry_on(
    setup: Arc<Setup>,
    plan: Box<Plan>,
    holds: Vec<GuardHold>,
    checks: Vec<CheckReport>,
    sender: mpsc::Sender<String>,
) {
    let tell = async |line: &RehearsalLine| {
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        sender.send(text).await.is_ok()
    };
    if !tell(&RehearsalLine::Plan { plan: plan.clone(), holds, checks }).await {
        return;
    }
    let mut failing = Vec::new();
    for (index, it) in plan.steps.iter().enumerate() {
        let trials = step(&setup.equipment, &setup.standby.looks, &plan, &it.act).await;
        if trials.iter().any(Trial::fails) {
            failing.push(index + 1);
        }
        let line = RehearsalLine::Step { step: index + 1, act: it.act.to_string(), trials };
        if !tell(&line).await {
            return;
        }
    }
    tell(&RehearsalLine::Ended { failing }).await;
}
