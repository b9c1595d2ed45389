//! Starting, stopping and verifying services.

use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::facts::ReasonCode;
use watchkeeper_core::model::{ServiceId, Status};

use super::mark::{self, Unrun};
use super::{Control, Equipment, Reachable, done, failed, wait_for};
use crate::collect::run_once;
use crate::duty::Hand;
use crate::ssh::ExecOutput;

/// Whether a service's process runs, by its status command.
pub(super) enum Running {
    Yes,
    No,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Whether a service runs. With a hand, the server refuses to say so to a monitor that has lost the
/// duty: what it finds done already was done by another.
pub(super) async fn running(
    server: &Reachable,
    hand: Option<&Hand>,
    control: &Control,
    deadline: Instant,
) -> Running {
    match mark::run(server, hand, &control.status, deadline).await {
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
    let runs = match running(server, hand, control, deadline).await {
        Running::Yes => true,
        Running::No => false,
        Running::Unknown(why) => return failed(why),
    };
    if runs && serves(equipment, id).await.is_ok() {
        return done("it serves already", false);
    }
    if !runs {
        match mark::run(server, hand, &control.start, deadline).await {
            Ok(output) if output.success() => {}
            Ok(output) => return failed(format!("`{}`: {}", control.start, said(&output))),
            // It may have been started all the same; the probes tell.
            Err(Unrun::Ssh(error)) if error.may_have_run() => {}
            Err(unrun) => return failed(unrun.why()),
        }
    }
    let begun = Instant::now();
    match wait_for(deadline, || ready(equipment, server, control, id, deadline)).await {
        Ok(()) if runs => done("it ran already, and serves now", false),
        Ok(()) => done(
            format!("`{}`; it serves after {} ms", control.start, begun.elapsed().as_millis()),
            true,
        ),
        Err(instead) => failed(format!("`{}`, and it does not serve: {instead}", control.start)),
    }
}

async fn ready(
    equipment: &Equipment,
    server: &Reachable,
    control: &Control,
    id: &ServiceId,
    deadline: Instant,
) -> Result<(), String> {
    match running(server, None, control, deadline).await {
        Running::Yes => serves(equipment, id).await,
        Running::No => Err("it has ended again".to_owned()),
        Running::Unknown(why) => Err(why),
    }
}

/// Whether every probe of the service finds it up.
pub(super) async fn serves(equipment: &Equipment, id: &ServiceId) -> Result<(), String> {
    for spec in equipment.probes.get(id).into_iter().flatten() {
        let observation = run_once(spec).await;
        if observation.status != Status::Up {
            return Err(format!(
                "{} is {}: {}",
                observation.probe, observation.status, observation.reason.detail
            ));
        }
    }
    Ok(())
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
    match running(server, hand, control, deadline).await {
        Running::No => return done("it is stopped already", false),
        Running::Yes => {}
        Running::Unknown(why) => return failed(why),
    }
    let begun = Instant::now();
    match mark::run(server, hand, &control.stop, deadline).await {
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
    let mut served = 0;
    for id in services {
        let looked = wait_for(deadline, || async {
            let mut problem = None;
            for spec in equipment.probes.get(id).into_iter().flatten() {
                let observation = run_once(spec).await;
                if observation.status != Status::Up {
                    let code = observation.reason.code;
                    problem = Some((
                        code,
                        format!("{}: {}", observation.probe, observation.reason.detail),
                    ));
                }
            }
            match problem {
                None => Ok(()),
                Some((ReasonCode::Monitor, why)) => Err(format!("cannot be told: {why}")),
                Some((_, why)) => Err(why),
            }
        })
        .await;
        match looked {
            Ok(()) => served += 1,
            Err(instead) => return failed(format!("{id} does not serve: {instead}")),
        }
    }
    done(format!("{served} services serve, by all their probes"), false)
}
