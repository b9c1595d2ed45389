//! While a server seems to be gone, the others are asked what they find of it.
//!
//! A failover from a server that does not answer needs their word. It is gathered while the
//! failure is being confirmed, so that it is there when the failover is decided, and nobody waits
//! for it then. It decides nothing: [`Suspicions`] keeps what was found, for a moment.
//!
//! Only the active side's server is looked at, since only that is ever failed over from, and only
//! from the first silence at its login until anything on it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::facts::Observation;
use watchkeeper_core::model::ServerName;

use crate::act::{Equipment, Suspicions, testify};

/// Looks of one witness at the probe's confirm interval; after that a failover has been decided, or
/// something holds it.
const EAGER: u32 = 30;

/// The time between two looks after that. A look leaves connections behind that stay open on the
/// witness until its kernel gives them up, which can take two minutes.
const CALM: Duration = Duration::from_secs(10);

/// Who is suspected, and who is looking.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    known: Arc<Suspicions>,
    /// The witnesses' looks, by the server that they look at. They end when it is dropped.
    looking: BTreeMap<ServerName, JoinSet<()>>,
}

impl Suspects {
    /// What was found.
    pub(super) fn known(&self) -> Arc<Suspicions> {
        Arc::clone(&self.known)
    }

    /// Takes in what a probe saw of a server. `active` is the active side's, and `pace` how often
    /// a witness is to look at it.
    pub(super) fn take_in(
        &mut self,
        seen: &Observation,
        active: &ServerName,
        equipment: &Equipment,
        pace: impl FnOnce() -> Duration,
    ) {
        let (server, now) = (&seen.probe.server, Instant::now());
        if !seen.reason.code.is_silence() {
            self.known.answered(server, now);
            self.looking.remove(server);
            return;
        }
        if seen.probe.service.is_some() {
            return;
        }
        let took = Duration::from_millis(seen.took_ms);
        self.known.silent(server, now, took, Arc::clone(&seen.reason.detail));
        if server != active {
            self.looking.remove(server);
        } else if !self.looking.contains_key(server) {
            let (pace, equipment) = (pace(), Arc::new(equipment.clone()));
            let looks = equipment.witnesses(server).map(|witness| {
                let (equipment, known) = (Arc::clone(&equipment), Arc::clone(&self.known));
                keep_looking(equipment, known, witness.clone(), server.clone(), pace)
            });
            self.looking.insert(server.clone(), looks.collect());
        }
    }

    /// Begins anew, with nobody suspected.
    pub(super) fn forget(&mut self) {
        self.looking.clear();
        self.known.forget();
    }
}

async fn keep_looking(
    equipment: Arc<Equipment>,
    known: Arc<Suspicions>,
    witness: ServerName,
    about: ServerName,
    pace: Duration,
) {
    for look in 0_u32.. {
        let begun = Instant::now();
        // Each look keeps a patience of its own, far below this.
        let found = testify(&equipment, &witness, &about, begun + CALM).await;
        let now = Instant::now();
        tracing::debug!(server = %about, %witness, ?found, "a witness has looked");
        known.heard(&about, &witness, begun, now, found);
        let pace = if look < EAGER { pace } else { CALM };
        sleep_until((begun + pace).max(now + pace / 10)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use watchkeeper_core::facts::{ProbeId, Reason, ReasonCode};
    use watchkeeper_core::model::{ClusterName, Service, Status, Timestamp};

    use super::*;
    use crate::act::Reachable;
    use crate::ssh::{Ssh, SshTarget};

    fn name(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    /// Servers whose SSH has no key, so that each witness says that it is unable to look.
    fn equipment() -> Equipment {
        let servers = ["dm1", "dm2", "dm3"].map(|server| {
            let ssh = Ssh::new(SshTarget {
                server: name(server),
                host: "127.0.0.1".to_owned(),
                port: 1,
                user: "dmuser".to_owned(),
                key: "/nonexistent/key".into(),
                known_hosts: "/nonexistent/known_hosts".into(),
                connect_timeout: Duration::from_secs(5),
            });
            (name(server), Reachable { ssh, address: "127.0.0.1".to_owned(), ports: vec![22] })
        });
        Equipment {
            cluster: ClusterName::new("prod").unwrap(),
            servers: servers.into(),
            controls: BTreeMap::new(),
            probes: BTreeMap::new(),
            marks: false,
            repository: None,
        }
    }

    fn seen(
        server: &str,
        service: Option<Service>,
        status: Status,
        code: ReasonCode,
    ) -> Observation {
        Observation {
            probe: ProbeId { server: name(server), service, name: "probe".into() },
            status,
            reason: Reason::new(code, "as it was seen"),
            at: Timestamp(1),
            took_ms: 5,
            values: BTreeMap::new(),
        }
    }

    fn take_in(suspects: &mut Suspects, seen: &Observation) {
        let pace = || Duration::from_millis(5);
        suspects.take_in(seen, &name("dm1"), &equipment(), pace);
    }

    fn silent(server: &str) -> Observation {
        seen(server, None, Status::Unknown, ReasonCode::TimedOut)
    }

    /// The witnesses that have looked at dm1, once all have.
    async fn looks(suspects: &Suspects) -> Vec<String> {
        let known = suspects.known();
        loop {
            let heard = known.testimonies(&name("dm1"), Instant::now());
            if heard.len() >= 2 {
                return heard.into_iter().map(|(witness, _)| witness.to_string()).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn from_the_first_silence_until_an_answer_the_others_look() {
        let mut suspects = Suspects::default();
        // What is silent on a server that can be logged in to is a matter of that service.
        let service = Some(Service::Rest);
        take_in(&mut suspects, &seen("dm1", service, Status::Unknown, ReasonCode::TimedOut));
        assert!(suspects.looking.is_empty());
        take_in(&mut suspects, &silent("dm1"));
        assert_eq!(looks(&suspects).await, ["dm2", "dm3"]);
        assert!(suspects.known.silence(&name("dm1"), Instant::now()).is_some());
        // A refused connection is an answer, and so is a failure of any service's own.
        take_in(&mut suspects, &seen("dm1", service, Status::Down, ReasonCode::Refused));
        assert!(suspects.looking.is_empty());
        assert_eq!(suspects.known.silence(&name("dm1"), Instant::now()), None);
    }

    #[tokio::test]
    async fn only_the_active_sides_server_is_looked_at() {
        let mut suspects = Suspects::default();
        take_in(&mut suspects, &silent("dm2"));
        assert!(suspects.looking.is_empty());
        take_in(&mut suspects, &silent("dm1"));
        assert_eq!(suspects.looking.len(), 1);
        // The other side has taken over.
        let pace = || Duration::from_millis(5);
        suspects.take_in(&silent("dm1"), &name("dm2"), &equipment(), pace);
        assert!(suspects.looking.is_empty());
        assert!(suspects.known.silence(&name("dm1"), Instant::now()).is_some());
        take_in(&mut suspects, &silent("dm1"));
        suspects.forget();
        assert!(suspects.looking.is_empty());
        assert_eq!(suspects.known.silence(&name("dm1"), Instant::now()), None);
    }
}
