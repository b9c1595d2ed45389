//! Asking the daemon over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Mistake;

/// How long the daemon may take to answer. It answers from memory, or from its journal.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for what takes as long as it takes: each step of it has its own limit.
const LONG_PATIENCE: Duration = Duration::from_hours(1);

const NOT_UNDERSTOOD: &str = "the daemon answers in a way that this version does not understand: are \
                              both of the same version?";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody answers.
    #[error(
        "no daemon answers on {socket}: start it with `watchkeeper run`, or name its socket with \
         --socket or its configuration with --config"
    )]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: reqwest::Error,
    },
    /// The daemon says what is wrong.
    #[error("{0}")]
    Refused(String),
}

/// A way to the daemon.
pub(super) struct Client {
    socket: PathBuf,
    http: reqwest::Client,
}

impl Client {
    /// A way through `socket`. Nothing is asked yet.
    pub(super) fn new(socket: &Path) -> Result<Self, ClientError> {
        crate::tls::install_provider();
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .timeout(PATIENCE)
            .build()
            .map_err(|source| ClientError::Unreachable { socket: socket.to_owned(), source })?;
        Ok(Self { socket: socket.to_owned(), http })
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(self.http.get(format!("http://watchkeeper{path}"))).await
    }

    /// Has something done.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let request = self
            .http
            .post(format!("http://watchkeeper{path}"))
            .header("content-type", "application/json")
            .body(body);
        self.answer(request).await
    }

    /// Asks for something that is told line by line, and hands each line on as it comes.
    pub(super) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(T),
    ) -> Result<(), ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: self.socket.clone(), source };
        let request = self.http.get(format!("http://watchkeeper{path}")).timeout(LONG_PATIENCE);
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            let body = response.bytes().await.map_err(unreachable)?;
            return Err(ClientError::Refused(said(&body)));
        }
        let mut waiting = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            waiting.extend_from_slice(&chunk);
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                let line = serde_json::from_slice(&line);
                each(line.map_err(|_| ClientError::Refused(NOT_UNDERSTOOD.to_owned()))?);
            }
        }
        Ok(())
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: self.socket.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        let good = response.status().is_success();
        let body = response.bytes().await.map_err(unreachable)?;
        if good && let Ok(answer) = serde_json::from_slice(&body) {
            return Ok(answer);
        }
        let mistake = serde_json::from_slice::<Mistake>(&body).is_ok();
        Err(ClientError::Refused(if good && !mistake {
            NOT_UNDERSTOOD.to_owned()
        } else {
            said(&body)
        }))
    }
}

/// What the daemon says is wrong.
fn said(body: &[u8]) -> String {
    serde_json::from_slice::<Mistake>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |mistake| mistake.error)
}
