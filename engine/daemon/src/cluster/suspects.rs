//! While a server seems to be gone, the others are asked what they find of it.
//!
//! A failover from a server that does not answer needs their word. It is gathered while the
//! failure is being confirmed, so that it is there when the failover is decided, and nobody waits
//! for it then. It decides nothing: [`Suspicions`] keeps what was found, for a moment, for whoever
//! carries a failover out. Policies get it as a fact: each look is an [`Observation`] too, of a probe
//! that has no say in whether the server is up, with the value `seen-from-WITNESS`.
//!
//! Invariant: a look waits neither for who judges it nor for the journal.
//!
//! What other monitors see of it is such a fact as well, and no proof of anything.
//!
//! Only the active side's server is looked at, since only that is ever failed over from, and only
//! from the first silence at its login until anything on it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::facts::{Observation, ProbeId, Reason, ReasonCode, SEEN_FROM, Value};
use watchkeeper_core::model::{MonitorName, ServerName, Status, Timestamp};
use watchkeeper_core::snapshot::{Facts, ServerFacts};

use crate::act::{Equipment, Suspicions, Testimony, testify};
use crate::duty::sights::Found;
use crate::{clock, net};

/// Looks of one witness at the probe's confirm interval; after that a failover has been decided, or
/// something holds it.
const EAGER: u32 = 30;

/// The time between two looks after that. A look leaves connections behind that stay open on the
/// witness until its kernel gives them up, which can take two minutes.
const CALM: Duration = Duration::from_secs(10);

/// Looks that wait to be taken in. One for which there is no room is not worth waiting: the witness
/// looks again.
const WAITING: usize = 256;

/// After how many milliseconds a testimony is recorded again that says the same as the one before,
/// so that a history shows how long a witness went on saying so, and a long outage fills no journal.
const RECORD_AGAIN_MS: u64 = 60_000;

/// Who is suspected, and who is looking.
#[derive(Debug)]
pub(super) struct Suspects {
    known: Arc<Suspicions>,
    /// The witnesses' looks, by the server that they look at. They end when it is dropped.
    looking: BTreeMap<ServerName, JoinSet<()>>,
    found: mpsc::Sender<Observation>,
    to_take_in: mpsc::Receiver<Observation>,
    /// When a testimony was recorded last.
    recorded: BTreeMap<ProbeId, Timestamp>,
    /// When what was taken in of each other monitor was seen.
    seen_by: BTreeMap<MonitorName, Instant>,
}

impl Default for Suspects {
    fn default() -> Self {
        let (found, to_take_in) = mpsc::channel(WAITING);
        Self {
            known: Arc::default(),
            looking: BTreeMap::new(),
            found,
            to_take_in,
            recorded: BTreeMap::new(),
            seen_by: BTreeMap::new(),
        }
    }
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
        if !seen.probe.asks_the_server() {
            return;
        }
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
                let look = Look {
                    equipment: Arc::clone(&equipment),
                    known: Arc::clone(&self.known),
                    found: self.found.clone(),
                    witness: witness.clone(),
                    about: server.clone(),
                };
                look.go_on(pace)
            });
            self.looking.insert(server.clone(), looks.collect());
        }
    }

    /// The next testimony; waits until there is one.
    pub(super) async fn next(&mut self) -> Observation {
        match self.to_take_in.recv().await {
            Some(found) => found,
            // There is always a sender: this one's own.
            None => std::future::pending().await,
        }
    }

    /// What other monitors have seen of `active` since it was asked for the last time, if it is silent here.
    pub(super) fn monitors(
        &mut self,
        active: &ServerName,
        seen: Vec<(MonitorName, Found, Instant)>,
    ) -> Vec<Observation> {
        if !self.looking.contains_key(active) {
            return Vec::new();
        }
        let news = seen.into_iter().filter(|(monitor, _, at)| {
            let last = self.seen_by.insert(monitor.clone(), *at);
            last.is_none_or(|last| last < *at)
        });
        news.map(|(monitor, found, at)| of_monitor(active, &monitor, found, at.elapsed())).collect()
    }

    /// A testimony that is there already.
    pub(super) fn waiting(&mut self) -> Option<Observation> {
        self.to_take_in.try_recv().ok()
    }

    /// Whether a testimony is to be recorded, given whether it is `news`.
    pub(super) fn records(&mut self, found: &Observation, news: bool) -> bool {
        let due = |last: &Timestamp| found.at.since(*last) >= RECORD_AGAIN_MS;
        let records = news || self.recorded.get(&found.probe).is_none_or(due);
        if records {
            self.recorded.insert(found.probe.clone(), found.at);
        }
        records
    }

    /// Begins anew, with nobody suspected.
    pub(super) fn forget(&mut self) {
        self.looking.clear();
        self.known.forget();
        self.recorded.clear();
        self.seen_by.clear();
        while self.waiting().is_some() {}
    }
}

