//! The words everything else is built of: names, services, roles, sides, status and time.
//!
//! Invariant: a name that exists is valid. Names are checked once, where they enter, and are
//! cheap to clone afterwards.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`MAX_NAME_LEN`] bytes.
    #[error("a name may have at most {MAX_NAME_LEN} characters, this one has {0}")]
    TooLong(usize),
    /// The text has a character outside of letters, digits, `.`, `_` and `-`.
    #[error("a name is made of letters, digits, '.', '_' and '-'; {0:?} is none of them")]
    BadCharacter(char),
}

/// The longest name accepted, in bytes. Host names may have 253 (RFC 1035); names are printed in
/// tables, so they are kept shorter.
pub const MAX_NAME_LEN: usize = 64;

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(bad) => Err(NameError::BadCharacter(bad)),
        None => Ok(()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes a name of it.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as it was written, to be kept without a copy.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

names! {
    /// A Data Mover cluster: one primary, one secondary, and their additional agents.
    ClusterName;
    /// A server as the configuration names it, such as `dm1`.
    ServerName;
    /// A running Watchkeeper, such as `vp1`.
    MonitorName;
    /// A policy as the configuration names it, such as `data-mover-ha`.
    PolicyName;
    /// A place that notifications are sent to, as the configuration names it.
    ReceiverName;
}

/// A part of Data Mover on a server. Never called a component: that is a WebAssembly word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The JMS broker; every message between the parts goes over it.
    Activemq,
    /// PostgreSQL with the job definitions and history.
    Repository,
    /// Plans jobs and hands tasks to agents.
    Daemon,
    /// Moves the data; several per cluster, on any server.
    Agent,
    /// The HTTPS interface.
    Rest,
    /// Watches the repository's replication from active to standby.
    Sync,
    /// The backup and restore engine that some jobs use.
    Dsa,
}

impl Service {
    /// Every service, in the order in which they start: each after all it depends on.
    pub const ALL: [Self; 7] = [
        Self::Repository,
        Self::Activemq,
        Self::Dsa,
        Self::Daemon,
        Self::Agent,
        Self::Rest,
        Self::Sync,
    ];

    /// What must serve before this service can start (Data Mover's own dependencies).
    pub const fn depends_on(self) -> &'static [Self] {
        match self {
            Self::Activemq | Self::Repository | Self::Dsa => &[],
            Self::Daemon => &[Self::Activemq, Self::Repository],
            Self::Agent => &[Self::Activemq],
            Self::Rest => &[Self::Daemon],
            Self::Sync => &[Self::Repository],
        }
    }

    /// Whether it may run on one side only. Agents run on every server, and the standby's
    /// repository has to run to receive the replication.
    pub const fn exclusive(self) -> bool {
        matches!(self, Self::Activemq | Self::Daemon | Self::Rest)
    }

    /// Whether an active side is none without it on its own server. Agents run elsewhere too, and
    /// the others serve some jobs or none.
    pub const fn essential(self) -> bool {
        self.exclusive() || matches!(self, Self::Repository)
    }

    /// The name in configuration, output and guests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activemq => "activemq",
            Self::Repository => "repository",
            Self::Daemon => "daemon",
            Self::Agent => "agent",
            Self::Rest => "rest",
            Self::Sync => "sync",
            Self::Dsa => "dsa",
        }
    }

    /// The service of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.as_str() == name)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A service on a server, printed as `dm1/daemon`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    /// The server it runs on.
    pub server: ServerName,
    /// Which service.
    pub service: Service,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.service)
    }
}

/// A server's designated role. It never changes while the configuration stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Designated active (DM1).
    Primary,
    /// Designated standby (DM2).
    Secondary,
    /// Runs agents only, and is never a standby (DM3).
    Additional,
}

impl Role {
    /// The side this role belongs to; additional servers belong to none.
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::Primary => Some(Side::Primary),
            Self::Secondary => Some(Side::Secondary),
            Self::Additional => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Additional => "additional",
        })
    }
}

/// One of the two servers that can be active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The designated active server.
    Primary,
    /// The designated standby server.
    Secondary,
}

