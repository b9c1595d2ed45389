//! Questions to an etcd cluster, over the JSON gateway that each member has.
//!
//! Whatever is asked is asked of one member after the other until one answers. Reads are
//! linearizable, and each question says that it wants a member that has a leader, so a member that
//! was cut off from the others is not believed. A question whose answer did not arrive may have
//! been carried out all the same, and later than one that was asked after it: whoever asks for a
//! change makes it depend on revisions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;
use watchkeeper_core::duty::lease::{Entry, Index, Op, Transacted, Transaction};

use super::error::{EtcdError, SetupError};
use super::wire::{self, Complaint, Granted};
use crate::config::duty::EtcdConfig;
use crate::errors::chain;
use crate::secret::Secret;
use crate::{net, tls};

/// An answer may have this many bytes: 8 MiB. The largest ones hold where a cluster stands, 1.5 MiB at
/// the most in etcd and a third more in base64.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// The least time that a member is given to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// An etcd cluster that can be asked.
pub(super) struct Client {
    http: reqwest::Client,
    endpoints: Vec<String>,
    /// The number of the member that answered last.
    preferred: AtomicUsize,
    patience: Duration,
    login: Option<Login>,
}

struct Login {
    user: String,
    password: Secret,
    token: Mutex<Option<Secret>>,
}

/// How long a lease goes on, by the one who kept it alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// None: there is no such lease.
    pub(super) ttl: Option<Duration>,
    /// The term of the leader who says so.
    pub(super) raft_term: u64,
}

impl Client {
    /// Reads certificates and keys; asks nothing yet.
    pub(super) fn new(config: &EtcdConfig) -> Result<Self, SetupError> {
        let ca = config.ca.as_deref();
        let tls = match &config.identity {
            Some((certificate, key)) => tls::client_config_as(ca, certificate, key)?,
            None => tls::client_config(ca)?,
        };
        let patience = (config.lease / 5).clamp(PATIENCE, MOST_PATIENCE);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(patience)
            .build()
            .map_err(SetupError::Client)?;
        let login = config.login.as_ref().map(|(user, password)| Login {
            user: user.clone(),
            password: password.clone(),
            token: Mutex::new(None),
        });
        Ok(Self {
            http,
            endpoints: config.endpoints.clone(),
            preferred: AtomicUsize::new(0),
            patience,
            login,
        })
    }

    /// A new lease, and how long it goes on from when this was asked.
    pub(super) async fn grant(&self, lease: Duration) -> Result<(u64, Duration), EtcdError> {
        let body = json!({ "TTL": lease.as_secs().to_string() });
        let granted: Granted = self.ask("/v3/lease/grant", &body).await?;
        Ok((granted.id, Duration::from_secs(granted.ttl)))
    }

    /// Lets a lease go on for its whole time again. Not proof yet that it does: the member may not
    /// know that it is the leader no more.
    pub(super) async fn keep_alive(&self, lease: u64) -> Result<Kept, EtcdError> {
        let body = json!({ "ID": lease.to_string() });
        let kept: wire::Kept = self.ask("/v3/lease/keepalive", &body).await?;
        let wire::KeptResult { header, ttl } = kept.result;
        let ttl = (ttl > 0).then(|| Duration::from_secs(ttl));
        Ok(Kept { ttl, raft_term: header.raft_term })
    }

    /// Ends a lease; its keys go with it.
    pub(super) async fn revoke(&self, lease: u64) -> Result<(), EtcdError> {
        let body = json!({ "ID": lease.to_string() });
        self.ask::<wire::Done>("/v3/lease/revoke", &body).await.map(|_| ())
    }

    /// All keys that begin with `prefix`, without their values.
    pub(super) async fn index(&self, prefix: &str) -> Result<Index, EtcdError> {
        let wire::Range(index) = self.ask("/v3/kv/range", &wire::range(prefix)).await?;
        Ok(index)
    }

