//! Who is told of what, when: routes, groups, silences, inhibition, escalation.

use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::alerting::{
    Alert, Escalation, Filter, Fingerprint, Grouping, Inhibition, Matcher, Route, Routing, Silence,
    SilenceId, Told, due,
};
use watchkeeper_core::event::{Event, Made, Record, of_due};
use watchkeeper_core::model::{ClusterName, ReceiverName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::state::State;

use crate::world::Dice;

const SECOND: u64 = 1_000;

fn receiver(name: &str) -> ReceiverName {
    ReceiverName::new(name).unwrap()
}

fn filters(names: &[&str]) -> BTreeMap<ReceiverName, Filter> {
    let all = || Filter { min_severity: Severity::Info, clusters: BTreeSet::new() };
    names.iter().map(|name| (receiver(name), all())).collect()
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn by(labels: &[&str], wait: u64, interval: u64, repeat: Option<u64>) -> Grouping {
    let by = Some(labels.iter().map(ToString::to_string).collect());
    Grouping {
        by,
        wait: wait * SECOND,
        interval: interval * SECOND,
        repeat: repeat.map(|it| it * SECOND),
    }
}

fn route(to: &str, on: &[&str], grouping: Grouping, routes: Vec<Route>) -> Route {
    let receiver = (!to.is_empty()).then(|| receiver(to));
    Route { matchers: matchers(on), receiver, grouping, goes_on: false, routes }
}

/// Everybody hears of everything in one tree with that root.
fn routing(receivers: &[&str], root: Route) -> Routing {
    Routing { root, ..Routing::to_all(filters(receivers)) }
}

/// A journal that only alerting writes to, at a time of its own.
struct Desk {
    state: State,
    routing: Routing,
    now: u64,
    told: Vec<Made>,
    untold: Vec<String>,
    next: Option<u64>,
}

impl Desk {
    fn new(routing: Routing) -> Self {
        let (told, untold) = (Vec::new(), Vec::new());
        Self { state: State::default(), routing, now: 0, told, untold, next: None }
    }

    fn write(&mut self, cluster: Option<ClusterName>, event: Event) {
        let (seq, at) = (self.state.seq + 1, Timestamp(self.now));
        self.state.apply(&Record { seq, at, cluster, event }).unwrap();
    }

    fn fire(&mut self, cluster: &str, name: &str, severity: Severity) {
        let mut alert = alert(cluster, name, severity, self.now);
        if let Some((_, known)) = self.state.alert(&alert.fingerprint) {
            alert.starts_at = known.starts_at;
        }
        self.write(Some(ClusterName::new(cluster).unwrap()), Event::AlertFired(alert));
    }

    fn resolve(&mut self, cluster: &str, name: &str) {
        let fingerprint = alert(cluster, name, Severity::Info, 0).fingerprint;
        let event = Event::AlertResolved { fingerprint, details: String::new() };
        self.write(Some(ClusterName::new(cluster).unwrap()), event);
    }

    fn silence(&mut self, number: u64, on: &[&str], from: u64, until: u64) {
        let silence = Silence {
            id: SilenceId::of(&format!("vp1-{number}")),
            matchers: matchers(on),
            starts_at: Timestamp(from * SECOND),
            ends_at: Timestamp(until * SECOND),
            by: "ada".to_owned(),
            comment: "patches".to_owned(),
        };
        self.write(None, Event::SilenceSet(silence));
    }

    /// At that second what is due is told; gives it, and records it.
    fn at(&mut self, second: u64) -> Vec<String> {
        self.now = second * SECOND;
        let due = due(&self.state.scene(&self.routing, Timestamp(self.now)));
        self.next = due.next.map(|at| at.0 / SECOND);
        let mut said = Vec::new();
        for (cluster, event) in of_due(due, self.state.post.outbox.next_id()) {
            match &event {
                Event::NotificationMade(made) => {
                    said.push(in_words(made));
                    self.told.push(made.as_ref().clone());
                }
                Event::AlertUntold { why, .. } => self.untold.push(why.clone()),
                other => panic!("{other:?}"),
            }
            self.write(cluster, event);
        }
        let again = due_again(self);
        assert!(again.tellings.is_empty() && again.untold.is_empty(), "told twice: {again:?}");
        said.sort();
        said
    }

    fn deliver_all(&mut self) {
        let ids: Vec<u64> = self.state.post.outbox.entries().map(|entry| entry.id).collect();
        for id in ids {
            self.write(None, Event::NotificationDelivered { id, memory: Vec::new() });
        }
    }
}

fn due_again(desk: &Desk) -> watchkeeper_core::alerting::Due {
    due(&desk.state.scene(&desk.routing, Timestamp(desk.now)))
}

/// `ops first: +lag disk -old`: who, why, what is news or over, what is known.
fn in_words(made: &Made) -> String {
    let one = |it: &watchkeeper_core::alerting::Subject| {
        let sign = match (it.alert.ends_at, it.news) {
            (Some(_), _) => "-",
            (None, true) => "+",
            (None, false) => "",
        };
        format!("{sign}{}", it.alert.claim.name)
    };
    let alerts: Vec<_> = made.alerts.iter().map(one).collect();
    format!("{} {}: {}", made.receiver, made.cause, alerts.join(" "))
}

fn alert(cluster: &str, name: &str, severity: Severity, at: u64) -> Alert {
    let claim = AlertClaim {
        name: name.to_owned(),
        severity,
        server: None,
        service: None,
        code: String::new(),
        summary: format!("{name} of {cluster}"),
        labels: BTreeMap::new(),
    };
    let cluster = ClusterName::new(cluster).unwrap();
    Alert {
        fingerprint: Fingerprint::of(Some(&cluster), "engine", &claim),
        source: "engine".to_owned(),
        claim,
        details: String::new(),
        starts_at: Timestamp(at),
        ends_at: None,
        acknowledged: None,
    }
}

use Severity::{Critical, Info, Warning};

#[test]
fn without_routes_each_receiver_hears_of_each_alert_by_itself_at_once() {
    let mut routing = Routing::to_all(filters(&["log", "ops"]));
    routing.filters.get_mut(&receiver("ops")).unwrap().min_severity = Warning;
    let mut desk = Desk::new(routing);
    desk.fire("prod", "lag", Warning);
    desk.fire("prod", "note", Info);
    assert_eq!(desk.at(0), ["log first: +lag", "log first: +note", "ops first: +lag"]);
    desk.fire("prod", "lag", Critical);
    assert_eq!(desk.at(1), ["log news: +lag", "ops news: +lag"]);
    desk.resolve("prod", "lag");
    desk.resolve("prod", "note");
    assert_eq!(desk.at(2), ["log over: -lag", "log over: -note", "ops over: -lag"]);
    assert!(desk.untold.is_empty() && desk.next.is_none());
    let groups: BTreeSet<_> =
        desk.told.iter().map(|made| made.group.digest(&made.receiver)).collect();
    assert_eq!(groups.len(), 3, "an alert keeps its group from its beginning to its end");
}

#[test]
fn a_group_waits_then_tells_its_news_at_its_interval_and_repeats_itself() {
    let root = route("ops", &[], by(&["cluster"], 10, 60, Some(600)), vec![]);
    let mut desk = Desk::new(routing(&["ops"], root));
    desk.fire("prod", "lag", Warning);
    assert_eq!(desk.at(0), [""; 0]);
    assert_eq!(desk.next, Some(10));
    desk.now = 5 * SECOND;
    desk.fire("prod", "disk", Critical);
    desk.fire("test", "lag", Info);
    // The worst comes first; another cluster is another group with a wait of its own.
    assert_eq!(desk.at(10), ["ops first: +disk +lag"]);
    assert_eq!(desk.at(15), ["ops first: +lag"]);
    desk.fire("prod", "cpu", Info);
    desk.resolve("prod", "lag");
    assert_eq!(desk.at(60), [""; 0]);
    assert_eq!(desk.at(70), ["ops news: -lag +cpu disk"]);
    desk.deliver_all();
    // The other group is repeated by its own clock.
    assert_eq!(desk.at(615), ["ops repeat: lag"]);
    assert_eq!(desk.at(670), ["ops repeat: disk cpu"]);
    // What is not delivered yet is not repeated.
    assert_eq!(desk.at(5_000), [""; 0]);
    desk.resolve("prod", "disk");
    desk.resolve("prod", "cpu");
    assert_eq!(desk.at(5_001), ["ops over: -disk -cpu"]);
}

#[test]
fn the_first_route_that_fits_has_it_unless_it_goes_on() {
    let one = Grouping::ALONE;
    let mut audit = route("audit", &["severity=~\"warning|critical\""], one.clone(), vec![]);
    audit.goes_on = true;
    let night = route("night", &["cluster=\"prod\""], one.clone(), vec![]);
    let page = route("page", &["severity=critical"], one.clone(), vec![night]);
    let root = route("ops", &[], one, vec![audit, page]);
    let mut desk = Desk::new(routing(&["audit", "night", "ops", "page"], root));
    desk.fire("prod", "a", Critical);
    assert_eq!(desk.at(0), ["audit first: +a", "night first: +a"]);
    desk.fire("test", "b", Critical);
    assert_eq!(desk.at(1), ["audit first: +b", "page first: +b"]);
    desk.fire("test", "c", Warning);
    assert_eq!(desk.at(2), ["audit first: +c"], "a route that goes on has taken it all the same");
    desk.fire("test", "d", Info);
    assert_eq!(desk.at(3), ["ops first: +d"]);
}

#[test]
fn what_is_over_before_it_was_told_is_told_once_with_its_end() {
    let root = route("ops", &[], by(&["cluster"], 10, 60, None), vec![]);
    let mut desk = Desk::new(routing(&["ops"], root));
    desk.fire("prod", "lag", Warning);
    desk.now = SECOND;
    desk.resolve("prod", "lag");
    assert_eq!(desk.at(1), [""; 0]);
    assert_eq!(desk.at(10), ["ops over: -lag"]);
    assert_eq!(desk.at(100), [""; 0]);
    assert!(desk.untold.is_empty());
}

#[test]
fn a_silence_holds_back_what_begins_and_not_what_ends() {
    let mut desk = Desk::new(Routing::to_all(filters(&["ops"])));
    desk.fire("prod", "told", Warning);
    assert_eq!(desk.at(0), ["ops first: +told"]);
    desk.silence(1, &["cluster=prod"], 1, 100);
    desk.now = 2 * SECOND;
    desk.fire("prod", "held", Warning);
    desk.fire("prod", "short", Warning);
    desk.fire("test", "other", Warning);
    desk.fire("prod", "told", Critical);
    assert_eq!(desk.at(2), ["ops first: +other"]);
    assert_eq!(desk.next, Some(100));
    desk.resolve("prod", "told");
    desk.resolve("prod", "short");
    assert_eq!(desk.at(3), ["ops over: -told"]);
    assert_eq!(desk.untold, ["silence vp1-1 of ada covers it: patches"]);
    assert_eq!(desk.at(100), ["ops first: +held"], "it fires still, and the silence is over");
    // Ended before its time.
    desk.silence(2, &["alertname=~\"h.*\"", "cluster=prod"], 0, 1_000);
    desk.resolve("prod", "held");
    desk.fire("prod", "here", Warning);
    assert_eq!(desk.at(101), ["ops over: -held"]);
    desk.write(None, Event::SilenceEnded { id: SilenceId::of("vp1-2"), by: "bo".to_owned() });
    assert_eq!(desk.at(102), ["ops first: +here"]);
}

/// The other monitor's copy may be older than what is known here.
#[test]
fn a_silence_that_was_ended_does_not_come_back() {
    let mut desk = Desk::new(Routing::to_all(filters(&["ops"])));
    desk.silence(1, &["cluster=prod"], 0, 100);
    desk.fire("prod", "lag", Warning);
    assert_eq!(desk.at(1), [""; 0]);
    desk.write(None, Event::SilenceEnded { id: SilenceId::of("vp1-1"), by: "bo".to_owned() });
    desk.silence(1, &["cluster=prod"], 0, 100);
    assert_eq!(desk.at(2), ["ops first: +lag"]);
}

#[test]
fn one_alert_inhibits_others_like_it_and_never_itself() {
    let mut routing = Routing::to_all(filters(&["ops"]));
    routing.inhibitions = vec![Inhibition {
        source: matchers(&["severity=critical"]),
        target: matchers(&["severity!=info"]),
        equal: vec!["cluster".to_owned()],
    }];
    let mut desk = Desk::new(routing);
    desk.fire("prod", "down", Critical);
    desk.fire("prod", "lag", Warning);
    desk.fire("prod", "note", Info);
    desk.fire("test", "lag", Warning);
    let said = desk.at(0);
    assert_eq!(said, ["ops first: +down", "ops first: +lag", "ops first: +note"]);
    assert_eq!(desk.told.iter().filter(|it| in_words(it).ends_with("+lag")).count(), 1);
    desk.fire("prod", "down2", Critical);
    assert_eq!(desk.at(1), ["ops first: +down2"], "two of both kinds do not inhibit each other");
    desk.resolve("prod", "down");
    desk.resolve("prod", "down2");
    let said = desk.at(2);
    assert!(said.contains(&"ops first: +lag".to_owned()), "{said:?}");
}

#[test]
fn an_acknowledged_alert_is_not_repeated_until_it_grows_worse() {
    let root = route("ops", &[], by(&["cluster"], 0, 1, Some(10)), vec![]);
    let mut desk = Desk::new(routing(&["ops"], root));
    desk.fire("prod", "lag", Warning);
    desk.fire("prod", "disk", Warning);
    assert_eq!(desk.at(0).len(), 1);
    desk.deliver_all();
    let fingerprint = alert("prod", "lag", Warning, 0).fingerprint;
    let (by, comment) = ("ada".to_owned(), "on it".to_owned());
    let cluster = Some(ClusterName::new("prod").unwrap());
    desk.write(cluster, Event::AlertAcknowledged { fingerprint, by, comment });
    assert_eq!(desk.at(10), ["ops repeat: disk"]);
    desk.deliver_all();
    desk.resolve("prod", "disk");
    assert_eq!(desk.at(20), ["ops news: -disk lag"]);
    desk.deliver_all();
    assert_eq!(desk.at(100), [""; 0]);
    desk.fire("prod", "lag", Critical);
    assert_eq!(desk.at(101), ["ops news: +lag"]);
    desk.deliver_all();
    assert_eq!(desk.at(111), ["ops repeat: lag"]);
}

#[test]
fn what_is_not_delivered_in_time_goes_to_another_who_hears_of_the_end_too() {
    let mut routing = Routing::to_all(filters(&["boss", "ops"]));
    routing.filters.get_mut(&receiver("boss")).unwrap().clusters =
        [ClusterName::new("none").unwrap()].into();
    routing.escalations =
        [(receiver("ops"), Escalation { to: receiver("boss"), after: 60 * SECOND })].into();
    let mut desk = Desk::new(routing);
    desk.fire("prod", "lag", Warning);
    assert_eq!(desk.at(0), ["ops first: +lag"]);
    assert_eq!(desk.at(59), [""; 0]);
    assert_eq!(desk.next, Some(60));
    assert_eq!(desk.at(60), ["boss escalated: +lag"]);
    assert_eq!(desk.told[1].escalates, Some(0));
    desk.deliver_all();
    desk.resolve("prod", "lag");
    assert_eq!(desk.at(61), ["boss over: -lag", "ops over: -lag"]);
    // What is given up is told at once.
    let id = desk.told[3].id;
    desk.write(None, Event::NotificationDead { id, problem: "404".to_owned() });
    assert_eq!(desk.at(62), ["boss escalated: -lag"]);
    desk.write(None, Event::NotificationRetried { id, by: "ada".to_owned() });
    assert_eq!(desk.at(500), [""; 0], "it is told to the other once");
}

#[test]
fn a_dead_notification_stays_visible_and_holds_up_nothing() {
    let mut desk = Desk::new(Routing::to_all(filters(&["ops"])));
    desk.fire("prod", "lag", Warning);
    desk.fire("prod", "disk", Warning);
    desk.at(0);
    desk.resolve("prod", "lag");
    desk.at(1);
    let heads = |desk: &Desk| desk.state.post.outbox.heads().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(heads(&desk), [0, 1], "an end waits for its beginning, and for nothing else");
    let problem = || "refused".to_owned();
    desk.write(None, Event::NotificationTried { id: 0, problem: problem(), again: Timestamp(9) });
    desk.write(None, Event::NotificationDead { id: 0, problem: problem() });
    assert_eq!(heads(&desk), [1, 2]);
    for id in [1, 2, 77] {
        // News of what is not there is no error.
        desk.write(None, Event::NotificationDelivered { id, memory: Vec::new() });
    }
    let left = desk.state.post.outbox.entries().next().unwrap().clone();
    assert!(left.dead && left.tries == 2 && left.problem == Some(problem()));
    desk.write(None, Event::NotificationRetried { id: 0, by: "ada".to_owned() });
    assert_eq!(heads(&desk), [0]);
    desk.write(None, Event::NotificationDead { id: 0, problem: problem() });
    desk.write(None, Event::NotificationDiscarded { id: 0, by: "ada".to_owned() });
    assert_eq!(desk.state.post.outbox.entries().count(), 0);
}

#[test]
fn what_a_plugin_keeps_comes_back_until_the_group_is_over() {
    let mut desk = Desk::new(Routing::to_all(filters(&["ops"])));
    desk.fire("prod", "lag", Warning);
    desk.at(0);
    let (ops, group) = (receiver("ops"), desk.told[0].group.clone());
    let memory = |desk: &Desk| desk.state.post.told.memory(&ops, &group).to_vec();
    desk.write(None, Event::NotificationDelivered { id: 0, memory: b"INC7".to_vec() });
    assert_eq!(memory(&desk), b"INC7");
    desk.resolve("prod", "lag");
    desk.at(1);
    assert_eq!(memory(&desk), b"INC7", "its end is not delivered yet");
    desk.write(None, Event::NotificationDelivered { id: 1, memory: b"INC7".to_vec() });
    assert_eq!(memory(&desk), b"");
}

#[test]
fn a_large_group_is_told_in_parts_with_nothing_left_out() {
    let root = route("ops", &[], by(&["cluster"], 0, 60, None), vec![]);
    let mut desk = Desk::new(routing(&["ops"], root));
    for number in 0..450 {
        desk.fire("prod", &format!("a{number}"), Warning);
    }
    desk.at(0);
    let sizes: Vec<_> =
        desk.told.iter().map(|made| (made.cause.as_str(), made.alerts.len(), made.more)).collect();
    assert_eq!(sizes, [("first", 200, 250), ("news", 200, 50), ("news", 50, 0)]);
    let names: BTreeSet<_> =
        desk.told.iter().flat_map(|made| &made.alerts).map(|it| &it.alert.claim.name).collect();
    assert_eq!(names.len(), 450);
    desk.resolve("prod", "a7");
    desk.at(60);
    let last = desk.told.last().unwrap();
    assert_eq!((last.alerts.len(), last.more, last.cause.as_str()), (200, 250, "news"));
    for number in (0..450).filter(|number| *number != 7) {
        desk.resolve("prod", &format!("a{number}"));
    }
    desk.at(120);
    assert_eq!(desk.told.last().unwrap().cause.as_str(), "over");
    assert_eq!(desk.told.iter().filter(|made| made.cause.as_str() == "over").count(), 1);
}

#[test]
fn a_clock_that_was_set_back_delays_nothing() {
    let root = route("ops", &[], by(&["cluster"], 10, 3_600, None), vec![]);
    let mut desk = Desk::new(routing(&["ops"], root));
    desk.now = 1_000_000 * SECOND;
    desk.fire("prod", "lag", Warning);
    assert_eq!(desk.at(1_000_010), ["ops first: +lag"]);
    desk.now = 10 * SECOND;
    desk.resolve("prod", "lag");
    assert_eq!(desk.at(10), ["ops over: -lag"]);
}

/// Whatever happens in whatever order, in the end each receiver that heard of an alert has heard of its
/// end, every alert that no silence covered was told, and nothing is remembered any more.
#[test]
fn every_alert_is_told_in_order_or_its_silence_is_named() {
    for seed in 1..=400 {
        history(seed);
    }
}

fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let page = route("page", &["severity=critical"], by(&[], 5, 20, Some(50)), vec![]);
    let mut audit = route("audit", &[], Grouping::ALONE, vec![]);
    audit.goes_on = true;
    let root = route("ops", &[], by(&["cluster"], 10, 30, Some(100)), vec![audit, page]);
    let mut desk = Desk::new(routing(&["audit", "ops", "page"], root));
    let place = |which: usize| (["prod", "test"][which % 2], format!("a{}", which / 2));
    let mut firing: BTreeMap<usize, Severity> = BTreeMap::new();
    let (mut second, mut silences, mut episodes) = (0, 0, 0);
    for _ in 0..60 {
        let which = dice.below(6);
        let (cluster, name) = place(which);
        match dice.below(16) {
            0..4 => {
                let severity = [Info, Warning, Critical][dice.below(3)];
                if firing.get(&which).is_none_or(|known| *known < severity) {
                    episodes += usize::from(firing.insert(which, severity).is_none());
                    desk.fire(cluster, &name, severity);
                }
            }
            4..7 => {
                if firing.remove(&which).is_some() {
                    desk.resolve(cluster, &name);
                }
            }
            7 if seed.is_multiple_of(2) => {
                silences += 1;
                desk.silence(
                    silences,
                    &["cluster=prod"],
                    second,
                    second + 1 + dice.below(40) as u64,
                );
            }
            8 | 9 => desk.deliver_all(),
            10 => {
                let first = desk.state.post.outbox.heads().next().map(|entry| entry.id);
                if let Some(id) = first {
                    desk.write(None, Event::NotificationDead { id, problem: "404".to_owned() });
                }
            }
            _ => {
                second += dice.below(30) as u64;
                desk.at(second);
            }
        }
    }
    for which in firing.keys() {
        let (cluster, name) = place(*which);
        desk.resolve(cluster, &name);
    }
    for _ in 0..4 {
        second += 100;
        desk.at(second);
        desk.deliver_all();
    }
    assert_eq!(desk.at(second + 1), [""; 0], "seed {seed}");
    assert_eq!(desk.state.post.told, Told::default(), "seed {seed}");
    let mut heard: BTreeMap<_, bool> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for made in &desk.told {
        for it in &made.alerts {
            let key = (made.receiver.clone(), it.alert.fingerprint.clone());
            heard.insert(key, it.alert.ends_at.is_none());
            told.insert((it.alert.fingerprint.clone(), it.alert.starts_at));
        }
    }
    assert!(heard.values().all(|fires| !fires), "seed {seed}: somebody was not told of an end");
    // One that fired again before its end was told goes on as the same.
    assert!(told.len() + desk.untold.len() <= episodes || silences > 0, "seed {seed}");
    assert!(silences > 0 || desk.untold.is_empty(), "seed {seed}: {:?}", desk.untold);
    assert!(episodes == 0 || !told.is_empty() || silences > 0, "seed {seed}");
}
