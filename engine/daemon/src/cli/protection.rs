//! What protects a cluster from two active sides when the old one cannot be asked, in plain words.

use std::fmt;

use serde_json::{Value, json};
use watchkeeper_core::model::{ClusterName, Role};
use watchkeeper_core::plan::Proof;

use crate::config::cluster::ClusterConfig;
use crate::fence::Level;

/// What protects a cluster.
pub(super) struct Protection {
    pub(super) cluster: ClusterName,
    proof: Proof,
    /// Each side's server with its levels, if they are used.
    fences: Vec<(String, Vec<String>)>,
}

impl Protection {
    pub(super) fn of(cluster: &ClusterConfig) -> Self {
        let proof = cluster.arrangements.proof;
        let sides = cluster.topology.servers().iter().filter(|it| it.role != Role::Additional);
        let fences = sides.filter_map(|server| {
            let config = cluster.servers.get(&server.name)?;
            let levels = config.fences.iter().map(Level::name).collect();
            Some((server.name.to_string(), levels))
        });
        let used = matches!(proof, Proof::Fence { .. });
        Self {
            cluster: cluster.topology.cluster().clone(),
            proof,
            fences: if used { fences.collect() } else { Vec::new() },
        }
    }

    const fn word(&self) -> &'static str {
        match self.proof {
            Proof::Fence { .. } => "fence",
            Proof::Witnesses(_) => "witnesses",
            Proof::Operator => "operator",
            Proof::Nothing => "nothing",
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let fences: serde_json::Map<String, Value> =
            self.fences.iter().map(|(server, levels)| (server.clone(), json!(levels))).collect();
        json!({
            "cluster": self.cluster,
            "proof": self.word(),
            "fences": fences,
            "says": self.to_string(),
        })
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("if the active side cannot be asked whether it has stopped, ")?;
        match self.proof {
            Proof::Fence { .. } => {
                for (i, (server, levels)) in self.fences.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    write!(f, "{separator}{server} is switched off by {}", levels.join(", else by "))?;
                }
                f.write_str("; if that fails, nothing is started. Two active sides are excluded as far as the fence agents tell the truth")
            }
            Proof::Witnesses(1) => f.write_str(
                "one other server has to find it gone. Two active sides are possible: if that server and the \
                 monitor are cut off from it and it runs on. `fence` excludes that",
            ),
            Proof::Witnesses(needed) => write!(
                f,
                "{needed} other servers have to find it gone. Two active sides are possible: if all of those and \
                 the monitor are cut off from it and it runs on. `fence` excludes that"
            ),
            Proof::Operator => f.write_str(
                "a person has to make sure. Two active sides are excluded as far as that person is right, and \
                 nothing is started until then",
            ),
            Proof::Nothing => f.write_str(
                "the other side is started all the same. Two active sides are possible whenever the monitor is cut off from it",
            ),
        }
    }
}
