//! `watchkeeper alerts`: what fires, who is told, and what is not told.

mod preview;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use watchkeeper_core::alerting::{Alert, Fingerprint, Labels, labels};
use watchkeeper_core::model::{ClusterName, ReceiverName, ServerName, Service, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};

use super::client::{Client, ClientError};
use super::exit::Exit;
use crate::api::{AlertOrder, AlertReply, AlertsReport, FiringReport, NotificationReport};
use crate::{clock, config};

pub(super) use preview::preview;

pub(super) const HELP: &str = "Examples:\n  watchkeeper alerts list\n  watchkeeper alerts silence \
                               cluster=prod service=rest --for 2h --comment 'new certificate'\n  \
                               watchkeeper alerts test pager";

/// How long `alerts test` waits for the deliveries.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Subcommand)]
pub(super) enum Alerts {
    /// List what fires, with who was told of it
    #[command(after_help = "Example:\n  watchkeeper alerts list")]
    List,
    /// Say that you take care of an alert: it is not told again and again
    #[command(
        after_help = "It counts until the alert is over or grows worse.\n\nExample:\n  watchkeeper alerts ack 5f1d0c --comment 'on my way'"
    )]
    Ack {
        /// Its fingerprint; the first digits are enough
        fingerprint: String,
        /// What others should know
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Do not tell alerts for a time
    #[command(
        after_help = "A matcher is NAME=VALUE, or with != =~ !~ in between. Names: alertname, cluster, server, service, severity, code, source, and the alert's own labels.\n\nExamples:\n  watchkeeper alerts silence cluster=prod service=rest --for 2h --comment 'new certificate'\n  watchkeeper alerts silence 'alertname=~\"standby-.*\"' --for 1d --comment 'DM2 is being moved'"
    )]
    Silence {
        /// All of them have to match
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// For how long, such as 30m or 2h
        #[arg(long = "for", value_name = "DURATION", value_parser = config::duration)]
        duration: Duration,
        /// Why
        #[arg(long)]
        comment: String,
    },
    /// List the silences that hold, are to come, or were in the last days
    #[command(after_help = "Example:\n  watchkeeper alerts silences")]
    Silences,
    /// End a silence now
    #[command(after_help = "Example:\n  watchkeeper alerts unsilence vp1-1042")]
    Unsilence {
        /// The silence, as `alerts silences` shows it
        id: String,
    },
    /// List what is not delivered: what waits, and the dead letters
    #[command(after_help = "Example:\n  watchkeeper alerts outbox")]
    Outbox,
    /// Try dead letters again
    #[command(
        after_help = "Examples:\n  watchkeeper alerts retry 17 18\n  watchkeeper alerts retry --all"
    )]
    Retry {
        /// Which, as `alerts outbox` shows them
        #[arg(required_unless_present = "all", value_name = "ID")]
        ids: Vec<u64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Throw dead letters away
    #[command(after_help = "Example:\n  watchkeeper alerts discard 17")]
    Discard {
        /// Which, as `alerts outbox` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
    },
    /// Show who would be told of an alert with these labels, and why; needs no daemon
    #[command(
        after_help = "Example:\n  watchkeeper alerts route alertname=service-down cluster=prod severity=critical"
    )]
    Route(Route),
    /// Show what a receiver's plugin would send of an alert with these labels; needs no daemon, sends nothing
    #[command(
        after_help = "Secrets stay as they are written.\n\nExample:\n  watchkeeper alerts preview pager alertname=service-down cluster=prod server=dm1 severity=critical"
    )]
    Preview(Preview),
    /// Tell a receiver of an alert that begins and is over, and wait until it has arrived
    #[command(after_help = "Example:\n  watchkeeper alerts test pager --severity warning")]
    Test {
        /// The receiver, as the configuration names it
        receiver: String,
        /// How bad the alert is said to be
        #[arg(long, default_value = "info", value_parser = severity)]
        severity: Severity,
    },
}

#[derive(Debug, Args)]
pub(super) struct Route {
    /// The labels, each NAME=VALUE
    #[arg(required = true, value_name = "NAME=VALUE")]
    labels: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The receiver, as the configuration names it
    receiver: String,
    /// The labels, each NAME=VALUE
    #[arg(value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// That it is over
    #[arg(long)]
    over: bool,
}

fn severity(text: &str) -> Result<Severity, String> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity.as_str() == text)
        .ok_or_else(|| "it is info, warning or critical".to_owned())
}

