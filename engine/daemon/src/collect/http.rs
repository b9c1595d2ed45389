//! HTTP(S): the exchange that the REST and Jolokia probes build on, and the plain probe.
//!
//! Every run makes a connection of its own, so that what an accepted connection does not answer is
//! known to be the server's silence. Redirects are not followed and no proxy is used: what is
//! looked at is this server. A body is read to its end, up to [`MAX_BODY`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::tls::TlsInfo;
use reqwest::{Client, Method, StatusCode, Url};
use tokio::time::{Instant, timeout_at};
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::certificate;
use crate::clock;
use crate::net::{self, address};
use crate::secret::Secret;
use crate::tls::{self, TlsError};

/// A body may have this many bytes: 4 MiB.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

/// Where and how to ask over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// The whole address, without user and password.
    pub url: String,
    /// User and password for basic authentication.
    pub basic: Option<(String, Secret)>,
    /// Further headers; their values are treated as secrets.
    pub headers: Vec<(String, Secret)>,
    /// The authorities' PEM file; without one, those of the operating system.
    pub ca: Option<PathBuf>,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpSettingsError {
    /// The address is not one that can be asked over HTTP.
    #[error("not an http or https address with a host: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// User or password stand in the address, where they would be shown.
    #[error("user and password do not belong into the address; use basic authentication")]
    Credentials,
    /// A header cannot be sent.
    #[error("the header {name:?} or its value has characters that HTTP does not allow")]
    Header {
        /// Its name.
        name: String,
    },
    /// TLS is not usable as configured.
    #[error("HTTPS cannot be set up")]
    Tls(#[source] TlsError),
    /// The HTTP library refuses.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Arc<reqwest::Error>),
}

/// Checked settings with the client made of them.
#[derive(Clone)]
pub struct HttpAsk {
    settings: HttpSettings,
    url: Url,
    host: String,
    port: u16,
    client: Client,
}

impl fmt::Debug for HttpAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpAsk").field(&self.settings).finish()
    }
}

impl PartialEq for HttpAsk {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// When the server's certificate ends, in seconds since 1970; none without TLS.
    certificate_ends: Option<i64>,
}

impl Answer {
    /// Adds what was measured beside the answer itself.
    pub(super) fn measured(&self, finding: Finding) -> Finding {
        let Some(ends) = self.certificate_ends else { return finding };
        let now = i64::try_from(clock::now().0 / 1000).unwrap_or(i64::MAX);
        finding.with("certificate-expires-s", Value::Integer(ends.saturating_sub(now)))
    }
}

impl HttpAsk {
    /// Checks the settings and reads the authorities' file, once.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpSettingsError> {
        let bad_url = |reason: &str| HttpSettingsError::Url { reason: reason.to_owned() };
        let url: Url = settings.url.parse().map_err(|_| bad_url("it cannot be parsed"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad_url("the scheme is another one"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpSettingsError::Credentials);
        }
        let host = url.host_str().ok_or_else(|| bad_url("there is no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad_url("there is no port"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let bad = |()| HttpSettingsError::Header { name: name.clone() };
            let key = HeaderName::try_from(name).map_err(|_| bad(()))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| bad(()))?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        let tls = tls::client_config(settings.ca.as_deref()).map_err(HttpSettingsError::Tls)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .default_headers(headers)
            .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_info(true)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| HttpSettingsError::Client(Arc::new(error)))?;
        Ok(Self { settings, url, host, port, client })
    }

