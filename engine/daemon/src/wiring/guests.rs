//! Components from files: read, loaded, checked against their settings and grants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use watchkeeper_core::arbitration::Standing;
use watchkeeper_core::facts::FactBook;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::Side;
use watchkeeper_core::policies::RolledBack;
use watchkeeper_core::proposal::{FailureKind, Revision};
use watchkeeper_core::settings::{self, SettingValue};
use watchkeeper_core::snapshot::{Background, Snapshot};
use watchkeeper_core::state::Memory;
use watchkeeper_wasm::{Host, HostConfig, LoadError, Notifier, Policy, digest};

use crate::clock;
use crate::cluster::Seat;
use crate::config::checked::{Guests, PolicyConfig, Settings};
use crate::config::cluster::ClusterConfig;
use crate::revisions::Revisions;
use crate::trust::{self, Distrust, Trust};

/// How the host of guests is set up; compiled code is kept in `cache`, if that is given.
pub fn host_config(guests: &Guests, cache: Option<PathBuf>) -> HostConfig {
    let limits = &guests.limits;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    HostConfig {
        limits: watchkeeper_wasm::Limits {
            component_bytes: limits.component_bytes,
            call: limits.time,
            describe: limits.describe_time,
            memory_bytes: size(limits.memory_bytes),
            table_elements: size(limits.table_elements),
            stack_bytes: size(limits.stack_bytes),
            handed_bytes: size(limits.result_bytes),
            state_bytes: size(limits.state_bytes),
            host_calls: limits.host_calls,
            log_lines: limits.log_lines as usize,
            ..watchkeeper_wasm::Limits::default()
        },
        cache_dir: cache,
        ..HostConfig::default()
    }
}

/// Why a guest cannot take its place.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Its file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not to be trusted.
    #[error("{path} is not used")]
    Distrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Distrust,
    },
    /// Its file was being written while it was read.
    #[error("{0} changed while it was read; it is read again when it has settled")]
    Unsettled(PathBuf),
    /// It is not a component that can be used.
    #[error("cannot use {path}")]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<LoadError>,
    },
    /// The configuration does not fit it.
    #[error("the configuration does not fit {path}: {}", problems.join("; "))]
    Settings {
        /// The file.
        path: PathBuf,
        /// Everything that does not fit.
        problems: Vec<String>,
    },
    /// The revision that is to be used in its place is not there any more.
    #[error(
        "the revision {wanted} that was gone back to is not kept any more; put a file that holds \
         another one at {path}, or `watchkeeper policy retry`"
    )]
    NotKept {
        /// The file that is not used.
        path: PathBuf,
        /// What is missing.
        wanted: Revision,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot take over what the one before it remembered.
    #[error("{path} does not take over the state of version {from}: {problem}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// The version before.
        from: String,
        /// Why.
        problem: String,
    },
    /// It fails on what is the case now.
    #[error("{path} fails on the latest facts: {problem}")]
    Trial {
        /// The file.
        path: PathBuf,
        /// How.
        problem: String,
    },
}

impl GuestError {
    /// Whether the configuration is at fault rather than the file.
    pub const fn is_settings(&self) -> bool {
        matches!(self, Self::Settings { .. })
    }
}

/// What tells that a file is another than before, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        // A pipe, for one, would be waited for until somebody writes to it.
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file"));
    }
    Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), inode: metadata.ino() })
}

/// A component that was loaded, and what that rests on.
#[derive(Debug)]
struct Shelved<G> {
    component: Stamp,
    /// None: there is no signature.
    signature: Option<Stamp>,
    trust: Trust,
    guest: Arc<G>,
}

/// The components that were loaded, by file.
#[derive(Debug)]
pub struct Shelf {
    host: Arc<Host>,
    /// Where policies are kept for those who want to go back; none: they are not.
    kept: Option<Arc<Revisions>>,
    /// Those that were gone back to, by digest, with what they were found to fulfil.
    earlier: BTreeMap<String, (Trust, Arc<Policy>)>,
    policies: BTreeMap<PathBuf, Shelved<Policy>>,
    notifiers: BTreeMap<PathBuf, Shelved<Notifier>>,
}

impl Shelf {
    /// An empty shelf.
    pub const fn new(host: Arc<Host>, kept: Option<Arc<Revisions>>) -> Self {
        Self {
            host,
            kept,
            earlier: BTreeMap::new(),
            policies: BTreeMap::new(),
            notifiers: BTreeMap::new(),
        }
    }

    /// Where policies are kept.
    pub const fn kept(&self) -> Option<&Arc<Revisions>> {
        self.kept.as_ref()
    }

    /// The policy in `path`, loaded if the file is another than before.
    pub fn policy(&mut self, path: &Path, trust: &Trust) -> Result<Arc<Policy>, GuestError> {
        let limit = self.host.limits().component_bytes;
        fetch(&mut self.policies, path, limit, trust, |bytes, signature| {
            let policy = self.host.load_policy(bytes)?;
            let digest = &policy.revision().digest;
            let kept = self.kept.as_ref().map(|it| it.keep(digest, bytes, signature));
            if let Some(Err(error)) = kept {
                tracing::warn!(%error, path = %path.display(), "nobody will be able to go back to it");
            }
            Ok(policy)
        })
    }

