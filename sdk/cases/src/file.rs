//! A case's file. Every key is known, or the case does not run: a misspelt fact would otherwise be
//! a case that shows nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value as Toml};
use watchkeeper_core::facts::Value;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Role, Server, ServerName, Service, Side, Status, Topology};
use watchkeeper_core::settings::{Given, parse_duration};

use crate::settings;
use crate::world::{self, Seen};

/// A case, checked.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) why: String,
    pub(super) until: u64,
    pub(super) interval: u64,
    pub(super) topology: Topology,
    pub(super) active: Side,
    pub(super) phase: Phase,
    pub(super) maintenance: bool,
    /// Names such as `dm1/daemon`.
    pub(super) in_maintenance: Vec<String>,
    pub(super) settings: BTreeMap<String, Given>,
    /// The files of the settings' texts that do not stand in the case itself.
    pub(super) files: BTreeMap<String, PathBuf>,
    pub(super) outcomes: BTreeMap<String, Outcome>,
    pub(super) moments: Vec<Moment>,
}

/// What happens at a time.
#[derive(Debug)]
pub(super) struct Moment {
    /// In milliseconds from the beginning.
    pub(super) time: u64,
    pub(super) happenings: Vec<Happening>,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Happening {
    /// Probes find this of a server and everything on it.
    All(ServerName, Status),
    /// Probes find this of a service, or of the server itself.
    One(ServerName, Option<Service>, Status),
    /// Probes measure this.
    Measure(ServerName, Option<Service>, String, Value),
    /// The second finds this of the first, while that one is silent; none: it no longer looks.
    Seen(ServerName, ServerName, Option<Seen>),
    /// Actions end so from now on.
    Outcome(String, Outcome),
    /// Maintenance mode is switched.
    Maintenance(bool),
    /// These services are in maintenance, and no others.
    InMaintenance(Vec<String>),
    /// An operator declares a side active.
    Declare(Side),
    /// An operator orders a change of side.
    Order(String),
}

/// What comes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It reaches its aim.
    Succeeds,
    /// It stops on the way.
    Fails,
    /// A change of side ends before anything was changed.
    Refused,
    /// The engine does not carry it out.
    Held,
    /// It is under way for ever.
    Hangs,
}

/// How long a case goes on after its last moment, in milliseconds.
const AFTERWARDS: u64 = 20_000;

impl Case {
    /// The case in this text. The files it names are relative to its folder.
    pub(super) fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut keys = Keys::new(text.parse::<Table>().map_err(|error| error.to_string())?);
        let why = keys.text("why")?.unwrap_or_default();
        if why.trim().is_empty() || why.contains('\n') {
            return Err("`why` has to say in one line what the case shows".to_owned());
        }
        let interval = keys.duration("interval")?.unwrap_or(world::SECOND);
        let until = keys.duration("until")?;
        let topology = match keys.table("servers")? {
            Some(servers) => topology(servers)?,
            None => world::five_servers(),
        };
        let mut start = Keys::new(keys.table("start")?.unwrap_or_default());
        let active = start.text("active")?.map_or(Ok(Side::Primary), |text| side(&text))?;
        let phase = match start.text("phase")? {
            Some(text) => phase(&text, active)?,
            None => Phase::Active(active),
        };
        let maintenance = start.flag("maintenance")?.unwrap_or(false);
        let in_maintenance = start.texts("in-maintenance")?.unwrap_or_default();
        start.end("start")?;
        let given = keys.table("settings")?.unwrap_or_default();
        let files = settings::files(&given, folder)?;
        let settings = settings::read(given, &files)?;
        let outcomes = outcomes(keys.table("outcomes")?.unwrap_or_default())?;
        let mut moments = Vec::new();
        for moment in keys.list("at")? {
            moments.push(Moment::parse(moment, &topology)?);
        }
        keys.end("the case")?;
        if moments.windows(2).any(|pair| matches!(pair, [a, b] if a.time > b.time)) {
            return Err("the moments have to be in the order of their times".to_owned());
        }
        let last = moments.last().map_or(0, |moment| moment.time);
        let until = until.unwrap_or(last + AFTERWARDS);
        if interval == 0 || until < last {
            return Err("`interval` has to be above zero, `until` after every moment".to_owned());
        }
        Ok(Self {
            why,
            until,
            interval,
            topology,
            active,
            phase,
            maintenance,
            in_maintenance,
            settings,
            files,
            outcomes,
            moments,
        })
    }
}

