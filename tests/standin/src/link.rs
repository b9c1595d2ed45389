//! REST's way to the daemon: a request through the broker, the answer by a queue that lives as long as the connection.
//!
//! The link is made again for ever, and requests that come while there is none fail at once: REST answers whether or
//! not there is a broker.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::agent::Chain;
use crate::protocol::{REQUESTS, Reply, Request};
use crate::stomp::{Client, Frame, StompError};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(300);
const REPLIES: &str = "/temp-queue/replies";

/// The daemon could not be asked, or did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon does not answer")]
pub struct Unreachable;

/// A request on its way, and where its answer goes.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub request: Request,
    /// Takes the answer; dropped if there will be none.
    pub reply: oneshot::Sender<Reply>,
}

/// Asks the daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Daemon {
    questions: mpsc::Sender<Question>,
    limit: Duration,
}

impl Daemon {
    /// A handle and the end of it that [`run`] serves. An answer may take `limit`.
    pub fn new(limit: Duration) -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(64);
        (Self { questions, limit }, asked)
    }

    /// Asks, and waits for the answer no longer than the limit.
    pub async fn ask(&self, request: Request) -> Result<Reply, Unreachable> {
        let (reply, replied) = oneshot::channel();
        let way = async {
            self.questions.send(Question { request, reply }).await.map_err(|_| Unreachable)?;
            replied.await.map_err(|_| Unreachable)
        };
        timeout(self.limit, way).await.map_err(|_| Unreachable)?
    }
}

/// Carries questions to the daemon through `broker` (host:port) until all handles are gone.
pub async fn run(broker: &str, limit: Duration, mut asked: mpsc::Receiver<Question>) {
    loop {
        let connecting = Client::connect(broker, CONNECT_LIMIT);
        tokio::pin!(connecting);
        let result = loop {
            tokio::select! {
                client = &mut connecting => break match client {
                    Ok(client) => serve(client, limit, &mut asked).await,
                    Err(error) => Err(error),
                },
                // Without a link there is no answer.
                question = asked.recv() => match question {
                    Some(question) => drop(question),
                    None => return,
                },
            }
        };
        match result {
            Ok(None) => return,
            Ok(Some(never)) => match never {},
            Err(error) => warn!(error = %Chain(&error), "no link to the broker"),
        }
        sleep(PAUSE).await;
    }
}

/// Ends with an error when the broker has gone, with `None` when all handles are.
async fn serve(
    mut client: Client,
    limit: Duration,
    asked: &mut mpsc::Receiver<Question>,
) -> Result<Option<Infallible>, StompError> {
    client.subscribe("replies", REPLIES).await?;
    info!("linked to the broker");
    let mut waiting: HashMap<String, oneshot::Sender<Reply>> = HashMap::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            question = asked.recv() => {
                let Some(Question { request, reply }) = question else { return Ok(None) };
                waiting.retain(|_, reply| !reply.is_closed());
                number += 1;
                client.send(envelope(&request, number, limit)).await?;
                waiting.insert(number.to_string(), reply);
            }
            frame = client.next() => deliver(&frame?, &mut waiting),
        }
    }
}

/// The request expires when nobody waits for its answer any more: a daemon that comes up later does not find a
/// heap of old ones.
fn envelope(request: &Request, number: u64, limit: Duration) -> Frame {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Frame::new("SEND")
        .with("destination", REQUESTS)
        .with("reply-to", REPLIES)
        .with("correlation-id", number.to_string())
        .with("expires", (now + limit).as_millis().to_string())
        .with("content-type", "application/json")
        .with_body(serde_json::to_vec(request).unwrap_or_default())
}

fn deliver(frame: &Frame, waiting: &mut HashMap<String, oneshot::Sender<Reply>>) {
    let Some(reply) = frame.header("correlation-id").and_then(|id| waiting.remove(id)) else {
        return; // late: whoever asked has gone
    };
    match serde_json::from_slice(&frame.body) {
        Ok(answer) => drop(reply.send(answer)),
        Err(error) => warn!(%error, "the daemon answered in a form that is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_broker_a_question_fails_before_its_limit() {
        let (daemon, asked) = Daemon::new(Duration::from_mins(1));
        let link = tokio::spawn(run("127.0.0.1:1", Duration::from_mins(1), asked));
        assert_eq!(daemon.ask(Request::ListAgents).await, Err(Unreachable));
        drop(daemon);
        link.await.unwrap();
    }

    #[test]
    fn an_answer_finds_its_question_and_a_late_one_nobody() {
        let (reply, mut replied) = oneshot::channel();
        let mut waiting = HashMap::from([("7".to_owned(), reply)]);
        let frame = |id: &str| {
            let body = serde_json::to_vec(&Reply::JobCreated { id: 3 }).unwrap();
            Frame::new("MESSAGE").with("correlation-id", id).with_body(body)
        };
        deliver(&frame("6"), &mut waiting);
        assert!(replied.try_recv().is_err());
        deliver(&frame("7"), &mut waiting);
        assert_eq!(replied.try_recv(), Ok(Reply::JobCreated { id: 3 }));
        assert!(waiting.is_empty());
    }
}
