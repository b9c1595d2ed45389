//! What goes wrong, when: made from the seed alone.

use fastrand::Rng;
use watchkeeper_core::model::Service;

use crate::world::{Lack, Node};

/// Something that goes wrong, or is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A service's process ends.
    Dies(usize, Service),
    /// A service ends, and does not come up again until it is mended.
    Breaks(usize, Service),
    /// It is mended.
    Mended(usize, Service),
    /// A server goes off.
    Off(usize),
    /// It comes back. With `true`, what ran there before is started by the boot.
    On(usize, bool),
    /// A server stands still.
    Freezes(usize),
    /// It goes on.
    Thaws(usize),
    /// A server's fence agents fail.
    Unfenced(usize),
    /// They work.
    Fenced(usize),
    /// A server lacks something that it would need to take over.
    Lacks(usize, Lack),
    /// It lacks nothing.
    Whole(usize),
    /// A monitor's probes of a server do not end.
    Hangs(usize, usize),
    /// They do again.
    Looks(usize, usize),
    /// An operator switches maintenance mode on or off.
    Maintenance(bool),
    /// Another cluster changes sides.
    Elsewhere,
    /// One direction is cut.
    Cut(Node, Node),
    /// It is joined again.
    Joined(Node, Node),
    /// A monitor's process ends.
    Killed(usize),
    /// It is started again.
    Started(usize),
    /// A monitor ends at its next write: with `true` after it, else before it.
    KilledAtWrite(usize, bool),
    /// A monitor stands still, with all that it has under way.
    Pauses(usize),
    /// It goes on where it was.
    GoesOn(usize),
    /// This befalls a monitor when its next command is about to go out.
    AtSend(usize, AtSend),
    /// A monitor's disk is full.
    Full(usize),
    /// It is no longer.
    Freed(usize),
    /// A monitor's clock is this many milliseconds ahead of the time.
    Clock(usize, u64),
    /// The ways are slow: messages take up to this many milliseconds.
    Slow(u64),
    /// Somebody starts a service by hand.
    ByHand(usize, Service),
    /// An operator orders a planned change of side.
    Ordered,
    /// An operator takes an offer of the duty back.
    Cancelled(usize),
    /// An operator wants the duty at this monitor.
    Wanted(usize),
    /// The same by force: nobody waits until the other one gives it.
    Forced(usize),
    /// The same just when the other one begins a step.
    ForcedAtStep(usize),
    /// Most of etcd's members are gone.
    NoQuorum,
    /// They are back.
    Quorum,
    /// What etcd answers does not arrive; what it is asked does.
    Unheard,
    /// It does again.
    Heard,
    /// Another of etcd's members leads. The one before it does not know for so many milliseconds, and is the one
    /// that this monitor is connected to.
    Elected(u64, usize),
}

