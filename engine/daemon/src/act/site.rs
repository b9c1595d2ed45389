//! Steps of the site's own: named commands, here or on a server.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::plan::{Plan, SiteStep};

use super::service::said;
use super::{Equipment, done, failed};
use crate::errors::chain;

/// How much of a command's output is looked at, in bytes.
const OUTPUT_LIMIT: u64 = 16 * 1024;

pub(super) async fn run(
    equipment: &Equipment,
    plan: &Plan,
    step: &SiteStep,
    resumed: bool,
    deadline: Instant,
) -> Outcome {
    if let Some(check) = &step.check {
        let check = filled_in(check, plan);
        match command(equipment, step, &check, deadline).await {
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
    match command(equipment, step, &line, deadline).await {
        Ok(Ended { success: true, said }) => done(format!("`{line}`: {said}"), true),
        Ok(Ended { success: false, said }) => failed(format!("`{line}`: {said}")),
        Err(problem) if step.repeatable || step.check.is_some() => {
            failed(format!("`{line}`: {problem}"))
        }
        Err(problem) => Outcome::Uncertain { detail: format!("`{line}`: {problem}") },
    }
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
    step: &SiteStep,
    line: &str,
    deadline: Instant,
) -> Result<Ended, String> {
    match &step.server {
        Some(server) => {
            let output = equipment
                .server(server)?
                .ssh
                .exec(line, None, deadline)
                .await
                .map_err(|error| chain(&error))?;
            Ok(Ended { success: output.success(), said: said(&output) })
        }
        None => local(line, deadline).await,
    }
}

async fn local(line: &str, deadline: Instant) -> Result<Ended, String> {
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;
    let group = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ending = async {
        let (out, err) = tokio::join!(head(stdout), head(stderr));
        (child.wait().await, out, err)
    };
    let Ok((status, out, err)) = timeout_at(deadline, ending).await else {
        kill_group(group).await;
        return Err("it did not end in time, and was killed".to_owned());
    };
    let status = status.map_err(|error| format!("cannot be waited for: {error}"))?;
    let line = if err.is_empty() { out } else { err };
    let first = line.lines().next().unwrap_or_default();
    Ok(Ended { success: status.success(), said: format!("{status}: {first}") })
}

async fn head(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(stream) = stream else { return String::new() };
    let mut text = Vec::new();
    let mut limited = stream.take(OUTPUT_LIMIT);
    let _ = limited.read_to_end(&mut text).await;
    // The rest is read and thrown away, so that the command is not stopped by a full pipe.
    let mut rest = limited.into_inner();
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Ends what the command has started as well. There is no safe call for it in the standard
/// library, and kill(1) is everywhere.
async fn kill_group(group: Option<u32>) {
    if let Some(group) = group {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status().await;
    }
}
