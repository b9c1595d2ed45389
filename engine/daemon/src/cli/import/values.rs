//! What values say: hosts with or without a port, lists of them, ports, names.
//!
//! Invariant: an error shows no more of a value than one character. It may be a password that
//! stands behind the wrong key.

use std::fmt;
use std::net::IpAddr;

/// Hosts in one list at most.
const MAX_HOSTS: usize = 100;

/// The longest host name (RFC 1035).
const MAX_HOST: usize = 253;

/// The longest name of a user or a database.
const MAX_NAME: usize = 64;

/// A host name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host(String);

impl Host {
    /// As it is written to the configuration.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address, not a name.
    pub(super) fn is_address(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }

    /// The name up to the first dot; none for an address.
    pub(super) fn label(&self) -> Option<&str> {
        if self.is_address() { None } else { self.0.split('.').next() }
    }

    /// Whether one of the two is the other's name without its domain.
    pub(super) fn short_for(&self, other: &Self) -> bool {
        self != other
            && (Some(self.as_str()) == other.label() || Some(other.as_str()) == self.label())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A host, and what else stood with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// The host.
    pub(super) host: Host,
    /// The port behind it.
    pub(super) port: Option<u16>,
    /// What `http://` or `https://` before it says.
    pub(super) scheme: Option<Scheme>,
}

/// How HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Without encryption.
    Http,
    /// With it.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Why a value is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadValue {
    /// A character that does not belong there.
    #[error("{0:?} does not belong into a host's name or address")]
    HostCharacter(char),
    /// Something else about a host.
    #[error("this is not a host's name or address")]
    Host,
    /// A name for the machine itself.
    #[error("this is the loopback: other servers cannot reach it under that name")]
    Loopback,
    /// One is expected.
    #[error("several hosts, where one is expected")]
    Several,
    /// More hosts than anybody has.
    #[error("more than {MAX_HOSTS} hosts")]
    TooMany,
    /// Not a port.
    #[error("this is not a port: expected a whole number from 1 to 65535")]
    Port,
    /// Not a name.
    #[error(
        "this is not a name: expected letters, digits, '.', '_', '-' or '$', at most {MAX_NAME}"
    )]
    Name,
}

/// Hosts in a list: separated by commas, semicolons or blanks.
pub(super) fn hosts(text: &str) -> Result<Vec<Spot>, BadValue> {
    let mut list = Vec::new();
    for part in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
        if part.is_empty() {
            continue;
        }
        if list.len() == MAX_HOSTS {
            return Err(BadValue::TooMany);
        }
        list.push(spot(part)?);
    }
    Ok(list)
}

/// A host as it may stand in a list: `host`, `host:port`, `[address]:port`, or a URL.
fn spot(text: &str) -> Result<Spot, BadValue> {
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = match scheme {
        "" => rest,
        _ => rest.split(['/', '?']).next().unwrap_or(rest),
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    };
    let (name, port_text) = if let Some(inner) = authority.strip_prefix('[') {
        let (address, rest) = inner.split_once(']').ok_or(BadValue::Host)?;
        address.parse::<IpAddr>().map_err(|_| BadValue::Host)?;
        (address, rest.strip_prefix(':'))
    } else if authority.parse::<IpAddr>().is_ok() {
        (authority, None)
    } else {
        match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        }
    };
    let port = port_text.map(port).transpose()?;
    Ok(Spot { host: host(name)?, port, scheme })
}

fn host(text: &str) -> Result<Host, BadValue> {
    let text = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    if let Ok(address) = text.parse::<IpAddr>() {
        if address.is_loopback() || address.is_unspecified() {
            return Err(BadValue::Loopback);
        }
        return Ok(Host(text));
    }
    if let Some(bad) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
    {
        return Err(BadValue::HostCharacter(bad));
    }
    let odd = |label: &str| label.is_empty() || label.starts_with('-') || label.ends_with('-');
    if text.len() > MAX_HOST || text.split('.').any(odd) {
        return Err(BadValue::Host);
    }
    // What looks like an address and is none: 192.0.2.300, 10.1.
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(BadValue::Host);
    }
    if text == "localhost" || text.starts_with("localhost.") {
        return Err(BadValue::Loopback);
    }
    Ok(Host(text))
}

/// A port.
pub(super) fn port(text: &str) -> Result<u16, BadValue> {
    // Not "+1", which `parse` would take.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or(BadValue::Port)
}

