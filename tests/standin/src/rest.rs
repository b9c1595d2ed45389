//! REST, as far as a monitor looks at it.
//!
//! The order of the checks is the order in which they can be observed: credentials (401), the path (404), the Accept
//! header (400), the daemon (500). An answer proves REST; only a 200 proves the daemon.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::link::{Daemon, Unreachable};
use crate::protocol::{Reply, Request};

/// The media type that every call has to accept.
pub const MEDIA_TYPE: &str = "application/vnd.com.teradata.datamover-v1.0+json";
/// Bytes that a request's body may have.
const BODY_LIMIT: usize = 64 * 1024;

/// Name and password that calls have to carry.
#[derive(Clone)]
pub struct Credentials {
    expected: String,
}

impl Credentials {
    /// The two, as HTTP's basic authentication puts them together.
    pub fn new(user: &str, password: &str) -> Self {
        Self { expected: STANDARD.encode(format!("{user}:{password}")) }
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, rest)| {
            scheme.eq_ignore_ascii_case("basic") && rest.trim() == self.expected
        })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The service. Without `credentials` every caller is let in.
pub fn router(daemon: Daemon, credentials: Option<Credentials>) -> Router {
    Router::new()
        .route("/datamover/agents", get(agents))
        .route("/datamover/jobs", post(create_job))
        .route_layer(middleware::from_fn(check_accept))
        .fallback(nothing_there)
        .method_not_allowed_fallback(nothing_there)
        .layer(from_fn_with_state(credentials, check_credentials))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(daemon)
}

/// What REST says when something went wrong.
#[derive(Debug, Serialize)]
struct Message {
    message: String,
}

fn message(status: StatusCode, text: impl Into<String>) -> Response {
    json(status, &Message { message: text.into() })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(CONTENT_TYPE, MEDIA_TYPE)], serde_json::to_vec(body).unwrap_or_default())
        .into_response()
}

async fn check_credentials(
    State(credentials): State<Option<Credentials>>,
    request: HttpRequest,
    next: Next,
) -> Response {
    if credentials.is_none_or(|credentials| credentials.admit(request.headers())) {
        return next.run(request).await;
    }
    let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"Data Mover\"")];
    (challenge, message(StatusCode::UNAUTHORIZED, "Name and password are missing or wrong."))
        .into_response()
}

async fn check_accept(request: HttpRequest, next: Next) -> Response {
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types =
        accepted.flat_map(|value| value.split(',')).map(|one| one.split(';').next().unwrap_or(one));
    if types.any(|one| one.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
        return next.run(request).await;
    }
    message(StatusCode::BAD_REQUEST, format!("The Accept header must be {MEDIA_TYPE}."))
}

async fn nothing_there() -> Response {
    message(StatusCode::NOT_FOUND, "There is no such resource.")
}

async fn agents(State(daemon): State<Daemon>) -> Response {
    match daemon.ask(Request::ListAgents).await {
        Ok(Reply::Agents { agents }) => json(StatusCode::OK, &agents),
        other => no_success(other),
    }
}

#[derive(Debug, Deserialize)]
struct Job {
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedJob {
    job_id: i64,
}

async fn create_job(State(daemon): State<Daemon>, body: Bytes) -> Response {
    let job: Job = match serde_json::from_slice(&body) {
        Ok(job) => job,
        Err(error) => return message(StatusCode::BAD_REQUEST, format!("Not a job: {error}.")),
    };
    match daemon.ask(Request::CreateJob { name: job.name }).await {
        Ok(Reply::JobCreated { id }) => json(StatusCode::CREATED, &CreatedJob { job_id: id }),
        other => no_success(other),
    }
}

fn no_success(answer: Result<Reply, Unreachable>) -> Response {
    match answer {
        Ok(Reply::Conflict { message: text }) => message(StatusCode::CONFLICT, text),
        Ok(Reply::Failed { message: text }) => message(StatusCode::INTERNAL_SERVER_ERROR, text),
        Ok(_) => message(StatusCode::INTERNAL_SERVER_ERROR, "The daemon answered something else."),
        Err(Unreachable) => message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Unable to communicate with DM Daemon. Look whether daemon and broker are running.",
        ),
    }
}
