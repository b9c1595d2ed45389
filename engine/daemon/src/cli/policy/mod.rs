//! `watchkeeper policy`: make a policy, build it, test it, look at it, and try it on recorded facts, without a daemon.

mod blame;
mod build;
mod files;
mod given;
mod inspect;
mod new;
mod project;
mod sealed;
mod test;
mod tools;

use std::path::{Path, PathBuf};

use watchkeeper_wasm::{HostError, LoadError};

pub(super) use build::{Build, HELP as BUILD};
pub(super) use given::Set;
pub(super) use inspect::{Inspect, evaluate};
pub(super) use new::{HELP as NEW, New};
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
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
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
    /// The folder for a new project is not free.
    #[error("{0} is there already: choose another folder with --dir, or remove it")]
    Taken(PathBuf),
    /// The folder holds no project.
    #[error(
        "there is no Cargo.toml, package.json or pyproject.toml in {0}: `watchkeeper policy new` makes a \
         project, and `policy test --component FILE` needs none"
    )]
    NoProject(PathBuf),
    /// A project's file says something that cannot be used.
    #[error("{path}: {problem}")]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A tool is not there.
    #[error("{tool} cannot be started; {advice}")]
    NoTool {
        /// Its name.
        tool: String,
        /// What to do.
        advice: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A tool failed. What it said, in the author's places: where it is comes first.
    #[error("{said}\n({tool} failed)")]
    Tool {
        /// Its name.
        tool: String,
        /// What it said.
        said: String,
    },
    /// The build came to its end without a component.
    #[error("the build wrote no {0}")]
    NothingBuilt(PathBuf),
    /// The cases cannot be run.
    #[error("the cases cannot be run")]
    Cases(#[from] watchkeeper_cases::CaseError),
}

fn read(path: &Path) -> Result<String, PolicyError> {
    std::fs::read_to_string(path)
        .map_err(|source| PolicyError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), PolicyError> {
    let failed = |source| PolicyError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
