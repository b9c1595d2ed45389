//! Hosts that a receiver may be granted.

use reqwest::{Method, Url};

/// The methods that a notifier can ask for, as the contract has them.
pub const fn methods() -> [Method; 5] {
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
}

/// A host that a receiver may talk to: `host`, `host:port`, or the same with `http://` or
/// `https://` before it. Without a scheme it is HTTPS; without a port, the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostGrant {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host: expected host, host:port, https://host:port or http://host:port")]
pub struct BadHost(pub String);

impl std::str::FromStr for HostGrant {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&whole).map_err(|_| bad())?;
        let only_host = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !whole.ends_with('/');
        match url.host_str() {
            Some(host) if only_host && matches!(url.scheme(), "http" | "https") => Ok(Self {
                scheme: url.scheme().to_owned(),
                host: host.to_owned(),
                port: url.port_or_known_default(),
            }),
            _ => Err(bad()),
        }
    }
}

impl HostGrant {
    /// Whether it covers `url`, in which no placeholder is left.
    pub fn covers(&self, url: &Url) -> bool {
        url.scheme() == self.scheme
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_its_host_scheme_and_port_only() {
        let covers = |grant: &str, url: &str| {
            grant.parse::<HostGrant>().unwrap().covers(&Url::parse(url).unwrap())
        };
        assert!(covers("hooks.example.com", "https://hooks.example.com/a?b"));
        assert!(covers("Hooks.Example.com:443", "https://hooks.example.com"));
        assert!(covers("http://[::1]:8080", "http://[::1]:8080/x"));
        for url in [
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com.evil.org/",
            "https://hooks.example.com@evil.org/",
            "https://evil.org/hooks.example.com",
        ] {
            assert!(!covers("hooks.example.com", url), "{url}");
        }
        for bad in ["", "a b", "ftp://x", "x/y", "https://x/", "https://u@x"] {
            assert!(bad.parse::<HostGrant>().is_err(), "{bad}");
        }
    }
}
