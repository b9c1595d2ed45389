//! The agent: announces itself through the first broker that answers, for ever.
//!
//! Like the vendor's it is given all brokers there may be, and tries them in turn when its own has gone. So after a
//! change of side it turns up at the other one without anybody's help.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::protocol::{AGENTS, Agent};
use crate::stomp::{Client, Frame, StompError};

/// How often an agent says that it is there.
pub const HEART_BEAT: Duration = Duration::from_secs(1);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Announces `agent` through one of `brokers` (host:port) until the future is dropped.
pub async fn run(agent: &Agent, brokers: &[String]) {
    loop {
        for broker in brokers {
            let Err(error) = serve(agent, broker).await;
            warn!(broker, error = %Chain(&error), "not at this broker");
            sleep(PAUSE).await;
        }
    }
}

async fn serve(agent: &Agent, broker: &str) -> Result<std::convert::Infallible, StompError> {
    let mut client = Client::connect(broker, CONNECT_LIMIT).await?;
    info!(broker, "registered");
    let body = serde_json::to_vec(agent).unwrap_or_default();
    let mut beats = interval(HEART_BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beats.tick() => {
                let frame = Frame::new("SEND").with("destination", AGENTS).with("content-type", "application/json");
                client.send(frame.with_body(body.clone())).await?;
            }
            // Nothing is sent to an agent here: this waits for the end of the connection.
            frame = client.next() => drop(frame?),
        }
    }
}

/// An error with all its causes, for a line of log.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
