//! From a key and its value to what it claims of the site: for sure, with doubts, or nothing.
//!
//! Invariant: what is not understood in full is a claim with a doubt, or it is left. Nothing is
//! taken over without being told.

use watchkeeper_core::model::Side;

use super::properties::Property;
use super::reasons::{Doubt, Left};
use super::values::{self, BadValue, Host, Spot};
use super::words::{Aspect, Meaning, Part, Topic};

/// What a key claims of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Where a part of a side runs; no part: the side's server.
    Host {
        /// The side.
        side: Side,
        /// The part.
        part: Option<Part>,
        /// Where.
        spot: Spot,
    },
    /// Where agents run.
    Agents(Vec<Host>),
    /// Where the monitor of a side runs.
    Monitor(Side, Host),
    /// A port of the repository, ActiveMQ, REST or SSH.
    Port(Part, u16),
    /// Who logs in over SSH.
    Login(String),
    /// The repository's database.
    Database(String),
    /// A user of the repository.
    RepositoryUser(String),
    /// From how many bytes of lag on it is told.
    Lag(i64),
}

/// What is made of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// It claims something.
    Claims(Vec<Claim>, Vec<Doubt>),
    /// It claims nothing.
    Left(Left),
    /// It is understood, and its value is wrong.
    Bad(BadValue),
}

impl From<Left> for Reading {
    fn from(left: Left) -> Self {
        Self::Left(left)
    }
}

/// Reads a key and its value.
pub(super) fn reading(property: &Property, meaning: &Meaning) -> Reading {
    let value = property.value.as_str();
    let part = meaning.parts.first().copied();
    if meaning.secret || values::has_login(value) {
        return Left::Secret(part).into();
    }
    if value.is_empty() {
        return Left::Empty.into();
    }
    if let Some(topic) = meaning.topic {
        // `mode` and the like say little beside words that are not known.
        let unclear = topic == Topic::Switch && meaning.unknown > 0;
        return if unclear { Left::NotKnown } else { Left::Topic(topic) }.into();
    }
    let mut doubts = Vec::new();
    if meaning.unknown > 0 {
        if part.is_none() || meaning.aspect.is_none() {
            return Left::NotKnown.into();
        }
        doubts.push(Doubt::UnknownWords);
    }
    let part = match meaning.parts.as_slice() {
        [] => None,
        [one] => Some(*one),
        [Part::Daemon, other] | [other, Part::Daemon] => {
            doubts.push(Doubt::OfTheDaemon(*other));
            Some(*other)
        }
        _ => return Left::SeveralParts.into(),
    };
    match meaning.aspect {
        None => unsaid(meaning, part, value, doubts),
        Some(Aspect::Host | Aspect::Url) => hosts(meaning, part, value, doubts),
        Some(Aspect::Port) => port(part, value, doubts),
        Some(Aspect::User) => user(part, value, doubts),
        Some(Aspect::Database) => match values::name(value) {
            Ok(name) => Reading::Claims(vec![Claim::Database(name.to_owned())], doubts),
            Err(bad) => Reading::Bad(bad),
        },
        Some(Aspect::Lag) => values::bytes(value)
            .map_or(Left::LagUnit.into(), |bytes| Reading::Claims(vec![Claim::Lag(bytes)], doubts)),
    }
}

/// A key that says whose, and not what: a host, if the value can be one.
fn unsaid(meaning: &Meaning, part: Option<Part>, value: &str, mut doubts: Vec<Doubt>) -> Reading {
    let says_something = !meaning.sides.is_empty() || part.is_some();
    if !says_something || values::hosts(value).is_err() {
        return Left::NotKnown.into();
    }
    doubts.push(Doubt::NoAspect);
    hosts(meaning, part, value, doubts)
}

fn port(part: Option<Part>, value: &str, doubts: Vec<Doubt>) -> Reading {
    match part {
        Some(part @ (Part::Repository | Part::Activemq | Part::Rest | Part::Ssh)) => {
            match values::port(value) {
                Ok(number) => Reading::Claims(vec![Claim::Port(part, number)], doubts),
                Err(bad) => Reading::Bad(bad),
            }
        }
        Some(_) => Left::Port.into(),
        None => Left::NotKnown.into(),
    }
}