    /// The revision that `back` went back to.
    fn instead(
        &mut self,
        path: &Path,
        trust: &Trust,
        back: &RolledBack,
    ) -> Result<Arc<Policy>, GuestError> {
        let wanted = &back.to;
        if let Some((fulfilled, policy)) = self.earlier.get(&wanted.digest)
            && fulfilled == trust
        {
            return Ok(Arc::clone(policy));
        }
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let read = self.kept.as_ref().map_or_else(|| Err(missing()), |it| it.read(wanted));
        let (bytes, signature) = read.map_err(|source| GuestError::NotKept {
            path: path.to_owned(),
            wanted: wanted.clone(),
            source,
        })?;
        trust
            .check(path, &bytes, &wanted.digest, signature.as_deref())
            .map_err(|source| GuestError::Distrusted { path: path.to_owned(), source })?;
        let load = |source| GuestError::Load { path: path.to_owned(), source: Box::new(source) };
        let policy = Arc::new(self.host.load_policy(&bytes).map_err(load)?);
        self.earlier.insert(wanted.digest.clone(), (trust.clone(), Arc::clone(&policy)));
        Ok(policy)
    }

    /// The notifier in `path`, loaded if the file is another than before.
    pub fn notifier(&mut self, path: &Path, trust: &Trust) -> Result<Arc<Notifier>, GuestError> {
        let limit = self.host.limits().component_bytes;
        fetch(&mut self.notifiers, path, limit, trust, |bytes, _| self.host.load_notifier(bytes))
    }
}

fn fetch<G>(
    shelf: &mut BTreeMap<PathBuf, Shelved<G>>,
    path: &Path,
    limit: u64,
    trust: &Trust,
    load: impl FnOnce(&[u8], Option<&str>) -> Result<G, LoadError>,
) -> Result<Arc<G>, GuestError> {
    let unreadable = |path: &Path, source| GuestError::Read { path: path.to_owned(), source };
    let signed = trust::signature_file(path);
    let looked = || -> Result<_, GuestError> {
        let component = stamp(path).map_err(|source| unreadable(path, source))?;
        let signature = match stamp(&signed) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            stamp => Some(stamp.map_err(|source| unreadable(&signed, source))?),
        };
        Ok((component, signature))
    };
    let (component, signature) = looked()?;
    if let Some(known) = shelf.get(path)
        && known.component == component
        && known.signature == signature
        && known.trust == *trust
    {
        return Ok(Arc::clone(&known.guest));
    }
    let bytes = read(path, limit)?;
    let text = signature.as_ref().map(|_| trust::read_signature(&signed)).transpose();
    let text = text.map_err(|source| unreadable(&signed, source))?;
    if looked()? != (component.clone(), signature.clone()) {
        return Err(GuestError::Unsettled(path.to_owned()));
    }
    trust
        .check(path, &bytes, &digest(&bytes), text.as_deref())
        .map_err(|source| GuestError::Distrusted { path: path.to_owned(), source })?;
    let guest = load(&bytes, text.as_deref())
        .map_err(|source| GuestError::Load { path: path.to_owned(), source: Box::new(source) })?;
    let guest = Arc::new(guest);
    let trust = trust.clone();
    let shelved = Shelved { component, signature, trust, guest: Arc::clone(&guest) };
    shelf.insert(path.to_owned(), shelved);
    Ok(guest)
}

/// The file's bytes, if there are not more than a guest may have: a file of any size can be put there.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, GuestError> {
    use std::io::Read as _;
    let failed = |source| GuestError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let too_large = |size| {
        let source = Box::new(LoadError::TooLarge { size, limit });
        GuestError::Load { path: path.to_owned(), source }
    };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        size if size > limit => Err(too_large(size)),
        _ => Ok(bytes),
    }
}

/// The values of a guest's settings, complete; else everything that does not fit, with its place.
pub(super) fn settle(
    path: &Path,
    schema: &[settings::Setting],
    given: &Settings,
) -> Result<Vec<SettingValue>, Vec<String>> {
    settings::check(schema, &given.values).map_err(|problems| {
        problems
            .iter()
            .map(|problem| match given.places.get(problem.name()) {
                Some(place) => format!("{place}: {problem}"),
                None => format!("{}: {problem}", path.display()),
            })
            .collect()
    })
}

/// What is known of a policy that is about to take its seat.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// Its seat as it is.
    pub seat: Option<&'a Seat>,
    /// The latest facts.
    pub latest: Option<&'a Arc<Snapshot>>,
    /// What it wanted remembered.
    pub memory: Option<&'a Memory>,
    /// A revision that was taken back.
    pub rolled_back: Option<&'a RolledBack>,
}

