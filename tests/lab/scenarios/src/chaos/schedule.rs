//! What goes wrong, when: made from the seed alone.

use std::fmt;

use fastrand::Rng;

use super::fault::{Fault, HOSTS, Host};

/// How the duty is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// One monitor, on vp1.
    Alone,
    /// Two, that hand it to each other.
    Peers,
    /// Two, over an etcd of three members.
    Etcd,
}

impl Duty {
    /// Where monitors run.
    pub const fn monitors(self) -> &'static [Host] {
        match self {
            Self::Alone => &["vp1"],
            Self::Peers | Self::Etcd => &["vp1", "vp2"],
        }
    }

    /// Where members of etcd run.
    pub const fn members(self) -> &'static [Host] {
        match self {
            Self::Etcd => &["vp1", "vp2", "dm3"],
            Self::Alone | Self::Peers => &[],
        }
    }
}

/// A fault and its moment, in milliseconds since the site was well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: u64,
    /// What.
    pub fault: Fault,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Where it comes from.
    pub seed: u64,
    /// How the duty is shared.
    pub duty: Duty,
    /// Whether both sides have a management controller, and no other proof counts.
    pub fenced: bool,
    /// What goes wrong, in order.
    pub moments: Vec<Moment>,
    /// How many of them are faults of their own, and not the end of one.
    pub faults: usize,
    /// Whether an operator orders a planned change once all is well again.
    pub finale: bool,
}

/// Until when everything that is to go wrong has gone wrong, in milliseconds.
pub const TROUBLE: u64 = 14_000;

/// The agent seldom: one of several is no reason for anything.
const SERVICES: [&str; 9] = [
    "activemq",
    "activemq",
    "repository",
    "repository",
    "daemon",
    "daemon",
    "rest",
    "rest",
    "agent",
];

impl Schedule {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let duty = [Duty::Alone, Duty::Peers, Duty::Etcd][rng.usize(0..3)];
        let fenced = duty == Duty::Alone || rng.u32(0..4) == 0;
        let mut making = Making { rng, duty, fenced, moments: Vec::new() };
        let faults = making.rng.usize(2..=5);
        let mut last = None;
        for _ in 0..faults {
            // What goes wrong in the middle of something else is what nobody has thought of.
            let at = match last {
                Some(last) if making.rng.u32(0..3) > 0 => last + making.rng.u64(0..4_000),
                _ => making.rng.u64(0..TROUBLE / 2),
            };
            let at = at.min(TROUBLE - 500);
            last = Some(at);
            // Long enough for a change of side, twice of three times.
            let short = making.rng.u32(0..3) == 0;
            let takes =
                if short { making.rng.u64(300..3_000) } else { making.rng.u64(6_000..TROUBLE) };
            making.one(at, (at + takes).min(TROUBLE));
        }
        making.moments.sort_by_key(|moment| moment.at);
        let finale = making.rng.u32(0..3) == 0;
        let moments = making.moments;
        Self { seed, duty, fenced, moments, faults, finale }
    }

    /// Whether a fault of it is like that.
    pub fn has(&self, is: impl Fn(Fault) -> bool) -> bool {
        self.moments.iter().any(|moment| is(moment.fault))
    }
}

struct Making {
    rng: Rng,
    duty: Duty,
    fenced: bool,
    moments: Vec<Moment>,
}

impl Making {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    fn add(&mut self, at: u64, fault: Fault) {
        self.moments.push(Moment { at, fault });
    }

    fn one(&mut self, at: u64, until: u64) {
        // The primary is what most of it is about.
        let side = self.pick(&["dm1", "dm1", "dm1", "dm2"]);
        let server = self.pick(&["dm1", "dm1", "dm2", "dm3"]);
        let monitor = self.pick(self.duty.monitors());
        let service = self.pick(&SERVICES);
        let boots = self.rng.bool();
        let lost = self.moments.iter().any(|it| it.fault == Fault::Off(monitor));
        // Once: which of its records are from after which jump could not be told else.
        let jumps = |it: &Moment| matches!(it.fault, Fault::Clock(host, _) if host == monitor);
        let jumped = self.moments.iter().any(jumps);
        let mut both = |fault, over| {
            self.moments.push(Moment { at, fault });
            self.moments.push(Moment { at: until, fault: over });
        };
        match self.rng.u32(0..26) {
            0 | 1 => both(Fault::Dies(side, service), Fault::Mended(side, service)),
            2..=4 => both(Fault::Breaks(side, service), Fault::Mended(side, service)),
            5..=7 => both(Fault::Off(server), Fault::On(server, boots)),
            8 | 9 => both(Fault::Freezes(server), Fault::Thaws(server)),
            10..=12 => self.cut(at, until),
            13 => {
                let (host, percent) = (self.pick(&HOSTS), self.rng.u32(5..=30));
                self.add(at, Fault::Lossy(host, percent));
                self.add(until, Fault::Lossy(host, 0));
            }
            14..=16 => both(Fault::Killed(monitor), Fault::Started(monitor)),
            17 if !lost => {
                self.add(at, Fault::Full(monitor));
                self.add(until, Fault::Freed(monitor));
            }
            18 if !jumped => {
                let seconds = self.rng.u32(1_000..10_000);
                self.add(at, Fault::Clock(monitor, seconds));
            }
            17 | 19 => both(Fault::Refuses(monitor), Fault::Takes(monitor)),
            20 => self.add(at, Fault::ByHand(side, service)),
            21 => self.of_the_monitors_hosts(at, until),
            22 | 23 => self.of_the_duty(at, until),
            _ => self.add(at, Fault::Ordered),
        }
    }

