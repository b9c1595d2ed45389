//! A good evaluation, and each way in which a policy can misbehave: contained, named, and without
//! effect on the next.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{evaluate, host, hostile, misbehave, policy, snapshot};
use watchkeeper_core::proposal::{Action, FailureKind, Grant};
use watchkeeper_core::snapshot::{Filter, Place, Read, Statuses};
use watchkeeper_guests::guest_bytes;
use watchkeeper_wasm::{Host, HostConfig, Limits, LogLevel};

#[test]
fn a_good_policy_says_what_it_saw_and_what_it_read_is_known() {
    let description = policy().description();
    assert_eq!(description.name, "hostile");
    assert_eq!(description.needs, BTreeSet::from([Grant::Rescue, Grant::Alert]));
    assert_eq!(policy().revision().version, "0.1.0");
    assert_eq!(policy().revision().digest.len(), 64);

    let evaluated = misbehave("nothing");
    let answer = evaluated.outcome.unwrap();
    assert_eq!(answer.proposals.len(), 1);
    assert!(
        matches!(&answer.proposals[0].action, Action::Rescue(id) if id.to_string() == "dm1/daemon")
    );
    assert_eq!(answer.alerts[0].name, "service-down");
    assert_eq!(answer.alerts[0].summary, "seen by ssh");
    assert_eq!(answer.alerts[0].labels["team"], "dm");
    assert_eq!(answer.state, b"state!");
    assert_eq!(answer.notes, ["prod has 1 down"]);
    assert_eq!(
        evaluated.reads,
        BTreeSet::from([
            Read::Cluster,
            Read::Services(Filter {
                place: Some(Place::Active),
                service: None,
                statuses: Statuses { up: false, down: true, unknown: false },
                expected: Some(true),
            }),
        ])
    );
    assert_eq!((evaluated.log.len(), evaluated.dropped_lines), (0, 0));
}

/// For tools that give back what was lent only after the answer, there is a world in which nothing is lent.
#[test]
fn a_policy_of_the_other_world_keeps_the_snapshot() {
    let policy = host().load_policy(&guest_bytes("guest-keeping")).unwrap();
    for number in 1..=50 {
        let evaluated = policy.evaluate(&snapshot(number), &[], &[]);
        assert_eq!(evaluated.outcome.unwrap().notes, ["1700000000123"]);
        assert_eq!(evaluated.reads, BTreeSet::from([Read::Time]));
    }
}

/// Each misdeed, how it is named, and words that have to be in the explanation.
const MISDEEDS: [(&str, FailureKind, &str); 17] = [
    ("panic", FailureKind::Trap, "this policy panics on purpose"),
    ("exit", FailureKind::Trap, "ended itself (exit"),
    ("loop", FailureKind::Deadline, "time"),
    ("memory", FailureKind::Memory, "bytes of memory"),
    ("stack", FailureKind::Stack, "bytes of stack"),
    ("giant-text", FailureKind::Result, "handed over more than 1048576 bytes"),
    ("large-text", FailureKind::Result, "a note has 65536 bytes"),
    ("many-notes", FailureKind::Result, "10001 notes|10000 notes"),
    ("large-state", FailureKind::Result, "its state has 307200 bytes"),
    ("calls", FailureKind::HostCalls, "more than 20000 times"),
    ("refuse", FailureKind::Refused, "the moon is in the wrong phase"),
    ("server", FailureKind::Invalid, "\"dm9\""),
    ("service", FailureKind::Invalid, "daemon on dm3"),
    ("grant", FailureKind::Invalid, "failover"),
    ("hold", FailureKind::Invalid, "hold"),
    ("alert-name", FailureKind::Invalid, "\"Not A Name\""),
    ("alert-server", FailureKind::Invalid, "\"dm9\""),
];

