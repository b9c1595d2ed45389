//! What probes saw.
//!
//! A probe ends in an [`Observation`]; the [`FactBook`] keeps the latest of each probe together
//! with how long and how often in a row it has said the same. From those follow a service's and a
//! server's status ([`FactBook::service`]), so that everything a policy reads can be traced to
//! probes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{ServerName, Service, Status, Timestamp};

/// A probe as the configuration defines it, printed as `dm1/daemon/ssh`; the part in the middle
/// is missing for a probe of the server itself (`dm1/ssh`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    /// The server it looks at.
    pub server: ServerName,
    /// The service it looks at; none: the server itself.
    pub service: Option<Service>,
    /// Its name among the probes of that service.
    pub name: Arc<str>,
}

impl ProbeId {
    /// What `witness`, another server or another monitor, finds of `server`, looked at from there.
    pub fn testimony(server: &ServerName, witness: impl fmt::Display) -> Self {
        let name = Arc::from(format!("{FROM}{witness}"));
        Self { server: server.clone(), service: None, name }
    }

    /// Who looks, if this is a testimony.
    pub fn witness(&self) -> Option<&str> {
        if self.service.is_some() {
            return None;
        }
        self.name.strip_prefix(FROM)
    }

    /// Whether the fence agent of this name answers for `server`, and what it says of the power.
    pub fn fence(server: &ServerName, fence: &str) -> Self {
        Self { server: server.clone(), service: None, name: Arc::from(format!("{FENCE}{fence}")) }
    }

    /// Whether what it finds is the server's own answer, and neither another server's nor that of
    /// what feeds its power.
    pub fn asks_the_server(&self) -> bool {
        self.service.is_some() || !(self.name.starts_with(FROM) || self.name.starts_with(FENCE))
    }

    /// Whether it has a say in whether what it looks at is up. Those that have none look at something
    /// beside it, and what they find is for policies and guards to judge: [`REPLICATION`],
    /// [`RESOURCES`], [`READINESS`], and what is not the server's own answer
    /// ([`Self::asks_the_server`]), since what this monitor finds is not for others to say.
    pub fn has_say(&self) -> bool {
        match self.service {
            Some(_) => &*self.name != REPLICATION,
            None => !matches!(&*self.name, RESOURCES | READINESS) && self.asks_the_server(),
        }
    }
}

/// What the name of a testimony begins with; the server that looks comes after it.
const FROM: &str = "from-";

/// What the name of a probe of a fence agent begins with; the fence's name comes after it.
const FENCE: &str = "fence-";

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Some(service) => write!(f, "{}/{service}/{}", self.server, self.name),
            None => write!(f, "{}/{}", self.server, self.name),
        }
    }
}

/// Why a probe ended as it did, as a word that code can match on. [`Reason::detail`] has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// The whole exchange succeeded.
    Serving,
    /// The service's status command says that it runs.
    Running,
    /// The service's status command says that it does not run.
    NotRunning,
    /// The connection was refused: the host answers, nobody listens.
    Refused,
    /// Nothing came back in time; on the way or at the end cannot be told.
    TimedOut,
    /// The network says that there is no way there.
    Unreachable,
    /// The connection was accepted, then the exchange was not completed in time.
    Silent,
    /// The connection ended in the middle of the exchange.
    Reset,
    /// What came back is not the protocol that was expected.
    Protocol,
    /// The credentials were refused.
    Denied,
    /// The server's host key is not the known one.
    HostKey,
    /// The certificate or the TLS exchange was not acceptable.
    Tls,
    /// It answered, and the answer says that it does not work.
    Unhealthy,
    /// The check could not be carried out for a reason of the monitor's own.
    Monitor,
    /// No probe has ended yet.
    NotProbed,
}

impl ReasonCode {
    /// Whether nothing at all came back from the server. Anything else may have come from it, so
    /// that it may be alive.
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unreachable)
    }
}

