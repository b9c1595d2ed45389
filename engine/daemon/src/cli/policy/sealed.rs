//! Whose signature a component's file has: for `policy inspect`, and by itself for `policy verify`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use watchkeeper_wasm::digest;

use super::PolicyError;
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};
use crate::config::{Mode, load_as};
use crate::trust::{Key, Seal, accepted, read_signature, signature_file};

pub(in crate::cli) const HELP: &str = "Signed means by one of the keys, for exactly these bytes. Without --key they are \
    the `keys` in [guests] of the configuration. The exit code is 1 if it is not.\n\nExamples:\n  \
    watchkeeper policy verify policies/data-mover-ha.wasm\n  \
    watchkeeper policy verify new.wasm --key rules.pub";

/// The keys that a signature is held against.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Keys {
    /// A public key of minisign, or the file that has it; without it, the configuration's keys
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

impl Keys {
    /// The keys. Where there is no configuration, or one that is wrong, there are none of it.
    pub(in crate::cli) fn read(&self, config: &Path) -> Result<Vec<Key>, PolicyError> {
        if self.keys.is_empty() {
            let config = load_as(config, Mode::Check);
            return Ok(config.map_or_else(|_| Vec::new(), |config| config.guests.keys.to_vec()));
        }
        self.keys.iter().map(|given| key(given)).collect()
    }
}

/// A key, or the file that `minisign -G` wrote it to.
fn key(given: &str) -> Result<Key, PolicyError> {
    let within = || Key::parse(std::fs::read_to_string(given).ok()?.lines().nth(1)?.trim());
    Key::parse(given).or_else(within).ok_or_else(|| PolicyError::Key(given.to_owned()))
}

/// What was found of a file's signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Sealed {
    /// The signature's file.
    file: PathBuf,
    #[serde(flatten)]
    state: State,
    /// The numbers of the keys it was held against.
    keys: Vec<String>,
    /// The same, for people.
    #[serde(skip)]
    accepted: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
enum State {
    Verified {
        key: String,
        #[serde(rename = "trusted-comment")]
        comment: String,
    },
    UnknownKey {
        key: String,
    },
    Forged {
        key: String,
    },
    Malformed {
        problem: String,
    },
    Unsigned,
}

impl Sealed {
    /// Looks at the component and the signature beside it.
    pub(in crate::cli) fn look(component: &Path, keys: &[Key]) -> Result<Self, PolicyError> {
        let failed = |path: &Path, source| PolicyError::Read { path: path.to_owned(), source };
        let bytes = std::fs::read(component).map_err(|source| failed(component, source))?;
        Self::of(component, &bytes, keys)
    }

    fn of(component: &Path, bytes: &[u8], keys: &[Key]) -> Result<Self, PolicyError> {
        let file = signature_file(component);
        let state = match read_signature(&file) {
            Ok(text) => Seal::of(&text, bytes, keys).into(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::Unsigned,
            Err(source) => return Err(PolicyError::Read { path: file, source }),
        };
        let ids = keys.iter().map(|key| key.id().to_string()).collect();
        Ok(Self { file, state, keys: ids, accepted: accepted(keys) })
    }
}

impl From<Seal> for State {
    fn from(seal: Seal) -> Self {
        match seal {
            Seal::Verified { by, comment } => Self::Verified { key: by.to_string(), comment },
            Seal::Stranger { by } => Self::UnknownKey { key: by.to_string() },
            Seal::Forged { by } => Self::Forged { key: by.to_string() },
            Seal::Malformed { problem } => Self::Malformed { problem },
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.state {
            State::Verified { key, comment } => {
                write!(f, "good, by the key {key}; it says {comment:?}")
            }
            State::UnknownKey { key } if self.keys.is_empty() => write!(
                f,
                "by the key {key}, not checked: no key is known; give one with --key, or `keys` in [guests] of \
                 the configuration"
            ),
            State::UnknownKey { key } => {
                write!(f, "by the key {key}, which is not one of {}", self.accepted)
            }
            State::Forged { key } => write!(
                f,
                "BAD: {file} is by the key {key}, and not for this file: one of the two was altered"
            ),
            State::Malformed { problem } => {
                write!(f, "BAD: {file} is no signature of minisign: {problem}")
            }
            State::Unsigned => write!(f, "none: there is no {file}"),
        }
    }
}

/// What `policy verify` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Verify {
    /// The component's file; its signature is FILE.minisig
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
}

impl Verify {
    /// Says whether the file is signed as it should be. Nothing of it is compiled or run.
    pub(in crate::cli) fn run(&self, config: &Path, json: bool) -> Result<Exit, PolicyError> {
        let source = |source| PolicyError::Read { path: self.file.clone(), source };
        let bytes = std::fs::read(&self.file).map_err(source)?;
        let sealed = Sealed::of(&self.file, &bytes, &self.keys.read(config)?)?;
        let digest = digest(&bytes);
        if json {
            print_json(&serde_json::json!({ "digest": digest, "signature": sealed }));
        } else {
            print(&format!("digest: {digest}\nsignature: {sealed}\n"));
        }
        Ok(if matches!(sealed.state, State::Verified { .. }) { Exit::Ok } else { Exit::Failed })
    }
}
