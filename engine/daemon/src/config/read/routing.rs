//! Who is told what: the tree of routes, inhibitions, and who is told instead.

use std::collections::BTreeMap;

use watchkeeper_core::alerting::{Escalation, Grouping, Inhibition, Matcher, Route};
use watchkeeper_core::model::ReceiverName;

use crate::config::Tree;
use crate::config::reader::{At, Reader, millis};
use crate::config::source::Note;
use crate::config::tree::Heartbeat;

/// Says that every alert is told by itself.
const EACH: &str = "...";

/// Reads all of it. `receivers` are the names of those that are configured; `instead` is who is told
/// instead of whom, with where that stands.
pub(in crate::config) fn routing(
    root: &Reader<'_>,
    receivers: &[String],
    instead: Vec<(ReceiverName, At<Escalation>)>,
) -> Tree {
    let given = root.has("route");
    let reader = root.table("route");
    let route = given.then(|| route(&reader, None, receivers));
    Tree {
        root: route,
        inhibitions: root.tables("inhibitions").iter().map(inhibition).collect(),
        escalations: escalations(root, receivers, instead),
        heartbeat: heartbeat(root, receivers),
    }
}

fn heartbeat(root: &Reader<'_>, receivers: &[String]) -> Option<Heartbeat> {
    let given = root.has("heartbeat");
    let reader = root.table("heartbeat");
    let heartbeat = given.then(|| {
        let every = reader.ms("every");
        Some(Heartbeat { receiver: receiver(&reader, "receiver", receivers)?, every })
    });
    if given {
        reader.finish();
    }
    heartbeat.flatten()
}

/// A route, and everything below. `above` is the one that it gets from what it does not say itself.
fn route(reader: &Reader<'_>, above: Option<&Route>, receivers: &[String]) -> Route {
    let matchers = if above.is_some() { matchers(reader, "matchers") } else { Vec::new() };
    let receiver = receiver(reader, "receiver", receivers);
    let grouping = above.map(|above| &above.grouping);
    let time = |name, of: fn(&Grouping) -> u64| {
        let given = reader.duration(name).map(millis);
        given.or_else(|| grouping.map(of)).unwrap_or_default()
    };
    let route = Route {
        matchers,
        receiver: receiver.or_else(|| above.and_then(|above| above.receiver.clone())),
        grouping: Grouping {
            by: match reader.texts("group-by") {
                Some(by) => labels(reader, by),
                None => grouping.map_or_else(|| Some(Vec::new()), |above| above.by.clone()),
            },
            wait: time("group-wait", |above| above.wait),
            interval: time("group-interval", |above| above.interval),
            repeat: Some(time("repeat-interval", |above| above.repeat.unwrap_or(0)))
                .filter(|repeat| *repeat > 0),
        },
        goes_on: above.is_some() && reader.flag("continue").unwrap_or(false),
        routes: Vec::new(),
    };
    // The innermost kind of route has no such key.
    let inner = if reader.knows("routes") { reader.tables("routes") } else { Vec::new() };
    let routes = inner.iter().map(|inner| self::route(inner, Some(&route), receivers)).collect();
    reader.finish();
    Route { routes, ..route }
}

fn labels(reader: &Reader<'_>, by: Vec<At<String>>) -> Option<Vec<String>> {
    let each = by.iter().find(|label| label.value == EACH);
    if let (Some(each), true) = (each, by.len() > 1) {
        let message = "`...` stands for every alert by itself, and leaves nothing for other labels";
        reader.sources.error(each.place, message);
    }
    if each.is_some() {
        return None;
    }
    Some(by.into_iter().map(|label| label.value).collect())
}

fn matchers(reader: &Reader<'_>, key: &str) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for text in reader.texts(key).unwrap_or_default() {
        match text.value.parse::<Matcher>() {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => {
                let note = Note::error(error.to_string())
                    .help("such as 'severity=\"critical\"', 'cluster=~\"prod-.*\"'");
                reader.sources.note(text.place, note);
            }
        }
    }
    matchers
}

fn receiver(reader: &Reader<'_>, key: &str, receivers: &[String]) -> Option<ReceiverName> {
    let name = reader.text(key)?;
    if !receivers.contains(&name.value) {
        let message = format!("there is no receiver {:?}", name.value);
        let known = receivers.iter().map(String::as_str);
        reader.unknown(name.place, message, &name.value, known, None);
    }
    ReceiverName::new(&name.value).ok()
}

fn inhibition(reader: &Reader<'_>) -> Inhibition {
    let equal = reader.texts("equal").unwrap_or_default();
    let inhibition = Inhibition {
        source: matchers(reader, "source"),
        target: matchers(reader, "target"),
        equal: equal.into_iter().map(|label| label.value).collect(),
    };
    reader.finish();
    inhibition
}

/// Nobody may in the end be told instead of himself: what nobody takes would go round for ever.
fn escalations(
    root: &Reader<'_>,
    receivers: &[String],
    instead: Vec<(ReceiverName, At<Escalation>)>,
) -> BTreeMap<ReceiverName, Escalation> {
    let mut escalations = BTreeMap::new();
    for (from, at) in instead {
        let to = at.value.to.as_str();
        if !receivers.iter().any(|name| name == to) {
            let message = format!("there is no receiver {to:?}");
            let known = receivers.iter().map(String::as_str);
            root.unknown(at.place, message, to, known, None);
            continue;
        }
        let mut next = Some(&at.value.to);
        while let Some(name) = next.filter(|name| **name != from) {
            next = escalations.get(name).map(|it: &Escalation| &it.to);
        }
        if next.is_some() {
            let message = format!("{from} would be told instead of itself in the end");
            root.sources.error(at.place, message);
            continue;
        }
        escalations.insert(from, at.value);
    }
    escalations
}