/// Why a probe ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For code.
    pub code: ReasonCode,
    /// For people: what was seen, without secrets.
    pub detail: Arc<str>,
}

impl Reason {
    /// A reason with its explanation.
    pub fn new(code: ReasonCode, detail: impl Into<Arc<str>>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// A measured value. Its unit is part of its name, such as `replay-lag-bytes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction; never NaN. What JSON has no number for is written as text, so
    /// that a probe's odd answer cannot make the journal unreadable.
    Number(#[serde(serialize_with = "number")] f64),
    /// A text.
    Text(Arc<str>),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn number<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() {
        serializer.serialize_f64(*number)
    } else {
        serializer.collect_str(number)
    }
}

/// The outcome of one run of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which probe.
    pub probe: ProbeId,
    /// What it found.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// When the run ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it measured beside the status, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<Arc<str>, Value>,
}

/// The latest observation of a probe, and how it has been going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The latest observation.
    pub latest: Observation,
    /// Since when the status has been the same.
    pub since: Timestamp,
    /// How many times in a row it was the same; at least 1.
    pub streak: u32,
    /// What was measured the last time that anything was: a probe that fails measures nothing,
    /// and what was known before is then worth the more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<Arc<str>, Value>,
    /// When that was.
    pub values_at: Timestamp,
}

impl Fact {
    fn first(observation: Observation) -> Self {
        Self {
            since: observation.at,
            streak: 1,
            values: observation.values.clone(),
            values_at: observation.at,
            latest: observation,
        }
    }

    /// Takes a new observation in; true if the status or the reason's code changed.
    ///
    /// Another value alone is no news: lags, latencies and the like are others at each run, and would
    /// fill the journal and have everything judged anew each time. They are taken in here, stand in
    /// the next snapshot, and are recorded with the next news or decision; who reads one is asked
    /// again at the next evaluation, once a second at the latest, and who does not is not.
    fn renew(&mut self, observation: Observation) -> bool {
        let changed = self.latest.status != observation.status
            || self.latest.reason.code != observation.reason.code;
        if self.latest.status == observation.status {
            self.streak = self.streak.saturating_add(1);
            // Later than now only if the clock was set back.
            self.since = self.since.min(observation.at);
        } else {
            self.since = observation.at;
            self.streak = 1;
        }
        if observation.status == Status::Up || !observation.values.is_empty() {
            self.values.clone_from(&observation.values);
            self.values_at = observation.at;
        }
        self.latest = observation;
        changed
    }
}

/// What the probes of a service or a server together say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Down if any probe says so; else unknown if any probe is; else up.
    pub status: Status,
    /// The reason of the probe that decided.
    pub reason: Reason,
    /// Since when the deciding probe has said so.
    pub since: Timestamp,
    /// How many times in a row the deciding probe has said so (for up: the least sure probe).
    pub confirmations: u32,
    /// When the oldest of the facts was seen.
    pub seen: Timestamp,
}

/// The probe that looks at the repository's replication. What it measures is for policies and
/// guards to judge; it is no part of whether the repository serves, or else a broken replication
/// would be a reason to fail over to the side that is behind.
pub const REPLICATION: &str = "replication";

/// What the name of the value begins with that says what another server or another monitor finds of a
/// server; its name follows.
pub const SEEN_FROM: &str = "seen-from-";

/// The probe of a server that looks at its file systems and its memory. A server whose disk is full,
/// or whose `df` hangs, can be reached all the same.
pub const RESOURCES: &str = "resources";

/// The probe of a server that looks at what a change of side would need there: commands, ports, room,
/// clock. What runs now runs whatever it finds.
pub const READINESS: &str = "readiness";

/// The latest fact of every probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactBook {
    #[serde(with = "as_list")]
    facts: BTreeMap<ProbeId, Fact>,
}