pub(super) async fn ask(client: &Client, command: Alerts, json: bool) -> Result<Exit, ClientError> {
    let order = match command {
        Alerts::List => return show(client, json, |report| &report.alerts, list).await,
        Alerts::Silences => return show(client, json, |report| &report.silences, silences).await,
        Alerts::Outbox => return show(client, json, |report| &report.notifications, outbox).await,
        Alerts::Ack { fingerprint, comment } => AlertOrder::Acknowledge { fingerprint, comment },
        Alerts::Silence { matchers, duration, comment } => {
            let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            let ends_at = clock::now().plus(ms);
            AlertOrder::Silence { matchers, starts_at: None, ends_at, comment }
        }
        Alerts::Unsilence { id } => AlertOrder::EndSilence { id },
        Alerts::Retry { ids, .. } => AlertOrder::Retry { ids },
        Alerts::Discard { ids } => AlertOrder::Discard { ids },
        Alerts::Test { receiver, severity } => return test(client, receiver, severity, json).await,
        // It needs no daemon, and does not come here.
        Alerts::Route(_) | Alerts::Preview(_) => return Ok(Exit::Failed),
    };
    let reply: AlertReply = client.post("/v1/alerts/orders", &order).await?;
    if json {
        super::print_json(&reply);
    } else {
        super::print(&format!("{}\n", reply.said));
    }
    Ok(Exit::Ok)
}

async fn show<T: Serialize>(
    client: &Client,
    json: bool,
    part: impl Fn(&AlertsReport) -> &T,
    text: impl Fn(&T) -> String,
) -> Result<Exit, ClientError> {
    let report: AlertsReport = client.get("/v1/alerts").await?;
    if json {
        super::print_json(part(&report));
    } else {
        super::print(&text(part(&report)));
    }
    Ok(Exit::Ok)
}

fn list(alerts: &Vec<FiringReport>) -> String {
    if alerts.is_empty() {
        return "nothing fires\n".to_owned();
    }
    let mut out = String::new();
    for it in alerts {
        let label = |name: &str| it.labels.get(name).map_or("", String::as_str);
        let (severity, name, cluster) = (label("severity"), label("alertname"), label("cluster"));
        let place = if cluster.is_empty() { "this monitor" } else { cluster };
        let _ = writeln!(out, "{} {severity} {name} on {place}: {}", it.fingerprint, it.summary);
        let _ = write!(out, "    since {}", it.since);
        let told: Vec<&str> = it.told.iter().map(ReceiverName::as_str).collect();
        let _ = match told.as_slice() {
            [] => write!(out, "; nobody was told"),
            told => write!(out, "; told: {}", told.join(", ")),
        };
        if let Some(id) = &it.silence {
            let _ = write!(out, "; silence {id}");
        }
        if let Some(by) = &it.acknowledged {
            let _ = write!(out, "; {} takes care of it", by.by);
            if !by.comment.is_empty() {
                let _ = write!(out, " ({})", by.comment);
            }
        }
        out.push('\n');
    }
    out
}

fn silences(silences: &Vec<crate::api::SilenceReport>) -> String {
    if silences.is_empty() {
        return "there are no silences\n".to_owned();
    }
    let mut out = String::new();
    for it in silences {
        let silence = &it.silence;
        let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
        let state = if it.active { "holds" } else { "does not hold" };
        let _ = writeln!(
            out,
            "{} {state}, from {} until {}: {}\n    by {}: {}; covers {} of what fires",
            silence.id,
            silence.starts_at,
            silence.ends_at,
            matchers.join(" "),
            silence.by,
            silence.comment,
            it.covers
        );
    }
    out
}

fn outbox(entries: &Vec<NotificationReport>) -> String {
    if entries.is_empty() {
        return "everything is delivered\n".to_owned();
    }
    let mut out = String::new();
    for it in entries {
        let what = match it.due {
            Some(due) if it.tries > 0 => format!("tried {} times, next at {due}", it.tries),
            Some(_) => "not tried yet".to_owned(),
            None => format!("DEAD after {} attempts", it.tries),
        };
        let escalated = if it.escalated { ", another receiver was told" } else { "" };
        let (id, receiver, alerts) = (it.id, &it.receiver, it.alerts.join(", "));
        let _ = writeln!(out, "{id} to {receiver}: {alerts}\n    {what}{escalated}");
        if let Some(problem) = &it.problem {
            let _ = writeln!(out, "    {problem}");
        }
    }
    out
}