/// One witness looking at one server.
struct Look {
    equipment: Arc<Equipment>,
    known: Arc<Suspicions>,
    found: mpsc::Sender<Observation>,
    witness: ServerName,
    about: ServerName,
}

impl Look {
    async fn go_on(self, pace: Duration) {
        let Self { equipment, known, found, witness, about } = self;
        for look in 0_u32.. {
            let begun = Instant::now();
            // Each look keeps a patience of its own, far below this.
            let testimony = testify(&equipment, &witness, &about, begun + CALM).await;
            let now = Instant::now();
            tracing::debug!(server = %about, %witness, ?testimony, "a witness has looked");
            let observation = observation(&about, &witness, &testimony, now - begun);
            known.heard(&about, &witness, begun, now, testimony);
            // Full or closed: it looks again, or nobody wants to know.
            let _ = found.try_send(observation);
            let pace = if look < EAGER { pace } else { CALM };
            sleep_until((begun + pace).max(now + pace / 10)).await;
        }
    }
}

/// A testimony as a fact.
fn observation(
    about: &ServerName,
    witness: &ServerName,
    testimony: &Testimony,
    took: Duration,
) -> Observation {
    let (status, code, word, detail) = match testimony {
        Testimony::Alive(how) => (Status::Up, ReasonCode::Serving, "alive", how.as_str()),
        Testimony::Hung(how) => (Status::Down, ReasonCode::TimedOut, "hung", how.as_str()),
        Testimony::Gone => {
            (Status::Down, ReasonCode::TimedOut, "gone", "nothing answers on any of its ports")
        }
        Testimony::Unable(why) => (Status::Unknown, ReasonCode::Monitor, "unable", why.as_str()),
    };
    let said = Said { status, code, word, detail, at: clock::now(), took };
    said.by(about, &witness.to_string())
}

/// What another monitor sees, as a fact.
fn of_monitor(
    about: &ServerName,
    monitor: &MonitorName,
    found: Found,
    ago: Duration,
) -> Observation {
    let (status, code, word, detail) = match found {
        Found::Alive => (Status::Up, ReasonCode::Serving, "alive", "it answers there"),
        Found::Silent => {
            (Status::Down, ReasonCode::TimedOut, "silent", "it does not answer there either")
        }
    };
    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    let at = Timestamp(clock::now().0.saturating_sub(ago));
    let said = Said { status, code, word, detail, at, took: Duration::ZERO };
    said.by(about, &monitor.to_string())
}

/// What somebody says of a server.
struct Said<'a> {
    status: Status,
    code: ReasonCode,
    word: &'static str,
    detail: &'a str,
    at: Timestamp,
    took: Duration,
}

impl Said<'_> {
    fn by(self, about: &ServerName, who: &str) -> Observation {
        let Self { status, code, word, detail, at, took } = self;
        let value = (Arc::from(format!("{SEEN_FROM}{who}")), Value::Text(word.into()));
        Observation {
            probe: ProbeId::testimony(about, who),
            status,
            reason: Reason::new(code, net::one_line(&format!("{who} looked: {detail}"))),
            at,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            values: [value].into(),
        }
    }
}

