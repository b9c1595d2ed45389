//! Asking the daemon over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Mistake;

/// How long the daemon may take to answer. It answers from memory, or from its journal.
const PATIENCE: Duration = Duration::from_secs(30);

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
        Err(ClientError::Refused(match serde_json::from_slice::<Mistake>(&body) {
            Ok(mistake) => mistake.error,
            Err(_) if good => "the daemon answers in a way that this version does not understand: \
                               are both of the same version?"
                .to_owned(),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        }))
    }
}