impl Moment {
    fn parse(table: Table, topology: &Topology) -> Result<Self, String> {
        let mut keys = Keys::new(table);
        let time = keys.duration("time")?.ok_or("a moment needs a `time`")?;
        let mut happenings = Vec::new();
        for (action, outcome) in outcomes(keys.table("outcomes")?.unwrap_or_default())? {
            happenings.push(Happening::Outcome(action, outcome));
        }
        if let Some(on) = keys.flag("maintenance")? {
            happenings.push(Happening::Maintenance(on));
        }
        if let Some(services) = keys.texts("in-maintenance")? {
            happenings.push(Happening::InMaintenance(services));
        }
        if let Some(text) = keys.text("operator")? {
            happenings.push(Happening::Declare(side(&text)?));
        }
        if let Some(text) = keys.text("order")? {
            happenings.push(Happening::Order(text));
        }
        happenings.extend(all_seen(keys.table("seen")?.unwrap_or_default(), topology)?);
        let mut measured = Keys::new(keys.table("measures")?.unwrap_or_default());
        for server in topology.servers() {
            let services = measured.table(server.name.as_str())?.unwrap_or_default();
            for (name, values) in services {
                let service = which(&name)?;
                let Toml::Table(values) = values else {
                    return Err(format!("measures.{}.{name} has to be a table", server.name));
                };
                for (name, found) in values {
                    let found = value(&name, &found)?;
                    happenings.push(Happening::Measure(server.name.clone(), service, name, found));
                }
            }
            match keys.take(server.name.as_str()) {
                None => {}
                Some(Toml::String(text)) => {
                    happenings.push(Happening::All(server.name.clone(), status(&text)?));
                }
                Some(Toml::Table(services)) => {
                    for (name, found) in services {
                        let which = which(&name)?;
                        let text = found.as_str().ok_or("a status is a text")?;
                        happenings.push(Happening::One(server.name.clone(), which, status(text)?));
                    }
                }
                Some(_) => return Err(format!("{} has to be a status or a table", server.name)),
            }
        }
        measured.end("measures")?;
        keys.end(&format!("the moment at {} s", time / world::SECOND))?;
        Ok(Self { time, happenings })
    }
}

/// A table from which keys are taken; what is left over at the end is unknown.
struct Keys(Table);

impl Keys {
    const fn new(table: Table) -> Self {
        Self(table)
    }