/// What befalls a monitor when a command is about to go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtSend {
    /// It stands still.
    Pauses,
    /// If the command is for this server: the way there is cut.
    Cut(usize),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = |number: usize| Node::Server(number);
        let monitor = |number: usize| Node::Monitor(number);
        match *self {
            Self::Dies(on, service) => write!(f, "{}/{service} dies", server(on)),
            Self::Breaks(on, service) => {
                write!(f, "{}/{service} dies and does not come up again", server(on))
            }
            Self::Mended(on, service) => write!(f, "{}/{service} is mended", server(on)),
            Self::Off(on) => write!(f, "{} goes off", server(on)),
            Self::On(on, true) => write!(f, "{} boots, and starts what ran before", server(on)),
            Self::On(on, false) => write!(f, "{} boots", server(on)),
            Self::Freezes(on) => write!(f, "{} stands still", server(on)),
            Self::Thaws(on) => write!(f, "{} goes on", server(on)),
            Self::Unfenced(on) => write!(f, "the fence agents of {} fail", server(on)),
            Self::Fenced(on) => write!(f, "the fence agents of {} work", server(on)),
            Self::Lacks(on, lack) => write!(f, "{} lacks {lack:?}", server(on)),
            Self::Whole(on) => write!(f, "{} lacks nothing", server(on)),
            Self::Hangs(at, on) => write!(f, "{}'s probes of {} hang", monitor(at), server(on)),
            Self::Looks(at, on) => write!(f, "{}'s probes of {} end", monitor(at), server(on)),
            Self::Maintenance(on) => {
                write!(f, "an operator switches maintenance {}", if on { "on" } else { "off" })
            }
            Self::Elsewhere => f.write_str("another cluster changes sides"),
            Self::Cut(one, other) => write!(f, "the way from {one} to {other} is cut"),
            Self::Joined(one, other) => write!(f, "the way from {one} to {other} is joined"),
            Self::Killed(on) => write!(f, "{} is killed", monitor(on)),
            Self::Started(on) => write!(f, "{} is started", monitor(on)),
            Self::KilledAtWrite(on, true) => write!(f, "{} ends after its next write", monitor(on)),
            Self::KilledAtWrite(on, false) => {
                write!(f, "{} ends before its next write", monitor(on))
            }
            Self::Pauses(at) => write!(f, "{} stands still", monitor(at)),
            Self::GoesOn(at) => write!(f, "{} goes on", monitor(at)),
            Self::AtSend(at, AtSend::Pauses) => {
                write!(f, "{} will stand still before its next command", monitor(at))
            }
            Self::AtSend(at, AtSend::Cut(on)) => {
                write!(
                    f,
                    "the way will be cut under {}'s next command to {}",
                    monitor(at),
                    server(on)
                )
            }
            Self::Full(on) => write!(f, "the disk of {} is full", monitor(on)),
            Self::Freed(on) => write!(f, "the disk of {} has room", monitor(on)),
            Self::Clock(on, ms) => write!(f, "the clock of {} is {ms} ms ahead", monitor(on)),
            Self::Slow(ms) => write!(f, "messages take up to {ms} ms"),
            Self::ByHand(on, service) => {
                write!(f, "somebody starts {}/{service} by hand", server(on))
            }
            Self::Ordered => f.write_str("an operator orders a planned change of side"),
            Self::Cancelled(at) => write!(f, "an operator at {} takes the offer back", monitor(at)),
            Self::Wanted(at) => write!(f, "an operator wants the duty at {}", monitor(at)),
            Self::Forced(at) => write!(f, "an operator takes the duty to {} by force", monitor(at)),
            Self::ForcedAtStep(at) => {
                write!(f, "an operator takes the duty to {} by force at the next step", monitor(at))
            }
            Self::NoQuorum => f.write_str("most of etcd's members are gone"),
            Self::Quorum => f.write_str("etcd's members are back"),
            Self::Unheard => f.write_str("etcd's answers are lost"),
            Self::Heard => f.write_str("etcd's answers arrive"),
            Self::Elected(unaware, at) => write!(
                f,
                "another of etcd's members leads; the one that {} is connected to does not know for {unaware} ms",
                monitor(at)
            ),
        }
    }
}

/// How long a message takes at the most while nothing is slow, in milliseconds.
pub const QUICK: u64 = 20;

/// How long a leader of etcd's that was voted out may not know, in milliseconds. It looks each election
/// timeout whether most of the others were heard of in it, and the shortest lease is one and a half times that
/// timeout (etcd's raft `CheckQuorum` and `lessor.minLeaseTTL`): so up to four thirds of a lease.
const UNAWARE: std::ops::Range<u64> = 500..crate::etcd::LEASE * 4 / 3;

