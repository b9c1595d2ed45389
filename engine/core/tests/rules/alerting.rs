use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::alerting::{Alert, AlertBook, Claimed, Fingerprint, Notification, Outbox};
use watchkeeper_core::model::{ReceiverName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};

use crate::world::cluster;

fn claimed(source: &str, name: &str, severity: Severity, summary: &str) -> Claimed {
    Claimed {
        source: source.to_owned(),
        claim: AlertClaim {
            name: name.to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary: summary.to_owned(),
            labels: BTreeMap::new(),
        },
    }
}

/// Applies what a set of claims changes, as the fold does; says what fired and what was resolved.
fn tell(
    book: &mut AlertBook,
    claims: &[Claimed],
    silent: &[&str],
    at: u64,
) -> (Vec<String>, Vec<String>) {
    let silent: BTreeSet<String> = silent.iter().map(ToString::to_string).collect();
    let changes = book.compare(Some(&cluster()), claims, &silent, Timestamp(at));
    let name = |alert: &Alert| alert.claim.name.clone();
    let told =
        (changes.fired.iter().map(name).collect(), changes.resolved.iter().map(name).collect());
    assert!(changes.resolved.iter().all(|alert| alert.ends_at == Some(Timestamp(at))));
    for alert in &changes.resolved {
        book.resolve(&alert.fingerprint);
    }
    for alert in changes.fired {
        book.fire(alert);
    }
    told
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn an_alert_fires_once_is_resolved_once_and_can_come_back() {
    let mut book = AlertBook::default();
    let lag = |summary: &str| claimed("a", "lag", Severity::Warning, summary);
    assert_eq!(tell(&mut book, &[lag("5 MB")], &[], 1), (names(&["lag"]), names(&[])));
    assert_eq!(tell(&mut book, &[lag("6 MB"), lag("6 MB")], &[], 2), (names(&[]), names(&[])));
    assert_eq!(tell(&mut book, &[], &[], 3), (names(&[]), names(&["lag"])));
    assert_eq!(tell(&mut book, &[], &[], 4), (names(&[]), names(&[])));
    assert_eq!(tell(&mut book, &[lag("7 MB")], &[], 5), (names(&["lag"]), names(&[])));
    assert_eq!(book.firing().next().unwrap().starts_at, Timestamp(5));
}

#[test]
fn an_alert_that_grows_worse_is_told_again_and_keeps_its_beginning() {
    let mut book = AlertBook::default();
    let lag = |severity| claimed("a", "lag", severity, "lag");
    tell(&mut book, &[lag(Severity::Warning)], &[], 1);
    assert_eq!(tell(&mut book, &[lag(Severity::Critical)], &[], 2).0, names(&["lag"]));
    let alert = book.firing().next().unwrap();
    assert_eq!((alert.claim.severity, alert.starts_at), (Severity::Critical, Timestamp(1)));
    assert_eq!(tell(&mut book, &[lag(Severity::Info)], &[], 3), (names(&[]), names(&[])));
    assert_eq!(tell(&mut book, &[lag(Severity::Critical)], &[], 4), (names(&[]), names(&[])));
}

#[test]
fn a_silent_source_resolves_nothing() {
    let mut book = AlertBook::default();
    let (a, b) = (claimed("a", "x", Severity::Info, "x"), claimed("b", "y", Severity::Info, "y"));
    tell(&mut book, &[a.clone(), b], &[], 1);
    assert_eq!(tell(&mut book, &[], &["a"], 2), (names(&[]), names(&["y"])));
    assert_eq!(tell(&mut book, &[a], &[], 3), (names(&[]), names(&[])));
    assert_eq!(tell(&mut book, &[], &[], 4), (names(&[]), names(&["x"])));
}

#[test]
fn identity_is_all_but_severity_code_and_summary() {
    let base = claimed("a", "x", Severity::Info, "x");
    let of = |cluster, one: &Claimed| Fingerprint::of(cluster, &one.source, &one.claim);
    let cluster = cluster();
    let same = |change: &dyn Fn(&mut Claimed)| {
        let mut other = base.clone();
        change(&mut other);
        of(Some(&cluster), &other) == of(Some(&cluster), &base)
    };
    assert!(same(&|one| one.claim.summary = "other".to_owned()));
    assert!(same(&|one| one.claim.severity = Severity::Critical));
    assert!(same(&|one| one.claim.code = "4604001".to_owned()));
    assert!(!same(&|one| one.claim.name = "y".to_owned()));
    assert!(!same(&|one| one.source = "b".to_owned()));
    assert!(!same(&|one| one.claim.server = Some(crate::world::name("dm1"))));
    assert!(!same(&|one| {
        one.claim.labels.insert("guard".to_owned(), "standby".to_owned());
    }));
    assert_ne!(of(None, &base), of(Some(&cluster), &base));
    // The value is part of the journal's format.
    assert_eq!(of(Some(&cluster), &base).as_str(), "3624a52915df6e16");
}

fn notification(id: u64, receiver: &str, name: &str) -> Notification {
    let Claimed { source, claim } = claimed("a", name, Severity::Info, "x");
    Notification {
        id,
        receiver: ReceiverName::new(receiver).unwrap(),
        cluster: None,
        alert: Alert {
            fingerprint: Fingerprint::of(None, &source, &claim),
            source,
            claim,
            details: String::new(),
            starts_at: Timestamp(1),
            ends_at: None,
        },
        queued: Timestamp(10),
        tries: 0,
        due: Timestamp(10),
        problem: None,
        dead: false,
    }
}

fn due(outbox: &Outbox, now: u64) -> Vec<u64> {
    outbox.due(Timestamp(now)).iter().map(|entry| entry.id).collect()
}

#[test]
fn a_resolution_waits_for_its_alert_and_for_nothing_else() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.next_due(), None);
    for (id, receiver, name) in [(0, "ops", "x"), (1, "ops", "x"), (2, "ops", "y"), (3, "log", "x")]
    {
        outbox.queue(notification(id, receiver, name));
    }
    assert_eq!(outbox.next_id(), 4);
    assert!(due(&outbox, 9).is_empty());
    assert_eq!(due(&outbox, 10), [0, 2, 3]);
    outbox.tried(0, "refused".to_owned(), Timestamp(50));
    assert_eq!(due(&outbox, 20), [2, 3]);
    outbox.delivered(2);
    outbox.delivered(3);
    // What waits behind another is not what is next, or the outbox would be asked in a loop.
    assert_eq!(outbox.next_due(), Some(Timestamp(50)));
    assert_eq!(due(&outbox, 50), [0]);
    outbox.delivered(0);
    assert_eq!((due(&outbox, 50), outbox.next_due()), (vec![1], Some(Timestamp(10))));
}

#[test]
fn a_dead_notification_stays_visible_and_holds_up_nothing() {
    let mut outbox = Outbox::default();
    outbox.queue(notification(0, "ops", "x"));
    outbox.queue(notification(1, "ops", "x"));
    outbox.tried(0, "refused".to_owned(), Timestamp(50));
    outbox.died(0, "gone".to_owned());
    assert_eq!(due(&outbox, 10), [1]);
    assert_eq!(outbox.next_due(), Some(Timestamp(10)));
    outbox.delivered(1);
    let left = outbox.entries().next().unwrap();
    assert!(left.dead && left.tries == 2 && left.problem.as_deref() == Some("gone"));
    assert_eq!(outbox.next_due(), None);
    // News of what is not there is no error: the journal may name what was delivered long ago.
    outbox.tried(9, String::new(), Timestamp(1));
    outbox.died(9, String::new());
    outbox.delivered(9);
    assert_eq!(outbox.entries().count(), 1);
}
