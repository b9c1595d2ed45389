//! What a notifier asks for, held against what its receiver is granted. Nothing is sent here: a delivery asks before it
//! sends, and `watchkeeper plugin test` asks the same.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use watchkeeper_wasm::notifier::{HttpRequest, MailRequest, Method, Request};

use super::attempt::Verdict;
use super::mail;
use super::secrets::{NotGranted, Secrets};
use crate::config::host::HostGrant;
use crate::config::mail::MailGrant;

/// What a receiver is granted, as far as a request can be held against it before it is sent.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// The hosts it may talk to.
    pub hosts: Vec<HostGrant>,
    /// The methods its HTTP requests may have.
    pub methods: Vec<reqwest::Method>,
    /// The names of the commands it may run.
    pub commands: Vec<String>,
    /// The secrets it may use.
    pub secrets: Secrets,
    /// The mail server it may use, and for whom.
    pub mail: Option<MailGrant>,
}

impl Grants {
    /// Whether the `count`th request of the notification with the idempotency key `key` would be carried out.
    pub fn check(&self, request: Request, key: &str, count: usize) -> Result<(), Verdict> {
        match request {
            Request::Http(request) => {
                http(&self.hosts, &self.methods, &self.secrets, request).map(drop)
            }
            Request::Command(request) if self.commands.contains(&request.name) => Ok(()),
            Request::Command(request) => Err(no_command(&request.name)),
            Request::Mail(request) => self.mail(request, key, count),
        }
    }

    fn mail(&self, request: MailRequest, key: &str, count: usize) -> Result<(), Verdict> {
        let grant = self.mail.as_ref().ok_or_else(no_mail)?;
        mail::check(grant, request, key, count).map_err(Verdict::dead)
    }
}

/// An HTTP request that is granted, with the secrets in it.
pub(super) struct Granted {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Puts the secrets in and checks what came of it against the grants.
pub(super) fn http(
    hosts: &[HostGrant],
    methods: &[reqwest::Method],
    secrets: &Secrets,
    request: HttpRequest,
) -> Result<Granted, Verdict> {
    let ungranted = |error: NotGranted| Verdict::dead(error.to_string());
    let url = secrets.expand_text(&request.url).map_err(ungranted)?;
    let url = Url::parse(&url).map_err(|_| Verdict::dead("the plugin's URL is not valid"))?;
    if !hosts.iter().any(|grant| grant.covers(&url)) {
        // A host that came out of a secret is part of the secret.
        let written = request.url.split('/').take(3).any(|part| part.contains("{{"));
        let named = match url.host_str() {
            Some(host) if !written => format!(" {}://{host}", url.scheme()),
            _ => String::new(),
        };
        let reason = format!("the host{named} of the URL is not granted to this receiver");
        return Err(Verdict::dead(reason));
    }
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    };
    if !methods.contains(&method) {
        let reason = format!("the method {method} is not granted to this receiver: `methods`");
        return Err(Verdict::dead(reason));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers {
        let invalid = || Verdict::dead(format!("the plugin's header {name:?} is not valid"));
        let value = secrets.expand_text(&value).map_err(ungranted)?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        headers.append(name, value);
    }
    let body = secrets.expand(&request.body).map_err(ungranted)?;
    Ok(Granted { method, url, headers, body })
}

pub(super) fn no_command(name: &str) -> Verdict {
    Verdict::dead(format!("the command {name:?} is not granted to this receiver"))
}

pub(super) fn no_mail() -> Verdict {
    Verdict::dead("no mail server is granted to this receiver: `mail`")
}
