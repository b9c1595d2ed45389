//! `watchkeeper policy new` and `policy build`.

use watchkeeper_core::proposal::Grant;
use watchkeeper_wasm::{Host, Policy};

use super::PolicyError;
use crate::cli::exit::Exit;
use crate::cli::project::{Build, Introduced, Kind, New};

pub(in crate::cli) const NEW: &str = "Nothing is fetched: the helpers and the contract are written beside the policy. \
    What the language's own tools need, `policy build` fetches.\n\nExamples:\n  \
    watchkeeper policy new rest-keeper\n  watchkeeper policy new agent-quorum --lang js\n  \
    watchkeeper policy new job-window --lang python --dir ~/policies/job-window";

pub(in crate::cli) const BUILD: &str = "The component is written to build/NAME.wasm. Rust projects need cargo with the target \
    wasm32-wasip2, JavaScript Node.js with npm, Python pip.\n\nExamples:\n  watchkeeper policy build\n  \
    watchkeeper policy build ~/policies/agent-quorum --out /etc/watchkeeper/policies/agent-quorum.wasm";

/// Makes a project.
pub(in crate::cli) fn new(new: &New, json: bool) -> Result<Exit, PolicyError> {
    Ok(new.run(Kind::Policy, "starts REST again", json)?)
}

/// Builds a project.
pub(in crate::cli) fn build(build: &Build, json: bool) -> Result<Exit, PolicyError> {
    Ok(build.run(Kind::Policy, Host::load_policy, introduce, json)?)
}

fn introduce(policy: &Policy) -> Introduced {
    let (description, revision) = (policy.description(), policy.revision());
    let needs: Vec<&str> = description.needs.iter().map(|grant: &Grant| grant.as_str()).collect();
    Introduced {
        said: serde_json::json!({
            "name": description.name,
            "version": revision.version,
            "digest": revision.digest,
            "needs": description.needs,
        }),
        name: format!("{} {}", description.name, revision.version),
        more: format!("needs the grants: {}", needs.join(", ")),
    }
}