/// The name of a user or a database.
pub(super) fn name(text: &str) -> Result<&str, BadValue> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
    let good = (1..=MAX_NAME).contains(&text.len()) && text.chars().all(fits);
    if good { Ok(text) } else { Err(BadValue::Name) }
}

/// Bytes with a unit behind them, such as `64 MB`; none: there is no unit, or no number. Units are
/// powers of 1024, as PostgreSQL's.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(1 << shift)
}

/// Whether a value may have a password in it: as `user:password@` in an address, or behind a word
/// for one, as in a connection's parameters.
pub(super) fn has_login(text: &str) -> bool {
    const WORDS: [&str; 5] = ["password", "passwd", "pwd", "passphrase", "secret"];
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
        || text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<(String, Option<u16>), BadValue> {
        let list = hosts(text)?;
        assert_eq!(list.len(), 1, "{text}");
        Ok((list[0].host.to_string(), list[0].port))
    }

    #[test]
    fn hosts_are_read_as_people_write_them() {
        for (text, host, port) in [
            ("dm1", "dm1", None),
            ("DM1.Example.COM.", "dm1.example.com", None),
            ("192.0.2.11", "192.0.2.11", None),
            ("dm1:61616", "dm1", Some(61_616)),
            ("2001:db8::11", "2001:db8::11", None),
            ("[2001:db8::11]:22", "2001:db8::11", Some(22)),
            ("https://dm1:1443/datamover", "dm1", Some(1_443)),
            ("tcp://dm1.example.com:61616?wireFormat=x", "dm1.example.com", Some(61_616)),
            ("jdbc:postgresql://192.0.2.11:5432/datamover", "192.0.2.11", Some(5_432)),
        ] {
            assert_eq!(one(text), Ok((host.to_owned(), port)), "{text}");
        }
        let list = hosts(" dm1, dm2;dm3\tdm4 ,").unwrap();
        let names: Vec<&str> = list.iter().map(|spot| spot.host.as_str()).collect();
        assert_eq!(names, ["dm1", "dm2", "dm3", "dm4"]);
        assert_eq!(hosts(""), Ok(vec![]));
        assert_eq!(hosts("http://dm1").unwrap()[0].scheme, Some(Scheme::Http));
        assert_eq!(hosts("tcp://dm1").unwrap()[0].scheme, None);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        assert_eq!(one("\"dm1\""), Err(BadValue::HostCharacter('"')));
        assert_eq!(one("dm1#"), Err(BadValue::HostCharacter('#')));
        assert_eq!(one("<dm1>"), Err(BadValue::HostCharacter('<')));
        for bad in ["-dm1", "dm1..x", ".", "192.0.2.300", "12345", "[dm1]:1", "[::2", "a-.b"] {
            assert_eq!(one(bad), Err(BadValue::Host), "{bad}");
        }
        for bad in ["localhost", "127.0.0.1", "::1", "0.0.0.0", "localhost.localdomain"] {
            assert_eq!(one(bad), Err(BadValue::Loopback), "{bad}");
        }
        for bad in ["dm1:0", "dm1:65536", "dm1:x", "dm1:", "dm1:-1", "dm1:+1"] {
            assert_eq!(one(bad), Err(BadValue::Port), "{bad}");
        }
        assert_eq!(hosts(&"a ".repeat(101)), Err(BadValue::TooMany));
        assert_eq!(one(&"x".repeat(254)), Err(BadValue::Host));
    }

    #[test]
    fn a_short_name_is_told_from_another_server() {
        let host = |text: &str| hosts(text).unwrap().swap_remove(0).host;
        assert!(host("dm1").short_for(&host("dm1.example.com")));
        assert!(host("dm1.example.com").short_for(&host("DM1")));
        assert!(!host("dm1").short_for(&host("dm1")));
        assert!(!host("dm1.a.com").short_for(&host("dm1.b.com")));
        assert!(!host("192.0.2.11").short_for(&host("192.0.2.12")));
    }

    #[test]
    fn logins_in_values_are_noticed() {
        for text in
            ["https://me:hunter2@dm1/", "jdbc:x://dm1/d?user=a&password = b", "PWD=x", "pwd x"]
        {
            assert!(has_login(text), "{text}");
        }
        assert!(!has_login("https://dm1:1443/datamover") && !has_login("dm1"));
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(bytes("64MB"), Some(64 << 20));
        assert_eq!(bytes("512 bytes"), Some(512));
        for none in ["100", "", "MB", "9999999999999 GB", "1.5MB"] {
            assert_eq!(bytes(none), None, "{none}");
        }
    }
}
