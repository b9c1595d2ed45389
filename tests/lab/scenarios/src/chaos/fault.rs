//! What goes wrong, in the words of the simulation's faults where both have it.

use std::fmt;

/// A host of the lab.
pub type Host = &'static str;

/// Every host, in the lab's order.
pub const HOSTS: [Host; 5] = ["dm1", "dm2", "dm3", "vp1", "vp2"];

/// Something that goes wrong, or is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of a service.
    Dies(Host, &'static str),
    /// The same, and its init script fails to start it until it is mended.
    Breaks(Host, &'static str),
    /// It can be started again.
    Mended(Host, &'static str),
    /// A host loses its power.
    Off(Host),
    /// It boots on its disk: with the services that it starts by itself, or with none.
    On(Host, bool),
    /// Every process of a host stands still.
    Freezes(Host),
    /// They go on.
    Thaws(Host),
    /// A host's management controller no longer switches its power.
    Unfenced(Host),
    /// It does again.
    Fenced(Host),
    /// No packet passes from the first to the second.
    Cut(Host, Host),
    /// They pass again.
    Joined(Host, Host),
    /// So many of 100 packets from and to a host are lost.
    Lossy(Host, u32),
    /// `kill -9` of a monitor.
    Killed(Host),
    /// It is started again.
    Started(Host),
    /// The file system of a monitor's journal is full.
    Full(Host),
    /// It has room again.
    Freed(Host),
    /// A monitor's clock goes so many seconds ahead, at once.
    Clock(Host, u32),
    /// `kill -9` of a member of etcd.
    MemberDies(Host),
    /// It is started again.
    MemberRuns(Host),
    /// The receiver of a monitor's alerts answers 503.
    Refuses(Host),
    /// It takes them again.
    Takes(Host),
    /// Somebody starts a service by hand.
    ByHand(Host, &'static str),
    /// An operator orders a planned change of side.
    Ordered,
    /// An operator wants the duty at this monitor.
    Wanted(Host),
    /// An operator takes this monitor's offer of the duty back.
    Cancelled(Host),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dies(host, service) => write!(f, "{host}/{service} dies"),
            Self::Breaks(host, service) => {
                write!(f, "{host}/{service} dies and does not come up again")
            }
            Self::Mended(host, service) => write!(f, "{host}/{service} is mended"),
            Self::Off(host) => write!(f, "{host} goes off"),
            Self::On(host, true) => write!(f, "{host} boots, with its services"),
            Self::On(host, false) => write!(f, "{host} boots"),
            Self::Freezes(host) => write!(f, "{host} stands still"),
            Self::Thaws(host) => write!(f, "{host} goes on"),
            Self::Unfenced(host) => write!(f, "the controller of {host} fails"),
            Self::Fenced(host) => write!(f, "the controller of {host} works"),
            Self::Cut(from, to) => write!(f, "the way from {from} to {to} is cut"),
            Self::Joined(from, to) => write!(f, "the way from {from} to {to} is joined"),
            Self::Lossy(host, 0) => write!(f, "no packets of {host} are lost any more"),
            Self::Lossy(host, percent) => write!(f, "{percent} % of {host}'s packets are lost"),
            Self::Killed(host) => write!(f, "the monitor on {host} is killed"),
            Self::Started(host) => write!(f, "the monitor on {host} is started"),
            Self::Full(host) => write!(f, "the disk of {host}'s journal is full"),
            Self::Freed(host) => write!(f, "the disk of {host}'s journal has room"),
            Self::Clock(host, seconds) => write!(f, "the clock of {host} goes {seconds} s ahead"),
            Self::MemberDies(host) => write!(f, "the member of etcd on {host} is killed"),
            Self::MemberRuns(host) => write!(f, "the member of etcd on {host} is started"),
            Self::Refuses(host) => write!(f, "the receiver of {host}'s alerts refuses"),
            Self::Takes(host) => write!(f, "the receiver of {host}'s alerts takes them"),
            Self::ByHand(host, service) => write!(f, "somebody starts {host}/{service} by hand"),
            Self::Ordered => f.write_str("an operator orders a planned change of side"),
            Self::Wanted(host) => write!(f, "an operator wants the duty at {host}"),
            Self::Cancelled(host) => write!(f, "an operator at {host} takes the offer back"),
        }
    }
}