fn user(part: Option<Part>, value: &str, mut doubts: Vec<Doubt>) -> Reading {
    let name = match values::name(value) {
        Ok(name) => name.to_owned(),
        Err(bad) => return Reading::Bad(bad),
    };
    let claim = match part {
        Some(Part::Ssh) => Claim::Login(name),
        None | Some(Part::Daemon | Part::Agent) => {
            doubts.push(Doubt::WhoseUser);
            Claim::Login(name)
        }
        Some(Part::Repository) => {
            doubts.push(Doubt::Rights);
            Claim::RepositoryUser(name)
        }
        Some(Part::Rest) => return Left::RestUser.into(),
        Some(Part::Activemq) => return Left::BrokerUser.into(),
        Some(Part::Sync | Part::Dsa | Part::Monitor) => return Left::User.into(),
    };
    Reading::Claims(vec![claim], doubts)
}

fn hosts(meaning: &Meaning, part: Option<Part>, value: &str, mut doubts: Vec<Doubt>) -> Reading {
    match part {
        Some(Part::Dsa) => return Left::Dsa.into(),
        Some(Part::Ssh) => return Left::NotKnown.into(),
        _ if meaning.aspect == Some(Aspect::Url) && meaning.sides.is_empty() => {
            return Left::Client.into();
        }
        _ => {}
    }
    let spots = match values::hosts(value) {
        Ok(spots) if spots.is_empty() => return Left::Empty.into(),
        Ok(spots) => spots,
        Err(bad) => return Reading::Bad(bad),
    };
    let ports_used = matches!(part, Some(Part::Repository | Part::Activemq | Part::Rest));
    if !ports_used && spots.iter().any(|spot| spot.port.is_some()) {
        doubts.push(Doubt::PortUnused);
    }
    if part == Some(Part::Agent) {
        let hosts = spots.into_iter().map(|spot| spot.host).collect();
        return Reading::Claims(vec![Claim::Agents(hosts)], doubts);
    }
    let sided = match sided(meaning, part, spots, &mut doubts) {
        Ok(sided) => sided,
        Err(other) => return other,
    };
    if part.is_none() {
        doubts.push(Doubt::NoPart);
    }
    let claims = sided.into_iter().map(|(side, spot)| match part {
        Some(Part::Monitor) => Claim::Monitor(side, spot.host),
        _ => Claim::Host { side, part, spot },
    });
    Reading::Claims(claims.collect(), doubts)
}

