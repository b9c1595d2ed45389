//! The configuration under test: one that suits the stand-in site, and changes to it by path.

use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};
use watchkeeper_site::Site;

/// Probes look often and little has to be confirmed, so that a test is over soon; every limit is far
/// above what a busy machine needs.
const BASE: &str = r#"
[monitor]
name = "vp1"
state-dir = "state"
socket = "wk.sock"

[guests]
policies = "policies"
plugins = "plugins"
cache = "cache"

# A busy machine is slow, and the limit is not what most tests are about.
[guests.limits]
time = "5s"
describe-time = "20s"

[receivers.ops]
plugin = "webhook"
retry-first = "100ms"
retry-max = "400ms"

[ssh]
user = "dmuser"
key = "site/id_ed25519"
known-hosts = "site/known_hosts"
port = 2222

[probes]
interval = "200ms"
confirm-interval = "100ms"
timeout = "1s"

[clusters.prod]
primary = "dm1"
secondary = "dm2"

[[clusters.prod.policies]]
name = "data-mover-ha"
grants = ["rescue", "failover", "stop-service", "alert"]

[clusters.prod.policies.settings]
down-confirmations = 2
stray-confirmations = 2
unreachable-confirmations = 3
rescue-attempts = 1

[clusters.prod.plan]
replicated-repository = false
start-timeout = "20s"
stop-timeout = "20s"
retry-delay = "100ms"

[clusters.prod.repository]
subscription = "dm_repository"
publication = "dm_repository"

[[clusters.prod.services.repository.probes]]
name = "sql"
kind = "postgres"

[[clusters.prod.services.activemq.probes]]
name = "openwire"
kind = "openwire"

[[clusters.prod.services.rest.probes]]
name = "rest"
kind = "rest"
port = 1443
tls = "off"

[clusters.prod.servers.dm1]
services = ["activemq", "repository", "daemon", "agent", "rest"]

[clusters.prod.servers.dm2]
services = ["activemq", "repository", "daemon", "agent", "rest"]

[clusters.prod.servers.dm3]
services = ["agent"]
"#;

/// The configuration's file in the making.
#[derive(Debug, Clone)]
pub struct Config {
    root: Value,
    /// Text that stands behind it all in the file, as it is.
    pub tail: String,
}

impl Config {
    /// What suits `site`.
    pub fn of(site: &Site) -> Self {
        let root: Table = BASE.parse().expect("the base is TOML");
        let mut config = Self { root: Value::Table(root), tail: String::new() };
        for server in ["dm1", "dm2", "dm3"] {
            let address = site.address(server).expect("a server of the site").to_string();
            config.set(&format!("clusters.prod.servers.{server}.address"), address);
        }
        let sink = site.sink();
        config.set("receivers.ops.hosts", vec![sink.url()]);
        config.set("receivers.ops.settings.url", format!("{}/alerts", sink.url()));
        config
    }

    /// Sets the value at a path of keys and, in lists, numbers; tables on the way are made, and a
    /// number one past a list's end adds to it.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        let mut place = &mut self.root;
        let keys: Vec<&str> = path.split('.').collect();
        for (i, key) in keys.iter().enumerate() {
            let next_is_list = keys.get(i + 1).is_some_and(|key| key.parse::<usize>().is_ok());
            let fresh = || {
                if next_is_list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) }
            };
            place = match place {
                Value::Table(table) => table.entry((*key).to_owned()).or_insert_with(fresh),
                Value::Array(list) => {
                    let index: usize = key.parse().expect("a list is followed by a number");
                    if index == list.len() {
                        list.push(fresh());
                    }
                    &mut list[index]
                }
                other => panic!("{path}: {key} stands below {other}"),
            };
        }
        *place = value.into();
        self
    }

    /// The repository is taken care of by Watchkeeper's own steps, and its replication is probed.
    pub fn replicated(&mut self) -> &mut Self {
        self.set("clusters.prod.plan.replicated-repository", true)
            .set("clusters.prod.services.repository.probes.1.name", "replication")
            .set("clusters.prod.services.repository.probes.1.kind", "replication")
    }

    /// Sets a setting of the policy data-mover-ha.
    pub fn setting(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.set(&format!("clusters.prod.policies.0.settings.{name}"), value)
    }

    /// Adds a policy; returns the path of its table.
    pub fn policy(&mut self, name: &str, grants: &[&str]) -> String {
        let count = self.root["clusters"]["prod"]["policies"].as_array().map_or(0, Vec::len);
        let path = format!("clusters.prod.policies.{count}");
        self.set(&format!("{path}.name"), name);
        self.set(&format!("{path}.grants"), grants.to_vec());
        path
    }

    /// Adds a step of the site's own; returns the path of its table.
    pub fn site_step(&mut self, name: &str, point: &str, command: &str) -> String {
        let steps = self.root["clusters"]["prod"].get("site-steps").and_then(Value::as_array);
        let path = format!("clusters.prod.site-steps.{}", steps.map_or(0, Vec::len));
        self.set(&format!("{path}.name"), name);
        self.set(&format!("{path}.point"), point);
        self.set(&format!("{path}.command"), command);
        path
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = toml::to_string(&self.root).expect("TOML");
        let _ = write!(text, "{}", self.tail);
        text
    }

    /// Puts it in place at once, as an editor does that writes a new file and renames it.
    pub fn write(&self, path: &Path) {
        super::replace(path, self.text().as_bytes());
    }
}