    /// A key with its value, if it is there.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Entry>, EtcdError> {
        let get = Transaction { then: vec![Op::get(key)], ..Transaction::default() };
        let mut answer = self.transact(&get).await?;
        Ok(answer.found.pop().flatten())
    }

    /// Carries a transaction out.
    pub(super) async fn transact(
        &self,
        transaction: &Transaction,
    ) -> Result<Transacted, EtcdError> {
        let wire::Answer(answer) = self.ask("/v3/kv/txn", &wire::transaction(transaction)).await?;
        Ok(answer)
    }

    /// The changes of all keys that begin with `prefix`, from the revision `from` on.
    pub(super) async fn watch(&self, prefix: &str, from: u64) -> Result<Stream, EtcdError> {
        let body = wire::watch(prefix, from);
        let endpoint = self.endpoint(0);
        let response = match timeout(self.patience, self.send(endpoint, "/v3/watch", &body)).await {
            Ok(response) => response?,
            Err(_) => return Err(self.silent(endpoint)),
        };
        Ok(Stream { endpoint: endpoint.to_owned(), response, pending: Vec::new() })
    }

    /// The member that answered last, or one that stands so many behind it.
    fn endpoint(&self, behind: usize) -> &str {
        let number = self.preferred.load(Ordering::Relaxed).wrapping_add(behind);
        let all = self.endpoints.len().max(1);
        self.endpoints.get(number % all).map_or("", String::as_str)
    }

    /// Asks the next member from now on.
    pub(super) fn turn_away(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, EtcdError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for behind in 0..self.endpoints.len() {
            let number = first.wrapping_add(behind) % self.endpoints.len().max(1);
            let Some(endpoint) = self.endpoints.get(number) else { break };
            let asked = timeout(self.patience, self.ask_one(endpoint, path, body)).await;
            match asked.unwrap_or_else(|_| Err(self.silent(endpoint))) {
                Err(error) if error.passes() => last = Some(error),
                answer => {
                    self.preferred.store(number, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(last.unwrap_or_else(|| self.silent("etcd")))
    }

    fn silent(&self, endpoint: &str) -> EtcdError {
        let problem = format!("nothing within {} ms", self.patience.as_millis());
        EtcdError::NoAnswer { endpoint: endpoint.to_owned(), problem }
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        path: &str,
        body: &Value,
    ) -> Result<T, EtcdError> {
        let response = self.send(endpoint, path, body).await?;
        let answer = read(endpoint, response).await?;
        serde_json::from_slice(&answer).map_err(|error| garbage(endpoint, &error.to_string()))
    }

    /// Sends a question with the login's token, a new one if the old is not taken any more; gives
    /// the answer's beginning, which is not a complaint.
    async fn send(&self, endpoint: &str, path: &str, body: &Value) -> Result<Response, EtcdError> {
        let Some(login) = &self.login else { return self.post(endpoint, path, body, None).await };
        let known = login.token.lock().await.clone();
        if let Some(token) = known {
            match self.post(endpoint, path, body, Some(&token)).await {
                Err(EtcdError::Denied { .. }) => {}
                answer => return answer,
            }
        }
        let token = self.log_in(endpoint, login).await?;
        self.post(endpoint, path, body, Some(&token)).await
    }

    async fn log_in(&self, endpoint: &str, login: &Login) -> Result<Secret, EtcdError> {
        let body = json!({ "name": login.user, "password": login.password.expose() });
        let response = self.post(endpoint, "/v3/auth/authenticate", &body, None).await?;
        let answer = read(endpoint, response).await?;
        // Not serde's words: they may quote what came.
        let token: wire::Token = serde_json::from_slice(&answer)
            .map_err(|_| garbage(endpoint, "the login's answer has no token"))?;
        let token = Secret::new(token.token);
        *login.token.lock().await = Some(token.clone());
        Ok(token)
    }

    async fn post(
        &self,
        endpoint: &str,
        path: &str,
        body: &Value,
        token: Option<&Secret>,
    ) -> Result<Response, EtcdError> {
        let mut request = self
            .http
            .post(format!("{endpoint}{path}"))
            .header("content-type", "application/json")
            // A member that knows no leader says so, instead of waiting for one.
            .header("grpc-metadata-hasleader", "true")
            .body(body.to_string());
        if let Some(token) = token {
            request = request.header("authorization", token.expose());
        }
        let response = request.send().await.map_err(|error| no_answer(endpoint, error))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let answer = read(endpoint, response).await?;
        Err(complaint(endpoint, status, &answer))
    }
}

fn no_answer(endpoint: &str, error: reqwest::Error) -> EtcdError {
    EtcdError::NoAnswer { endpoint: endpoint.to_owned(), problem: chain(&error.without_url()) }
}

pub(super) fn garbage(endpoint: &str, problem: &str) -> EtcdError {
    EtcdError::Garbage { endpoint: endpoint.to_owned(), problem: net::one_line(problem) }
}

/// Reads an answer to its end.
async fn read(endpoint: &str, mut response: Response) -> Result<Vec<u8>, EtcdError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(endpoint, error))? {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER {
            let problem = format!("the answer has more than {MAX_ANSWER} bytes");
            return Err(garbage(endpoint, &problem));
        }
    }
    Ok(answer)
}

/// What an answer other than 200 means. The numbers are gRPC's.
pub(super) fn complaint(endpoint: &str, status: StatusCode, answer: &[u8]) -> EtcdError {
    let endpoint = endpoint.to_owned();
    let Ok(Complaint { message, code }) = serde_json::from_slice(answer) else {
        return garbage(&endpoint, &format!("HTTP status {}", status.as_u16()));
    };
    // People are told of it.
    let message = net::one_line(&message);
    let about = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if about(&["requested lease not found"]) {
        EtcdError::NoLease { endpoint }
    } else if about(&["request is too large", "larger than max"]) {
        EtcdError::TooLarge { endpoint, message }
    } else if matches!(code, 7 | 16)
        || about(&["authentication failed", "user name is empty", "auth store is old"])
    {
        EtcdError::Denied { endpoint, message }
    } else if matches!(code, 1 | 2 | 4 | 8 | 10 | 13 | 14) {
        EtcdError::NoAnswer { endpoint, problem: message }
    } else {
        EtcdError::Refused { endpoint, message }
    }
}

/// Changes as they come.
pub(super) struct Stream {
    endpoint: String,
    response: Response,
    pending: Vec<u8>,
}

impl Stream {
    /// Waits for what comes next. After an error nothing comes any more.
    pub(super) async fn next(&mut self) -> Result<wire::WatchResult, EtcdError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice::<wire::WatchLine>(&line)
                    .map(|line| line.result)
                    .map_err(|error| self.unreadable(&line, &error));
            }
            if self.pending.len() > MAX_ANSWER {
                let problem = format!("a line has more than {MAX_ANSWER} bytes");
                return Err(garbage(&self.endpoint, &problem));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| no_answer(&self.endpoint, error))? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => {
                    let problem = "the watch has ended".to_owned();
                    return Err(EtcdError::NoAnswer { endpoint: self.endpoint.clone(), problem });
                }
            }
        }
    }

    /// A line that is no news: a complaint, or garbage.
    fn unreadable(&self, line: &[u8], error: &serde_json::Error) -> EtcdError {
        #[derive(serde::Deserialize)]
        struct Line {
            error: Complaint,
        }
        match serde_json::from_slice::<Line>(line) {
            Ok(Line { error: Complaint { message, .. } }) => {
                let problem = net::one_line(&message);
                EtcdError::NoAnswer { endpoint: self.endpoint.clone(), problem }
            }
            Err(_) => garbage(&self.endpoint, &error.to_string()),
        }
    }
}
