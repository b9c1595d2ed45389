//! The policies' last revisions, kept so that one command, or a failing successor, brings them back.
//!
//! A file per component in `revisions/` of the state directory, named by its digest. What counts as
//! the last good ones is for the journal to say ([`watchkeeper_core::policies`]); here are only the
//! bytes.
//!
//! Invariant: what is read back has the digest that was asked for.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::Notify;
use watchkeeper_core::proposal::Revision;
use watchkeeper_wasm::digest;

/// Where revisions are kept.
#[derive(Debug)]
pub struct Revisions {
    dir: PathBuf,
    /// Another one is to come into force.
    wanted: Notify,
}

impl Revisions {
    /// In the folder `revisions` of `state_dir`, which is made when something is kept.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("revisions"), wanted: Notify::new() }
    }

    /// Says that another revision is to come into force, by what the journal holds now.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until that was said.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }

    /// Whether a revision is there.
    pub fn has(&self, revision: &Revision) -> bool {
        is_digest(&revision.digest) && self.file(&revision.digest).is_file()
    }

    /// Keeps a component with its signature, if it has one. Under other names first, so that a crash
    /// leaves no half of it.
    pub fn keep(&self, digest: &str, bytes: &[u8], signature: Option<&str>) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let draft = self.dir.join(format!("{digest}.new"));
        let place = |bytes: &[u8], file: &Path| {
            std::fs::write(&draft, bytes)?;
            std::fs::rename(&draft, file)
        };
        let file = self.file(digest);
        if let Some(signature) = signature {
            place(signature.as_bytes(), &self.signature(digest))?;
        }
        if file.is_file() { Ok(()) } else { place(bytes, &file) }
    }

    fn signature(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.minisig"))
    }

    /// The bytes of a revision, if they are what was kept, and its signature, if it has one.
    pub fn read(&self, revision: &Revision) -> io::Result<(Vec<u8>, Option<String>)> {
        if !is_digest(&revision.digest) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is no digest"));
        }
        let bytes = std::fs::read(self.file(&revision.digest))?;
        let found = digest(&bytes);
        if found == revision.digest {
            return Ok((bytes, std::fs::read_to_string(self.signature(&found)).ok()));
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("its digest is {found}")))
    }

    /// Drops all but these.
    pub fn prune(&self, digests: &BTreeSet<&str>) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !digests.contains(stem) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether it names a file of this folder and no other: another monitor's word may be what it comes from.
fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_was_altered_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Revisions::new(dir.path());
        let revision = |bytes: &[u8]| Revision { digest: digest(bytes), version: "1".to_owned() };
        let (one, two) = (revision(b"one"), revision(b"two"));
        kept.prune(&BTreeSet::new()).unwrap();
        assert!(!kept.has(&one) && kept.read(&one).is_err());
        kept.keep(&one.digest, b"one", None).unwrap();
        assert_eq!(kept.read(&one).unwrap(), (b"one".to_vec(), None));
        kept.keep(&one.digest, b"one", Some("signed")).unwrap();
        kept.keep(&two.digest, b"two", None).unwrap();
        assert_eq!(kept.read(&one).unwrap(), (b"one".to_vec(), Some("signed".to_owned())));
        std::fs::write(kept.file(&two.digest), b"else").unwrap();
        assert!(kept.read(&two).unwrap_err().to_string().contains("its digest is"));
        kept.prune(&BTreeSet::from([one.digest.as_str()])).unwrap();
        assert!(kept.has(&one) && !kept.has(&two));
    }

    #[test]
    fn no_revision_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Revisions::new(dir.path());
        std::fs::write(dir.path().join("outside.wasm"), b"x").unwrap();
        kept.keep(&digest(b"one"), b"one", None).unwrap();
        for digest in ["../outside", "", ".", "/etc/passwd", &"g".repeat(64), &"A".repeat(64)] {
            let revision = Revision { digest: digest.to_owned(), version: "1".to_owned() };
            assert!(!kept.has(&revision), "{digest}");
            assert!(
                kept.read(&revision).unwrap_err().to_string().contains("no digest"),
                "{digest}"
            );
        }
    }
}