    /// A host is cut from some others or from all, in one direction or in both.
    fn cut(&mut self, at: u64, until: u64) {
        let one = self.pick(&HOSTS);
        let (all, directions) = (self.rng.bool(), self.rng.u32(0..3));
        for other in HOSTS.into_iter().filter(|other| *other != one) {
            if !all && self.rng.bool() {
                continue;
            }
            for (from, to, wanted) in [(one, other, directions != 1), (other, one, directions != 2)]
            {
                if wanted {
                    self.add(at, Fault::Cut(from, to));
                    self.add(until, Fault::Joined(from, to));
                }
            }
        }
    }

    /// What a monitor runs on is lost for a while. Not where the journal is on a file system in memory, nor where
    /// the management controllers are.
    fn of_the_monitors_hosts(&mut self, at: u64, until: u64) {
        let host = self.pick(self.duty.monitors());
        let full = |moment: &Moment| matches!(moment.fault, Fault::Full(_));
        let kept = self.fenced && host == "vp2";
        let (fault, over) = if kept || self.rng.bool() || self.moments.iter().any(full) {
            (Fault::Freezes(host), Fault::Thaws(host))
        } else {
            (Fault::Off(host), Fault::On(host, true))
        };
        self.add(at, fault);
        self.add(until, over);
    }

    /// What only some ways of sharing the duty, or only fenced sites have.
    fn of_the_duty(&mut self, at: u64, until: u64) {
        let monitor = self.pick(self.duty.monitors());
        let side = self.pick(&["dm1", "dm2"]);
        match (self.duty, self.rng.u32(0..4)) {
            (Duty::Etcd, 0 | 1) => {
                let member = self.pick(self.duty.members());
                self.add(at, Fault::MemberDies(member));
                self.add(until, Fault::MemberRuns(member));
            }
            (Duty::Peers | Duty::Etcd, 2) => self.add(at, Fault::Wanted(monitor)),
            (Duty::Peers, 0 | 1) => {
                self.add(at, Fault::Wanted(monitor));
                self.add(until, Fault::Cancelled(monitor));
            }
            _ if self.fenced => {
                self.add(at, Fault::Unfenced(side));
                self.add(until, Fault::Fenced(side));
            }
            _ => self.add(at, Fault::Ordered),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duty = match self.duty {
            Duty::Alone => "one monitor",
            Duty::Peers => "two monitors that hand the duty to each other",
            Duty::Etcd => "two monitors over etcd",
        };
        let proof = if self.fenced { "fencing" } else { "witnesses" };
        write!(f, "seed {}: {duty}, {proof}, {} faults", self.seed, self.faults)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = Schedule> {
        (0..2_000).map(Schedule::of)
    }

    #[test]
    fn a_seed_is_one_schedule() {
        assert!(all().all(|schedule| Schedule::of(schedule.seed) == schedule));
        assert_ne!(Schedule::of(1).moments, Schedule::of(2).moments);
    }

    #[test]
    fn every_fault_comes_up_and_is_within_the_time() {
        let mut kinds = BTreeSet::new();
        for schedule in all() {
            assert!((2..=5).contains(&schedule.faults), "{schedule}");
            for Moment { at, fault } in &schedule.moments {
                assert!(*at <= TROUBLE, "{schedule}: {fault} at {at}");
                let name = format!("{fault:?}");
                kinds.insert(name.split('(').next().unwrap_or_default().to_owned());
            }
        }
        assert_eq!(kinds.len(), 25, "{kinds:?}");
    }

    #[test]
    fn a_journal_in_memory_is_not_lost_by_a_power_cut_and_controllers_keep_their_power() {
        for schedule in all() {
            for host in schedule.duty.monitors() {
                let off = schedule.has(|fault| fault == Fault::Off(host));
                let full = schedule.has(|fault| fault == Fault::Full(host));
                assert!(!(off && full), "{schedule}");
            }
            let controllers = schedule.has(|fault| fault == Fault::Off("vp2"));
            assert!(!(schedule.fenced && controllers), "{schedule}");
        }
    }
}
