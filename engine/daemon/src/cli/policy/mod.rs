//! `watchkeeper policy`: make a policy, build it, test it, look at it, and try it on recorded facts, without a daemon.

mod given;
mod inspect;
mod make;
mod sealed;
mod test;

use std::path::{Path, PathBuf};

use watchkeeper_wasm::{HostError, LoadError};

use super::project::ProjectError;

pub(super) use given::Set;
pub(super) use inspect::{Inspect, evaluate};
pub(super) use make::{BUILD, NEW, build, new};
pub(super) use sealed::{HELP as VERIFY, Verify};
pub(super) use test::{HELP as TEST, Test};

/// Why a command about policies cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no policy.
    #[error("cannot use {path}")]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<LoadError>,
    },
    /// The snapshot is none.
    #[error(
        "{path} is no snapshot; `watchkeeper journal snapshot` writes one, and docs/policies.md \
         shows its form"
    )]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A key is none.
    #[error(
        "{0} is no public key of minisign, and no file that has one: give the second line of the file that \
         `minisign -G` makes, or the file"
    )]
    Key(String),
    /// The settings do not fit.
    #[error("the settings do not fit the policy: {0}")]
    Settings(String),
    /// Guests cannot be run here.
    #[error("policies cannot be run")]
    Host(#[from] HostError),
    /// There is something wrong with a project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The cases cannot be run.
    #[error("the cases cannot be run")]
    Cases(#[from] watchkeeper_cases::CaseError),
}

fn read(path: &Path) -> Result<String, PolicyError> {
    std::fs::read_to_string(path)
        .map_err(|source| PolicyError::Read { path: path.to_owned(), source })
}
