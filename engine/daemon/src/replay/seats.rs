//! Who is asked: the policies as configured, with the candidate in the place of one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchkeeper_core::arbitration::OnPolicyFailure;
use watchkeeper_core::model::PolicyName;
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::Revision;
use watchkeeper_core::settings::Given;
use watchkeeper_wasm::{Host, HostError};

use crate::cluster::Seat;
use crate::config::checked::{Guests, PolicyConfig, Settings};
use crate::config::cluster::ClusterConfig;
use crate::config::{Location, nearest};
use crate::errors::chain;
use crate::trust::Trust;
use crate::wiring::{self, Before, GuestError, Shelf};

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The component's file.
    pub file: PathBuf,
    /// The policy whose place it takes, if its own name does not say it.
    pub name: Option<String>,
    /// Settings that take precedence over the configuration's.
    pub settings: BTreeMap<String, Given>,
    /// The files of those that are from one.
    pub files: BTreeMap<String, PathBuf>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum SeatsError {
    /// Guests cannot be run here.
    #[error("policies cannot be run")]
    Host(#[from] HostError),
    /// A policy cannot be used.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// `--as` names no policy of the cluster.
    #[error("{cluster} has no policy {name:?}; {help}")]
    NoPolicy {
        /// The cluster.
        cluster: String,
        /// What was given.
        name: String,
        /// What there is.
        help: String,
    },
    /// The candidate's own name cannot be one.
    #[error("{name:?} cannot be the name of a policy; say whose place it takes with --as")]
    Name {
        /// What it says.
        name: String,
    },
}

/// The policies that are asked, in order.
#[derive(Debug)]
pub struct Panel {
    /// Every policy.
    pub seats: Vec<Seat>,
    /// Which of them is the candidate.
    pub candidate: PolicyName,
    /// What an administrator should know of how they came here.
    pub notes: Vec<String>,
}

impl Panel {
    /// The policies of `cluster` with the candidate among them.
    pub fn of(
        guests: &Guests,
        cluster: &ClusterConfig,
        candidate: &Candidate,
    ) -> Result<Self, SeatsError> {
        // What the daemon compiled is in a folder of its own user.
        let config = wiring::host_config(guests, None);
        let mut shelf = Shelf::new(Arc::new(Host::new(config)?), None);
        // Whoever names a file to be tried trusts it so far.
        let guest = shelf.policy(&candidate.file, &Trust::default())?;
        let described = guest.description();
        let name = place(cluster, candidate, &described.name)?;
        let mut notes = Vec::new();
        let mut policies = cluster.policies.clone();
        let configured = policies.iter().position(|it| it.name == name);
        let at = configured.unwrap_or_else(|| {
            notes.push(format!(
                "{name} is not configured: it joins as the last policy, with what it needs"
            ));
            policies.push(unconfigured(&name, &candidate.file));
            policies.len() - 1
        });
        if let Some(policy) = policies.get_mut(at) {
            let lacks = described.needs.difference(&policy.grants);
            let lacks: Vec<&str> = lacks.map(|grant| grant.as_str()).collect();
            if !lacks.is_empty() && configured.is_some() {
                notes.push(format!(
                    "{name} needs the grants {}, which the configuration does not give it yet: \
                     without them it is not put in force; here it has them",
                    lacks.join(", ")
                ));
            }
            if let Err(error) = shelf.policy(&candidate.file, &policy.trust) {
                notes.push(format!("as it is, {name} is not put in force: {}", chain(&error)));
            }
            policy.trust = Trust::default();
            policy.grants.extend(described.needs.iter().copied());
            policy.file.clone_from(&candidate.file);
            if policy.mode == Mode::Shadow {
                notes.push(format!("{name} is in the shadow: here it is obeyed"));
                policy.mode = Mode::Enforce;
            }
            for (setting, value) in &candidate.settings {
                policy.settings.places.remove(setting);
                policy.settings.files.remove(setting);
                policy.settings.values.insert(setting.clone(), value.clone());
            }
            policy.settings.files.extend(candidate.files.clone());
        }
        let seats = policies
            .iter()
            .map(|policy| Ok(wiring::seat(&mut shelf, policy, Before::default())?.0))
            .collect::<Result<_, GuestError>>()?;
        let panel = Self { seats, candidate: name, notes: Vec::new() };
        let tried = panel.candidate().zip(policies.get(at));
        notes.extend(tried.and_then(|(seat, policy)| {
            let trouble = seat.trouble(cluster, &policy.settings)?;
            Some(format!("while nothing is known, {} has no answer: {trouble}", policy.name))
        }));
        Ok(Self { notes, ..panel })
    }

    /// The candidate's seat.
    pub fn candidate(&self) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.standing.policy == self.candidate)
    }
}

/// The revision of the policy in that seat.
pub(super) fn revision(seat: &Seat) -> Option<&Revision> {
    seat.guest.as_ref().ok().map(|guest| guest.revision())
}

/// Whose place the candidate takes: the one named, else the one that its file is named after, else
/// the one that it says it is.
fn place(
    cluster: &ClusterConfig,
    candidate: &Candidate,
    described: &str,
) -> Result<PolicyName, SeatsError> {
    let known = |name: &str| cluster.policies.iter().find(|it| it.name.as_str() == name);
    if let Some(name) = &candidate.name {
        return known(name).map(|it| it.name.clone()).ok_or_else(|| no_policy(cluster, name));
    }
    let stem = candidate.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if let Some(policy) = known(stem).or_else(|| known(described)) {
        return Ok(policy.name.clone());
    }
    PolicyName::new(described).map_err(|_| SeatsError::Name { name: described.to_owned() })
}

fn no_policy(cluster: &ClusterConfig, name: &str) -> SeatsError {
    let known: Vec<&str> = cluster.policies.iter().map(|it| it.name.as_str()).collect();
    let meant = nearest(name, known.iter().copied());
    let help = match (meant.as_slice(), known.as_slice()) {
        ([], []) => "it has none; leave --as out, and the candidate joins it".to_owned(),
        ([], known) => format!("it has {}", known.join(", ")),
        (meant, _) => format!("did you mean {}?", meant.join(" or ")),
    };
    SeatsError::NoPolicy {
        cluster: cluster.topology.cluster().to_string(),
        name: name.to_owned(),
        help,
    }
}

/// A policy that the configuration does not have; what it needs is granted later.
fn unconfigured(name: &PolicyName, file: &Path) -> PolicyConfig {
    PolicyConfig {
        name: name.clone(),
        file: file.to_owned(),
        at: Location::whole(file),
        grants: BTreeSet::new(),
        mode: Mode::Enforce,
        servers: None,
        on_failure: OnPolicyFailure::Hold,
        settings: Settings::default(),
        trust: Trust::default(),
    }
}
