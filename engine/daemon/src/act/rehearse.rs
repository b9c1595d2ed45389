//! What each step of a plan would find, without its effects.
//!
//! A rehearsal asks everything that a step checks before it acts, and what stands in the way of the act
//! itself: commands, rights, ports, connections. It starts, stops and writes nothing, and is recorded as
//! nothing. What can only be known by doing it is said to be not tried.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use watchkeeper_core::model::{ServerName, Service, ServiceId};
use watchkeeper_core::plan::{Act, Plan, Proof, SiteStep};

use super::repository::{self, Trouble, parts};
use super::service::{Running, running};
use super::testimony::{Testimony, testify};
use super::{Equipment, sequences, site};
use crate::collect::{Can, Looked, Readiness, ask_repository};
use crate::errors::chain;
use crate::net::one_line;

/// How long one step's looks may take: none waits for anything to become so.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of trying one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum Found {
    /// It could be done now.
    Possible {
        /// What was found.
        detail: String,
    },
    /// It could not.
    Impossible {
        /// Why.
        detail: String,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        detail: String,
    },
    /// It was not tried.
    NotTried {
        /// Why.
        detail: String,
    },
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What.
    pub what: String,
    /// What came of it.
    #[serde(flatten)]
    pub found: Found,
}

impl Trial {
    /// Whether it speaks against the step.
    pub const fn fails(&self) -> bool {
        matches!(self.found, Found::Impossible { .. } | Found::Unknown { .. })
    }
}

/// The trials of a step in the making.
#[derive(Default)]
struct Trials(Vec<Trial>);

impl Trials {
    fn add(&mut self, what: &str, found: Found) {
        self.0.push(Trial { what: what.to_owned(), found });
    }

    fn possible(&mut self, what: &str, detail: &str) {
        self.add(what, Found::Possible { detail: one_line(detail) });
    }

    fn impossible(&mut self, what: &str, detail: &str) {
        self.add(what, Found::Impossible { detail: one_line(detail) });
    }

    fn unknown(&mut self, what: &str, detail: &str) {
        self.add(what, Found::Unknown { detail: one_line(detail) });
    }

    fn not_tried(&mut self, what: &str, detail: &str) {
        self.add(what, Found::NotTried { detail: one_line(detail) });
    }

    fn can(&mut self, what: &str, can: &Can, well: &str) {
        match can {
            Can::Yes => self.possible(what, well),
            Can::No(why) => self.impossible(what, why),
            Can::Unknown(why) => self.unknown(what, why),
        }
    }

    fn result(&mut self, what: &str, result: Result<String, Trouble>) {
        match result {
            Ok(detail) => self.possible(what, &detail),
            Err(trouble) => self.impossible(what, &chain(&trouble)),
        }
    }
}

/// What servers can be looked at for, by name.
pub type Looks = BTreeMap<ServerName, Readiness>;

