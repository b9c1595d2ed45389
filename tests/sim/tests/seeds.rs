//! Many seeds, and stories that each seed would rarely tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use watchkeeper_core::model::Service;
use watchkeeper_core::plan::Proof;
use watchkeeper_sim::checks::Counts;
use watchkeeper_sim::faults::{AtSend, Fault};
use watchkeeper_sim::run::{Report, play, run};
use watchkeeper_sim::setting::Setting;
use watchkeeper_sim::world::Node;

/// How many seeds `make test` runs.
const SEEDS: u64 = 2_000;

#[test]
fn whatever_goes_wrong_one_side_is_active_and_in_the_end_one_serves() {
    let seeds = std::env::var("WATCHKEEPER_SEEDS").map_or(SEEDS, |text| text.parse().unwrap());
    let next = AtomicU64::new(0);
    let all = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let report = run(seed, false);
                    let mut all = all.lock().unwrap();
                    all.0 = all.0.and(report.counts);
                    all.1.extend(report.violation.map(|violation| format!("{seed}: {violation}")));
                }
            });
        }
    });
    let (counts, failed) = all.into_inner().unwrap();
    println!("{counts:?}");
    assert!(
        failed.is_empty(),
        "{} of {seeds} failed; `cargo run -p watchkeeper-sim -- --seed N` tells the story: {}",
        failed.len(),
        failed.join("\n")
    );
    // A simulation in which nothing happens shows nothing.
    assert!(counts.changes > seeds / 20, "{counts:?}");
    assert!(counts.handovers > seeds / 20, "{counts:?}");
    assert!(counts.fenced > seeds / 40, "{counts:?}");
}

/// The same seed is the same run, to the last word.
#[test]
fn a_seed_tells_the_same_story_each_time() {
    let mut lines = 0;
    for seed in 0..20 {
        let (one, two) = (run(seed, true), run(seed, true));
        assert_eq!(one.story, two.story);
        lines += one.story.lines().count();
    }
    assert!(lines > 500, "{lines}");
}

fn told(proof: Proof, faults: Vec<(u64, Fault)>) -> Report {
    told_with(Setting::of(proof), faults)
}

fn told_with(setting: Setting, faults: Vec<(u64, Fault)>) -> Report {
    let report = play(1, setting, faults, true);
    println!("{}", report.story);
    assert_eq!(report.violation, None);
    report
}

/// The ways of dm1 to all others, as faults at a moment.
fn alone(at: u64, fault: fn(Node, Node) -> Fault) -> Vec<(u64, Fault)> {
    let dm1 = Node::Server(0);
    let others = Node::ALL.into_iter().filter(|node| *node != dm1);
    others.flat_map(|other| [(at, fault(dm1, other)), (at, fault(other, dm1))]).collect()
}

/// A start that was sent to dm1 just before it was cut off is still on its way while dm2 takes over; it
/// arrives when the way is free again.
#[test]
fn a_command_that_was_held_up_on_its_way_starts_nothing_beside_the_other_side() {
    for cut in 0..40 {
        let at = 31_000 + cut * 100;
        let exclusive = Service::ALL.into_iter().filter(|service| service.exclusive());
        let mut faults: Vec<_> =
            exclusive.map(|service| (30_000, Fault::Dies(0, service))).collect();
        faults.extend(alone(at, Fault::Cut));
        faults.extend(alone(at + 95_000, Fault::Joined));
        told(Proof::Witnesses(2), faults);
    }
}

const FENCE: Proof = Proof::Fence { within_ms: 20_000 };

/// A server that stands still answers nobody and may go on at any moment: switched off, it does not.
#[test]
fn a_server_that_stands_still_is_switched_off_before_the_other_side_starts() {
    for moment in 0..20 {
        let at = 30_000 + moment * 317;
        let faults = vec![(at, Fault::Freezes(0)), (at + 60_000, Fault::Thaws(0))];
        let report = told(FENCE, faults);
        let counts = report.counts;
        assert_eq!((counts.fenced, counts.deceived, counts.changes), (1, 0, 1), "{counts:?}");
    }
}

