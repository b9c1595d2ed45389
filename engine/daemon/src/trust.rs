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
const MAX_SIGNATURE: u64 = 16 * 1024;

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
        match Seal::of(text, bytes, keys) {
            Seal::Verified { .. } => Ok(()),
            Seal::Stranger { by } => Err(Distrust::Signer { by, accepted }),
            Seal::Forged { by } => Err(Distrust::Forged { file, by }),
            Seal::Malformed { problem } => Err(Distrust::Malformed { file, problem }),
        }
    }
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// One of the keys made it, for these bytes.
    Verified {
        /// Which one.
        by: KeyId,
        /// What the signer says of it: the signature covers this as well.
        comment: String,
    },
    /// None of the keys made it, so that nothing can be said of it.
    Stranger {
        /// Whose it says it is.
        by: KeyId,
    },
    /// One of the keys is named, and did not sign these bytes or this comment.
    Forged {
        /// Whose it says it is.
        by: KeyId,
    },
    /// It is none.
    Malformed {
        /// Why.
        problem: String,
    },
}

impl Seal {
    /// Holds the text of a signature file against the bytes of a component. Both of minisign's forms
    /// are taken: over the bytes themselves (`-l`), and over their hash, which it makes by default.
    pub fn of(text: &str, bytes: &[u8], keys: &[Key]) -> Self {
        let Some(by) = KeyId::of_signature(text) else {
            return Self::Malformed { problem: "its second line does not name a key".to_owned() };
        };
        let found = match Signature::decode(text) {
            Ok(found) => found,
            Err(error) => return Self::Malformed { problem: error.to_string() },
        };
        let Some(key) = keys.iter().find(|key| key.id == by) else {
            return Self::Stranger { by };
        };
        match PublicKey::from_base64(&key.text).and_then(|key| key.verify(bytes, &found, true)) {
            Ok(()) => Self::Verified { by, comment: found.trusted_comment().to_owned() },
            Err(_) => Self::Forged { by },
        }
    }
}

/// The text of a signature. What is none of a text's bytes makes no signature either.
pub fn read_signature(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_SIGNATURE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The keys whose signatures are accepted, in words.
pub fn accepted(keys: &[Key]) -> String {
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
        let (by, comment) = (ours.key().id(), "version 1".to_owned());
        assert_eq!(Seal::of(&good, b"bytes", &[ours.key()]), Seal::Verified { by, comment });
        assert_eq!(Seal::of(&good, b"bytes", &[theirs.key()]), Seal::Stranger { by });
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

    /// Made by minisign 0.11 with `-S`, and with `-S -l`.
    #[test]
    fn both_forms_of_minisign_are_accepted() {
        const HASHED: [&str; 2] = [
            "RUQt3tzPBx/6o3Ec98VZVQLLSSX5GMWLOKUlwAHeHHHxWfQc6/YXXYnBFhd4yL28z04oxb3AwXsT55YW9mmYu0lujrg0vdtMOgc=",
            "Qi0L8JkzbSsjiqYFxZ4iFDG6G2/DPeUWlzmTGziJPRHYw9PYFHtOiASJ1prh3h2C+gtGUQ7UUDLM1WcyalIKDw==",
        ];
        const LEGACY: [&str; 2] = [
            "RWQt3tzPBx/6ozfFV5W75fcA53Tzb6oDb5JVkj68qzFSDDZVhSacg28az2bOPguXJ6xqGB9hUw6DLLzA0A8kA8BMItXK1Oq3zAo=",
            "yBM4qCB8kkD8K9IvMdve7aNZp7HxUNO1YvJgnfqJdOfsOWTvIg6EaseJXG1r9aTmHIrVDK89aEZHXAZTbQhrAw==",
        ];
        let key = Key::parse("RWQt3tzPBx/6o/a9vi6AWX/4SNL0Z1updDS4EGKCxXE46Y5meL++N1aa").unwrap();
        for [signature, global] in [HASHED, LEGACY] {
            let text =
                format!("untrusted comment: x\n{signature}\ntrusted comment: a test\n{global}\n");
            let (by, comment) = (key.id(), "a test".to_owned());
            let keys = [key.clone()];
            assert_eq!(Seal::of(&text, b"watchkeeper\n", &keys), Seal::Verified { by, comment });
            assert_eq!(Seal::of(&text, b"Watchkeeper\n", &keys), Seal::Forged { by });
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
