//! Whose policies and plugins are used: signatures, and digests that the configuration pins.
//!
//! Signatures are minisign's (<https://jedisct1.github.io/minisign/>): `NAME.wasm.minisig` beside
//! `NAME.wasm`, made with `minisign -S`. The trusted comment is covered by them as well.
//!
//! Invariant: what is refused here is not compiled, let alone run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};

/// The longest signature file that is read, in bytes: minisign's own limit for comments is 8 KiB.
pub const MAX_SIGNATURE: u64 = 16 * 1024;

/// A key's number, as minisign prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl KeyId {
    /// The number within a key's or a signature's first line: two letters for the algorithm, then
    /// eight bytes, the lowest first.
    fn within(base64: &str) -> Option<Self> {
        let bytes = STANDARD.decode(base64.trim()).ok()?;
        let id = bytes.get(2..10)?.try_into().ok()?;
        Some(Self(u64::from_le_bytes(id)))
    }

    /// The number of the key that made a signature, whatever else is wrong with it.
    pub fn of_signature(text: &str) -> Option<Self> {
        Self::within(text.lines().nth(1)?)
    }
}

/// A public key whose signatures are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: KeyId,
    text: String,
}

impl Key {
    /// The key in the form of `minisign -p`'s second line: 56 characters that begin with `RW`.
    pub fn parse(text: &str) -> Option<Self> {
        PublicKey::from_base64(text).ok()?;
        Some(Self { id: KeyId::within(text)?, text: text.to_owned() })
    }

    /// Its number.
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

/// What a component has to fulfil before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Its signature has to be made with one of these; none: it needs none.
    pub signers: Option<Arc<[Key]>>,
    /// It has to have this SHA-256, in lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// Why a component is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Another one is pinned.
    #[error("its SHA-256 is {found}, and the configuration pins {pinned} (`sha256`)")]
    Digest {
        /// What it has.
        found: String,
        /// What it should have.
        pinned: String,
    },
    /// There is no signature.
    #[error("it has to be signed, and there is no {}; accepted is a signature by {accepted}", file.display())]
    Unsigned {
        /// The file that is missing.
        file: PathBuf,
        /// The keys.
        accepted: String,
    },
    /// The signature cannot be read.
    #[error("{} is no signature of minisign: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// Somebody else signed it.
    #[error("it is signed by the key {by}, and accepted is a signature by {accepted}")]
    Signer {
        /// Who.
        by: KeyId,
        /// The keys.
        accepted: String,
    },
    /// The signature is not one of these bytes.
    #[error(
        "{} is by the key {by}, and not for this file: one of the two was altered, or is not copied yet",
        file.display()
    )]
    Forged {
        /// The signature's file.
        file: PathBuf,
        /// Whose it says it is.
        by: KeyId,
    },
}

/// The file of a component's signature.
pub fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

impl Trust {
    /// Whether a component may be used: `bytes` of the file at `path` with this digest, and the text of
    /// its signature file, if there is one.
    pub fn check(
        &self,
        path: &Path,
        bytes: &[u8],
        digest: &str,
        signature: Option<&str>,
    ) -> Result<(), Distrust> {
        if let Some(pinned) = self.sha256.as_ref().filter(|pinned| *pinned != digest) {
            let (found, pinned) = (digest.to_owned(), pinned.clone());
            return Err(Distrust::Digest { found, pinned });
        }
        let Some(keys) = &self.signers else { return Ok(()) };
        let file = signature_file(path);
        let accepted = accepted(keys);
        let Some(text) = signature else { return Err(Distrust::Unsigned { file, accepted }) };
        let malformed =
            |problem: &str| Distrust::Malformed { file: file.clone(), problem: problem.to_owned() };
        let by = KeyId::of_signature(text)
            .ok_or_else(|| malformed("its second line does not name a key"))?;
        let found = Signature::decode(text).map_err(|error| malformed(&error.to_string()))?;
        let Some(key) = keys.iter().find(|key| key.id == by) else {
            return Err(Distrust::Signer { by, accepted });
        };
        let verified =
            PublicKey::from_base64(&key.text).and_then(|key| key.verify(bytes, &found, true));
        verified.map_err(|_| Distrust::Forged { file, by })
    }
}

fn accepted(keys: &[Key]) -> String {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    if ids.is_empty() { "no key (`keys` in [guests])".to_owned() } else { ids.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    struct Signer(KeyPair);

    impl Signer {
        fn new() -> Self {
            Self(KeyPair::generate_unencrypted_keypair().unwrap())
        }

        fn key(&self) -> Key {
            Key::parse(&self.0.pk.to_base64()).unwrap()
        }

        fn sign(&self, bytes: &[u8]) -> String {
            let signed =
                minisign::sign(None, &self.0.sk, Cursor::new(bytes), Some("version 1"), None);
            signed.unwrap().into_string()
        }
    }

    fn trust(keys: &[Key]) -> Trust {
        Trust { signers: Some(keys.into()), sha256: None }
    }

    #[test]
    fn only_bytes_that_an_accepted_key_signed_are_used() {
        let (ours, theirs) = (Signer::new(), Signer::new());
        let trust = trust(&[ours.key()]);
        let path = Path::new("policies/a.wasm");
        let check = |bytes: &[u8], text: Option<&str>| {
            trust.check(path, bytes, "", text).map_err(|error| error.to_string())
        };
        let good = ours.sign(b"bytes");
        check(b"bytes", Some(&good)).unwrap();
        let id = ours.key().id().to_string();
        assert_eq!(id.len(), 16);

        let unsigned = check(b"bytes", None).unwrap_err();
        assert!(unsigned.contains("no policies/a.wasm.minisig") && unsigned.contains(&id));
        let other = check(b"bytes", Some(&theirs.sign(b"bytes"))).unwrap_err();
        assert!(other.contains(&theirs.key().id().to_string()) && other.contains(&id), "{other}");
        let altered = check(b"Bytes", Some(&good)).unwrap_err();
        assert!(altered.contains("was altered, or is not copied yet"), "{altered}");
        let comment = good.replace("version 1", "version 2");
        assert_ne!(comment, good);
        assert!(check(b"bytes", Some(&comment)).unwrap_err().contains("was altered"));
        for bad in ["", "untrusted comment: x", "untrusted comment: x\n!\n", &good[..150]] {
            let told = check(b"bytes", Some(bad)).unwrap_err();
            assert!(told.contains("is no signature of minisign"), "{bad:?}: {told}");
        }
    }

    #[test]
    fn a_pinned_digest_is_the_only_one_and_keys_are_recognised() {
        let trust = Trust { signers: None, sha256: Some("ab".to_owned()) };
        trust.check(Path::new("a.wasm"), b"", "ab", None).unwrap();
        let told = trust.check(Path::new("a.wasm"), b"", "cd", None).unwrap_err().to_string();
        assert!(told.contains("is cd") && told.contains("pins ab"), "{told}");
        assert_eq!(Key::parse("RWQ"), None);
        assert_eq!(Key::parse(&"A".repeat(56)), None);
        // From minisign's own documentation: the key's number as `minisign -V` prints it.
        let key = Key::parse("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").unwrap();
        assert_eq!(key.id().to_string(), "E7620F1842B4E81F");
    }
}