/// The faults of a run, each with its moment in milliseconds, and put right by `end`.
pub fn schedule(rng: &mut Rng, end: u64, etcd: bool) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let mut last = None;
    for _ in 0..rng.u64(1..=7) {
        // What goes wrong in the middle of something else is what nobody has thought of.
        let at = match last {
            Some(last) if rng.bool() => last + rng.u64(0..8_000),
            _ => rng.u64(15_000..end * 3 / 4),
        };
        let at = at.min(end - 1_000);
        last = Some(at);
        let until = at + rng.u64(200..(end - at).max(201));
        if etcd && rng.u32(0..4) == 0 {
            of_etcd(rng, at, until.min(end), &mut faults);
        } else {
            one(rng, at, until.min(end), &mut faults);
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn one(rng: &mut Rng, at: u64, until: u64, faults: &mut Vec<(u64, Fault)>) {
    let server = rng.usize(0..3);
    let side = rng.usize(0..2);
    let monitor = rng.usize(0..2);
    let service = Service::ALL[rng.usize(0..Service::ALL.len())];
    let mut both = |fault, over| faults.extend([(at, fault), (until, over)]);
    match rng.u32(0..31) {
        0 => faults.push((at, Fault::Dies(side, service))),
        1 => both(Fault::Breaks(side, service), Fault::Mended(side, service)),
        2..=4 => both(Fault::Off(server), Fault::On(server, rng.bool())),
        5 | 6 => both(Fault::Freezes(server), Fault::Thaws(server)),
        7..=10 => cut(rng, at, until, faults),
        11 | 12 => both(Fault::Killed(monitor), Fault::Started(monitor)),
        13 | 14 => both(Fault::KilledAtWrite(monitor, rng.bool()), Fault::Started(monitor)),
        15 => both(Fault::Full(monitor), Fault::Freed(monitor)),
        16 => faults.push((at, Fault::Clock(monitor, rng.u64(0..600_000)))),
        17 => both(Fault::Slow(rng.u64(100..5_000)), Fault::Slow(QUICK)),
        18 => faults.push((at, Fault::ByHand(side, service))),
        21 | 22 => {
            let lack = Lack::ALL[rng.usize(0..Lack::ALL.len())];
            both(Fault::Lacks(side, lack), Fault::Whole(side));
        }
        23 | 24 => both(Fault::Hangs(monitor, server), Fault::Looks(monitor, server)),
        25 => both(Fault::Maintenance(true), Fault::Maintenance(false)),
        26 => {
            for _ in 0..rng.u32(1..3) {
                faults.push(((at + rng.u64(0..20_000)).min(until), Fault::Elsewhere));
            }
        }
        19 => {
            // While it would be needed.
            both(Fault::Unfenced(side), Fault::Fenced(side));
            match rng.u32(0..3) {
                0 => both(Fault::Freezes(side), Fault::Thaws(side)),
                1 => cut_off(Node::Server(side), at, until, faults),
                _ => {}
            }
        }
        27 => both(Fault::Pauses(monitor), Fault::GoesOn(monitor)),
        28 => {
            both(Fault::AtSend(monitor, AtSend::Pauses), Fault::GoesOn(monitor));
            faults.push((at, Fault::Dies(side, service)));
        }
        29 | 30 => held_up(rng, at, until, faults),
        _ => match rng.u32(0..4) {
            0 => faults.push((at, Fault::Cancelled(monitor))),
            1 => faults.push((at, Fault::Wanted(monitor))),
            _ => faults.push((at, Fault::Ordered)),
        },
    }
}

/// A command is held up on its way to a server, which goes off before it has arrived and is back later.
fn held_up(rng: &mut Rng, at: u64, until: u64, faults: &mut Vec<(u64, Fault)>) {
    let (monitor, side) = (rng.usize(0..2), rng.usize(0..2));
    let off = (at + rng.u64(5_000..30_000)).min(until);
    let on = rng.u64(off..=until);
    faults.extend([
        (at, Fault::AtSend(monitor, AtSend::Cut(side))),
        (at, Fault::Dies(side, Service::Daemon)),
        (off, Fault::Off(side)),
        (on, Fault::On(side, rng.bool())),
        (until, Fault::Joined(Node::Monitor(monitor), Node::Server(side))),
    ]);
}

/// Something with etcd, or with the way to it.
fn of_etcd(rng: &mut Rng, at: u64, until: u64, faults: &mut Vec<(u64, Fault)>) {
    let monitor = rng.usize(0..2);
    let unaware = rng.u64(UNAWARE);
    match rng.u32(0..10) {
        0 => faults.extend([(at, Fault::NoQuorum), (until, Fault::Quorum)]),
        1 => {
            let until = until.min(at + rng.u64(100..10_000));
            faults.extend([(at, Fault::Unheard), (until, Fault::Heard)]);
        }
        2 => faults.push((at, Fault::Elected(unaware, monitor))),
        3 => {
            // Just when the members' leader is another one, the way to it is cut.
            let (one, other) = (Node::Monitor(monitor), Node::Etcd);
            faults.push((at, Fault::Elected(unaware, monitor)));
            faults.extend([(at, Fault::Cut(one, other)), (until, Fault::Joined(one, other))]);
        }
        4 | 5 => {
            let way = (Node::Monitor(monitor), Node::Etcd);
            let (one, other) = if rng.bool() { way } else { (way.1, way.0) };
            faults.extend([(at, Fault::Cut(one, other)), (until, Fault::Joined(one, other))]);
        }
        6 => faults.push((at, Fault::Wanted(monitor))),
        7 => faults.push((at, Fault::Forced(monitor))),
        _ => {
            // In the middle of a planned change, and what is said about it takes its time.
            let until = until.min(at + 20_000);
            faults.extend([(at, Fault::Ordered), (at, Fault::ForcedAtStep(monitor))]);
            faults.extend([(at, Fault::Slow(rng.u64(20..900))), (until, Fault::Slow(QUICK))]);
        }
    }
}

/// A place is cut from all others.
fn cut_off(one: Node, at: u64, until: u64, faults: &mut Vec<(u64, Fault)>) {
    for other in Node::ALL.into_iter().filter(|other| *other != one) {
        for (from, to) in [(one, other), (other, one)] {
            faults.extend([(at, Fault::Cut(from, to)), (until, Fault::Joined(from, to))]);
        }
    }
}

/// A place is cut from some others, in one direction or in both.
fn cut(rng: &mut Rng, at: u64, until: u64, faults: &mut Vec<(u64, Fault)>) {
    let one = Node::ALL[rng.usize(0..Node::ALL.len())];
    let all = rng.bool();
    let directions = rng.u32(0..3);
    for other in Node::ALL.into_iter().filter(|other| *other != one) {
        if !all && rng.bool() {
            continue;
        }
        for (from, to, wanted) in [(one, other, directions != 1), (other, one, directions != 2)] {
            if wanted {
                faults.extend([(at, Fault::Cut(from, to)), (until, Fault::Joined(from, to))]);
            }
        }
    }
}
