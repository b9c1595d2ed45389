//! Probes over SSH: a service's status command, and the server itself.

use tokio::time::Instant;
use watchkeeper_core::facts::ReasonCode;

use super::finding::Finding;
use crate::ssh::Ssh;

/// Asks a command on the server whether a service runs: `systemctl is-active`, an init script's
/// `status`, or the like.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceState {
    /// The way to the server.
    pub ssh: Ssh,
    /// What to run there. Exit status 0: it runs; 126 and 127: the command itself is missing or
    /// cannot be run; anything else: it does not run.
    pub command: String,
}

impl ServiceState {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let output = match self.ssh.exec(&self.command, None, deadline).await {
            Ok(output) => output,
            Err(error) => return Finding::no_means(&error),
        };
        let said = output.first_line();
        let said = |otherwise: &str| said.clone().unwrap_or_else(|| otherwise.to_owned());
        match (output.exit, &output.signal) {
            (Some(0), _) => Finding::up(ReasonCode::Running, &said("it runs")),
            (Some(status @ (126 | 127)), _) => {
                let detail = format!(
                    "the status command cannot be run (exit status {status}): {}",
                    said("no explanation")
                );
                Finding::unknown(ReasonCode::Monitor, &detail)
            }
            (Some(status), _) => {
                let detail = format!("{} (exit status {status})", said("it does not run"));
                Finding::down(ReasonCode::NotRunning, &detail)
            }
            (None, signal) => {
                let signal = signal.as_deref().unwrap_or("unknown");
                let detail = format!("the status command was ended by signal {signal}");
                Finding::unknown(ReasonCode::Monitor, &detail)
            }
        }
    }
}

/// Logs in over SSH and runs `true`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerLogin {
    /// The way to the server.
    pub ssh: Ssh,
}

impl ServerLogin {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        match self.ssh.exec("true", None, deadline).await {
            Ok(output) if output.success() => {
                Finding::up(ReasonCode::Serving, "a command ran over SSH")
            }
            Ok(output) => {
                let detail = format!(
                    "the login works, but even 'true' fails there: {}",
                    output.first_line().unwrap_or_else(|| "no explanation".to_owned())
                );
                Finding::unknown(ReasonCode::Monitor, &detail)
            }
            Err(error) => Finding::from_ssh(&error),
        }
    }
}
