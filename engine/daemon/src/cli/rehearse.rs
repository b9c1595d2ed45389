//! `watchkeeper rehearse`.

use std::fmt::Write as _;

use clap::Args;

use super::client::{Client, ClientError};
use super::exit::Exit;
use super::{operate, print};
use crate::act::rehearse::{Found, Trial};
use crate::api::{RehearsalKind, RehearsalLine};

/// What `--help` says behind the options.
pub(super) const HELP: &str = "\
The running daemon makes the plan that it would make now, and tries each step without its effect:
commands and whether they may be run, ports, logins, rights, what the servers find of each other.
Nothing is started, stopped, written or recorded. A step of the site's own is tried only if the
configuration gives it a `rehearse` command.

The exit code is 0 if all could be done, 1 if a step could not or if that cannot be told, and 4 if
all could be done and a guard would hold it.

Examples:
  watchkeeper rehearse
  watchkeeper rehearse prod --kind switchover --json";

/// What to rehearse.
#[derive(Debug, Args)]
pub(super) struct Rehearse {
    /// The cluster; may be left out if there is only one
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,
    /// Which change of side
    #[arg(long, value_enum, default_value_t)]
    kind: RehearsalKind,
}

/// Has it rehearsed, and shows each step as it is tried. With `json`, each line is a JSON value.
pub(super) async fn ask(
    client: &Client,
    arguments: &Rehearse,
    json: bool,
) -> Result<Exit, ClientError> {
    let cluster = operate::which(client, arguments.cluster.as_deref()).await?;
    let path = format!("/v1/clusters/{cluster}/rehearse?kind={}", arguments.kind.as_str());
    let (mut held, mut failing) = (false, None);
    client
        .follow(&path, |line: RehearsalLine| {
            match &line {
                RehearsalLine::Plan { holds, .. } => held = !holds.is_empty(),
                RehearsalLine::Ended { failing: steps } => failing = Some(!steps.is_empty()),
                RehearsalLine::Step { .. } => {}
            }
            if json {
                print(&format!("{}\n", serde_json::to_string(&line).unwrap_or_default()));
            } else {
                print(&text(&line));
            }
        })
        .await?;
    match (failing, held) {
        (None, _) => Err(ClientError::Refused("the rehearsal did not come to its end".to_owned())),
        (Some(true), _) => Ok(Exit::Failed),
        (Some(false), true) => Ok(Exit::Held),
        (Some(false), false) => Ok(Exit::Ok),
    }
}

fn text(line: &RehearsalLine) -> String {
    let mut out = String::new();
    match line {
        RehearsalLine::Plan { plan, holds, checks } => {
            let _ = writeln!(
                out,
                "rehearsal of a {} from {} to {}, in {} steps; nothing is done\nwhat the guards say:",
                plan.kind,
                plan.from,
                plan.to,
                plan.steps.len()
            );
            for check in checks {
                let _ = writeln!(out, "  {}", operate::verdict(check, &plan.kind));
            }
            if !holds.is_empty() {
                out.push_str("it would be held now\n");
            }
        }
        RehearsalLine::Step { step, act, trials } => {
            let _ = writeln!(out, "{step:>3}. {act}");
            for trial in trials {
                let _ = writeln!(out, "     {}", of_trial(trial));
            }
        }
        RehearsalLine::Ended { failing } => match failing.as_slice() {
            [] => out.push_str("all of it could be done now, as far as that can be tried\n"),
            steps => {
                let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
                let _ = writeln!(out, "could not be done now: step {}", steps.join(", "));
            }
        },
    }
    out
}

fn of_trial(trial: &Trial) -> String {
    let (word, detail) = match &trial.found {
        Found::Possible { detail } => ("ok", detail),
        Found::Impossible { detail } => ("NO", detail),
        Found::Unknown { detail } => ("NOT KNOWN", detail),
        Found::NotTried { detail } => ("not tried", detail),
    };
    format!("{word:<10} {}: {detail}", trial.what)
}
