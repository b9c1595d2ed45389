//! Being sure that a server no longer acts, before the other side may begin to.
//!
//! The server's own word counts most: if it can be asked, each service's status command must say
//! that it is stopped. If it cannot be asked, other servers are ([`testimony`](super::testimony)).
//! What was found of it while its failure was being confirmed is enough to go on
//! ([`suspicion`](super::suspicion)); if it is not, everybody is asked anew. Where fencing is the proof, it
//! is switched off instead ([`fence`](super::fence)), and so is one that answers and does not stop.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::{ServerName, Service, ServiceId};
use watchkeeper_core::plan::Proof;

use super::fence::fence;
use super::leave::Leave;
use super::service::{Running, running};
use super::suspicion::Suspicions;
use super::testimony::{Testimony, testify};
use super::{Equipment, done, failed};
use crate::duty::Hand;
use crate::share;

/// How long the server itself is given to answer. A status command over a kept connection takes
/// some 20 ms, a new connection 300 ms; a kept connection to a server that was unplugged hangs.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// What has to be made sure of.
pub(super) struct Question<'a> {
    /// The server that must not act any more.
    pub(super) server: &'a ServerName,
    /// The services in question.
    pub(super) services: &'a [Service],
    /// What is enough if it cannot be asked.
    pub(super) proof: Proof,
    /// Whether it was asked to stop them.
    pub(super) asked_to_stop: bool,
    /// Until when.
    pub(super) deadline: Instant,
}

pub(super) async fn inactive(
    equipment: &Equipment,
    suspicions: &Suspicions,
    leave: &Leave<'_>,
    question: Question<'_>,
) -> Outcome {
    let Question { server: name, services, proof, deadline, .. } = question;
    if let Proof::Fence { .. } = proof {
        return by_fencing(equipment, leave, question).await;
    }
    if let Some(outcome) = by_what_is_known(suspicions, name, proof, Instant::now()) {
        return outcome;
    }
    // At the same time: a server that is gone answers nobody, and everybody waits for this step.
    let hear = async {
        match proof {
            Proof::Witnesses(_) => hear_witnesses(equipment, name, deadline).await,
            Proof::Nothing | Proof::Operator | Proof::Fence { .. } => Vec::new(),
        }
    };
    let asking = ask(equipment, leave.hand(), name, services, deadline);
    let (asked, heard) = tokio::join!(asking, hear);
    let unasked = match asked {
        Ok(outcome) => return outcome,
        Err(why) => why,
    };
    judge(proof, name, &unasked, heard)
}

/// The server's own word, if it can be had and is that it has stopped; else it is switched off. It is asked
/// whatever is known of it: one that has come back a second ago is not to be shot for its silence before.
async fn by_fencing(equipment: &Equipment, leave: &Leave<'_>, question: Question<'_>) -> Outcome {
    let Question { server: name, services, asked_to_stop, deadline, .. } = question;
    let why = match ask(equipment, leave.hand(), name, services, deadline).await {
        Ok(Outcome::Failed { detail }) if asked_to_stop => detail,
        Ok(outcome) => return outcome,
        Err(why) => why,
    };
    // A server that refuses a term that is over must not be shot for it.
    if leave.is_withdrawn() {
        return failed(why);
    }
    fence(equipment, leave, name, &why, deadline).await
}

/// The outcome, if the server is known to be silent and what is known is enough to go on.
fn by_what_is_known(
    suspicions: &Suspicions,
    name: &ServerName,
    proof: Proof,
    now: Instant,
) -> Option<Outcome> {
    let silence = suspicions.silence(name, now)?;
    let outcome = judge(proof, name, &silence, suspicions.testimonies(name, now));
    matches!(outcome, Outcome::Done { .. }).then_some(outcome)
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
    let begun = Instant::now();
    let patience = deadline.min(begun + SERVER_PATIENCE);
    let mut questions = Vec::new();
    for service in services {
        let id = ServiceId { server: name.clone(), service: *service };
        questions.push((equipment.control(&id)?, id));
    }
    let asked =
        questions.iter().map(async |(control, _)| running(server, hand, control, patience).await);
    let answers = join_all(asked).await;
    share::looked(begun.elapsed());
    let mut unknown = None;
    for ((_, id), answer) in questions.iter().zip(answers) {
        match answer {
            Running::No => {}
            Running::Yes => return Ok(failed(format!("{id} still runs"))),
            Running::Unknown(why) => {
                unknown.get_or_insert_with(|| format!("{id} cannot be asked: {why}"));
            }
        }
    }
    match unknown {
        None => {
            let names: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
            Ok(done(format!("{name} says that {} are stopped", names.join(", ")), false))
        }
        Some(why) => Err(why),
    }
}