/// Tries all of a step but its effect.
pub async fn step(equipment: &Equipment, looks: &Looks, plan: &Plan, act: &Act) -> Vec<Trial> {
    let deadline = Instant::now() + PATIENCE;
    let mut trials = Trials::default();
    match act {
        Act::StartService(id) => start(&mut trials, looks, id, deadline).await,
        Act::StopService(id) => stop(&mut trials, looks, id, deadline).await,
        Act::ConfirmInactive { server, services, proof } => {
            confirm(&mut trials, equipment, server, services, *proof, deadline).await;
        }
        Act::AwaitReplication { from, to } => {
            let behind = repository::behind(equipment, from, deadline).await;
            trials.result(
                "the replication",
                behind.and_then(|bytes| match bytes {
                    Some(bytes) => Ok(format!("{to}/repository is {} bytes behind", bytes.max(0))),
                    None => {
                        Err(Trouble::Said(format!("{to}/repository is not receiving from {from}")))
                    }
                }),
            );
        }
        Act::DetachRepository { server } => {
            let may = repository::may_detach(equipment, server, deadline).await;
            trials.result(
                "its subscription",
                may.and_then(|may| match may {
                    None => Ok(format!("{server} has none of that name")),
                    Some(true) => Ok("it may be disabled".to_owned()),
                    Some(false) => Err(Trouble::Said(
                        "this login may not disable it: it has to be its owner or a superuser"
                            .to_owned(),
                    )),
                }),
            );
            writes(&mut trials, equipment, server, deadline).await;
        }
        Act::CopyRepository { from, to } => {
            for (what, server) in [("the repository copied from", from), ("copied to", to)] {
                let what = format!("{what}, {server}");
                match parts(equipment, server) {
                    Ok((_, pg)) => {
                        let asked = ask_repository(pg, deadline).await;
                        trials.can(&what, &asked.writable, "it answers, and takes writes");
                    }
                    Err(why) => trials.impossible(&what, &why),
                }
            }
            let why = "the rights to publish, empty tables and subscribe show only when it is done";
            trials.not_tried("the copy itself", why);
        }
        Act::CarrySequences { from, to } => {
            let counted = sequences::may_carry(equipment, to, deadline).await;
            let words = |count| format!("{count} may be read and moved on");
            trials.result(&format!("the sequences of {to}"), counted.map(words));
            match sequences::may_read(equipment, from, deadline).await {
                Ok(count) => {
                    let detail = format!("{count} may be read");
                    trials.possible(&format!("the sequences of {from}"), &detail);
                }
                // A lost side never makes this fail.
                Err(trouble) => trials.not_tried(
                    &format!("the sequences of {from}"),
                    &format!("{}; each would be moved past the rows in use", chain(&trouble)),
                ),
            }
        }
        Act::Site(of_site) => of_the_site(&mut trials, equipment, plan, of_site, deadline).await,
        Act::Verify { services } => {
            for id in services {
                let probes = equipment.probes.get(id).into_iter().flatten();
                let names: Vec<String> = probes.map(|spec| spec.id.to_string()).collect();
                let detail = if names.is_empty() {
                    "it has no probe: it would count as serving once it was started".to_owned()
                } else {
                    format!("nothing was started; it would be asked by {}", names.join(", "))
                };
                trials.not_tried(&id.to_string(), &detail);
            }
        }
    }
    trials.0
}

/// Looks at one service of a server alone. If that cannot be, why is among the trials.
async fn look_at(
    trials: &mut Trials,
    looks: &Looks,
    id: &ServiceId,
    deadline: Instant,
) -> Option<(Readiness, Looked)> {
    let look = looks.get(&id.server).cloned().map(|mut look| {
        look.services.retain(|it| it.service == id.service);
        look
    });
    let Some(look) = look.filter(|look| !look.services.is_empty()) else {
        trials.impossible("its commands", "it is no longer configured");
        return None;
    };
    match look.look(deadline).await {
        Ok(found) => Some((look, found)),
        Err(finding) => {
            trials.unknown("its server", &finding.reason.detail);
            None
        }
    }
}

async fn start(trials: &mut Trials, looks: &Looks, id: &ServiceId, deadline: Instant) {
    let Some((look, found)) = look_at(trials, looks, id, deadline).await else { return };
    for control in &found.services {
        trials.can("its start command", &control.start, "is there and may be run");
        let well = match control.runs {
            Some(true) => "it runs already: nothing would be started",
            _ => "can be run: it says that it does not run",
        };
        trials.can("its status command", &control.status, well);
        if let Some(ports) = &control.ports {
            let well = if control.runs == Some(true) { "its own" } else { "free" };
            trials.can("its ports", ports, well);
        }
    }
    if id.service == Service::Repository
        && let Some(pg) = &look.repository
    {
        let asked = ask_repository(pg, deadline).await;
        trials.can("whether it takes writes", &asked.writable, "it does");
    }
}

async fn stop(trials: &mut Trials, looks: &Looks, id: &ServiceId, deadline: Instant) {
    let Some((_, found)) = look_at(trials, looks, id, deadline).await else { return };
    for control in &found.services {
        let well = match control.runs {
            Some(true) => "can be run: it says that it runs",
            _ => "it is stopped already: nothing would be stopped",
        };
        trials.can("its status command", &control.status, well);
        trials.can("its stop command", &control.stop, "is there and may be run");
    }
}

