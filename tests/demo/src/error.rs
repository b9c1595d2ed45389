//! Why the demo did not go as it should.

use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_site::SiteError;

/// What went wrong. Each is a failed demo: there is no step that may be left out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A step did not happen within its bound.
    #[error("{what} did not happen within {within:?}")]
    Late {
        /// The step.
        what: String,
        /// The bound.
        within: Duration,
    },
    /// Something happened, and not what was expected.
    #[error("{0}")]
    Unexpected(String),
    /// A file could not be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {path}; `make demo` builds it")]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A command of `watchkeeper` failed.
    #[error("`watchkeeper {command}` failed ({status}): {said}")]
    Command {
        /// Its arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        said: String,
    },
    /// What a command printed as JSON is none.
    #[error("what `watchkeeper {command}` printed is not understood")]
    Json {
        /// Its arguments.
        command: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The stand-in site refused something.
    #[error("the stand-in site")]
    Site(#[from] SiteError),
    /// The runtime or a signal could not be set up.
    #[error("the operating system refused")]
    System(#[from] std::io::Error),
    /// Somebody pressed Ctrl-C or ended it.
    #[error("interrupted")]
    Interrupted,
}

/// The error and its causes, one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
