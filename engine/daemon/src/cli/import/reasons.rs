//! Why a claim may be wrong and what a person should look at, and why nothing is made of a key.

use watchkeeper_core::model::Side;

use super::values::Host;
use super::words::{Part, Topic};

/// Why a claim may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The side is named `local` or `remote`.
    Relative(Side),
    /// Some words are not known.
    UnknownWords,
    /// No word says that it is a host.
    NoAspect,
    /// No word says what runs on the host.
    NoPart,
    /// The daemon is named together with another part.
    OfTheDaemon(Part),
    /// The side follows from a number.
    ByNumber(Side),
    /// The side follows from the order of two hosts.
    ByOrder,
    /// The only monitor.
    OnlyMonitor,
    /// A port that nothing is done with.
    PortUnused,
    /// REST's port of old releases.
    PlainPort,
    /// It is not said whose user it is.
    WhoseUser,
    /// The vendor's user may lack rights, or have too many.
    Rights,
    /// Nothing names the daemon's host.
    InsteadOfDaemon(Side, Part),
    /// The repository has a host of its own.
    OwnRepository(Side),
    /// A name without its domain is taken for the one with it.
    ShortName {
        /// As it stands here.
        here: Host,
        /// As it stands elsewhere.
        elsewhere: Host,
    },
    /// Names and addresses cannot be compared.
    NameOrAddress(Host),
}

impl Doubt {
    /// What makes it a guess.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Relative(Side::Primary) => "`local` is taken for the primary side".to_owned(),
            Self::Relative(Side::Secondary) => {
                "`remote` is taken for the secondary side".to_owned()
            }
            Self::UnknownWords => "some words of the key are not known".to_owned(),
            Self::NoAspect => "no word of the key says that it is a host".to_owned(),
            Self::NoPart => "no word of the key says what runs there".to_owned(),
            Self::OfTheDaemon(part) => {
                format!("the key names the daemon and {}; the latter is meant", part.as_str())
            }
            Self::ByNumber(side) => format!("its number is taken for the {side} side"),
            Self::ByOrder => {
                "the first is taken for the primary's, the second for the secondary's".to_owned()
            }
            Self::OnlyMonitor => "the only monitor is taken for the primary's".to_owned(),
            Self::PortUnused => "the port behind it is not used".to_owned(),
            Self::PlainPort => {
                "REST on 1080 is taken to be without encryption, as in old releases".to_owned()
            }
            Self::WhoseUser => "the key does not say whose user it is".to_owned(),
            Self::Rights => "Watchkeeper needs other rights there than Data Mover".to_owned(),
            Self::InsteadOfDaemon(side, part) => {
                format!("no key names the {side}'s daemon; {} is named", part.as_str())
            }
            Self::OwnRepository(_) => {
                "it is another host than the daemon's, taken for another address of the same server"
                    .to_owned()
            }
            Self::ShortName { here, elsewhere } => format!("{here} is taken for {elsewhere}"),
            Self::NameOrAddress(host) => {
                format!("{host} cannot be compared: names and addresses are mixed in this file")
            }
        }
    }

    /// What a person should look at.
    pub(super) fn check(&self) -> String {
        match self {
            Self::Relative(side) | Self::ByNumber(side) => {
                let what = match side {
                    Side::Primary => "active",
                    Side::Secondary => "standby",
                };
                format!("that it is of the designated {what} server")
            }
            Self::UnknownWords | Self::NoAspect => "that the key means this".to_owned(),
            Self::NoPart => "that the daemon runs there".to_owned(),
            Self::OfTheDaemon(part) => format!("that {} is meant", part.as_str()),
            Self::ByOrder => "the order".to_owned(),
            Self::OnlyMonitor => "whether there is a second one".to_owned(),
            Self::PortUnused => "nothing, if the host is right".to_owned(),
            Self::PlainPort => "that http://HOST:1080/datamover/agents answers".to_owned(),
            Self::WhoseUser => "that it may log in over SSH to start and stop services".to_owned(),
            Self::Rights => {
                "its rights against docs/operations.md, PostgreSQL; better, make a role of its own"
                    .to_owned()
            }
            Self::InsteadOfDaemon(..) => "that the daemon runs there too".to_owned(),
            Self::OwnRepository(_) => {
                "that it is the same server: a repository on a server of its own is not supported"
                    .to_owned()
            }
            Self::ShortName { .. } => "that both are the same server".to_owned(),
            Self::NameOrAddress(host) => {
                format!("that {host} is none of the servers that are named otherwise")
            }
        }
    }
}

/// Why nothing is made of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It may be a password or the like.
    Secret(Option<Part>),
    /// It has no value.
    Empty,
    /// Its value cannot be read.
    Bad,
    /// It is about something else.
    Topic(Topic),
    /// Its words are not known.
    NotKnown,
    /// It names the primary and the secondary.
    BothSides,
    /// It names several parts.
    SeveralParts,
    /// It does not say of which side it is.
    NoSide,
    /// An address for clients.
    Client,
    /// Where DSA runs.
    Dsa,
    /// A port that nothing connects to.
    Port,
    /// REST's user.
    RestUser,
    /// ActiveMQ's user.
    BrokerUser,
    /// Another user.
    User,
    /// A lag without a unit.
    LagUnit,
}

impl Left {
    /// Why, and what to do instead.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Secret(Some(Part::Repository | Part::Sync)) => {
                "a secret, not shown: it goes into the file repository-password (mode 0600)"
            }
            Self::Secret(Some(Part::Rest)) => {
                "a secret, not shown: it goes into a file (mode 0600) that [secrets] names, for \
                 `user` and `password` of both REST probes"
            }
            Self::Secret(Some(Part::Activemq)) => {
                "a secret, not shown: only a jolokia probe would need it, from a file that \
                 [secrets] names"
            }
            Self::Secret(_) => {
                "a secret, not shown: SSH needs a key, no password; what is needed elsewhere goes \
                 into a file (mode 0600) that [secrets] names"
            }
            Self::Empty => "it has no value",
            Self::Bad => "its value cannot be read: see the error",
            Self::Topic(Topic::Timing) => {
                "Watchkeeper has its own: [probes], [clusters.*.plan], the policy's settings"
            }
            Self::Topic(Topic::Telling) => "whom to tell is said in [receivers]",
            Self::Topic(Topic::Surroundings) => "Watchkeeper does not need it",
            Self::Topic(Topic::Switch) => {
                "there is no such switch: maintenance mode is what holds Watchkeeper"
            }
            Self::NotKnown => "not known: if it matters, find its like in docs/configuration.md",
            Self::BothSides => "it names the primary and the secondary",
            Self::SeveralParts => "it names several parts of Data Mover",
            Self::NoSide => "it does not say of which side it is",
            Self::Client => {
                "an address for clients: Watchkeeper reaches each server at its own address"
            }
            Self::Dsa => {
                "if Watchkeeper is to care for DSA, add \"dsa\" to the services of its servers"
            }
            Self::Port => "Watchkeeper connects to no such port",
            Self::RestUser => {
                "a login needs a secret too: set `user` and `password` of both REST probes"
            }
            Self::BrokerUser => "the probe of ActiveMQ logs in as nobody",
            Self::User => "Watchkeeper needs no such user",
            Self::LagUnit => {
                "its unit is not known: set `lag-threshold-bytes` in the policy's settings"
            }
        }
    }
}
