//! `watchkeeper plugin`: make a plugin, build it, and test it by recorded conversations, without a daemon.

mod json;
mod play;
mod test;
mod transcript;

use std::path::PathBuf;

use clap::Subcommand;
use watchkeeper_wasm::{Host, Notifier};

use super::exit::Exit;
use super::project::{Build, Introduced, Kind, New, ProjectError};
use test::Test;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// Make a project of a new plugin: in Rust, JavaScript or Python
    #[command(after_help = NEW)]
    New(New),
    /// Build the component of a project
    #[command(after_help = BUILD)]
    Build(Build),
    /// Play recorded conversations through a plugin's component, and compare
    #[command(after_help = test::HELP)]
    Test(Test),
}

const NEW: &str = "Nothing is fetched: the helpers and the contract are written beside the plugin. \
    What the language's own tools need, `plugin build` fetches.\n\nExamples:\n  \
    watchkeeper plugin new tickets\n  watchkeeper plugin new chat --lang js --dir ~/plugins/chat";

const BUILD: &str = "The component is written to build/NAME.wasm. Rust projects need cargo with the target \
    wasm32-wasip2, JavaScript Node.js with npm, Python pip.\n\nExamples:\n  watchkeeper plugin build\n  \
    watchkeeper plugin build ~/plugins/chat --out /etc/watchkeeper/plugins/chat.wasm";

/// Why a command about plugins cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum PluginError {
    /// There is something wrong with a project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The conversations cannot be found.
    #[error("the conversations cannot be played")]
    Conversations(#[from] watchkeeper_cases::CaseError),
    /// There are none.
    #[error("there is no conversation in {0}: each is a folder there, with a conversation.toml")]
    Empty(PathBuf),
}

impl Plugin {
    pub(super) async fn run(&self, json: bool) -> Result<Exit, PluginError> {
        match self {
            Self::New(new) => {
                Ok(new.run(Kind::Plugin, "opens, notes and closes incidents over HTTP", json)?)
            }
            Self::Build(build) => {
                Ok(build.run(Kind::Plugin, Host::load_notifier, introduce, json)?)
            }
            Self::Test(test) => test.run(json).await,
        }
    }
}

fn introduce(notifier: &Notifier) -> Introduced {
    let (description, revision) = (notifier.description(), notifier.revision());
    let settings: Vec<&str> =
        description.settings.iter().map(|setting| setting.name.as_str()).collect();
    Introduced {
        said: serde_json::json!({
            "name": description.name,
            "version": revision.version,
            "digest": revision.digest,
            "settings": description.settings,
        }),
        name: format!("{} {}", description.name, revision.version),
        more: match settings.as_slice() {
            [] => "has no settings".to_owned(),
            settings => format!("has the settings: {}", settings.join(", ")),
        },
    }
}