/// JSON has no maps with structured keys; a fact names its probe itself.
mod as_list {
    use super::{BTreeMap, Fact, ProbeId};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        facts: &BTreeMap<ProbeId, Fact>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(facts.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ProbeId, Fact>, D::Error> {
        let facts = Vec::<Fact>::deserialize(deserializer)?;
        Ok(facts.into_iter().map(|fact| (fact.latest.probe.clone(), fact)).collect())
    }
}

impl FactBook {
    /// Takes an observation in. True if its status or reason is news, so that an evaluation is
    /// due at once.
    pub fn observe(&mut self, observation: Observation) -> bool {
        if let Some(fact) = self.facts.get_mut(&observation.probe) {
            return fact.renew(observation);
        }
        self.facts.insert(observation.probe.clone(), Fact::first(observation));
        true
    }

    /// Counts what the probe found last as found again so many times more, the last time at `at`. This
    /// is for histories that hold news only; a probe that has found nothing yet repeats nothing.
    pub fn repeat(&mut self, probe: &ProbeId, times: u32, at: Timestamp) {
        let Some(fact) = self.facts.get_mut(probe).filter(|_| times > 0) else { return };
        fact.streak = fact.streak.saturating_add(times);
        fact.latest.at = at;
        fact.since = fact.since.min(at);
        if fact.latest.status == Status::Up || !fact.latest.values.is_empty() {
            fact.values_at = at;
        }
    }

    /// Forgets the probes that `keep` does not want, after a change of configuration.
    pub fn retain(&mut self, keep: impl Fn(&ProbeId) -> bool) {
        self.facts.retain(|probe, _| keep(probe));
    }

    /// All facts, ordered by server, service and name.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.facts.values()
    }

    /// The fact of one probe.
    pub fn get(&self, probe: &ProbeId) -> Option<&Fact> {
        self.facts.get(probe)
    }

    /// What the probes of `service` on `server` together say; none if none that has a say
    /// ([`ProbeId::has_say`]) has ended yet: a repository whose standby is gone serves.
    pub fn service(&self, server: &ServerName, service: Service) -> Option<Verdict> {
        verdict(self.of_service(server, service), trouble)
    }

    /// The same for a service that is not meant to run there: it is up if any probe finds anything
    /// of it. A process that runs and does not work is in the way as well.
    pub fn stray(&self, server: &ServerName, service: Service) -> Option<Verdict> {
        verdict(self.of_service(server, service), |status| 2 - trouble(status))
    }

    fn of_service(&self, server: &ServerName, service: Service) -> impl Iterator<Item = &Fact> {
        self.of(server).filter(move |fact| {
            let probe = &fact.latest.probe;
            probe.service == Some(service) && probe.has_say()
        })
    }

    /// What the probes of the server itself together say; none if none has ended yet.
    pub fn server(&self, server: &ServerName) -> Option<Verdict> {
        let own = |probe: &ProbeId| probe.service.is_none() && probe.has_say();
        verdict(self.of(server).filter(|fact| own(&fact.latest.probe)), trouble)
    }

    fn of(&self, server: &ServerName) -> impl Iterator<Item = &Fact> {
        let first = ProbeId { server: server.clone(), service: None, name: Arc::from("") };
        self.facts
            .range(first..)
            .map(|(_, fact)| fact)
            .take_while(move |fact| fact.latest.probe.server == *server)
    }
}

/// How much a status weighs for something that is meant to run.
const fn trouble(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Unknown => 1,
        Status::Down => 2,
    }
}

