//! The alert sink: an HTTP receiver that keeps what it is sent and can be told to fail.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{CONNECTION, HeaderName};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::SiteError;
use crate::wire::lock;

/// A request that the sink received, whether it answered well or not.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// `POST` or `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The status that the sink answered with.
    pub answered: u16,
}

/// A connection kept open would outlive [`Sink::down`].
const CLOSE: [(HeaderName, &str); 1] = [(CONNECTION, "close")];

/// How often listening is tried.
const TRIES: usize = 1_000;

#[derive(Debug, Default)]
struct Kept {
    requests: Vec<Received>,
    failing: usize,
    failing_with: u16,
}

/// The receiver. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Sink {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Sink {
    pub(crate) async fn start(address: SocketAddr) -> Result<Self, SiteError> {
        let sink = Self { address, kept: Arc::default(), task: Arc::default() };
        sink.up().await?;
        Ok(sink)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS:PORT`, without a path: every path is accepted.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.kept).requests.clone()
    }

    /// Answers the next `times` requests with `status` instead of 200.
    pub fn fail(&self, times: usize, status: u16) {
        let mut kept = lock(&self.kept);
        kept.failing = times;
        kept.failing_with = status;
    }

    /// Refuses connections until [`Sink::up`]. None is kept from before: every answer closes its own.
    pub async fn down(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens again. Waits for an earlier owner's socket to close, as a server of the site does.
    pub async fn up(&self) -> Result<(), SiteError> {
        self.down().await;
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                done => break done.map_err(|error| SiteError::Listen(self.address, error))?,
            }
        };
        let sink = self.clone();
        let routes = axum::Router::new().fallback(move |method, uri, headers, body| {
            let sink = sink.clone();
            async move { sink.receive(&method, &uri, &headers, &body) }
        });
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        *lock(&self.task) = Some(task);
        Ok(())
    }

    pub(crate) fn close(&self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }

    fn receive(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> impl IntoResponse + use<> {
        if method != Method::POST && method != Method::PUT {
            return (StatusCode::METHOD_NOT_ALLOWED, CLOSE, "post your alerts here\n");
        }
        let status = {
            let mut kept = lock(&self.kept);
            let failing = kept.failing > 0;
            kept.failing = kept.failing.saturating_sub(1);
            let answered = if failing { kept.failing_with } else { 200 };
            let headers = headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            kept.requests.push(Received {
                at: Instant::now(),
                method: method.to_string(),
                path: uri.path_and_query().map_or("/", |it| it.as_str()).to_owned(),
                headers: headers.collect(),
                body: String::from_utf8_lossy(body).into_owned(),
                answered,
            });
            StatusCode::from_u16(answered).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        (status, CLOSE, if status == StatusCode::OK { "ok" } else { "told to fail\n" })
    }
}

/// The news in the body of a notification as the plugin `webhook` sends it: each alert that fires or is
/// over, with its notification's `idempotency_key` and `monitor`. A body of another form has none.
pub fn alerts_in(body: &str) -> Vec<serde_json::Value> {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return Vec::new() };
    let Some(alerts) = body.get("alerts").and_then(serde_json::Value::as_array) else {
        return Vec::new();
    };
    let news = alerts.iter().filter(|it| it.get("news").is_some_and(|news| *news == true));
    let with = |alert: &serde_json::Value| {
        let mut alert = alert.clone();
        if let Some(fields) = alert.as_object_mut() {
            for key in ["idempotency_key", "monitor"] {
                fields.extend(body.get(key).map(|value| (key.to_owned(), value.clone())));
            }
        }
        alert
    };
    news.map(with).collect()
}