    /// Host and port, for people.
    pub(super) fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// One exchange with its body. The error is the finding of a probe that got no answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        body: Option<String>,
        accept: Option<&'static str>,
        deadline: Instant,
    ) -> Result<Answer, Finding> {
        let mut request = self.client.request(method, self.url.clone());
        if let Some((user, password)) = &self.settings.basic {
            request = request.basic_auth(user, Some(password.expose()));
        }
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        // The last part of the time is kept to find out whether the port accepts at all.
        let left = deadline.saturating_duration_since(Instant::now());
        let kept_back = (left / 8).min(Duration::from_secs(1));
        let answered = timeout_at(deadline - kept_back, request.send()).await;
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.no_answer(error)),
            Err(_) => {
                return Err(match net::connect(&self.host, self.port, deadline).await {
                    Ok(_) => Finding::silent(&self.address()),
                    Err(error) => Finding::from_net(&error),
                });
            }
        };
        let status = response.status();
        let tls = response.extensions().get::<TlsInfo>();
        let certificate_ends = tls.and_then(TlsInfo::peer_certificate).and_then(certificate::ends);
        let mut body = Vec::new();
        let whole = async {
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_BODY {
                    return Ok(false);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(true)
        };
        match timeout_at(deadline, whole).await {
            Ok(Ok(true)) => Ok(Answer { status, body, certificate_ends }),
            Ok(Ok(false)) => {
                let detail = format!("{} sends a body of more than 4 MiB", self.address());
                Err(Finding::down(ReasonCode::Protocol, &detail))
            }
            Ok(Err(error)) => Err(self.no_answer(error)),
            Err(_) => {
                let detail = format!("{} began an answer and did not end it", self.address());
                Err(Finding::down(ReasonCode::Silent, &detail))
            }
        }
    }

    fn no_answer(&self, error: reqwest::Error) -> Finding {
        let error = error.without_url();
        let address = self.address();
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                if net::is_tls(io) {
                    // As often this side's trust as the server's certificate.
                    let detail = format!("no TLS with {address}: {}", net::chain(io));
                    return Finding::unknown(ReasonCode::Tls, &detail);
                }
                match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => {
                        let detail = format!("{address} refused the connection");
                        return Finding::down(ReasonCode::Refused, &detail);
                    }
                    std::io::ErrorKind::HostUnreachable
                    | std::io::ErrorKind::NetworkUnreachable => {
                        let detail = format!("there is no way to {address}");
                        return Finding::unknown(ReasonCode::Unreachable, &detail);
                    }
                    _ => return Finding::from_exchange(&address, io),
                }
            }
            cause = inner.source();
        }
        let words = net::chain(&error);
        if words.contains("dns error") {
            return Finding::unknown(ReasonCode::Unreachable, &words);
        }
        if words.contains("closed before") || words.contains("end of file") {
            let detail = format!("{address} ended the connection in the middle of the exchange");
            return Finding::down(ReasonCode::Reset, &detail);
        }
        Finding::down(ReasonCode::Protocol, &format!("{address}: {words}"))
    }
}

/// Asks for a page and judges status and, where wanted, text.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Where and how.
    pub ask: HttpAsk,
    /// The statuses expected; empty: any of 200 to 299.
    pub expect_status: Vec<u16>,
    /// A text that the body must have.
    pub expect_text: Option<String>,
}

impl Http {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let answer = match self.ask.ask(Method::GET, None, None, deadline).await {
            Ok(answer) => answer,
            Err(finding) => return finding,
        };
        let address = self.ask.address();
        let status = answer.status;
        let expected = if self.expect_status.is_empty() {
            status.is_success()
        } else {
            self.expect_status.contains(&status.as_u16())
        };
        let finding = if !expected {
            refusal(&address, status).unwrap_or_else(|| {
                Finding::down(ReasonCode::Unhealthy, &format!("{address} answers {status}"))
            })
        } else if self
            .expect_text
            .as_ref()
            .is_some_and(|text| !String::from_utf8_lossy(&answer.body).contains(text.as_str()))
        {
            let detail = format!("the answer of {address} does not have the expected text");
            Finding::down(ReasonCode::Unhealthy, &detail)
        } else {
            Finding::up(ReasonCode::Serving, &format!("{address} answers {status}"))
        };
        let finding = finding.with("http-status", Value::Integer(i64::from(status.as_u16())));
        answer.measured(finding)
    }
}

/// The server wants other credentials: that says nothing about its health.
pub(super) fn refusal(address: &str, status: StatusCode) -> Option<Finding> {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN).then(|| {
        let detail = format!("{address} does not accept the credentials ({status})");
        Finding::unknown(ReasonCode::Denied, &detail)
    })
}
