//! Being sure that a server no longer acts, before the other side may begin to.
//!
//! The server's own word counts most: if it can be asked, each service's status command must say
//! that it is stopped. If it cannot be asked, other servers are: a witness counts only if nothing
//! at all answers it from there. A refused connection is an answer: the host is alive, and the
//! daemon, which has no port of its own, may be too.

use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::{ServerName, Service, ServiceId};
use watchkeeper_core::plan::Proof;

use super::service::{Running, running};
use super::{Equipment, done, failed};
use crate::duty::Hand;
use crate::errors::chain;
use crate::ssh::Reach;

/// How long the server itself is given to answer. A status command over a kept connection takes
/// some 20 ms, a new connection 300 ms; a kept connection to a server that was unplugged hangs.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a witness waits for an answer. On a local network an answer comes within
/// milliseconds.
const WITNESS_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn inactive(
    equipment: &Equipment,
    hand: Option<&Hand>,
    name: &ServerName,
    services: &[Service],
    proof: Proof,
    deadline: Instant,
) -> Outcome {
    // At the same time: a server that is gone answers nobody, and everybody waits for this step.
    let hear = async {
        match proof {
            Proof::Witnesses(_) => hear_witnesses(equipment, name, deadline).await,
            Proof::Nothing | Proof::Operator => Vec::new(),
        }
    };
    let (asked, heard) = tokio::join!(ask(equipment, hand, name, services, deadline), hear);
    let unasked = match asked {
        Ok(outcome) => return outcome,
        Err(why) => why,
    };
    match proof {
        Proof::Nothing => done(
            format!("{unasked}; the configuration wants no proof that {name} is inactive"),
            false,
        ),
        Proof::Operator => failed(format!(
            "{unasked}; the configuration wants an operator to make sure that {name} is inactive"
        )),
        Proof::Witnesses(needed) => judge(needed, &unasked, heard),
    }
}

/// The server's own word; the error says why it cannot be had.
async fn ask(
    equipment: &Equipment,
    hand: Option<&Hand>,
    name: &ServerName,
    services: &[Service],
    deadline: Instant,
) -> Result<Outcome, String> {
    let server = equipment.server(name)?;
    let patience = deadline.min(Instant::now() + SERVER_PATIENCE);
    let mut unknown = Vec::new();
    for service in services {
        let id = ServiceId { server: name.clone(), service: *service };
        match running(server, hand, equipment.control(&id)?, patience).await {
            Running::No => {}
            Running::Yes => return Ok(failed(format!("{id} still runs"))),
            Running::Unknown(why) => {
                unknown.push(format!("{id} cannot be asked: {why}"));
                // The same connection would fail for the others as well.
                break;
            }
        }
    }
    match unknown.pop() {
        None => {
            let names: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
            Ok(done(format!("{name} says that {} are stopped", names.join(", ")), false))
        }
        Some(why) => Err(why),
    }
}

enum Testimony {
    /// Nothing answered on any port.
    Gone,
    /// Something answered.
    Alive(String),
    /// It cannot tell.
    None(String),
}

/// What each other server finds.
async fn hear_witnesses<'a>(
    equipment: &'a Equipment,
    name: &ServerName,
    deadline: Instant,
) -> Vec<(&'a ServerName, Testimony)> {
    let others = equipment.servers.keys().filter(|witness| *witness != name);
    let heard =
        others.map(async |witness| (witness, testify(equipment, witness, name, deadline).await));
    futures_util::future::join_all(heard).await
}

fn judge(needed: u32, unasked: &str, heard: Vec<(&ServerName, Testimony)>) -> Outcome {
    let (mut gone, mut silent) = (Vec::new(), Vec::new());
    for (witness, testimony) in heard {
        match testimony {
            Testimony::Gone => gone.push(witness.to_string()),
            Testimony::Alive(what) => {
                return failed(format!("{unasked}; but {witness} finds it alive: {what}"));
            }
            Testimony::None(why) => silent.push(format!("{witness} cannot tell: {why}")),
        }
    }
    if gone.len() >= needed as usize {
        done(format!("{unasked}; {} find it gone as well", gone.join(", ")), false)
    } else {
        let what_else =
            if silent.is_empty() { String::new() } else { format!(" ({})", silent.join("; ")) };
        failed(format!(
            "{unasked}; {} of the {needed} witnesses needed find it gone{what_else}",
            gone.len()
        ))
    }
}

async fn testify(
    equipment: &Equipment,
    witness: &ServerName,
    name: &ServerName,
    deadline: Instant,
) -> Testimony {
    let (Ok(by), Ok(about)) = (equipment.server(witness), equipment.server(name)) else {
        return Testimony::None("it is no longer configured".to_owned());
    };
    let patience = deadline.min(Instant::now() + WITNESS_PATIENCE);
    let looks = match by.ssh.reach_all(&about.address, &about.ports, patience).await {
        Ok(looks) => looks,
        Err(error) => return Testimony::None(chain(&error)),
    };
    // One answer is enough to be alive; to be gone takes silence on every port.
    let mut cannot_tell = looks.is_empty().then(|| "there is no port to look at".to_owned());
    for (port, look) in about.ports.iter().zip(looks) {
        match look {
            Reach::Connected => {
                return Testimony::Alive(format!("port {port} accepts connections"));
            }
            Reach::Refused => return Testimony::Alive("it refuses connections".to_owned()),
            Reach::TimedOut | Reach::Unreachable(_) => {}
            Reach::Prohibited => {
                cannot_tell = Some("its SSH forwards no connections".to_owned());
            }
            Reach::Failed(words) => cannot_tell = Some(words),
        }
    }
    cannot_tell.map_or(Testimony::Gone, Testimony::None)
}
