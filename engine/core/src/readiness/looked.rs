//! What the look at a server found ([`READINESS`](crate::facts::READINESS)): values of the server itself,
//! by the names that stand here. `SERVICE` in a name is a service's.

use super::{Bounds, FULL_BYTES, Found, Item};
use crate::facts::Value;
use crate::model::{Service, Timestamp};
use crate::snapshot::{Measure, Place, ServerFacts, Snapshot};

/// Yes or no: its start and status commands can be run; why not is in `startable-SERVICE-why`.
const STARTABLE: &str = "startable";
/// Yes or no: so can its stop command.
const STOPPABLE: &str = "stoppable";
/// Yes or no: nobody but itself listens on its ports.
const PORT_FREE: &str = "port-free";

/// What was measured on one server.
struct Look<'a> {
    snapshot: &'a Snapshot,
    server: &'a ServerFacts,
    now: Timestamp,
    stale_ms: u64,
}

impl<'a> Look<'a> {
    fn at(snapshot: &'a Snapshot, server: &'a ServerFacts, stale_ms: u64) -> Self {
        Self { snapshot, server, now: snapshot.facts().at, stale_ms }
    }

    fn measure(&self, name: &str) -> Option<&'a Measure> {
        self.snapshot.measure(self.server.name.as_str(), None, name)
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.measure(name)?.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        self.integer(name).map(|number| u64::try_from(number).unwrap_or(0))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        match &self.measure(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn services(&self) -> impl Iterator<Item = Service> {
        let has = |service: &Service| {
            self.snapshot.service(self.server.name.as_str(), *service).is_some()
        };
        Service::ALL.into_iter().filter(has)
    }

    /// Why a yes or no is no, if it is, or why it cannot be told.
    fn refused(&self, name: &str) -> Result<Option<String>, String> {
        let Some(measure) = self.measure(name) else {
            return Err("was not looked at".to_owned());
        };
        let why = || self.text(&format!("{name}-why")).unwrap_or("no reason was given").to_owned();
        match measure.value {
            Value::Flag(false) => Ok(Some(why())),
            Value::Flag(true) => match self.age(measure) {
                age if age > self.stale_ms => {
                    Err(format!("was last looked at {} s ago", age / 1000))
                }
                _ => Ok(None),
            },
            _ => Err("was not understood".to_owned()),
        }
    }

    fn age(&self, measure: &Measure) -> u64 {
        self.now.since(measure.at)
    }

    /// That this was measured long ago, if it was.
    fn is_stale(&self, name: &str) -> Option<String> {
        let age = self.measure(name).map(|measure| self.age(measure))?;
        (age > self.stale_ms).then(|| format!("it was last looked at {} s ago", age / 1000))
    }
}

/// What holds a change of side, whatever the bounds are. What was not looked at, or long ago, holds
/// nothing that was right.
pub(super) fn holding(snapshot: &Snapshot, standby: &ServerFacts) -> Vec<Found> {
    let look = Look::at(snapshot, standby, u64::MAX);
    vec![
        by_service(&look, STARTABLE),
        by_service(&look, PORT_FREE),
        room(&look, 0),
        writable(&look),
    ]
}

/// One of the items that are looked at; none: it is not configured.
pub(super) fn item(
    snapshot: &Snapshot,
    standby: &ServerFacts,
    item: Item,
    bounds: &Bounds,
) -> Option<Found> {
    let look = Look::at(snapshot, standby, bounds.stale_ms);
    let active = snapshot.at(Place::Active);
    let across = active.map(|server| Look::at(snapshot, server, bounds.stale_ms));
    match item {
        Item::Startable => Some(by_service(&look, STARTABLE)),
        Item::Ports => Some(by_service(&look, PORT_FREE)),
        Item::Disk => Some(room(&look, bounds.min_disk_bytes)),
        Item::Memory => Some(memory(&look, bounds.min_memory_bytes)),
        Item::Writable => {
            snapshot.service(standby.name.as_str(), Service::Repository).map(|_| writable(&look))
        }
        Item::Stoppable => Some(stoppable(&look, across.as_ref())),
        Item::Clock => Some(clock(&look, across.as_ref(), bounds.max_clock_ms)),
        Item::Versions => versions(&look, across.as_ref()?),
        Item::Certificates => certificates(&look, bounds.certificate_ms),
        Item::Reachable | Item::Installed | Item::Repository | Item::Replication => None,
    }
}

/// Services of `server` that could not be stopped, with why.
pub(crate) fn unstoppable(snapshot: &Snapshot, server: &ServerFacts) -> Vec<String> {
    let look = Look::at(snapshot, server, u64::MAX);
    let refused = |service: Service| {
        let why = look.refused(&format!("{STOPPABLE}-{service}")).ok()??;
        Some(format!("{}/{service} cannot be stopped: {why}", server.name))
    };
    // The repository goes on running on the side that is left.
    look.services().filter(|service| *service != Service::Repository).filter_map(refused).collect()
}

/// A service that a change of side cannot do without holds it; the others are told.
fn by_service(look: &Look<'_>, what: &str) -> Found {
    let mut found = Found::default();
    let mut unknown = Vec::new();
    for service in look.services() {
        match look.refused(&format!("{what}-{service}")) {
            Ok(None) => {}
            Ok(Some(why)) => {
                let list = if service.essential() { &mut found.holds } else { &mut found.mild };
                list.push(format!("{}/{service}: {why}", look.server.name));
            }
            // A service without a port has none that could be taken.
            Err(_) if what == PORT_FREE && look.measure(&format!("{what}-{service}")).is_none() => {
            }
            Err(why) => unknown.push((service, why)),
        }
    }
    found.unknown = unknown_services(look, unknown);
    if what == PORT_FREE && look.measure("clock-offset-ms").is_none() && found == Found::default() {
        found.unknown.push(format!("{} was not looked at", look.server.name));
    }
    found
}

/// What is the same for all of them is said once.
fn unknown_services(look: &Look<'_>, unknown: Vec<(Service, String)>) -> Vec<String> {
    let all = unknown.len() == look.services().count();
    let reason = look.text("readiness-unknown");
    match unknown.as_slice() {
        [(_, why), ..] if all => {
            vec![reason.map_or_else(|| format!("{} {why}", look.server.name), str::to_owned)]
        }
        _ => unknown
            .into_iter()
            .map(|(service, why)| format!("{}/{service} {why}", look.server.name))
            .collect(),
    }
}

fn room(look: &Look<'_>, wanted: u64) -> Found {
    let mut found = Found::default();
    let Some(left) = look.bytes("disk-left-bytes") else {
        found.unknown.push(format!("{}'s disks were not looked at", look.server.name));
        return found;
    };
    let path = look.text("disk-left-path").unwrap_or("?");
    let what = format!("{} MiB are left on {path} of {}", left >> 20, look.server.name);
    if left < FULL_BYTES {
        found.holds.push(format!("{what}: it counts as full below {} MiB", FULL_BYTES >> 20));
    } else if left < wanted {
        found.mild.push(format!("{what}, {} MiB are wanted", wanted >> 20));
    } else {
        found.unknown.extend(look.is_stale("disk-left-bytes"));
    }
    found
}

fn memory(look: &Look<'_>, wanted: u64) -> Found {
    let mut found = Found::default();
    match look.bytes("memory-left-bytes") {
        None => found.unknown.push(format!("{}'s memory was not looked at", look.server.name)),
        Some(left) if left < wanted => found.mild.push(format!(
            "{} MiB of memory are left on {}, {} MiB are wanted",
            left >> 20,
            look.server.name,
            wanted >> 20
        )),
        Some(_) => found.unknown.extend(look.is_stale("memory-left-bytes")),
    }
    found
}

fn writable(look: &Look<'_>) -> Found {
    let mut found = Found::default();
    match look.refused("repository-writable") {
        Ok(None) => {}
        Ok(Some(why)) => found.holds.push(format!("{}/repository {why}", look.server.name)),
        Err(why) => found.unknown.push(format!("whether it takes writes {why}")),
    }
    found
}

/// Both sides: a planned change stops the active one in order, and the standby is stopped when its turn
/// is over. A failover goes on without.
fn stoppable(look: &Look<'_>, across: Option<&Look<'_>>) -> Found {
    let mut found = Found::default();
    for look in across.into_iter().chain([look]) {
        found.mild.extend(unstoppable(look.snapshot, look.server));
        let unknown: Vec<(Service, String)> = look
            .services()
            .filter_map(|service| {
                let why = look.refused(&format!("{STOPPABLE}-{service}")).err()?;
                Some((service, why))
            })
            .collect();
        found.unknown.extend(unknown_services(look, unknown));
    }
    found
}

fn clock(look: &Look<'_>, across: Option<&Look<'_>>, limit: u64) -> Found {
    let mut found = Found::default();
    let (name, offset) = ("clock-offset-ms", |look: &Look<'_>| look.integer("clock-offset-ms"));
    let Some(own) = offset(look) else {
        found.unknown.push(format!("{}'s clock was not looked at", look.server.name));
        return found;
    };
    let far = |ms: i64| ms.unsigned_abs() > limit;
    let way = |ms: i64| if ms < 0 { "behind" } else { "ahead of" };
    let seconds = |ms: i64| ms.unsigned_abs() / 1_000;
    if far(own) {
        found.mild.push(format!(
            "the clock of {} is {} s {} the monitor's",
            look.server.name,
            seconds(own),
            way(own)
        ));
    }
    if let Some((across, other)) = across.and_then(|it| Some((it, offset(it)?))) {
        let apart = own.saturating_sub(other);
        if far(apart) {
            found.mild.push(format!(
                "the clock of {} is {} s {} that of {}",
                look.server.name,
                seconds(apart),
                way(apart),
                across.server.name
            ));
        }
    }
    if found.mild.is_empty() {
        found.unknown.extend(look.is_stale(name));
    }
    found
}

/// None if no version is known of either side.
fn versions(look: &Look<'_>, across: &Look<'_>) -> Option<Found> {
    let mut found = Found::default();
    let mut any = false;
    for service in look.services() {
        let name = format!("version-{service}");
        match (look.text(&name), across.text(&name)) {
            (None, None) => continue,
            (Some(own), Some(other)) if own == other => found.unknown.extend(look.is_stale(&name)),
            (Some(own), Some(other)) => found.mild.push(format!(
                "{}/{service} is {own:?}, and {}/{service} is {other:?}",
                look.server.name, across.server.name
            )),
            (own, _) => {
                let unknown = if own.is_none() { look.server } else { across.server };
                found.unknown.push(format!("the version of {}/{service}", unknown.name));
            }
        }
        any = true;
    }
    found.unknown.dedup();
    any.then_some(found)
}

/// None if none is looked at.
fn certificates(look: &Look<'_>, soon_ms: u64) -> Option<Found> {
    let mut found = Found::default();
    let unread = look.text("certificates-unknown");
    found.unknown.extend(unread.map(str::to_owned));
    if let Some(ends) = look.integer("certificate-ends-s") {
        let path = look.text("certificate-ends-path").unwrap_or("?");
        let ends_ms = u64::try_from(ends).unwrap_or(0).saturating_mul(1_000);
        let left = ends_ms.saturating_sub(look.now.0);
        if left == 0 {
            found.mild.push(format!("the certificate in {path} of {} has ended", look.server.name));
        } else if left < soon_ms {
            found.mild.push(format!(
                "the certificate in {path} of {} ends in {} h",
                look.server.name,
                left / 3_600_000
            ));
        }
        return Some(found);
    }
    unread.map(|_| found)
}