/// Sends, and waits until both notifications are delivered or dead.
async fn test(
    client: &Client,
    receiver: String,
    severity: Severity,
    json: bool,
) -> Result<Exit, ClientError> {
    let order = AlertOrder::Test { receiver: receiver.clone(), severity };
    let reply: AlertReply = client.post("/v1/alerts/orders", &order).await?;
    if !json {
        super::print(&format!("{}\n", reply.said));
    }
    let until = Instant::now() + PATIENCE;
    let mut told: Option<String> = None;
    loop {
        let report: AlertsReport = client.get("/v1/alerts").await?;
        let left: Vec<&NotificationReport> =
            report.notifications.iter().filter(|it| reply.notifications.contains(&it.id)).collect();
        let problem = left.iter().find_map(|it| it.problem.clone());
        let over = left.iter().all(|it| it.due.is_none());
        if over || Instant::now() >= until {
            return Ok(tested(&receiver, &left, problem, json));
        }
        if problem.is_some() && problem != told {
            told.clone_from(&problem);
            if !json {
                let text = problem.unwrap_or_default();
                super::print(&format!("not yet: {text}; it is tried again\n"));
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn tested(
    receiver: &str,
    left: &[&NotificationReport],
    problem: Option<String>,
    json: bool,
) -> Exit {
    if json {
        super::print_json(&serde_json::json!({
            "receiver": receiver,
            "delivered": left.is_empty(),
            "problem": problem,
        }));
    } else if left.is_empty() {
        super::print(&format!("{receiver} has taken both\n"));
    } else {
        let problem = problem.unwrap_or_else(|| "there is no answer yet".to_owned());
        super::print_error(&format!(
            "{receiver} has not taken it: {problem}\n`watchkeeper alerts outbox` shows what becomes of it\n"
        ));
    }
    if left.is_empty() { Exit::Ok } else { Exit::Failed }
}

/// Who would be told, from the configuration alone.
#[derive(Debug, Serialize)]
struct Chosen {
    receiver: String,
    route: String,
    group: Labels,
    group_wait_ms: u64,
    group_interval_ms: u64,
    repeat_interval_ms: Option<u64>,
}

/// `alerts route`
pub(super) fn route(arguments: &Route, path: &Path, json: bool) -> Exit {
    let config = match config::load_as(path, config::Mode::Check) {
        Ok(config) => config,
        Err(problems) => {
            super::complain(&problems);
            return Exit::Failed;
        }
    };
    let (cluster, alert) = match sample(&arguments.labels) {
        Ok(sample) => sample,
        Err(problem) => {
            super::print_error(&format!("watchkeeper: {problem}\n"));
            return Exit::Failed;
        }
    };
    let routing = crate::wiring::routing(&config);
    let labels = labels(cluster.as_ref(), &alert);
    let chosen: Vec<Chosen> = routing
        .choose(cluster.as_ref(), &alert, &labels)
        .into_iter()
        .map(|it| Chosen {
            receiver: it.receiver.to_string(),
            route: it.group.route,
            group: it.group.labels,
            group_wait_ms: it.grouping.wait,
            group_interval_ms: it.grouping.interval,
            repeat_interval_ms: it.grouping.repeat,
        })
        .collect();
    if json {
        super::print_json(&chosen);
        return Exit::Ok;
    }
    let mut out = String::new();
    for it in &chosen {
        let group: Vec<String> =
            it.group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let _ = writeln!(out, "{} by the route {}", it.receiver, it.route);
        let _ = writeln!(
            out,
            "    in the group {{{}}}: told after {}, news at the least {} apart, {}",
            group.join(", "),
            seconds(it.group_wait_ms),
            seconds(it.group_interval_ms),
            match it.repeat_interval_ms {
                Some(repeat) => format!("repeated after {}", seconds(repeat)),
                None => "not repeated".to_owned(),
            }
        );
    }
    if chosen.is_empty() {
        out.push_str("nobody: no route leads to a receiver that wants it\n");
    }
    super::print(&out);
    Exit::Ok
}

fn seconds(ms: u64) -> String {
    config::duration_text(Duration::from_millis(ms))
}

/// An alert with these labels, and its cluster.
fn sample(texts: &[String]) -> Result<(Option<ClusterName>, Alert), String> {
    let mut given = Labels::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is no label: write it NAME=VALUE"))?;
        given.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
    }
    let bad = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let cluster = given
        .remove("cluster")
        .map(|name| ClusterName::new(&name).map_err(|error| bad("cluster", &error)))
        .transpose()?;
    let server = given
        .remove("server")
        .map(|name| ServerName::new(&name).map_err(|error| bad("server", &error)))
        .transpose()?;
    let service = given
        .remove("service")
        .map(|name| {
            Service::from_name(&name).ok_or_else(|| format!("there is no service {name:?}"))
        })
        .transpose()?;
    let severity = given.remove("severity").map_or(Ok(Severity::Warning), |it| severity(&it))?;
    let source = given.remove("source").unwrap_or_default();
    let claim = AlertClaim {
        name: given.remove("alertname").unwrap_or_default(),
        severity,
        server,
        service,
        code: given.remove("code").unwrap_or_default(),
        summary: String::new(),
        labels: given,
    };
    let fingerprint = Fingerprint::of(cluster.as_ref(), &source, &claim);
    let (starts_at, details) = (Timestamp(0), String::new());
    let (ends_at, acknowledged) = (None, None);
    Ok((cluster, Alert { fingerprint, source, claim, details, starts_at, ends_at, acknowledged }))
}
