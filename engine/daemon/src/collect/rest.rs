//! Data Mover's REST interface, which answers also when the daemon behind it does not.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use super::http::{HttpAsk, refusal};

/// What every call has to accept.
const ACCEPT: &str = "application/vnd.com.teradata.datamover-v1.0+json";
/// How the message begins when the daemon does not answer the REST server.
const NO_DAEMON: &str = "Unable to communicate with DM Daemon";

/// What the probe is to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestSubject {
    /// The REST server: it is up when it answers, whatever it says of the daemon.
    Rest,
    /// The daemon behind it.
    Daemon,
}

/// Lists the agents: `GET /datamover/agents`.
#[derive(Debug, Clone, PartialEq)]
pub struct DataMoverRest {
    /// Where and how; the address of the agents' list.
    pub ask: HttpAsk,
    /// What is judged.
    pub subject: RestSubject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    #[serde(default)]
    max_concurrent_tasks: u32,
    #[serde(default)]
    current_task_count: u32,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

impl DataMoverRest {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        match self.ask.ask(Method::GET, None, Some(ACCEPT), deadline).await {
            Ok(answer) => {
                let address = self.ask.address();
                let finding = judge(self.subject, &address, answer.status, &answer.body);
                match self.subject {
                    RestSubject::Rest => answer.measured(finding),
                    // The certificate is REST's.
                    RestSubject::Daemon => finding,
                }
            }
            Err(finding) => match (self.subject, finding.reason.code) {
                // Without a REST server nothing is known of the daemon.
                (RestSubject::Daemon, code) => Finding::unknown(code, &finding.reason.detail),
                (RestSubject::Rest, _) => finding,
            },
        }
    }
}

pub(super) fn judge(
    subject: RestSubject,
    address: &str,
    status: StatusCode,
    body: &[u8],
) -> Finding {
    let reachable = |finding: Finding, flag| finding.with("daemon-reachable", Value::Flag(flag));
    if status == StatusCode::OK
        && let Ok(agents) = serde_json::from_slice::<Vec<Agent>>(body)
    {
        let sum = |of: fn(&Agent) -> u32| {
            Value::Integer(agents.iter().map(|agent| i64::from(of(agent))).sum())
        };
        let count = i64::try_from(agents.len()).unwrap_or(i64::MAX);
        let detail = format!("{address} lists {count} agents");
        return reachable(Finding::up(ReasonCode::Serving, &detail), true)
            .with("agents", Value::Integer(count))
            .with("current-tasks", sum(|agent| agent.current_task_count))
            .with("max-tasks", sum(|agent| agent.max_concurrent_tasks));
    }
    if let Some(finding) = refusal(address, status) {
        return finding;
    }
    let message = serde_json::from_slice::<Complaint>(body).ok().map(|said| said.message);
    match (message, subject) {
        (Some(message), _) if message.starts_with(NO_DAEMON) => {
            let finding = match subject {
                RestSubject::Rest => Finding::up(ReasonCode::Serving, &message),
                RestSubject::Daemon => Finding::down(ReasonCode::Unhealthy, &message),
            };
            reachable(finding, false)
        }
        (Some(message), RestSubject::Daemon) if !status.is_server_error() => {
            let detail = format!("{address} answers {status}: {message}");
            Finding::unknown(ReasonCode::Protocol, &detail)
        }
        (Some(message), _) => {
            Finding::down(ReasonCode::Unhealthy, &format!("{address} answers {status}: {message}"))
        }
        (None, RestSubject::Daemon) => {
            let detail = format!("{address} answers {status} and says nothing of the daemon");
            Finding::unknown(ReasonCode::Protocol, &detail)
        }
        (None, RestSubject::Rest) if status.is_server_error() => {
            Finding::down(ReasonCode::Unhealthy, &format!("{address} answers {status}"))
        }
        (None, RestSubject::Rest) => {
            let detail = format!("{address} answers {status}, which is not a list of agents");
            Finding::down(ReasonCode::Protocol, &detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchkeeper_core::model::Status;

    fn judged(subject: RestSubject, status: u16, body: &str) -> (Status, ReasonCode) {
        let finding =
            judge(subject, "dm1:1443", StatusCode::from_u16(status).unwrap(), body.as_bytes());
        (finding.status, finding.reason.code)
    }

    #[test]
    fn an_answering_rest_does_not_prove_a_daemon() {
        let body = r#"{"message": "Unable to communicate with DM Daemon. Start it."}"#;
        for status in [200, 500] {
            let rest = judged(RestSubject::Rest, status, body);
            assert_eq!(rest, (Status::Up, ReasonCode::Serving));
            let daemon = judged(RestSubject::Daemon, status, body);
            assert_eq!(daemon, (Status::Down, ReasonCode::Unhealthy));
        }
    }

    #[test]
    fn what_is_not_an_answer_of_data_mover_is_not_up() {
        use ReasonCode::{Denied, Protocol, Unhealthy};
        for (status, body, rest, daemon) in [
            (401, "", (Status::Unknown, Denied), (Status::Unknown, Denied)),
            (500, "oops", (Status::Down, Unhealthy), (Status::Unknown, Protocol)),
            (500, r#"{"message":"x"}"#, (Status::Down, Unhealthy), (Status::Down, Unhealthy)),
            (200, "<html>", (Status::Down, Protocol), (Status::Unknown, Protocol)),
            (404, "", (Status::Down, Protocol), (Status::Unknown, Protocol)),
        ] {
            assert_eq!(judged(RestSubject::Rest, status, body), rest, "{status} {body}");
            assert_eq!(judged(RestSubject::Daemon, status, body), daemon, "{status} {body}");
        }
    }
}
