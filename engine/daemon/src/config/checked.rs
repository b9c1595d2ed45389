//! The configuration after the check: plain data that the daemon's parts are made from.
//!
//! Invariants: every name that one part uses for another exists; every number is within the
//! bounds that the documentation gives; every path is absolute or relative to the working
//! directory in the way the file named it, never relative to the file; every secret is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_core::model::{ClusterName, MonitorName, PolicyName, ReceiverName};
use watchkeeper_core::proposal::Severity;

use super::cluster::ClusterConfig;
use super::difference::Flat;
use super::duty::DutyConfig;
use super::host::HostGrant;
use super::mail::MailGrant;
use super::problem::{Location, Problem};
use super::tree::Tree;
use crate::secret::Secret;
use crate::trust::{Key, Trust};
use watchkeeper_core::settings::{self, Given};

/// A whole configuration. Only [`super::load()`] makes one.
#[derive(Debug, Clone)]
pub struct Config {
    /// This monitor.
    pub monitor: Monitor,
    /// How the duty to act is shared with other monitors.
    pub duty: DutyConfig,
    /// Where guests are and what they may use.
    pub guests: Guests,
    /// The secrets by name, loaded.
    pub secrets: BTreeMap<String, Secret>,
    /// Commands that notifiers may be granted, by name.
    pub commands: BTreeMap<String, CommandConfig>,
    /// Where notifications go, in the order of the files.
    pub receivers: Vec<Receiver>,
    /// Who of them is told what.
    pub routing: Tree,
    /// After how long a probe that finds nothing out is an alert; 0: never.
    pub unknown_after: Duration,
    /// The clusters, in the order of the files. At least one.
    pub clusters: Vec<ClusterConfig>,
    pub(super) files: Vec<PathBuf>,
    pub(super) include: Option<PathBuf>,
    pub(super) digest: String,
    pub(super) warnings: Vec<Problem>,
    pub(super) flat: Flat,
}

impl Config {
    /// SHA-256 over the configuration files' names and contents, and those of the settings' texts, in
    /// lower-case hexadecimal. What the secrets' files hold is not in it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every file that was read and the folder of includes: what to watch for a change.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The folder of included files.
    pub fn include_folder(&self) -> Option<&PathBuf> {
        self.include.as_ref()
    }

    /// What is accepted and nevertheless looks wrong.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &ClusterName) -> Option<&ClusterConfig> {
        self.clusters.iter().find(|cluster| cluster.topology.cluster() == name)
    }

    /// The receiver of that name.
    pub fn receiver(&self, name: &ReceiverName) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == *name)
    }
}

/// This monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// Its name, such as `vp1`.
    pub name: MonitorName,
    /// The folder for the journal and the cache.
    pub state_dir: PathBuf,
    /// The socket that the commands use.
    pub socket: PathBuf,
    /// The group that may use the socket, by name.
    pub socket_group: Option<String>,
}

/// Where guests are and what they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guests {
    /// The folder of the policies' `.wasm` files.
    pub policies: PathBuf,
    /// The folder of the plugins' `.wasm` files.
    pub plugins: PathBuf,
    /// The folder of compiled code.
    pub cache: PathBuf,
    /// Whose signatures are accepted.
    pub keys: std::sync::Arc<[Key]>,
    /// Whether every policy and plugin has to be signed.
    pub require_signature: bool,
    /// After how many failures in a row a policy's revision is taken back; 0: never.
    pub rollback_after: u32,
    /// What one call may use.
    pub limits: GuestLimits,
}

/// What one call of a guest may use; see the host's own limits for what each guards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestLimits {
    /// How long a call may take.
    pub time: Duration,
    /// How long it may take to describe itself, once, when loaded.
    pub describe_time: Duration,
    /// The size of a `.wasm` file, in bytes.
    pub component_bytes: u64,
    /// Linear memory, in bytes.
    pub memory_bytes: u64,
    /// Table elements.
    pub table_elements: u64,
    /// Stack, in bytes.
    pub stack_bytes: u64,
    /// What a call may hand over at once, in bytes.
    pub result_bytes: u64,
    /// What a guest may remember, in bytes.
    pub state_bytes: u64,
    /// Calls to the host.
    pub host_calls: u32,
    /// Log lines kept.
    pub log_lines: u32,
}

/// A program on the monitor, run without a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandConfig {
    /// The program and its first arguments; never empty.
    pub argv: Vec<String>,
    /// After how long it is ended.
    pub timeout: Duration,
}

/// What the configuration gives to a guest, not yet held against the guest's own schema.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The values by key.
    pub values: BTreeMap<String, Given>,
    /// Where each stands, for messages.
    pub places: BTreeMap<String, Location>,
    /// The files of the texts that do not stand in the configuration itself.
    pub files: BTreeMap<String, PathBuf>,
}

impl Settings {
    /// What a guest said of its settings, with the names of the files that their texts are from.
    pub fn name_files(&self, said: &str) -> String {
        let files = self.files.iter().map(|(setting, path)| (setting.as_str(), path.display()));
        settings::name_files(said, files)
    }
}

/// A place that notifications are sent to.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name.
    pub name: ReceiverName,
    /// The plugin that talks to it: the stem of its file's name.
    pub plugin: String,
    /// The plugin's file.
    pub file: PathBuf,
    /// Where the plugin is named, for messages.
    pub at: Location,
    /// What the plugin's file has to fulfil.
    pub trust: Trust,
    /// The plugin's settings.
    pub settings: Settings,
    /// Hosts it may send requests to, each `host` or `host:port`.
    pub hosts: Vec<HostGrant>,
    /// The methods its requests may have.
    pub methods: Vec<reqwest::Method>,
    /// Names of the secrets that may stand in what it sends.
    pub secrets: BTreeSet<String>,
    /// Names of the commands it may have run.
    pub commands: BTreeSet<String>,
    /// The mail server it may use, and for whom.
    pub mail: Option<MailGrant>,
    /// The certificate authorities for its HTTPS requests; none: the operating system's.
    pub ca: Option<PathBuf>,
    /// Alerts below this are not sent.
    pub min_severity: Severity,
    /// Only these clusters' alerts are sent; none: all, and those of the monitor itself.
    pub clusters: Option<BTreeSet<ClusterName>>,
    /// How long one request or command may take.
    pub timeout: Duration,
    /// How long to wait after the first failure; it doubles with each further one.
    pub retry_first: Duration,
    /// The longest wait between two attempts.
    pub retry_max: Duration,
    /// How long after its alert a notification is given up and put on the dead-letter list.
    pub give_up_after: Duration,
    /// Most attempts a minute; none: as many as there are.
    pub rate_limit: Option<u32>,
}

/// A policy in a cluster's order.
#[derive(Debug, Clone)]
pub struct PolicyConfig {
    /// Its name.
    pub name: PolicyName,
    /// Its file.
    pub file: PathBuf,
    /// Where it is named, for messages.
    pub at: Location,
    /// What it may have.
    pub grants: BTreeSet<watchkeeper_core::proposal::Grant>,
    /// The servers that it may propose something for; none: all of them.
    pub servers: Option<BTreeSet<watchkeeper_core::model::ServerName>>,
    /// What its failure means.
    pub on_failure: watchkeeper_core::arbitration::OnPolicyFailure,
    /// Whether it is obeyed.
    pub mode: watchkeeper_core::policies::Mode,
    /// What its file has to fulfil.
    pub trust: Trust,
    /// Its settings.
    pub settings: Settings,
}
