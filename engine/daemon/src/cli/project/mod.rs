//! Projects of guests, policies and plugins alike: made from a template, built by their language's own tools, and their
//! examples played. What differs between the two is in `policy` and `plugin`.

mod blame;
mod build;
mod files;
mod manifest;
mod new;
mod outcome;
mod tools;

use std::path::{Path, PathBuf};

use watchkeeper_wasm::{HostError, LoadError};

pub(super) use build::{Build, Built, Introduced, Tools, build, load};
pub(super) use manifest::Project;
pub(super) use new::New;
pub(super) use outcome::{Outcome, Played, failed, told};

/// What a project is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A component of the world `policy`.
    Policy,
    /// A component of the world `notifier`.
    Plugin,
}

impl Kind {
    /// The word for it, in messages and in commands.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Plugin => "plugin",
        }
    }

    /// The world, for tools that are told.
    const fn world(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Plugin => "notifier",
        }
    }

    /// The folder of a project with what its tests play.
    pub(super) const fn examples(self) -> &'static str {
        match self {
            Self::Policy => "cases",
            Self::Plugin => "conversations",
        }
    }
}

/// Why a command about a project cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProjectError {
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
    /// The file is no component of the kind.
    #[error("cannot use {path}")]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<LoadError>,
    },
    /// Guests cannot be run here.
    #[error("guests cannot be run")]
    Host(#[from] HostError),
    /// The folder for a new project is not free.
    #[error("{0} is there already: choose another folder with --dir, or remove it")]
    Taken(PathBuf),
    /// The folder holds no project.
    #[error(
        "there is no Cargo.toml, package.json or pyproject.toml in {folder}: `watchkeeper {kind} new` makes a \
         project, and `{kind} test --component FILE` needs none"
    )]
    NoProject {
        /// The folder.
        folder: PathBuf,
        /// The word for what was looked for.
        kind: &'static str,
    },
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
}

fn read(path: &Path) -> Result<String, ProjectError> {
    std::fs::read_to_string(path)
        .map_err(|source| ProjectError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), ProjectError> {
    let failed = |source| ProjectError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