/// The hosts with their sides, as far as the key says it or it can be guessed.
fn sided(
    meaning: &Meaning,
    part: Option<Part>,
    spots: Vec<Spot>,
    doubts: &mut Vec<Doubt>,
) -> Result<Vec<(Side, Spot)>, Reading> {
    let by_number = match meaning.number {
        Some(1) => Some(Side::Primary),
        Some(2) => Some(Side::Secondary),
        _ => None,
    };
    let side = match (meaning.sides.as_slice(), by_number) {
        ([side], _) => {
            if meaning.relative {
                doubts.push(Doubt::Relative(*side));
            }
            Some(*side)
        }
        ([], Some(side)) if part.is_some() => {
            doubts.push(Doubt::ByNumber(side));
            Some(side)
        }
        ([], _) => None,
        _ => return Err(Left::BothSides.into()),
    };
    let mut spots = spots.into_iter();
    match (side, spots.next(), spots.next(), spots.next()) {
        (Some(side), Some(one), None, _) => Ok(vec![(side, one)]),
        (Some(_), ..) => Err(Reading::Bad(BadValue::Several)),
        (None, Some(first), Some(second), None) if part.is_some() => {
            doubts.push(Doubt::ByOrder);
            Ok(vec![(Side::Primary, first), (Side::Secondary, second)])
        }
        (None, Some(one), None, _) if part == Some(Part::Monitor) => {
            doubts.push(Doubt::OnlyMonitor);
            Ok(vec![(Side::Primary, one)])
        }
        (None, ..) if part.is_some() => Err(Left::NoSide.into()),
        (None, ..) => Err(Left::NotKnown.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Reading {
        let (key, value) = (key.to_owned(), value.to_owned());
        let property = Property { key, value, line: 1, column: 1, separated: true };
        reading(&property, &Meaning::of(&property.key))
    }

    fn doubts(key: &str, value: &str) -> Vec<Doubt> {
        match read(key, value) {
            Reading::Claims(_, doubts) => doubts,
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn what_is_said_in_full_is_not_doubted() {
        for (key, value) in [
            ("primary.daemon.host", "dm1"),
            ("slave.repository.address", "192.0.2.12"),
            ("activemq.port", "61616"),
            ("agents.host", "dm1,dm2"),
            ("secondary.monitor.host", "vp2"),
            ("ssh.user", "dmuser"),
            ("repository.database", "datamover"),
            ("sync.data.lagging.threshold", "64 MB"),
        ] {
            assert_eq!(doubts(key, value), [], "{key}");
        }
    }

    #[test]
    fn what_is_guessed_says_why() {
        use Doubt::{ByNumber, ByOrder, NoAspect, NoPart, OfTheDaemon, Relative, UnknownWords};
        for (key, value, doubt) in [
            ("local.daemon.host", "dm1", Relative(Side::Primary)),
            ("remote.monitor.host", "vp2", Relative(Side::Secondary)),
            ("primary.daemon", "dm1", NoAspect),
            ("primary.host", "dm1", NoPart),
            ("daemon.hosts", "dm1, dm2", ByOrder),
            ("daemon.2.host", "dm2", ByNumber(Side::Secondary)),
            ("vp1", "viewpoint1", NoAspect),
            ("primary.daemon.repository.host", "dm1", OfTheDaemon(Part::Repository)),
            ("primary.daemon.shiny.host", "dm1", UnknownWords),
            ("monitor.host", "vp1", Doubt::OnlyMonitor),
            ("agents.host", "dm1:8080", Doubt::PortUnused),
            ("dmuser", "dmuser", Doubt::WhoseUser),
            ("repository.user", "dm", Doubt::Rights),
        ] {
            assert!(doubts(key, value).contains(&doubt), "{key}: {:?}", doubts(key, value));
            assert!(!doubt.why().is_empty() && !doubt.check().is_empty());
        }
    }

    #[test]
    fn what_is_left_says_why() {
        for (key, value, left) in [
            ("repository.password", "x", Left::Secret(Some(Part::Repository))),
            ("primary.rest.url", "https://a:b@dm1/", Left::Secret(Some(Part::Rest))),
            ("primary.daemon.host", "", Left::Empty),
            ("primary.daemon.host", " , ,", Left::Empty),
            ("monitor.interval", "60", Left::Topic(Topic::Timing)),
            ("email.to", "a@b", Left::Topic(Topic::Telling)),
            ("frobnicator", "x", Left::NotKnown),
            ("primary.frobnicator.host", "x", Left::NotKnown),
            ("primary.repository.pasword", "hunter2", Left::NotKnown),
            ("primary.secondary.daemon.host", "x", Left::BothSides),
            ("monitor.repository.host", "x", Left::SeveralParts),
            ("daemon.host", "dm1", Left::NoSide),
            ("broker.url", "tcp://dm1:61616", Left::Client),
            ("sync.data.lagging.threshold", "100", Left::LagUnit),
            ("primary.agent.port", "1", Left::Port),
        ] {
            assert_eq!(read(key, value), Reading::Left(left), "{key}");
            assert!(!left.why().is_empty());
        }
    }

    #[test]
    fn bad_values_are_not_taken_for_something_else() {
        for (key, value, bad) in [
            ("primary.daemon.host", "dm1,dm2", BadValue::Several),
            ("primary.daemon.host", "dm one", BadValue::Several),
            ("primary.daemon.host", "localhost", BadValue::Loopback),
            ("activemq.port", "0", BadValue::Port),
            ("repository.database", "a b", BadValue::Name),
        ] {
            assert_eq!(read(key, value), Reading::Bad(bad), "{key}");
        }
    }
}