/// Gives a policy its seat, after everything that can be tried has been tried. What is in force
/// already, the same component with the same settings, is not tried: it is not about to replace
/// anything, and how it fails is told by each evaluation.
pub fn seat(
    shelf: &mut Shelf,
    config: &PolicyConfig,
    before: Before<'_>,
) -> Result<(Seat, Option<Memory>), GuestError> {
    let Before { seat: in_force, latest, memory, rolled_back } = before;
    let path = &config.file;
    let mut guest = shelf.policy(path, &config.trust)?;
    let back = rolled_back.filter(|back| back.from == *guest.revision());
    if let Some(back) = back {
        guest = shelf.instead(path, &config.trust, back)?;
    }
    let description = guest.description();
    let mut problems = Vec::new();
    for grant in description.needs.difference(&config.grants) {
        problems.push(format!(
            "{}: {} needs the grant {grant}; add it to grants, or use another policy",
            config.at, config.name
        ));
    }
    let settings = settle(path, &description.settings, &config.settings)
        .map_err(|more| problems.extend(more))
        .ok()
        .filter(|_| problems.is_empty());
    let Some(settings) = settings else {
        return Err(GuestError::Settings { path: path.clone(), problems });
    };
    let revision = guest.revision().clone();
    let migrated = memory
        .filter(|memory| memory.version != guest.revision().version)
        .map(|memory| match migrate(&guest, path, memory) {
            // An earlier version need not understand a later one's state: it begins anew.
            Err(_) if back.is_some() => {
                Ok(Memory { version: guest.revision().version.clone(), state: Vec::new() })
            }
            migrated => migrated,
        })
        .transpose()?;
    let seat = Seat {
        standing: Standing {
            policy: config.name.clone(),
            grants: config.grants.clone(),
            servers: config.servers.clone(),
            on_failure: config.on_failure,
            mode: config.mode,
        },
        settings: Arc::new(settings),
        guest: Ok(guest),
    };
    let same = in_force.is_some_and(|before| {
        before.settings == seat.settings
            && before.guest.as_ref().is_ok_and(|it| it.revision() == &revision)
    });
    if let Some(snapshot) = latest.filter(|_| !same && back.is_none()) {
        let opinion = seat.ask(snapshot, migrated.as_ref().or(memory));
        if let Err(failure) = opinion.outcome {
            let problem = config.settings.name_files(&failure.to_string());
            return Err(GuestError::Trial { path: path.clone(), problem });
        }
    }
    Ok((seat, migrated))
}

impl Seat {
    /// Why the policy has no answer while nothing is known of its cluster, as after a start: settings
    /// that it cannot use show then as well. A call that took too long tells of this machine only.
    pub fn trouble(&self, cluster: &ClusterConfig, settings: &Settings) -> Option<String> {
        let now = clock::now();
        let background = Background {
            phase: Phase::Active(Side::Primary),
            active_since: now,
            maintenance: false,
            services_in_maintenance: &[],
            rescues: &[],
            changes: &[],
        };
        let nothing = FactBook::default();
        let snapshot = Snapshot::take(1, now, &cluster.topology, &nothing, &background);
        let failure = self.ask(&Arc::new(snapshot), None).outcome.err()?;
        (failure.kind != FailureKind::Deadline).then(|| settings.name_files(&failure.to_string()))
    }
}

fn migrate(guest: &Policy, path: &Path, memory: &Memory) -> Result<Memory, GuestError> {
    match guest.migrate(&memory.version, &memory.state).outcome {
        Ok(state) => Ok(Memory { version: guest.revision().version.clone(), state }),
        Err(failure) => Err(GuestError::Migration {
            path: path.to_owned(),
            from: memory.version.clone(),
            problem: failure.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> Shelf {
        Shelf::new(Arc::new(Host::new(HostConfig::default()).unwrap()), None)
    }

    #[test]
    fn what_is_no_file_is_not_waited_for_and_one_of_any_size_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pipe = at("pipe.wasm");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("/dev/zero", at("endless.wasm")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling.wasm")).unwrap();
        std::os::unix::fs::symlink(at("circle.wasm"), at("circle.wasm")).unwrap();
        std::fs::create_dir(at("folder.wasm")).unwrap();
        let mut shelf = shelf();
        for name in ["pipe", "endless", "dangling", "circle", "folder"] {
            let path = at(&format!("{name}.wasm"));
            let refused = shelf.policy(&path, &Trust::default()).err();
            assert!(matches!(refused, Some(GuestError::Read { .. })), "{name}: {refused:?}");
        }
        // A terabyte, of which nothing is on the disk.
        let huge = std::fs::File::create(at("huge.wasm")).unwrap();
        huge.set_len(1 << 40).unwrap();
        match shelf.policy(&at("huge.wasm"), &Trust::default()) {
            Err(GuestError::Load { source, .. }) => {
                assert!(matches!(*source, LoadError::TooLarge { .. }), "{source}");
            }
            other => panic!("{:?}", other.err()),
        }
    }
}
