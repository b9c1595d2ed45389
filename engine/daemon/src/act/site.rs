//! Steps of the site's own: named commands, here or on a server.

use tokio::time::{Instant, timeout_at};
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::plan::{Plan, SiteStep};

use super::leave::Leave;
use super::mark::{self, Kind};
use super::service::said;
use super::{Equipment, done, failed};
use crate::duty::Hand;
use crate::errors::chain;
use crate::process;

/// How much of a command's output is looked at, in bytes.
const OUTPUT_LIMIT: usize = 16 * 1024;

pub(super) async fn run(
    equipment: &Equipment,
    leave: &Leave<'_>,
    plan: &Plan,
    step: &SiteStep,
    resumed: bool,
    deadline: Instant,
) -> Outcome {
    if let Some(check) = &step.check {
        let check = filled_in(check, plan);
        match command(equipment, None, step, &check, deadline).await {
            Ok(Ended { success: true, .. }) => {
                return done(format!("`{check}`: it is so already"), false);
            }
            Ok(Ended { success: false, .. }) => {}
            Err(problem) => return failed(format!("`{check}`: {problem}")),
        }
    } else if resumed && !step.repeatable {
        return Outcome::Uncertain {
            detail: "it was under way when the monitor stopped, and is not repeatable".to_owned(),
        };
    }
    let line = filled_in(&step.command, plan);
    if let Err(why) = leave.ask().await {
        return failed(why);
    }
    match command(equipment, leave.hand(), step, &line, deadline).await {
        Ok(Ended { success: true, said }) => done(format!("`{line}`: {said}"), true),
        Ok(Ended { success: false, said }) => failed(format!("`{line}`: {said}")),
        Err(problem) if step.repeatable || step.check.is_some() => {
            failed(format!("`{line}`: {problem}"))
        }
        Err(problem) => Outcome::Uncertain { detail: format!("`{line}`: {problem}") },
    }
}

/// Whether it could be done now, by the site's own command for that; none: there is no such command.
pub(super) async fn rehearse(
    equipment: &Equipment,
    plan: &Plan,
    step: &SiteStep,
    deadline: Instant,
) -> Option<Result<String, String>> {
    let line = filled_in(step.rehearse.as_ref()?, plan);
    Some(match command(equipment, None, step, &line, deadline).await {
        Ok(Ended { success: true, said }) => Ok(said),
        Ok(Ended { success: false, said }) => Err(said),
        Err(problem) => Err(problem),
    })
}

fn filled_in(line: &str, plan: &Plan) -> String {
    line.replace("{from}", &plan.from.to_string())
        .replace("{to}", &plan.to.to_string())
        .replace("{cluster}", plan.cluster.as_str())
        .replace("{plan}", &plan.number.to_string())
}

struct Ended {
    success: bool,
    said: String,
}

async fn command(
    equipment: &Equipment,
    hand: Option<&Hand>,
    step: &SiteStep,
    line: &str,
    deadline: Instant,
) -> Result<Ended, String> {
    match &step.server {
        Some(server) => {
            let server = equipment.server(server)?;
            let output = mark::run(server, hand, line, Kind::Changes, deadline)
                .await
                .map_err(|unrun| unrun.why())?;
            Ok(Ended { success: output.success(), said: said(&output) })
        }
        None => local(line, deadline).await,
    }
}

async fn local(line: &str, deadline: Instant) -> Result<Ended, String> {
    let arguments = ["-c".to_owned(), line.to_owned()];
    let running = process::run("/bin/sh".as_ref(), &arguments, b"", OUTPUT_LIMIT);
    let ended = match timeout_at(deadline, running).await {
        Ok(ended) => ended.map_err(|error| chain(&error))?,
        Err(_) => return Err("it did not end in time, and was killed".to_owned()),
    };
    let output = if ended.stderr.is_empty() { &ended.stdout } else { &ended.stderr };
    let output = String::from_utf8_lossy(output);
    let first = output.lines().next().unwrap_or_default();
    Ok(Ended { success: ended.status.success(), said: format!("{}: {first}", ended.status) })
}
