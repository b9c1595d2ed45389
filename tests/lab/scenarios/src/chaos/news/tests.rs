#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::super::past::tests::past;
use super::*;

const ALERT: &str = "00000000000000aa";

fn alert() -> Value {
    json!({"fingerprint": ALERT, "source": "data-mover-ha", "name": "failover", "severity": "critical", "summary": "", "starts_at": 1})
}

fn fired() -> Value {
    let mut event = json!({"event": "alert-fired"});
    event.as_object_mut().unwrap().extend(alert().as_object().unwrap().clone());
    event
}

fn over() -> Value {
    json!({"event": "alert-resolved", "fingerprint": ALERT})
}

fn made(id: u64, ended: bool) -> Value {
    let mut alert = alert();
    if ended {
        alert["ends_at"] = json!(2);
    }
    alert["news"] = json!(true);
    let group = json!({"route": "/{}", "labels": {"fingerprint": ALERT}});
    json!({"event": "notification-made", "id": id, "receiver": "ops", "group": group, "cause": "first", "alerts": [alert]})
}

fn taken(id: u64, at: u64) -> Taken {
    Taken { monitor: "vp1", key: format!("0a1b-{id}"), at, unwritable: false }
}

/// An alert that began and is over, and was told so.
fn whole() -> Vec<(u64, Value)> {
    vec![(1, fired()), (2, made(0, false)), (3, over()), (4, made(1, true))]
}

fn violations(records: &[(u64, Value)], taken: &[Taken], gone: &[Gone]) -> Vec<String> {
    judge(&past(records), taken, gone).violations
}

#[test]
fn what_was_told_and_came_once_is_well() {
    let news = judge(&past(&whole()), &[taken(0, 10), taken(1, 20)], &[]);
    assert_eq!(news, News { notifications: 2, ..News::default() });
}

#[test]
fn a_notification_that_never_came_is_missing() {
    assert_eq!(
        violations(&whole(), &[taken(0, 10)], &[]),
        ["notification 1 of vp1 never reached its receiver"]
    );
}

#[test]
fn an_alert_that_nobody_was_to_be_told_of_is_missing() {
    let found = violations(&[(1, fired())], &[], &[]);
    assert!(found.len() == 1 && found[0].contains("no receiver was to be told"), "{found:?}");
    let untold = json!({"event": "alert-untold", "fingerprint": ALERT, "why": "nobody wants it"});
    assert!(
        violations(&[(1, fired()), (2, over()), (3, untold)], &[], &[])[0].contains("not told")
    );
}

#[test]
fn one_that_was_over_before_it_could_be_told_is_told_once() {
    let records = [(1, fired()), (2, over()), (3, made(0, true))];
    assert_eq!(violations(&records, &[taken(0, 10)], &[]), [""; 0]);
    assert_eq!(violations(&records, &[], &[]).len(), 1);
}

#[test]
fn an_end_that_nobody_was_told_is_missing() {
    let found = violations(&[(1, fired()), (2, made(0, false)), (3, over())], &[taken(0, 10)], &[]);
    assert!(found.len() == 1 && found[0].contains("the last word"), "{found:?}");
}

#[test]
fn one_that_came_twice_needs_a_reason_with_the_same_key() {
    let twice = [taken(0, 5_000), taken(0, 9_000), taken(1, 10_000)];
    let found = violations(&whole(), &twice, &[]);
    assert!(found.len() == 1 && found[0].contains("came twice"), "{found:?}");
    let gone = |monitor, from, until| [Gone { monitor, from, until }];
    for (gone, excused) in [
        (gone("vp1", 6_000, 8_000), true),
        (gone("vp1", 4_000, 4_500), true),
        (gone("vp1", 1_000, 2_000), false),
        (gone("vp1", 9_500, 9_900), false),
        (gone("vp2", 6_000, 8_000), false),
    ] {
        let news = judge(&past(&whole()), &twice, &gone);
        assert_eq!(news.violations.is_empty(), excused, "{gone:?}: {news:?}");
        assert_eq!(news.doubled, usize::from(excused), "{gone:?}");
    }
    let mut other = twice.to_vec();
    other[1].key = "ffff-0".to_owned();
    assert!(violations(&whole(), &other, &gone("vp1", 6_000, 8_000))[0].contains("has keys"));
}

#[test]
fn the_same_news_in_two_notifications_is_doubled() {
    let mut records = whole();
    records.insert(2, (2, made(7, false)));
    let found = violations(&records, &[taken(0, 10), taken(7, 11), taken(1, 20)], &[]);
    assert!(found.len() == 1 && found[0].contains("told 2 and 1 times"), "{found:?}");
}

#[test]
fn what_was_given_up_or_never_made_is_told() {
    let dead = json!({"event": "notification-dead", "id": 0, "problem": "refused"});
    let mut records = whole();
    records.push((5, dead));
    let came = [taken(0, 10), taken(1, 20), taken(9, 30)];
    let found = violations(&records, &came, &[]);
    assert_eq!(
        found,
        [
            "notification 0 of vp1 was given up: refused",
            "vp1 never made notification 9, which came"
        ]
    );
}

#[test]
fn that_nothing_can_be_recorded_is_told_once_and_is_in_no_journal() {
    let unwritable = Taken { unwritable: true, ..taken(99, 15) };
    let mut came = vec![taken(0, 10), unwritable.clone(), taken(1, 20)];
    let news = judge(&past(&whole()), &came, &[]);
    assert_eq!((news.violations.len(), news.unwritable.len()), (0, 1), "{news:?}");
    came.push(unwritable);
    assert!(violations(&whole(), &came, &[])[0].contains("said so twice"));
}