/// What weighs most decides. What is meant to run is up only when every probe of it says so, and
/// one probe that proves it dead is enough.
fn verdict<'a>(
    facts: impl Iterator<Item = &'a Fact>,
    weight: impl Fn(Status) -> u8,
) -> Option<Verdict> {
    let mut result: Option<Verdict> = None;
    for fact in facts {
        let latest = &fact.latest;
        let Some(verdict) = &mut result else {
            result = Some(Verdict {
                status: latest.status,
                reason: latest.reason.clone(),
                since: fact.since,
                confirmations: fact.streak,
                seen: latest.at,
            });
            continue;
        };
        verdict.seen = verdict.seen.min(latest.at);
        let decides = match weight(latest.status).cmp(&weight(verdict.status)) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            // What is found by one is as sure as its surest witness, what takes all as its least sure.
            std::cmp::Ordering::Equal if weight(latest.status) == 0 => {
                fact.streak < verdict.confirmations
            }
            std::cmp::Ordering::Equal => fact.streak > verdict.confirmations,
        };
        if decides {
            verdict.status = latest.status;
            verdict.reason = latest.reason.clone();
            verdict.since = fact.since;
            verdict.confirmations = fact.streak;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(name: &str, status: Status, at: u64) -> Observation {
        Observation {
            probe: ProbeId {
                server: ServerName::new("dm1").unwrap(),
                service: Some(Service::Daemon),
                name: Arc::from(name),
            },
            status,
            reason: Reason::new(ReasonCode::Running, format!("{name} says {status}")),
            at: Timestamp(at),
            took_ms: 1,
            values: BTreeMap::new(),
        }
    }

    #[test]
    fn streaks_count_equal_status_only() {
        let mut book = FactBook::default();
        assert!(book.observe(observation("ssh", Status::Up, 1)));
        assert!(!book.observe(observation("ssh", Status::Up, 2)));
        assert!(book.observe(observation("ssh", Status::Down, 3)));
        assert!(!book.observe(observation("ssh", Status::Down, 4)));
        let verdict = book.service(&ServerName::new("dm1").unwrap(), Service::Daemon).unwrap();
        assert_eq!((verdict.since, verdict.confirmations), (Timestamp(3), 2));
    }

    #[test]
    fn one_dead_probe_outweighs_one_that_cannot_tell_and_one_that_is_content() {
        let dm1 = ServerName::new("dm1").unwrap();
        let mut book = FactBook::default();
        book.observe(observation("a", Status::Up, 1));
        assert_eq!(book.service(&dm1, Service::Daemon).unwrap().status, Status::Up);
        book.observe(observation("b", Status::Unknown, 2));
        assert_eq!(book.service(&dm1, Service::Daemon).unwrap().status, Status::Unknown);
        book.observe(observation("c", Status::Down, 3));
        let verdict = book.service(&dm1, Service::Daemon).unwrap();
        assert_eq!(verdict.status, Status::Down);
        assert_eq!(&*verdict.reason.detail, "c says down");
        assert_eq!(verdict.seen, Timestamp(1));
        // Where it is not meant to run, the one that finds it counts.
        assert_eq!(book.stray(&dm1, Service::Daemon).unwrap().status, Status::Up);
        assert_eq!(book.service(&dm1, Service::Rest), None);
        assert_eq!(book.server(&dm1), None);
    }

    #[test]
    fn a_broken_replication_is_no_broken_repository() {
        let dm1 = ServerName::new("dm1").unwrap();
        let mut book = FactBook::default();
        let replication = observation(REPLICATION, Status::Down, 1);
        book.observe(replication.clone());
        assert_eq!(book.service(&dm1, Service::Daemon), None);
        book.observe(observation("sql", Status::Up, 1));
        assert_eq!(book.service(&dm1, Service::Daemon).unwrap().status, Status::Up);
        assert_eq!(book.get(&replication.probe).unwrap().latest.status, Status::Down);
    }

    #[test]
    fn a_server_is_as_its_login_says_whatever_others_see_and_its_disks_say() {
        let name = |name: &str| ServerName::new(name).unwrap();
        let probe = |name: &str| ProbeId {
            server: ServerName::new("dm1").unwrap(),
            service: None,
            name: Arc::from(name),
        };
        let found = |probe: &ProbeId, status| Observation {
            probe: probe.clone(),
            ..observation("", status, 1)
        };
        let testimony = ProbeId::testimony(&name("dm1"), name("dm2"));
        assert_eq!(
            (testimony.to_string().as_str(), testimony.witness()),
            ("dm1/from-dm2", Some("dm2"))
        );
        let mut book = FactBook::default();
        let fence = ProbeId::fence(&name("dm1"), "ipmi");
        assert_eq!(fence.to_string(), "dm1/fence-ipmi");
        assert!(probe("ssh").asks_the_server() && probe(RESOURCES).asks_the_server());
        for beside in [probe(RESOURCES), probe(READINESS), testimony, fence] {
            assert!(!beside.has_say());
            book.observe(found(&beside, Status::Down));
        }
        assert_eq!(book.server(&name("dm1")), None);
        book.observe(found(&probe("ssh"), Status::Up));
        assert_eq!(book.server(&name("dm1")).unwrap().status, Status::Up);
        // The same names are nothing special among the probes of a service.
        for name in [RESOURCES, READINESS, "from-dm2", "fence-ipmi"] {
            let probe = observation(name, Status::Up, 1).probe;
            assert!(probe.has_say() && probe.witness().is_none(), "{probe}");
        }
    }

    #[test]
    fn another_value_alone_is_no_news() {
        let mut book = FactBook::default();
        let measured = |value| Observation {
            values: [(Arc::from("latency-ms"), Value::Integer(value))].into(),
            ..observation("a", Status::Up, 1)
        };
        assert!(book.observe(measured(3)));
        assert!(!book.observe(measured(4)));
        let known = book.get(&measured(0).probe).unwrap().values.get("latency-ms");
        assert_eq!(known, Some(&Value::Integer(4)));
    }

    #[test]
    fn what_was_measured_outlives_a_probe_that_measures_nothing() {
        let mut book = FactBook::default();
        let mut measured = observation("a", Status::Up, 1);
        measured.values.insert(Arc::from("lag"), Value::Integer(7));
        let probe = measured.probe.clone();
        book.observe(measured);
        book.observe(observation("a", Status::Unknown, 2));
        let fact = book.get(&probe).unwrap();
        assert_eq!(fact.values.get("lag"), Some(&Value::Integer(7)));
        assert_eq!((fact.values_at, fact.latest.at), (Timestamp(1), Timestamp(2)));
        book.observe(observation("a", Status::Up, 3));
        assert!(book.get(&probe).unwrap().values.is_empty(), "it no longer measures that");
    }

    #[test]
    fn values_survive_json_even_when_json_has_no_number_for_them() {
        for value in [
            Value::Flag(true),
            Value::Integer(i64::MIN),
            Value::Number(1.0),
            Value::Number(-0.25),
            Value::Text(Arc::from("1")),
        ] {
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
        for odd in [f64::NAN, f64::INFINITY] {
            let text = serde_json::to_string(&Value::Number(odd)).unwrap();
            assert!(matches!(serde_json::from_str(&text).unwrap(), Value::Text(_)), "{text}");
        }
    }

    #[test]
    fn what_is_repeated_counts_as_if_it_had_been_observed() {
        for status in [Status::Up, Status::Down] {
            let (mut observed, mut repeated) = (FactBook::default(), FactBook::default());
            for at in 1..=5 {
                observed.observe(observation("a", status, at));
            }
            repeated.observe(observation("a", status, 1));
            let probe = observation("a", status, 1).probe;
            repeated.repeat(&probe, 4, Timestamp(5));
            repeated.repeat(&probe, 0, Timestamp(9));
            repeated.repeat(&observation("b", status, 1).probe, 1, Timestamp(9));
            assert_eq!(repeated, observed, "{status}");
        }
    }

    #[test]
    fn a_book_survives_json() {
        let mut book = FactBook::default();
        book.observe(observation("a", Status::Up, 1));
        book.observe(observation("b", Status::Down, 2));
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<FactBook>(&text).unwrap(), book);
    }
}
