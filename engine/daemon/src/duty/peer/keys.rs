//! A monitor's key and certificate, made once.
//!
//! The other monitor accepts exactly this certificate, so it needs no authority, and neither its
//! names nor its dates mean anything: it is in force as long as the other one is configured to
//! accept it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use sha2::{Digest as _, Sha256};
use watchkeeper_core::model::MonitorName;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Keys {
    /// The certificate's file, in PEM.
    pub certificate: PathBuf,
    /// The private key's file, in PEM, for its owner only.
    pub key: PathBuf,
    /// The certificate's SHA-256, in the form in which tools print it.
    pub fingerprint: String,
}

/// Why none were made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is one.
    #[error(
        "{0} is there already, and is not overwritten: remove it first if it is not in use any more"
    )]
    There(PathBuf),
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The library refuses.
    #[error("no key could be made")]
    Make(#[from] rcgen::Error),
}

/// Makes a key and its certificate in `dir`: `NAME.key` and `NAME.pem`.
pub fn make(dir: &Path, name: &MonitorName) -> Result<Keys, KeysError> {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    for path in [&certificate, &key] {
        if path.symlink_metadata().is_ok() {
            return Err(KeysError::There(path.clone()));
        }
    }
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    let made = params.self_signed(&pair)?;
    write(&key, 0o600, &pair.serialize_pem())?;
    write(&certificate, 0o644, &made.pem())?;
    Ok(Keys { certificate, key, fingerprint: fingerprint(made.der()) })
}

/// The SHA-256 of a certificate, in the form in which tools print it.
pub fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(der).iter().map(|it| format!("{it:02X}")).collect();
    bytes.join(":")
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), KeysError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => KeysError::There(path.to_owned()),
        _ => KeysError::Write { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_for_its_owner_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let name = MonitorName::new("vp1").unwrap();
        let keys = make(dir.path(), &name).unwrap();
        let mode = std::fs::metadata(&keys.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(keys.fingerprint.len(), 32 * 3 - 1);
        let before = std::fs::read(&keys.key).unwrap();
        assert!(matches!(make(dir.path(), &name), Err(KeysError::There(_))));
        std::fs::remove_file(&keys.certificate).unwrap();
        let again = make(dir.path(), &name).unwrap_err();
        assert!(again.to_string().contains("vp1.key is there already"), "{again}");
        assert_eq!(std::fs::read(&keys.key).unwrap(), before);
        let nowhere = make(&dir.path().join("no"), &name).unwrap_err();
        assert!(matches!(nowhere, KeysError::Write { .. }), "{nowhere}");
    }
}
