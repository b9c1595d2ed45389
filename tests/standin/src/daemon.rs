//! The daemon: keeps the list of agents and answers what REST asks.
//!
//! It does not come up without its broker and its repository, and does not outlive the broker: like the vendor's, it
//! leaves starting again to whoever watches it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::protocol::{AGENTS, Agent, REQUESTS, Reply, Request};
use crate::repository::{NewJob, Repository, RepositoryError};
use crate::stomp::{Client, Frame, StompError};

/// An agent that has not been heard for so long is not listed any more.
const AGENT_LIMIT: Duration = Duration::from_secs(4);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Why the daemon is not there, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Without its repository it does not run.
    #[error("no repository")]
    Repository(#[from] RepositoryError),
    /// Without its broker it does not run.
    #[error("no broker")]
    Broker(#[from] StompError),
}

/// What a daemon is told when it is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of its server, which its jobs carry.
    pub host_name: String,
    /// The broker's STOMP address, host:port.
    pub broker: String,
    /// The repository, as libpq writes it.
    pub repository: String,
    /// How often it enters a job of its own; zero for never.
    pub job_every: Duration,
}

/// Runs the daemon. Returns why it ended; stops when the future is dropped.
pub async fn run(settings: &Settings) -> Result<std::convert::Infallible, DaemonError> {
    let repository = Repository::open(&settings.repository, &settings.host_name).await?;
    let mut client = Client::connect(&settings.broker, CONNECT_LIMIT).await?;
    client.subscribe("agents", AGENTS).await?;
    client.subscribe("requests", REQUESTS).await?;
    info!("the daemon is up");

    let (jobs, requested) = mpsc::channel(16);
    let work = repository.work(requested, settings.job_every);
    tokio::pin!(work);
    let mut roster = Roster::default();
    loop {
        tokio::select! {
            error = &mut work => return Err(error.into()),
            frame = client.next() => {
                let frame = frame?;
                match frame.header("subscription") {
                    Some("agents") => roster.hear(&frame),
                    Some("requests") => answer(&frame, &roster, &client, &jobs),
                    _ => debug!(command = frame.command, "passed over"),
                }
            }
        }
    }
}

/// Who was heard last, and when.
#[derive(Debug, Default)]
struct Roster {
    agents: BTreeMap<String, (Instant, Agent)>,
}

impl Roster {
    fn hear(&mut self, frame: &Frame) {
        match serde_json::from_slice::<Agent>(&frame.body) {
            Ok(agent) => self.enter(&agent, Instant::now()),
            Err(error) => warn!(%error, "an agent announced itself in a form that is not known"),
        }
    }

    fn enter(&mut self, agent: &Agent, now: Instant) {
        self.agents.retain(|_, (heard, _)| now.duration_since(*heard) < AGENT_LIMIT);
        if self.agents.insert(agent.agent_name.clone(), (now, agent.clone())).is_none() {
            info!(agent = agent.agent_name, "an agent registered");
        }
    }

    fn list(&self, now: Instant) -> Vec<Agent> {
        let heard =
            self.agents.values().filter(|(heard, _)| now.duration_since(*heard) < AGENT_LIMIT);
        heard.map(|(_, agent)| agent.clone()).collect()
    }
}

/// Answers at once or, where the repository has to be asked, from a task of its own: the list of agents does not wait
/// for a slow repository.
fn answer(frame: &Frame, roster: &Roster, client: &Client, jobs: &mpsc::Sender<NewJob>) {
    let (Some(reply_to), Some(id)) = (frame.header("reply-to"), frame.header("correlation-id"))
    else {
        warn!("a request that says not where the answer goes");
        return;
    };
    let envelope = Frame::new("SEND").with("destination", reply_to).with("correlation-id", id);
    let outgoing = client.sender();
    let (reply, replied) = oneshot::channel();
    match serde_json::from_slice(&frame.body) {
        // A receiver that lives on in this function takes the value.
        Ok(Request::ListAgents) => {
            drop(reply.send(Reply::Agents { agents: roster.list(Instant::now()) }));
        }
        Ok(Request::CreateJob { name }) => {
            if let Err(error) = jobs.try_send(NewJob { name, reply }) {
                warn!(%error, "too many jobs wait for the repository");
            }
        }
        Err(error) => {
            drop(reply.send(Reply::Failed { message: format!("not a request: {error}") }));
        }
    }
    tokio::spawn(async move {
        let reply =
            replied.await.unwrap_or(Reply::Failed { message: "the daemon is busy".to_owned() });
        let body = serde_json::to_vec(&reply).unwrap_or_default();
        // A connection that has broken ends the daemon by way of its own error.
        let _ = outgoing.send(envelope.with_body(body)).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Version;

    fn agent(name: &str) -> Agent {
        Agent {
            agent_name: name.to_owned(),
            agent_host_name: "dm1".to_owned(),
            agent_version: Version { major: 20, minor: 1, maintenance: 0, efix: 0 },
            max_concurrent_tasks: 5,
            current_task_count: 0,
        }
    }

    #[test]
    fn agents_are_listed_by_name_until_they_fall_silent() {
        let start = Instant::now();
        let mut roster = Roster::default();
        roster.enter(&agent("b"), start);
        roster.enter(&agent("a"), start);
        let names = |roster: &Roster, at| -> Vec<String> {
            roster.list(at).into_iter().map(|agent| agent.agent_name).collect()
        };
        assert_eq!(names(&roster, start), ["a", "b"]);

        let later = start + AGENT_LIMIT;
        roster.enter(&agent("b"), later - Duration::from_secs(1));
        assert_eq!(names(&roster, later), ["b"]);
        roster.enter(&agent("b"), later);
        assert_eq!(roster.agents.len(), 1);
    }

    #[tokio::test]
    async fn without_a_repository_it_does_not_come_up() {
        let settings = Settings {
            host_name: "dm1".to_owned(),
            broker: "127.0.0.1:1".to_owned(),
            repository: "host=127.0.0.1 port=1 user=x dbname=x".to_owned(),
            job_every: Duration::ZERO,
        };
        assert!(matches!(run(&settings).await, Err(DaemonError::Repository(_))));
    }
}
