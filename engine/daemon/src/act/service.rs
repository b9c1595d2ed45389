//! Starting, stopping and verifying services.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::facts::{Observation, ReasonCode};
use watchkeeper_core::model::{ServiceId, Status};

use super::mark::{self, Kind, Unrun};
use super::{Control, Equipment, Reachable, done, failed, wait_for};
use crate::collect::{ProbeSpec, run_once};
use crate::duty::Hand;
use crate::share;
use crate::ssh::ExecOutput;

/// How long the last look at a service that did not come up may take, beyond its deadline.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Whether a service's process runs, by its status command.
pub(super) enum Running {
    Yes,
    No,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Asks before something is done.
async fn asked(
    server: &Reachable,
    hand: Option<&Hand>,
    control: &Control,
    deadline: Instant,
) -> Running {
    let begun = Instant::now();
    let running = running(server, hand, control, deadline).await;
    share::looked(begun.elapsed());
    running
}

/// Whether a service runs. With a hand, the server refuses to say so to a monitor that has lost the
/// duty: what it finds done already was done by another.
pub(super) async fn running(
    server: &Reachable,
    hand: Option<&Hand>,
    control: &Control,
    deadline: Instant,
) -> Running {
    match mark::run(server, hand, &control.status, Kind::Looks, deadline).await {
        Ok(output) => match output.exit {
            Some(0) => Running::Yes,
            Some(126 | 127) | None => {
                Running::Unknown(format!("`{}` cannot be run: {}", control.status, said(&output)))
            }
            Some(_) => Running::No,
        },
        Err(unrun) => Running::Unknown(unrun.why()),
    }
}

/// What a command said, in one line.
pub(super) fn said(output: &ExecOutput) -> String {
    let line = output.stderr.first_line().or_else(|| output.stdout.first_line());
    let how = match (output.exit, &output.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended without an exit code".to_owned(),
    };
    match line {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

pub(super) async fn start(
    equipment: &Equipment,
    hand: Option<&Hand>,
    id: &ServiceId,
    deadline: Instant,
) -> Outcome {
    let (server, control) = match (equipment.server(&id.server), equipment.control(id)) {
        (Ok(server), Ok(control)) => (server, control),
        (Err(problem), _) | (_, Err(problem)) => return failed(problem),
    };
    let runs = match asked(server, hand, control, deadline).await {
        Running::Yes => true,
        Running::No => false,
        Running::Unknown(why) => return failed(why),
    };
    if runs && answers(equipment, control, id).await.is_ok() {
        return done("it serves already", false);
    }
    if !runs {
        match mark::run(server, hand, &control.start, Kind::Changes, deadline).await {
            Ok(output) if output.success() => {}
            Ok(output) => return failed(format!("`{}`: {}", control.start, said(&output))),
            // It may have been started all the same; the probes tell.
            Err(Unrun::Ssh(error)) if error.may_have_run() => {}
            Err(unrun) => return failed(unrun.why()),
        }
    }
    let begun = Instant::now();
    let up = || async {
        // The cheap question first: a command costs the server a process each time.
        answers(equipment, control, id).await?;
        still_runs(server, control, deadline).await
    };
    match wait_for(deadline, up).await {
        Ok(()) if runs => done("it ran already, and serves now", false),
        Ok(()) => done(
            format!("`{}`; it serves after {} ms", control.start, begun.elapsed().as_millis()),
            true,
        ),
        Err(instead) => {
            let patience = Instant::now() + LAST_LOOK;
            let why = still_runs(server, control, patience).await.err().unwrap_or(instead);
            failed(format!("`{}`, and it does not serve: {why}", control.start))
        }
    }
}

/// Whether the process that was started is still there.
async fn still_runs(
    server: &Reachable,
    control: &Control,
    deadline: Instant,
) -> Result<(), String> {
    match running(server, None, control, deadline).await {
        Running::Yes => Ok(()),
        Running::No => Err("it has ended again".to_owned()),
        Running::Unknown(why) => Err(why),
    }
}

/// Whether every probe of the service finds it up, the status command left out, which is asked
/// anyway.
async fn answers(equipment: &Equipment, control: &Control, id: &ServiceId) -> Result<(), String> {
    let others = probes(equipment, id).filter(|spec| !spec.kind.runs(&control.status));
    match look(others).await {
        None => Ok(()),
        Some(observation) => Err(format!(
            "{} is {}: {}",
            observation.probe, observation.status, observation.reason.detail
        )),
    }
}

fn probes<'a>(
    equipment: &'a Equipment,
    id: &ServiceId,
) -> impl Iterator<Item = &'a Arc<ProbeSpec>> {
    equipment.probes.get(id).into_iter().flatten()
}

/// Runs all of these at the same time; what the first finds that does not find the service up.
async fn look(probes: impl Iterator<Item = &Arc<ProbeSpec>>) -> Option<Observation> {
    let observations = join_all(probes.map(|spec| run_once(spec))).await;
    observations.into_iter().find(|observation| observation.status != Status::Up)
}

pub(super) async fn stop(
    equipment: &Equipment,
    hand: Option<&Hand>,
    id: &ServiceId,
    deadline: Instant,
) -> Outcome {
    let (server, control) = match (equipment.server(&id.server), equipment.control(id)) {
        (Ok(server), Ok(control)) => (server, control),
        (Err(problem), _) | (_, Err(problem)) => return failed(problem),
    };
    match asked(server, hand, control, deadline).await {
        Running::No => return done("it is stopped already", false),
        Running::Yes => {}
        Running::Unknown(why) => return failed(why),
    }
    let begun = Instant::now();
    match mark::run(server, hand, &control.stop, Kind::Changes, deadline).await {
        Ok(output) if output.success() => {}
        Ok(output) => return failed(format!("`{}`: {}", control.stop, said(&output))),
        Err(Unrun::Ssh(error)) if error.may_have_run() => {}
        Err(unrun) => return failed(unrun.why()),
    }
    let stopped = wait_for(deadline, || async {
        match running(server, None, control, deadline).await {
            Running::No => Ok(()),
            Running::Yes => Err("it still runs".to_owned()),
            Running::Unknown(why) => Err(why),
        }
    })
    .await;
    match stopped {
        Ok(()) => done(
            format!("`{}`; stopped after {} ms", control.stop, begun.elapsed().as_millis()),
            true,
        ),
        Err(instead) => failed(format!("`{}`, and {instead}", control.stop)),
    }
}

pub(super) async fn verify(
    equipment: &Equipment,
    services: &[ServiceId],
    deadline: Instant,
) -> Outcome {
    let looks = services.iter().map(async |id| {
        let looked = wait_for(deadline, || async {
            match look(probes(equipment, id)).await {
                None => Ok(()),
                Some(Observation { probe, reason, .. }) => match reason.code {
                    ReasonCode::Monitor => {
                        Err(format!("cannot be told: {probe}: {}", reason.detail))
                    }
                    _ => Err(format!("{probe}: {}", reason.detail)),
                },
            }
        });
        looked.await.map_err(|instead| format!("{id} does not serve: {instead}"))
    });
    match join_all(looks).await.into_iter().find_map(Result::err) {
        Some(problem) => failed(problem),
        None => done(format!("{} services serve, by all their probes", services.len()), false),
    }
}