#[test]
fn each_misdeed_is_named_and_harms_nobody_else() {
    for (misdeed, kind, words) in MISDEEDS {
        let evaluated = misbehave(misdeed);
        let failure = evaluated.outcome.expect_err(misdeed);
        assert_eq!(failure.kind, kind, "{misdeed}: {failure}");
        assert!(
            words.split('|').any(|words| failure.detail.contains(words)),
            "{misdeed}: {failure}"
        );
        assert!(!evaluated.reads.is_empty(), "{misdeed}: what it read is known all the same");
        let next = misbehave("nothing").outcome;
        assert_eq!(next.expect(misdeed).notes, ["prod has 1 down"], "after {misdeed}");
    }
}

#[test]
fn floods_of_lines_are_cut_and_counted_and_the_answer_stands() {
    let limit = Limits::default().log_lines;
    for (misdeed, total) in [("log", 5_000), ("print", 2_000)] {
        let evaluated = misbehave(misdeed);
        assert!(evaluated.outcome.is_ok(), "{misdeed}: {:?}", evaluated.outcome);
        assert_eq!(evaluated.log.len(), limit);
        assert_eq!(evaluated.log[1].text, "line 1");
        assert_eq!(evaluated.log[1].level, LogLevel::Info);
        assert_eq!(evaluated.dropped_lines, total - limit as u64, "{misdeed}");
    }
}

#[test]
fn texts_come_out_without_control_characters_and_looking_again_has_a_floor() {
    let answer = misbehave("terminal").outcome.unwrap();
    assert_eq!(answer.notes[1], "a [31mb c");
    let answer = misbehave("busy").outcome.unwrap();
    assert_eq!(answer.look_again_ms, Some(100));
}

#[test]
fn the_world_is_the_same_at_every_replay() {
    let look = |number| evaluate(policy(), "world", number);
    let first = look(7);
    assert!(first.reads.contains(&Read::Time), "the clock is the snapshot's, so it was read");
    let first = first.outcome.unwrap();
    assert_eq!(first.notes[1], "1700000000123");
    assert_eq!(first.notes[3], "0 variables, 0 arguments");
    assert_eq!(look(7).outcome.unwrap(), first);
    assert_ne!(look(8).outcome.unwrap().notes[2], first.notes[2], "the seed is the number's");
}

#[test]
fn state_is_taken_over_or_the_reason_is_said() {
    assert_eq!(policy().migrate("0.0.9", b"old").outcome.unwrap(), b"old moved");
    let refused = policy().migrate("3.0.0", b"old").outcome.unwrap_err();
    assert_eq!((refused.kind, &*refused.detail), (FailureKind::Refused, "3.0.0 is not known"));
    let trapped = policy().migrate("0.0.1", b"old").outcome.unwrap_err();
    assert_eq!(trapped.kind, FailureKind::Trap);
}

#[test]
fn others_evaluate_while_one_loops() {
    let looping = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let failure = misbehave("loop").outcome.unwrap_err();
                assert_eq!(failure.kind, FailureKind::Deadline);
            }
            looping.store(false, Ordering::SeqCst);
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let mut good = 0;
                while looping.load(Ordering::SeqCst) || good == 0 {
                    assert!(misbehave("nothing").outcome.is_ok());
                    good += 1;
                }
            });
        }
    });
}

#[test]
fn more_callers_than_slots_wait_for_each_other() {
    let config = HostConfig { calls_at_once: 1, ..HostConfig::default() };
    let host = Host::new(config).unwrap();
    let policy = Arc::new(host.load_policy(hostile()).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(evaluate(&policy, "nothing", 1).outcome.is_ok());
                }
            });
        }
    });
}

#[test]
fn a_policy_outlives_its_host_and_wrong_settings_are_its_own_affair() {
    let host = Host::new(HostConfig::default()).unwrap();
    let policy = host.load_policy(hostile()).unwrap();
    drop(host);
    assert!(evaluate(&policy, "nothing", 1).outcome.is_ok());
    let failure = policy.evaluate(&snapshot(1), &[], b"").outcome.unwrap_err();
    assert_eq!((failure.kind, &*failure.detail), (FailureKind::Refused, "there is no setting"));
}

#[test]
fn instances_come_from_a_pool_here() {
    assert!(host().pooled() || std::fs::read_to_string("/proc/self/limits").is_err());
}
