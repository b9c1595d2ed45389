//! Which host keys are known, from a file in OpenSSH's format.
//!
//! Invariant: a key that is not in the file is never accepted and never added. Plain, wildcard,
//! negated and hashed names are understood, `[host]:port` for other ports than 22, and the
//! `@revoked` marker. Entries for certificate authorities are passed over: host certificates are
//! not asked for.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use ring::hmac;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};

/// The keys that the file has for one host.
pub(super) struct HostKeys {
    entries: Vec<Known>,
}

struct Known {
    line: usize,
    revoked: bool,
    key: KeyData,
}

/// What the file says about a key that the host showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    Unknown,
    Changed { line: usize },
    Revoked { line: usize },
}

impl HostKeys {
    pub(super) async fn read(path: &Path, host: &str, port: u16) -> io::Result<Self> {
        Ok(Self::parse(&tokio::fs::read_to_string(path).await?, host, port))
    }

    /// Lines that cannot be read are passed over, as OpenSSH does: what they would have allowed
    /// stays unknown.
    pub(super) fn parse(text: &str, host: &str, port: u16) -> Self {
        let host = host.to_ascii_lowercase();
        let name =
            if port == 22 { Cow::Borrowed(&*host) } else { Cow::from(format!("[{host}]:{port}")) };
        let entries = text.lines().enumerate().filter_map(|(index, line)| {
            let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            let entry: Entry = line.parse().ok()?;
            let revoked = match entry.marker() {
                None => false,
                Some(Marker::Revoked) => true,
                Some(Marker::CertAuthority) => return None,
            };
            matches(entry.host_patterns(), &name).then(|| Known {
                line: index + 1,
                revoked,
                key: entry.public_key().key_data().clone(),
            })
        });
        Self { entries: entries.collect() }
    }

    pub(super) fn judge(&self, shown: &PublicKey) -> Verdict {
        let same = || self.entries.iter().filter(|known| known.key == *shown.key_data());
        if let Some(known) = same().find(|known| known.revoked) {
            return Verdict::Revoked { line: known.line };
        }
        if same().next().is_some() {
            return Verdict::Known;
        }
        match self.entries.iter().find(|known| !known.revoked) {
            Some(known) => Verdict::Changed { line: known.line },
            None => Verdict::Unknown,
        }
    }

    /// `defaults` without SHA-1, and with those kinds first that the file has a key of: a host has
    /// several keys, and should show one that can be recognised.
    pub(super) fn preferred(&self, defaults: &[Algorithm]) -> Vec<Algorithm> {
        let family = |algorithm: &Algorithm| match algorithm {
            Algorithm::Rsa { .. } => Algorithm::Rsa { hash: None },
            other => other.clone(),
        };
        let known: Vec<_> =
            self.entries.iter().map(|known| family(&known.key.algorithm())).collect();
        let mut algorithms: Vec<_> = defaults
            .iter()
            .filter(|algorithm| **algorithm != Algorithm::Rsa { hash: None })
            .cloned()
            .collect();
        algorithms.sort_by_key(|algorithm| !known.contains(&family(algorithm)));
        algorithms
    }
}

/// `ssh-ed25519 SHA256:...`, as `ssh-keygen -l` shows it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            // The file format prescribes SHA-1; it hides the name and proves nothing.
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    Some(negated) if glob(negated.as_bytes(), name.as_bytes()) => return false,
                    Some(_) => {}
                    None => found |= glob(pattern.as_bytes(), name.as_bytes()),
                }
            }
            found
        }
    }
}

/// `*` stands for any text, `?` for any character. Greedy with one point to come back to, so that
/// a hostile pattern costs at most the product of the lengths.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(expected) if *expected == b'?' || expected == byte => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                p = star + 1;
                n = from + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRzB1nBCxMXgoLUsVZWKbZSW3JkvRMBNNTDmaRJqRAR";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    fn judge(file: &str, host: &str, port: u16, shown: &str) -> Verdict {
        HostKeys::parse(file, host, port).judge(&key(shown))
    }

    #[test]
    fn a_key_is_known_unknown_changed_or_revoked() {
        let file = format!("# ours\n\nother {B}\ndm1,10.0.0.1 {A} comment\n");
        assert_eq!(judge(&file, "dm1", 22, A), Verdict::Known);
        assert_eq!(judge(&file, "DM1", 22, A), Verdict::Known);
        assert_eq!(judge(&file, "10.0.0.1", 22, A), Verdict::Known);
        assert_eq!(judge(&file, "dm1", 22, B), Verdict::Changed { line: 4 });
        assert_eq!(judge(&file, "dm2", 22, A), Verdict::Unknown);
        assert_eq!(judge(&file, "dm1", 2222, A), Verdict::Unknown);
        let file = format!("@revoked * {A}\ndm1 {A}\n");
        assert_eq!(judge(&file, "dm1", 22, A), Verdict::Revoked { line: 1 });
        assert_eq!(judge(&format!("@cert-authority * {A}"), "dm1", 22, A), Verdict::Unknown);
    }

    #[test]
    fn ports_wildcards_negations_and_tabs_are_understood() {
        assert_eq!(judge(&format!("[dm1]:2222\t{A}"), "dm1", 2222, A), Verdict::Known);
        assert_eq!(judge(&format!("dm?.*.com {A}"), "dm1.site.com", 22, A), Verdict::Known);
        assert_eq!(judge(&format!("dm*,!dm2 {A}"), "dm2", 22, A), Verdict::Unknown);
        assert_eq!(judge(&format!("dm1 not-a-key\ndm1 {A}"), "dm1", 22, A), Verdict::Known);
    }

    #[test]
    fn hashed_names_are_understood() {
        // The name `dm1` hashed by hand: HMAC-SHA1 with a salt of twenty zero bytes.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[0; 20]);
        let hash = hmac::sign(&key, b"dm1");
        let patterns =
            HostPatterns::HashedName { salt: vec![0; 20], hash: hash.as_ref().try_into().unwrap() };
        assert!(matches(&patterns, "dm1"));
        assert!(!matches(&patterns, "dm2"));
    }

    #[test]
    fn a_known_kind_of_key_is_asked_for_first_and_sha1_never() {
        let defaults = russh::Preferred::DEFAULT.key;
        let none = HostKeys::parse("", "dm1", 22).preferred(&defaults);
        assert_eq!(none.first(), Some(&Algorithm::Ed25519));
        assert!(!none.contains(&Algorithm::Rsa { hash: None }));
        let rsa = HostKeys {
            entries: vec![Known { line: 1, revoked: false, key: key(A).key_data().clone() }],
        };
        assert_eq!(rsa.preferred(&defaults).first(), Some(&Algorithm::Ed25519));
    }
}