/// The server itself, and each that could say what it finds of it.
async fn confirm(
    trials: &mut Trials,
    equipment: &Equipment,
    server: &ServerName,
    services: &[Service],
    proof: Proof,
    deadline: Instant,
) {
    let own = own_word(equipment, server, services, deadline).await;
    let looks = equipment.witnesses(server).map(async |witness| {
        (witness.clone(), testify(equipment, witness, server, deadline).await)
    });
    let heard = futures_util::future::join_all(looks).await;
    let able = heard.iter().filter(|(_, it)| !matches!(it, Testimony::Unable(_))).count();
    let needed = if let Proof::Witnesses(needed) = proof { Some(needed as usize) } else { None };
    let enough = match proof {
        Proof::Fence { .. } => fences(trials, equipment, server, deadline).await,
        Proof::Witnesses(needed) => able >= needed as usize,
        Proof::Nothing => true,
        Proof::Operator => false,
    };
    match own {
        Ok(said) => trials.possible(&format!("{server}'s own word"), &said),
        Err(why) if enough => trials.not_tried(
            &format!("{server}'s own word"),
            &format!("it cannot be asked now, and does not have to be: {why}"),
        ),
        Err(why) => trials.impossible(&format!("{server}'s own word"), &why),
    }
    for (witness, testimony) in heard {
        let what = format!("what {witness} finds of it");
        match testimony {
            Testimony::Alive(how) => trials.possible(&what, &format!("it is alive: {how}")),
            Testimony::Hung(how) => trials.possible(&what, &format!("it stands still: {how}")),
            Testimony::Gone => trials.possible(&what, "nothing answers on any of its ports"),
            Testimony::Unable(why) if enough || needed.is_none() => trials.not_tried(&what, &why),
            Testimony::Unable(why) => trials.impossible(&what, &why),
        }
    }
    if let Some(needed) = needed.filter(|needed| able < *needed) {
        let why = format!("{needed} are wanted if it cannot be asked itself, {able} can look now");
        trials.impossible("witnesses", &why);
    }
}

/// What would switch it off, each level asked for the power alone. Whether one of them can be relied on.
async fn fences(
    trials: &mut Trials,
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> bool {
    let levels = equipment.fences.get(server).map(Vec::as_slice).unwrap_or_default();
    let asked = levels.iter().map(|level| level.power(deadline));
    let mut able = false;
    for (level, answer) in levels.iter().zip(futures_util::future::join_all(asked).await) {
        let what = format!("fencing by {}", level.name());
        match answer {
            Ok(power) => {
                able = true;
                let detail = format!("it answers: the power is {}", power.as_str());
                trials.possible(&what, &detail);
            }
            Err(why) => trials.impossible(&what, &why),
        }
    }
    able
}

/// Which of the services run, by the server's word; or why it cannot be asked.
async fn own_word(
    equipment: &Equipment,
    server: &ServerName,
    services: &[Service],
    deadline: Instant,
) -> Result<String, String> {
    let way = equipment.server(server)?;
    let mut said = Vec::new();
    for service in services {
        let id = ServiceId { server: server.clone(), service: *service };
        let word = match running(way, None, equipment.control(&id)?, deadline).await {
            Running::Yes => "runs",
            Running::No => "does not run",
            Running::Unknown(why) => return Err(why),
        };
        said.push(format!("{service} {word}"));
    }
    Ok(format!("it can be asked: {}", said.join(", ")))
}

async fn writes(
    trials: &mut Trials,
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) {
    match parts(equipment, server) {
        Ok((_, pg)) => {
            let asked = ask_repository(pg, deadline).await;
            trials.can("whether it takes writes", &asked.writable, "it does");
        }
        Err(why) => trials.impossible("its connection", &why),
    }
}

async fn of_the_site(
    trials: &mut Trials,
    equipment: &Equipment,
    plan: &Plan,
    step: &SiteStep,
    deadline: Instant,
) {
    match site::rehearse(equipment, plan, step, deadline).await {
        None => trials.not_tried("the site's command", "it has no `rehearse` command"),
        Some(Ok(said)) => trials.possible("its `rehearse` command", &said),
        Some(Err(why)) => trials.impossible("its `rehearse` command", &why),
    }
}
