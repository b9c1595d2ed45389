//! What the stand-ins say to each other through the broker. (The vendor's own messages are not public.)

use serde::{Deserialize, Serialize};

/// Where agents announce themselves.
pub const AGENTS: &str = "/topic/watchkeeper.lab.agents";
/// Where the daemon takes requests.
pub const REQUESTS: &str = "/queue/watchkeeper.lab.daemon";

/// An agent, in the form in which REST lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its name, unique in the cluster.
    pub agent_name: String,
    /// The server it runs on.
    pub agent_host_name: String,
    /// Its release.
    pub agent_version: Version,
    /// Tasks that it takes at a time.
    pub max_concurrent_tasks: u32,
    /// Tasks that it works on now.
    pub current_task_count: u32,
}

/// A release, in the four numbers the vendor gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 20 in 20.01.
    pub major: u32,
    /// 1 in 20.01.
    pub minor: u32,
    /// The maintenance release.
    pub maintenance: u32,
    /// The emergency fix.
    pub efix: u32,
}

/// What the daemon can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Which agents it knows.
    ListAgents,
    /// To enter a job in the repository.
    CreateJob {
        /// The job's name.
        name: String,
    },
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// The agents heard lately, by name.
    Agents {
        /// The agents.
        agents: Vec<Agent>,
    },
    /// The job is in the repository.
    JobCreated {
        /// Its number.
        id: i64,
    },
    /// The repository holds a job with the next number already: its sequence is behind its rows.
    Conflict {
        /// What the repository said.
        message: String,
    },
    /// It could not be done.
    Failed {
        /// Why.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_the_names_that_rest_documents() {
        let agent = Agent {
            agent_name: "a".to_owned(),
            agent_host_name: "dm1".to_owned(),
            agent_version: Version { major: 20, minor: 1, maintenance: 0, efix: 3 },
            max_concurrent_tasks: 5,
            current_task_count: 0,
        };
        let json = serde_json::to_value(&agent).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "agentName": "a", "agentHostName": "dm1", "maxConcurrentTasks": 5, "currentTaskCount": 0,
                "agentVersion": {"major": 20, "minor": 1, "maintenance": 0, "efix": 3},
            })
        );
    }
}