impl Side {
    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// What a probe, a service or a server is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It completed what was asked of it.
    Up,
    /// It is proven not to serve.
    Down,
    /// Nothing is proven either way.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        })
    }
}

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, such as `2026-03-01T02:59:58.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms_of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
        f.pad(&format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ))
    }
}

/// The Gregorian date of a day counted from 1970-01-01, counting years from March so that a leap
/// day is the last of its year.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let era = days / 146_097; // days in 400 years
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The number that rises with each grant of the duty and travels with every step.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

/// A server and its designated role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// Its designated role.
    pub role: Role,
    /// The services installed on it, whether they are meant to run now or not.
    pub services: Vec<Service>,
}

/// A cluster as configured: which servers there are, and what is installed on them.
///
/// Invariant: exactly one server is primary, exactly one is secondary, and names are unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTopology")]
pub struct Topology {
    cluster: ClusterName,
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct RawTopology {
    cluster: ClusterName,
    servers: Vec<Server>,
}

impl TryFrom<RawTopology> for Topology {
    type Error = TopologyError;
    fn try_from(raw: RawTopology) -> Result<Self, TopologyError> {
        Self::new(raw.cluster, raw.servers)
    }
}

/// Why servers cannot form a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Not exactly one server has the role.
    #[error("a cluster has exactly one {role} server, this one has {count}")]
    NotOne {
        /// The role in question.
        role: Role,
        /// How many servers have it.
        count: usize,
    },
    /// Two servers have the same name.
    #[error("two servers are named {0}")]
    Duplicate(ServerName),
}

impl Topology {
    /// Checks that there is one primary and one secondary, and that names are unique.
    pub fn new(cluster: ClusterName, servers: Vec<Server>) -> Result<Self, TopologyError> {
        for role in [Role::Primary, Role::Secondary] {
            let count = servers.iter().filter(|server| server.role == role).count();
            if count != 1 {
                return Err(TopologyError::NotOne { role, count });
            }
        }
        for (i, server) in servers.iter().enumerate() {
            if servers.iter().take(i).any(|earlier| earlier.name == server.name) {
                return Err(TopologyError::Duplicate(server.name.clone()));
            }
        }
        Ok(Self { cluster, servers })
    }

    /// The cluster's name.
    pub const fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// All servers, in the order of the configuration.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server of that name.
    pub fn server(&self, name: &ServerName) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == *name)
    }

    /// The server designated for `side`.
    #[expect(clippy::missing_panics_doc, reason = "a topology has one server of each side")]
    #[expect(clippy::expect_used, reason = "checked when the topology was made")]
    pub fn on(&self, side: Side) -> &Server {
        self.servers
            .iter()
            .find(|server| server.role.side() == Some(side))
            .expect("a topology has one server of each side")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(ServerName::new(""), Err(NameError::Empty));
        assert_eq!(ServerName::new("dm 1"), Err(NameError::BadCharacter(' ')));
        assert_eq!(ServerName::new(&"x".repeat(65)), Err(NameError::TooLong(65)));
        assert_eq!(ServerName::new("dm-1.example_x").unwrap().as_str(), "dm-1.example_x");
        assert!(serde_json::from_str::<ServerName>("\"a/b\"").is_err());
    }

    #[test]
    fn services_are_listed_after_what_they_depend_on() {
        for (i, service) in Service::ALL.iter().enumerate() {
            for needed in service.depends_on() {
                assert!(Service::ALL[..i].contains(needed), "{service} stands before {needed}");
            }
            assert_eq!(Service::from_name(service.as_str()), Some(*service));
            assert_eq!(serde_json::to_value(service).unwrap(), service.as_str());
        }
    }

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp(1_772_333_998_123).to_string(), "2026-03-01T02:59:58.123Z");
        assert_eq!(Timestamp(4_107_542_399_999).to_string(), "2100-02-28T23:59:59.999Z");
    }

    #[test]
    fn a_topology_needs_both_sides_once() {
        let server = |name: &str, role| Server {
            name: ServerName::new(name).unwrap(),
            role,
            services: vec![],
        };
        let cluster = ClusterName::new("prod").unwrap();
        let one = Topology::new(cluster.clone(), vec![server("dm1", Role::Primary)]);
        assert_eq!(one, Err(TopologyError::NotOne { role: Role::Secondary, count: 0 }));
        let twice = vec![
            server("dm1", Role::Primary),
            server("dm2", Role::Secondary),
            server("dm1", Role::Additional),
        ];
        assert!(matches!(Topology::new(cluster, twice), Err(TopologyError::Duplicate(_))));
    }
}
