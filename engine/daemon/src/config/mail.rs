//! Mail servers, and whom a receiver may write to through them.

use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;

use crate::secret::Secret;

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the clear and is turned into TLS before anything is said (RFC 3207).
    StartTls,
    /// It is TLS from its first byte (RFC 8314).
    Whole,
    /// It is not.
    Off,
}

impl MailTls {
    /// The port on which servers expect it.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Whole => 465,
            Self::Off => 25,
        }
    }
}

/// A mail server, and as whom it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its host's name or address; its certificate is for this.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// The certificate authorities that count, in PEM; none: the operating system's.
    pub ca: Option<PathBuf>,
    /// User and password; never without TLS.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// The name that it is greeted with; none: this host's.
    pub hello: Option<String>,
}

/// The mail server that a receiver may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailGrant {
    /// The server.
    pub server: MailServer,
    /// Whom it may write to.
    pub recipients: Vec<RecipientGrant>,
}

impl MailGrant {
    /// Whether it may write to `address`.
    pub fn covers(&self, address: &Address) -> bool {
        self.recipients.iter().any(|grant| grant.covers(address))
    }
}

/// Whom a receiver may write to: an address, or `*@` and a domain for all of that domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientGrant {
    /// None: everybody of the domain.
    user: Option<String>,
    domain: String,
}

/// A text that names no recipients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor `*@` and a domain")]
pub struct BadRecipient(pub String);

impl std::str::FromStr for RecipientGrant {
    type Err = BadRecipient;

    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        let bad = |_| BadRecipient(text.to_owned());
        if let Some(domain) = text.strip_prefix("*@") {
            let any = Address::new("any", domain).map_err(bad)?;
            return Ok(Self { user: None, domain: any.domain().to_owned() });
        }
        let address: Address = text.parse().map_err(bad)?;
        Ok(Self { user: Some(address.user().to_owned()), domain: address.domain().to_owned() })
    }
}

impl RecipientGrant {
    /// Upper and lower case are the same, before the `@` too: no server in use tells them apart.
    fn covers(&self, address: &Address) -> bool {
        self.domain.eq_ignore_ascii_case(address.domain())
            && self.user.as_ref().is_none_or(|user| user.eq_ignore_ascii_case(address.user()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_an_address_or_all_of_one_domain() {
        let covers = |grant: &str, address: &str| {
            grant.parse::<RecipientGrant>().unwrap().covers(&address.parse().unwrap())
        };
        assert!(covers("*@example.com", "ada@Example.com"));
        assert!(covers("Ada@example.com", "ada@example.com"));
        for (grant, address) in [
            ("*@example.com", "ada@mail.example.com"),
            ("*@example.com", "ada@example.com.evil.org"),
            ("ada@example.com", "eve@example.com"),
            ("ada@example.com", "ada@example.org"),
        ] {
            assert!(!covers(grant, address), "{grant} {address}");
        }
        for bad in ["", "*", "*@", "@example.com", "example.com", "*@*.com", "a*@example.com b"] {
            assert!(bad.parse::<RecipientGrant>().is_err(), "{bad}");
        }
    }
}