/// What each other server finds now.
async fn hear_witnesses(
    equipment: &Equipment,
    name: &ServerName,
    deadline: Instant,
) -> Vec<(ServerName, Testimony)> {
    let heard = equipment
        .witnesses(name)
        .map(async |witness| (witness.clone(), testify(equipment, witness, name, deadline).await));
    join_all(heard).await
}

/// What follows if the server itself cannot be asked.
fn judge(
    proof: Proof,
    name: &ServerName,
    unasked: &str,
    heard: Vec<(ServerName, Testimony)>,
) -> Outcome {
    match proof {
        Proof::Nothing => done(
            format!("{unasked}; the configuration wants no proof that {name} is inactive"),
            false,
        ),
        // What is fenced is not judged by words.
        Proof::Operator | Proof::Fence { .. } => {
            failed(format!("{unasked}; an operator has to make sure that {name} is inactive"))
        }
        Proof::Witnesses(needed) => judge_witnesses(needed, unasked, heard),
    }
}

fn judge_witnesses(needed: u32, unasked: &str, heard: Vec<(ServerName, Testimony)>) -> Outcome {
    let (mut gone, mut silent) = (Vec::new(), Vec::new());
    for (witness, testimony) in heard {
        match testimony {
            Testimony::Gone => gone.push(witness.to_string()),
            Testimony::Alive(what) => {
                return failed(format!("{unasked}; but {witness} finds it alive: {what}"));
            }
            Testimony::Hung(what) => {
                let how = "finds that it stands still and may go on";
                return failed(format!("{unasked}; but {witness} {how}: {what}"));
            }
            Testimony::Unable(why) => silent.push(format!("{witness} cannot tell: {why}")),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What witnesses found, by name.
    type Heard<'a> = &'a [(&'a str, Testimony)];

    /// What follows from what is known alone.
    fn known(proof: Proof, silent: bool, heard: Heard<'_>) -> Option<Outcome> {
        let name = |name: &str| ServerName::new(name).unwrap();
        let (suspicions, now) = (Suspicions::default(), Instant::now());
        if silent {
            let took = Duration::from_secs(2);
            suspicions.silent(&name("dm1"), now, took, "no answer".into());
        }
        for (witness, testimony) in heard {
            suspicions.heard(&name("dm1"), &name(witness), now, now, testimony.clone());
        }
        by_what_is_known(&suspicions, &name("dm1"), proof, now)
    }

    #[test]
    fn what_is_known_is_enough_to_go_on_and_never_to_stop() {
        let (gone, alive) = (Testimony::Gone, Testimony::Alive("it refuses".to_owned()));
        let hung = Testimony::Hung("it says nothing".to_owned());
        let unable = Testimony::Unable("busy".to_owned());
        let both = Proof::Witnesses(2);
        let one = Proof::Witnesses(1);
        let cases: [(Proof, Heard<'_>, bool); 9] = [
            (both, &[("dm2", gone.clone()), ("dm3", gone.clone())], true),
            (both, &[("dm2", gone.clone())], false),
            (both, &[("dm2", gone.clone()), ("dm3", unable.clone())], false),
            (one, &[("dm2", gone.clone()), ("dm3", unable)], true),
            (one, &[("dm2", gone.clone()), ("dm3", hung)], false),
            (one, &[("dm2", gone), ("dm3", alive)], false),
            (Proof::Nothing, &[], true),
            (Proof::Operator, &[], false),
            (Proof::Fence { within_ms: 1 }, &[("dm2", Testimony::Gone)], false),
        ];
        for (proof, heard, goes_on) in cases {
            let outcome = known(proof, true, heard);
            assert_eq!(outcome.is_some(), goes_on, "{proof:?} {heard:?}");
            assert!(outcome.is_none_or(|it| matches!(it, Outcome::Done { .. })));
            // A server that is not known to be silent is asked itself.
            assert_eq!(known(proof, false, heard), None, "{proof:?} {heard:?}");
        }
    }
}