    fn take(&mut self, key: &str) -> Option<Toml> {
        self.0.remove(key)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Toml::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{key}` has to be a text")),
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Toml::Boolean(flag)) => Ok(Some(flag)),
            Some(_) => Err(format!("`{key}` has to be true or false")),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        texts(&value).map(Some).ok_or_else(|| format!("`{key}` has to be a list of texts"))
    }

    fn table(&mut self, key: &str) -> Result<Option<Table>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Toml::Table(table)) => Ok(Some(table)),
            Some(_) => Err(format!("`{key}` has to be a table")),
        }
    }

    fn list(&mut self, key: &str) -> Result<Vec<Table>, String> {
        let wrong = || format!("`{key}` has to be a list of tables");
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Toml::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Toml::Table(table) => Ok(table),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    fn duration(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        parse_duration(&text)
            .ok()
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Some)
            .ok_or_else(|| format!("`{key}` has to be a duration such as \"5s\", not {text:?}"))
    }

    fn end(self, of: &str) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("there is no key `{key}` in {of}")),
        }
    }
}

fn topology(servers: Table) -> Result<Topology, String> {
    let mut all = Vec::new();
    for (name, server) in servers {
        let Toml::Table(server) = server else {
            return Err(format!("servers.{name} has to be a table"));
        };
        let mut keys = Keys::new(server);
        let role = match keys.text("role")?.as_deref() {
            Some("primary") => Role::Primary,
            Some("secondary") => Role::Secondary,
            Some("additional") => Role::Additional,
            _ => return Err(format!("servers.{name}.role: primary, secondary or additional")),
        };
        let Some(Toml::Array(services)) = keys.take("services") else {
            return Err(format!("servers.{name}.services has to be a list"));
        };
        let services = services
            .iter()
            .map(|name| service(name.as_str().unwrap_or_default()))
            .collect::<Result<_, _>>()?;
        keys.end(&format!("servers.{name}"))?;
        let name = ServerName::new(&name).map_err(|error| error.to_string())?;
        all.push(Server { name, role, services });
    }
    world::topology(all)
}

pub(super) fn texts(value: &Toml) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn outcomes(table: Table) -> Result<BTreeMap<String, Outcome>, String> {
    const KINDS: [&str; 5] = ["rescue", "stop", "failover", "switchover", "switchback"];
    table
        .into_iter()
        .map(|(action, outcome)| {
            if !KINDS.contains(&action.split(' ').next().unwrap_or_default()) {
                return Err(format!("outcomes: there is no action {action:?}"));
            }
            let outcome = match outcome.as_str() {
                Some("succeeds") => Outcome::Succeeds,
                Some("fails") => Outcome::Fails,
                Some("refused") => Outcome::Refused,
                Some("held") => Outcome::Held,
                Some("hangs") => Outcome::Hangs,
                _ => {
                    return Err(format!(
                        "outcomes: {action:?} succeeds, fails, hangs, or is refused or held"
                    ));
                }
            };
            Ok((action, outcome))
        })
        .collect()
}

fn side(text: &str) -> Result<Side, String> {
    match text {
        "primary" => Ok(Side::Primary),
        "secondary" => Ok(Side::Secondary),
        _ => Err(format!("a side is primary or secondary, not {text:?}")),
    }
}

fn phase(text: &str, side: Side) -> Result<Phase, String> {
    match text {
        "active" => Ok(Phase::Active(side)),
        "needs-operator" => Ok(Phase::NeedsOperator(side)),
        _ => Err(format!("a case starts in the phase active or needs-operator, not {text:?}")),
    }
}

fn status(text: &str) -> Result<Status, String> {
    match text {
        "up" => Ok(Status::Up),
        "down" => Ok(Status::Down),
        "unknown" => Ok(Status::Unknown),
        _ => Err(format!("a status is up, down or unknown, not {text:?}")),
    }
}

/// A service, or the server itself.
fn which(name: &str) -> Result<Option<Service>, String> {
    if name == "server" { Ok(None) } else { service(name).map(Some) }
}

/// What can be found of a server.
const WORDS: &str =
    "alive, hung, gone, unable or nothing; of another monitor alive, silent or nothing";

/// What servers and other monitors find of servers.
fn all_seen(table: Table, topology: &Topology) -> Result<Vec<Happening>, String> {
    let server = |name: &str| {
        let found = topology.servers().iter().find(|server| server.name.as_str() == name);
        let found = found.ok_or_else(|| format!("seen: there is no server {name:?}"))?;
        Ok::<_, String>(found.name.clone())
    };
    let mut all = Vec::new();
    for (about, witnesses) in table {
        let Toml::Table(witnesses) = witnesses else {
            return Err(format!("seen.{about} has to be a table"));
        };
        for (witness, found) in witnesses {
            let found = match found.as_str() {
                Some("alive") => Some(Seen::Alive),
                Some("hung") => Some(Seen::Hung),
                Some("gone") => Some(Seen::Gone),
                Some("silent") => Some(Seen::Silent),
                Some("unable") => Some(Seen::Unable),
                Some("nothing") => None,
                _ => return Err(format!("seen.{about}.{witness}: {WORDS}")),
            };
            let of_monitor = matches!(found, Some(Seen::Alive | Seen::Silent) | None);
            let witness = match server(&witness) {
                // What is no server is another monitor, which either has an answer or has none.
                Err(_) if of_monitor => ServerName::new(&witness).map_err(|it| it.to_string())?,
                server => server?,
            };
            all.push(Happening::Seen(server(&about)?, witness, found));
        }
    }
    Ok(all)
}

fn service(name: &str) -> Result<Service, String> {
    Service::from_name(name).ok_or_else(|| format!("there is no service {name:?}"))
}

fn value(name: &str, found: &Toml) -> Result<Value, String> {
    match found {
        Toml::Boolean(flag) => Ok(Value::Flag(*flag)),
        Toml::Integer(number) => Ok(Value::Integer(*number)),
        Toml::Float(number) if !number.is_nan() => Ok(Value::Number(*number)),
        Toml::String(text) => Ok(Value::Text(text.as_str().into())),
        _ => Err(format!("{name} is nothing that can be measured")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Case::parse(text, Path::new("")).unwrap_err()
    }

    #[test]
    fn a_case_without_a_reason_does_not_run() {
        assert!(problem("").contains("`why`"));
        assert!(problem("why = \"\"").contains("`why`"));
    }

    #[test]
    fn unknown_keys_are_errors_wherever_they_stand() {
        assert_eq!(problem("why = \"x\"\nwhen = 1"), "there is no key `when` in the case");
        assert_eq!(
            problem("why = \"x\"\n[start]\nside = \"primary\""),
            "there is no key `side` in start"
        );
        assert_eq!(
            problem("why = \"x\"\n[[at]]\ntime = \"1s\"\ndm9.daemon = \"down\""),
            "there is no key `dm9` in the moment at 1 s"
        );
        assert_eq!(
            problem("why = \"x\"\n[[at]]\ntime = \"1s\"\ndm1.deamon = \"down\""),
            "there is no service \"deamon\""
        );
        assert_eq!(
            problem("why = \"x\"\n[[at]]\ntime = \"1s\"\nmeasures.dm9.rest.x = 1"),
            "there is no key `dm9` in measures"
        );
        let at = "why = \"x\"\n[[at]]\ntime = \"1s\"\n";
        assert_eq!(
            problem(&format!("{at}seen.dm1.dm9 = \"gone\"")),
            "seen: there is no server \"dm9\""
        );
        assert_eq!(
            problem(&format!("{at}seen.dm1.dm2 = \"dead\"")),
            "seen.dm1.dm2: alive, hung, gone, unable or nothing; of another monitor alive, silent or nothing"
        );
        assert!(problem("why = \"x\"\n[outcomes]\nreboot = \"fails\"").contains("reboot"));
    }

    #[test]
    fn moments_are_in_order_and_have_a_time() {
        assert_eq!(problem("why = \"x\"\n[[at]]\ndm1 = \"down\""), "a moment needs a `time`");
        let text = "why = \"x\"\n[[at]]\ntime = \"2s\"\n[[at]]\ntime = \"1s\"";
        assert!(problem(text).contains("order"));
    }
}