/// What other monitors are to know of what is seen here: of each server that was looked at, whether
/// anything comes back from it.
pub(super) fn sights(facts: &Facts) -> BTreeMap<ServerName, (Found, Instant)> {
    let looked = facts.servers.iter().filter(|it| it.state.confirmations > 0);
    let sight = |it: &ServerFacts| {
        let silent = it.state.status != Status::Up && it.state.reason.code.is_silence();
        let found = if silent { Found::Silent } else { Found::Alive };
        let ago = Duration::from_millis(facts.at.since(it.state.seen));
        Some((it.name.clone(), (found, Instant::now().checked_sub(ago)?)))
    };
    looked.filter_map(sight).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use watchkeeper_core::facts::{ProbeId, Reason, ReasonCode};
    use watchkeeper_core::model::{ClusterName, Service, Status, Timestamp};

    use super::*;
    use crate::act::Reachable;
    use crate::ssh::{Port, Ssh, SshTarget};

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
            (
                name(server),
                Reachable { ssh, address: "127.0.0.1".to_owned(), ports: vec![Port::mute(22)] },
            )
        });
        Equipment {
            cluster: ClusterName::new("prod").unwrap(),
            servers: servers.into(),
            controls: BTreeMap::new(),
            probes: BTreeMap::new(),
            fences: BTreeMap::new(),
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
        // What feeds its power answers for itself.
        let mut power = silent("dm1");
        power.probe = ProbeId::fence(&name("dm1"), "ipmi");
        for (status, code) in
            [(Status::Up, ReasonCode::Serving), (Status::Unknown, ReasonCode::TimedOut)]
        {
            (power.status, power.reason) = (status, Reason::new(code, "as it was seen"));
            take_in(&mut suspects, &power);
            assert_eq!(suspects.looking.len(), 1);
        }
        // A refused connection is an answer, and so is a failure of any service's own.
        take_in(&mut suspects, &seen("dm1", service, Status::Down, ReasonCode::Refused));
        assert!(suspects.looking.is_empty());
        assert_eq!(suspects.known.silence(&name("dm1"), Instant::now()), None);
    }

    #[tokio::test]
    async fn what_a_witness_finds_becomes_a_fact_without_a_say() {
        let mut suspects = Suspects::default();
        take_in(&mut suspects, &silent("dm1"));
        let mut from = Vec::new();
        while from.len() < 2 {
            let seen = suspects.next().await;
            assert!(seen.probe.server == name("dm1") && !seen.probe.has_say(), "{seen:?}");
            let witness = seen.probe.witness().unwrap();
            let value = seen.values.get(format!("seen-from-{witness}").as_str());
            assert_eq!(value, Some(&Value::Text("unable".into())), "{seen:?}");
            if !from.contains(&witness.to_owned()) {
                from.push(witness.to_owned());
            }
        }
        from.sort();
        assert_eq!(from, ["dm2", "dm3"]);
    }

    #[test]
    fn each_testimony_has_its_word_and_its_status() {
        let (dm1, dm2) = (name("dm1"), name("dm2"));
        for (testimony, status, word) in [
            (Testimony::Gone, Status::Down, "gone"),
            (Testimony::Alive("port 22 accepts connections".to_owned()), Status::Up, "alive"),
            (Testimony::Hung("port 22 says nothing".to_owned()), Status::Down, "hung"),
            (Testimony::Unable("odd".to_owned()), Status::Unknown, "unable"),
        ] {
            let seen = observation(&dm1, &dm2, &testimony, Duration::from_millis(7));
            assert_eq!((seen.status, seen.took_ms), (status, 7));
            assert_eq!(seen.values.get("seen-from-dm2"), Some(&Value::Text(word.into())));
            assert_eq!(seen.probe.to_string(), "dm1/from-dm2");
        }
    }

    #[test]
    fn what_is_no_news_is_recorded_once_a_minute() {
        let mut suspects = Suspects::default();
        let (dm1, dm2) = (name("dm1"), name("dm2"));
        let mut seen = observation(&dm1, &dm2, &Testimony::Gone, Duration::ZERO);
        let mut records = |at, news| {
            seen.at = Timestamp(at);
            suspects.records(&seen, news)
        };
        assert!(records(1_000, true));
        assert!(!records(2_000, false));
        assert!(!records(60_999, false));
        assert!(records(61_000, false));
        assert!(records(62_000, true));
        assert!(!records(121_999, false));
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
