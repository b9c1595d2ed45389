use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::alerting::{Alert, AlertBook, Claimed, Fingerprint};
use watchkeeper_core::model::Timestamp;
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
