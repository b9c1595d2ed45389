#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::super::past::tests::{done, intended, past, plan};
use super::*;

const BY_WITNESSES: &str =
    "dm1/daemon cannot be asked: no SSH connection; dm2, dm3 find it gone as well";
const BY_ITSELF: &str = "dm1 says that daemon are stopped";
const BY_FENCING: &str = "dm1/daemon cannot be asked: no answer; dm1 was switched off by bmc-dm1";

/// A failover from 10 s on, whose confirmation was intended at 11 s, and that starts the daemon on dm2 at 20 s.
fn failover(detail: &str) -> Vec<(u64, Value)> {
    vec![
        (10_000, plan(1, &json!({"kind": "failover"}))),
        (11_000, intended(1, 0)),
        (12_000, done(1, 0, detail)),
        (20_000, intended(1, 1)),
    ]
}

/// What was seen if both daemons were: dm2's since 20 s.
fn both(by: By, start: u64) -> Seen {
    let process = |host, by, start| Process { host, service: "daemon", by, start };
    let processes = vec![process("dm1", by, start), process("dm2", By::Monitor, 20_050)];
    Seen { processes, pairs: [((0, 1), 20_100)].into(), ..Seen::default() }
}

fn cut(from: Host, to: Host, span: (u64, u64)) -> Span {
    Span { what: Blind::Cut(from, to), from: span.0, until: span.1 }
}

#[test]
fn two_sides_that_monitors_started_are_a_violation() {
    let sides = judge(&both(By::Monitor, 1_000), &past(&failover(BY_ITSELF)), &[]);
    assert_eq!(sides.violations.len(), 1, "{sides:?}");
    assert!(sides.violations[0].contains("dm1/daemon"), "{sides:?}");
    assert!(judge(&both(By::Monitor, 1_000), &Past::default(), &[]).violations.len() == 1);
}

#[test]
fn one_side_alone_is_none() {
    let seen = Seen { pairs: BTreeMap::new(), ..both(By::Monitor, 1_000) };
    assert_eq!(judge(&seen, &past(&failover(BY_ITSELF)), &[]), Sides::default());
}

#[test]
fn witnesses_excuse_only_what_every_one_of_them_could_not_see() {
    let seen = both(By::Monitor, 1_000);
    let whole = (5_000, 30_000);
    let [dm2, dm3] = [cut("dm1", "dm2", whole), cut("dm3", "dm1", whole)];
    let one = judge(&seen, &past(&failover(BY_WITNESSES)), &[dm2]);
    assert!(
        one.violations[0].contains("dm3 said that the other was gone, and could see it"),
        "{one:?}"
    );
    let all = judge(&seen, &past(&failover(BY_WITNESSES)), &[dm2, dm3]);
    assert_eq!((all.violations.len(), all.deceived), (0, 1), "{all:?}");
    let frozen = Span { what: Blind::Frozen("dm1"), from: 9_000, until: 15_000 };
    assert_eq!(judge(&seen, &past(&failover(BY_WITNESSES)), &[frozen]).deceived, 1);
    // What was long over, or came later, deceived nobody.
    for span in [(100, 900), (13_000, 30_000)] {
        let spans = [cut("dm1", "dm2", span), cut("dm3", "dm1", span)];
        let sides = judge(&seen, &past(&failover(BY_WITNESSES)), &spans);
        assert_eq!(sides.violations.len(), 1, "{span:?}: {sides:?}");
    }
}

#[test]
fn nothing_excuses_it_where_the_old_side_answered_or_was_switched_off() {
    let whole = (5_000, 30_000);
    let spans = [
        cut("dm1", "dm2", whole),
        cut("dm3", "dm1", whole),
        Span { what: Blind::Frozen("dm1"), from: 5_000, until: 30_000 },
    ];
    for detail in [BY_ITSELF, BY_FENCING] {
        let sides = judge(&both(By::Monitor, 1_000), &past(&failover(detail)), &spans);
        assert_eq!(sides.violations.len(), 1, "{detail}: {sides:?}");
    }
}

#[test]
fn what_others_start_is_a_stray_only_after_the_confirmation() {
    for (detail, start, excused) in [
        (BY_ITSELF, 11_500, true),
        (BY_ITSELF, 9_000, false),
        (BY_FENCING, 9_000, false),
        // What witnesses found counts for some seconds.
        (BY_WITNESSES, 9_000, true),
        (BY_WITNESSES, 1_000, false),
        // It came later than what the plan started.
        (BY_ITSELF, 25_000, true),
    ] {
        let sides = judge(&both(By::Others, start), &past(&failover(detail)), &[]);
        assert_eq!(sides.violations.is_empty(), excused, "{detail}, {start}: {sides:?}");
        assert_eq!(sides.strays, usize::from(excused), "{detail}, {start}");
    }
}

#[test]
fn a_rescue_beside_a_stray_is_none_and_beside_the_other_side_is() {
    let kind = json!({"kind": "rescue", "server": "dm2", "service": "daemon"});
    let rescue = [(10_000, plan(1, &kind)), (20_000, intended(1, 1))];
    assert!(judge(&both(By::Others, 1_000), &past(&rescue), &[]).violations.is_empty());
    assert_eq!(judge(&both(By::Monitor, 1_000), &past(&rescue), &[]).violations.len(), 1);
}

#[test]
fn a_start_that_a_deceived_server_goes_on_with_is_excused() {
    // A rescue of dm1's daemon stood still with it, while a failover took it for gone.
    let mut records = vec![
        (9_000, plan(1, &json!({"kind": "rescue", "server": "dm1", "service": "daemon"}))),
        (9_100, intended(1, 1)),
    ];
    let mut start = plan(1, &json!({"kind": "rescue", "server": "dm1", "service": "daemon"}));
    start["steps"][1]["act"]["server"] = json!("dm1");
    records[0].1 = start;
    for (at, event) in [
        (10_000, plan(2, &json!({"kind": "failover"}))),
        (11_000, intended(2, 0)),
        (12_000, done(2, 0, BY_WITNESSES)),
        (20_000, intended(2, 1)),
    ] {
        records.push((at, event));
    }
    let seen = both(By::Monitor, 22_000);
    let frozen = Span { what: Blind::Frozen("dm1"), from: 9_000, until: 21_000 };
    assert_eq!(judge(&seen, &past(&records), &[frozen]).deceived, 1);
    assert_eq!(judge(&seen, &past(&records), &[]).violations.len(), 1);
}

#[test]
fn lost_packets_excuse_a_witness_on_either_end() {
    let seen = both(By::Monitor, 1_000);
    let lossy = |host| Span { what: Blind::Lossy(host), from: 5_000, until: 15_000 };
    let judged = |spans: &[Span]| judge(&seen, &past(&failover(BY_WITNESSES)), spans);
    assert_eq!(judged(&[lossy("dm1")]).deceived, 1);
    assert_eq!(judged(&[lossy("dm2"), lossy("dm3")]).deceived, 1);
    assert_eq!(judged(&[lossy("dm2")]).violations.len(), 1);
}

/// Or everything would be excused, or nothing, on the day on which the engine says it differently.
#[test]
fn words_that_are_not_understood_fail_the_run() {
    let seen = Seen { pairs: BTreeMap::new(), ..both(By::Monitor, 1_000) };
    let sides = judge(&seen, &past(&failover("the moon says that it is gone")), &[]);
    assert!(sides.violations[0].contains("the moon says"), "{sides:?}");
}
