//! E-mail: what a notifier wants told goes to the mail server that is granted, and the server's reply comes back.
//!
//! Invariants:
//! - Nothing is sent to a server or a recipient that is not granted, whatever the notifier says.
//! - The password leaves only under TLS, and stands in no reason and no reply.
//! - What the server says of the e-mail is a reply for the notifier; what keeps it from being offered at all is a
//!   failed attempt: a wrong password loses no alert.

mod connect;
mod message;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{
    ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo,
};
use lettre::transport::smtp::response::{Code, Response};
use rustls::ClientConfig;
use tokio::time::Instant;
use watchkeeper_wasm::notifier::{MailRequest, MailResponse};

use self::connect::ConnectError;
use self::message::{MessageError, Ready};
use super::secrets::Secrets;
use crate::config::mail::{MailGrant, MailTls};
use crate::errors::chain;
use crate::net;
use crate::secret::Secret;
use crate::tls::{self, TlsError};

/// How long a server has for its farewell. The e-mail is delivered by then.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why an e-mail came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailError {
    /// It would come to nothing again.
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the mail server {address} does not begin: {said}")]
    Hello { address: String, said: String },
    #[error("the mail server {address} does not accept the login of {user:?}: {said}")]
    Login { address: String, user: String, said: String },
    #[error("the connection to the mail server {address} broke: {said}")]
    Broke { address: String, said: String },
}

impl MailError {
    /// Whether trying again would come to the same.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Message(_))
    }
}

/// Whether an e-mail would be offered to the server that is granted; if not, why.
pub(super) fn check(
    grant: &MailGrant,
    request: MailRequest,
    key: &str,
    count: usize,
) -> Result<(), String> {
    message::write(grant, request, key, count).map(drop).map_err(|error| chain(&error))
}

/// A receiver's way to its mail server.
#[derive(Clone)]
pub(super) struct Mailer {
    grant: MailGrant,
    tls: Option<Arc<ClientConfig>>,
    hello: String,
    /// The password in every form in which it is sent, to be taken out of what comes back.
    hidden: Secrets,
}

impl Mailer {
    pub(super) fn new(grant: MailGrant) -> Result<Self, TlsError> {
        let server = &grant.server;
        let tls = match server.tls {
            MailTls::Off => None,
            MailTls::StartTls | MailTls::Whole => {
                Some(Arc::new(tls::client_config(server.ca.as_deref())?))
            }
        };
        let hidden = server.login.iter().flat_map(|(user, password)| {
            let text = password.expose();
            let login = STANDARD.encode(text);
            let plain = STANDARD.encode(format!("\0{user}\0{text}"));
            [("password", text.to_owned()), ("login", login), ("plain", plain)]
        });
        let hidden = hidden.map(|(name, text)| (name.to_owned(), Secret::new(text))).collect();
        let hello = server.hello.clone().unwrap_or_else(host_name);
        Ok(Self { tls, hello, hidden: Secrets(hidden), grant })
    }

    fn address(&self) -> String {
        net::address(&self.grant.server.host, self.grant.server.port)
    }

    /// Takes the password out.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.hidden.scrub_text(text)
    }

    /// Offers the e-mail, the `count`th of the notification with the idempotency key `key`, to the server, and says
    /// what that said in the end.
    pub(super) async fn send(
        &self,
        request: MailRequest,
        key: &str,
        count: usize,
        until: Instant,
    ) -> Result<MailResponse, MailError> {
        let ready = message::write(&self.grant, request, key, count)?;
        let mut connection = self.connect(until).await?;
        let reply = match offer(&mut connection, &ready).await {
            Ok((reply, refused)) => {
                for refused in refused {
                    tracing::warn!(server = %self.address(), "{}", self.scrub(&refused));
                }
                reply
            }
            Err(error) => said(&error).ok_or_else(|| MailError::Broke {
                address: self.address(),
                said: error.to_string(),
            })?,
        };
        // Whatever comes of the farewell, the reply counts: this must not use up the attempt's time.
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
        });
        Ok(MailResponse { text: self.scrub(&reply.text), ..reply })
    }

    async fn connect(&self, until: Instant) -> Result<AsyncSmtpConnection, MailError> {
        let server = &self.grant.server;
        let stream = connect::connect(server, self.tls.as_ref(), &self.hello, until).await?;
        let hello = ClientId::Domain(self.hello.clone());
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
        let mut connection = connected
            .map_err(|error| MailError::Hello { address: self.address(), said: words(&error) })?;
        if let Some((user, password)) = &server.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|error| {
                let said = self.scrub(&words(&error));
                MailError::Login { address: self.address(), user: user.clone(), said }
            })?;
        }
        Ok(connection)
    }
}

/// Offers the e-mail to all, and sends it to those that the server takes. Only if it takes none is its last refusal
/// the reply: one address that has gone must not keep an alert from all others. Gives the refusals beside the reply.
async fn offer(
    connection: &mut AsyncSmtpConnection,
    ready: &Ready,
) -> Result<(MailResponse, Vec<String>), SmtpError> {
    let parameters = parameters(connection.server_info(), ready);
    connection.command(Mail::new(Some(ready.from.clone()), parameters)).await?;
    let mut refused = Vec::new();
    let mut taken = false;
    for address in &ready.to {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => taken = true,
            Err(error) => match said(&error) {
                Some(reply) => refused.push((address, reply)),
                None => return Err(error),
            },
        }
    }
    if !taken && let Some((_, reply)) = refused.iter().min_by_key(|(_, reply)| reply.code) {
        // A refusal for now before one for good: then it is tried again.
        return Ok((reply.clone(), Vec::new()));
    }
    connection.command(Data).await?;
    let response = connection.message(&ready.bytes).await?;
    let refused = refused.into_iter().map(|(address, reply)| {
        format!("the recipient {address} is refused: {} {}", reply.code, reply.text)
    });
    let reply = MailResponse { code: number(response.code()), text: lines(&response) };
    Ok((reply, refused.collect()))
}

fn parameters(server: &ServerInfo, ready: &Ready) -> Vec<MailParameter> {
    let mut parameters = Vec::new();
    let ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
    if !ready.to.iter().chain([&ready.from]).all(ascii)
        && server.supports_feature(Extension::SmtpUtfEight)
    {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !ready.bytes.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    parameters
}

/// The server's reply, if the error is one.
fn said(error: &SmtpError) -> Option<MailResponse> {
    let code = number(error.status()?);
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Some(MailResponse { code, text })
}

fn words(error: &SmtpError) -> String {
    match said(error) {
        Some(reply) => format!("{} {}", reply.code, reply.text),
        None => error.to_string(),
    }
}

fn lines(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join(" ")
}

fn number(code: Code) -> u16 {
    code.to_string().parse().unwrap_or_default()
}

/// This host's name as the kernel has it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if !name.is_empty() && name.chars().all(good) {
        name.to_owned()
    } else {
        "localhost".to_owned()
    }
}