#[test]
fn without_fence_agents_that_work_no_side_starts() {
    let faults =
        vec![(20_000, Fault::Unfenced(0)), (30_000, Fault::Freezes(0)), (100_000, Fault::Thaws(0))];
    let counts = told(FENCE, faults).counts;
    assert_eq!((counts.fenced, counts.changes), (0, 0), "{counts:?}");
}

/// The monitor could reach neither side, and decides on the first thing that it hears when it can: what
/// dm1 says of itself then is heard before it is fenced.
#[test]
fn a_server_that_answers_again_and_serves_is_not_fenced() {
    let vp1 = Node::Monitor(0);
    for moment in 0..40 {
        let until = 100_000 + moment * 53;
        let mut faults = vec![(20_000, Fault::Killed(1))];
        for server in [0, 1].map(Node::Server) {
            for (one, other) in [(vp1, server), (server, vp1)] {
                faults.push((30_000, Fault::Cut(one, other)));
                faults.push((until, Fault::Joined(one, other)));
            }
        }
        let counts = told(FENCE, faults).counts;
        assert_eq!((counts.fenced, counts.changes), (0, 0), "{counts:?}");
    }
}

/// The duty is shared through etcd, and dm1 goes off: whichever monitor has it begins a failover.
fn through_etcd(faults: Vec<(u64, Fault)>) -> Counts {
    let setting = Setting { etcd: true, ..Setting::of(Proof::Witnesses(2)) };
    let lost = [(30_000, Fault::Off(0)), (140_000, Fault::On(0, true))];
    told_with(setting, faults.into_iter().chain(lost).collect()).counts
}

/// It says that it is sure of the duty, and etcd is asked before each step all the same.
#[test]
fn who_is_passed_over_by_force_in_a_failover_sends_nothing_more() {
    for moment in 0..80 {
        let faults = [0, 1].map(|monitor| (34_000 + moment * 53, Fault::Forced(monitor)));
        let counts = through_etcd(faults.into());
        assert_eq!((counts.changes, counts.operators), (1, 0), "{counts:?}");
    }
}

/// The lease ends in etcd while the monitor cannot hear that, just after another of etcd's members leads
/// and the one before it went on renewing it.
#[test]
fn a_monitor_that_etcd_cannot_be_asked_by_has_stopped_before_another_goes_on() {
    for moment in 0..40 {
        let at = 31_000 + moment * 157;
        for monitor in [0, 1] {
            let (from, to) = (Node::Monitor(monitor), Node::Etcd);
            let mut one = vec![(at, Fault::Elected(6_000, monitor))];
            one.extend([(at, Fault::Cut(to, from)), (at + 700, Fault::Cut(from, to))]);
            one.extend([(at + 30_000, Fault::Joined(to, from))]);
            one.extend([(at + 30_000, Fault::Joined(from, to))]);
            let counts = through_etcd(one);
            assert_eq!((counts.changes, counts.operators), (1, 0), "{counts:?}");
            let counts = through_etcd(vec![
                (at, Fault::Elected(6_000, monitor)),
                (at, Fault::Unheard),
                (at + 9_000, Fault::Heard),
            ]);
            assert_eq!((counts.changes, counts.operators), (1, 0), "{counts:?}");
        }
    }
}

/// A monitor that stands still is taken for gone, and another one takes the duty. When it goes on it sends the command
/// that it had in its hands: the mark of the later term refuses it.
#[test]
fn a_command_that_was_in_the_hands_of_a_monitor_that_stood_still_is_refused() {
    let setting = Setting { etcd: true, ..Setting::of(Proof::Witnesses(2)) };
    let mut refused = 0;
    for moment in 0..20 {
        let at = 30_000 + moment * 317;
        for monitor in [0, 1] {
            let faults = vec![
                (at, Fault::AtSend(monitor, AtSend::Pauses)),
                (at, Fault::Dies(0, Service::Daemon)),
                (at + 60_000, Fault::GoesOn(monitor)),
            ];
            let report = told_with(setting, faults);
            assert_eq!((report.counts.changes, report.counts.operators), (0, 0));
            let (stands, goes_on) = ("a command in its hands", "comes to nothing: term ");
            let late = report.story.split_once(stands).map(|(_, after)| after.contains(goes_on));
            assert_ne!(late, Some(false), "it was obeyed");
            refused += u32::from(late.is_some());
        }
    }
    assert!(refused >= 20, "whoever has the duty, each time: {refused}");
}
