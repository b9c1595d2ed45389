//! Orders to the daemon: failover, switchover, switchback, maintenance, declare.

use std::fmt::Write as _;
use std::time::Duration;

use watchkeeper_core::guards::{GuardHold, Verdict};
use watchkeeper_core::plan::{Plan, PlanKind};

use super::client::{Client, ClientError};
use super::exit::Exit;
use crate::api::{CheckReport, ClusterReport, OrderReply, OrderRequest, StatusReport};

/// How often a plan in flight is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The cluster that is meant: the one named, or the only one there is.
pub(super) async fn which(client: &Client, named: Option<&str>) -> Result<String, ClientError> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    chosen(&client.get("/v1/status").await?, None)
}

/// The cluster of the report that is meant: the one named, or the only one there is.
pub(super) fn chosen(report: &StatusReport, named: Option<&str>) -> Result<String, ClientError> {
    let known: Vec<&str> = report.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    match (named, known.as_slice()) {
        (Some(name), _) if known.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => Err(ClientError::Refused(format!(
            "there is no cluster {name:?}; there is {}",
            known.join(", ")
        ))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(ClientError::Refused(format!(
            "say which cluster is meant with --cluster: {}",
            known.join(", ")
        ))),
    }
}

/// Gives an order, shows what comes of it, and follows the plan to its end if asked to.
pub(super) async fn order(
    client: &Client,
    cluster: &str,
    request: &OrderRequest,
    wait: bool,
    json: bool,
) -> Result<Exit, ClientError> {
    let reply: OrderReply = client.post(&format!("/v1/clusters/{cluster}/orders"), request).await?;
    if json {
        super::print_json(&reply);
    } else {
        super::print(&text(&reply));
    }
    match reply {
        OrderReply::Shown { holds, .. } => Ok(if holds.is_empty() { Exit::Ok } else { Exit::Held }),
        OrderReply::Held { .. } => Ok(Exit::Held),
        OrderReply::Impossible { .. } => Ok(Exit::Failed),
        OrderReply::Begun { plan } if wait => follow(client, cluster, &plan, json).await,
        OrderReply::Aborted { plan, .. } if wait => end(client, cluster, &plan, json).await,
        OrderReply::Done
        | OrderReply::Duty { .. }
        | OrderReply::Begun { .. }
        | OrderReply::Aborted { .. }
        | OrderReply::Abandoned { .. } => Ok(Exit::Ok),
    }
}

/// Shows each step as it begins, until the plan is over.
async fn follow(
    client: &Client,
    cluster: &str,
    plan: &Plan,
    json: bool,
) -> Result<Exit, ClientError> {
    let mut shown = 0;
    loop {
        let report: StatusReport = client.get("/v1/status").await?;
        let Some(now) = report.clusters.into_iter().find(|it| it.name == cluster) else {
            return Ok(Exit::Failed);
        };
        match now.plan.as_ref().filter(|it| it.number == plan.number) {
            Some(progress) => {
                for (i, step) in plan.steps.iter().enumerate().take(progress.step).skip(shown) {
                    if !json {
                        super::print(&format!(
                            "{:>3} of {}: {}\n",
                            i + 1,
                            plan.steps.len(),
                            step.act
                        ));
                    }
                }
                shown = shown.max(progress.step);
            }
            None => return Ok(ended(&now, plan, json)),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits for the end of a plan that is to stop. It may have been quicker, and be completed.
async fn end(client: &Client, cluster: &str, plan: &Plan, json: bool) -> Result<Exit, ClientError> {
    loop {
        let report: StatusReport = client.get("/v1/status").await?;
        let Some(now) = report.clusters.into_iter().find(|it| it.name == cluster) else {
            return Ok(Exit::Failed);
        };
        if now.plan.as_ref().is_none_or(|it| it.number != plan.number) {
            if !json {
                super::print(&format!("it has ended: {}\n", now.phase));
                if let Some(stopped) = &now.stopped {
                    super::print(&super::stopped::ways(stopped, &now.name));
                }
            }
            return Ok(Exit::Ok);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn ended(now: &ClusterReport, plan: &Plan, json: bool) -> Exit {
    let reached = !plan.kind.changes_side() || now.active == plan.to;
    if !json {
        super::print(&format!(
            "{}: {}; see `watchkeeper explain --cluster {}`\n",
            if reached { "completed" } else { "not completed" },
            now.phase,
            now.name
        ));
        if let Some(stopped) = &now.stopped {
            super::print(&super::stopped::ways(stopped, &now.name));
        }
    }
    if reached { Exit::Ok } else { Exit::Failed }
}

fn text(reply: &OrderReply) -> String {
    match reply {
        OrderReply::Done => "done\n".to_owned(),
        OrderReply::Duty { said } => format!("{said}\n"),
        OrderReply::Begun { plan } => format!("plan {} begins: {}\n", plan.number, plan.kind),
        OrderReply::Shown { plan, holds, checks } => {
            let mut out =
                format!("{} from {} to {} would do this:\n", plan.kind, plan.from, plan.to);
            for (i, step) in plan.steps.iter().enumerate() {
                let _ = writeln!(
                    out,
                    "{:>3}. {} (at most {} s, {} attempts)",
                    i + 1,
                    step.act,
                    step.timeout_ms / 1000,
                    step.attempts
                );
            }
            out.push_str("what the guards say:\n");
            for check in checks {
                let _ = writeln!(out, "  {}", verdict(check, &plan.kind));
            }
            out.push_str(if holds.is_empty() {
                "nothing would hold it now\n"
            } else {
                "it would be held now\n"
            });
            out
        }
        OrderReply::Aborted { plan, step } => {
            let act = plan.steps.get(*step).map_or_else(String::new, |step| step.act.to_string());
            format!(
                "plan {} ({}) stops at step {} of {} ({act}); if that is under way, it comes to its end first\n",
                plan.number,
                plan.kind,
                step + 1,
                plan.steps.len()
            )
        }
        OrderReply::Abandoned { plan, side: Some(side), why } => {
            format!("plan {plan} is given up, and the {side} counts as active: {why}\n")
        }
        OrderReply::Abandoned { plan, side: None, why } => format!(
            "plan {plan} is given up, and no side counts as active: {why}\n\
             look which one is, or make one so by hand, and say it with `watchkeeper declare`\n"
        ),
        OrderReply::Held { holds } => format!("refused; nothing was done:\n{}", reasons(holds)),
        OrderReply::Impossible { why } => format!("not possible; nothing was done: {why}\n"),
    }
}

/// One guard's verdict in a line.
pub(super) fn verdict(report: &CheckReport, kind: &PlanKind) -> String {
    let CheckReport { check, assures, can_be_overridden, overridden } = report;
    let guard = check.guard;
    let (word, what) = match &check.verdict {
        Verdict::Ok => ("ok", assures.clone()),
        Verdict::NotAsked => ("not asked", format!("it has no say in a {kind}")),
        Verdict::Holds { reason } if *overridden => ("OVERRIDDEN", reason.clone()),
        Verdict::Holds { reason } if *can_be_overridden => {
            ("HOLDS", format!("{reason} (--override {guard} if you know better)"))
        }
        Verdict::Holds { reason } => ("HOLDS", format!("{reason} (it cannot be overridden)")),
    };
    format!("{word:<10} {guard:<11} {what}")
}

fn reasons(holds: &[GuardHold]) -> String {
    let mut out = String::new();
    for hold in holds {
        let how = if hold.guard.can_be_overridden() {
            format!(" (--override {} if you know better)", hold.guard)
        } else {
            String::new()
        };
        let _ = writeln!(out, "  {}: {}{how}", hold.guard, hold.reason);
    }
    out
}
