//! Compiled code on disk, so that a start takes a fraction of a millisecond for each guest and not
//! 60 of them (8 seconds for Python).
//!
//! A file is named by the SHA-256 of the component's bytes and of the engine's settings, version
//! and processor, so a changed component or an upgraded daemon finds nothing and compiles anew.
//!
//! **What protects it.** Compiled code is native code: whoever can write it can do what the daemon
//! can. The protection is the directory: it must belong to the daemon's own user, and nobody else
//! may enter it (mode 0700, checked at each start); a file must be a plain file of the same user.
//! The digest in each file's head guards against damage (a full disk, a torn write), not against
//! malice: who could write the file could write the digest too. What is executed is the very copy
//! that was checked. A file that is damaged, foreign or of another engine is never loaded: the
//! component is compiled again and the file replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The first bytes of a file, before the digest of what follows.
const MAGIC: &[u8; 16] = b"watchkeeper-aot1";
const DIGEST: usize = 32;
const HEAD: usize = MAGIC.len() + DIGEST;

/// Why a folder cannot hold compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made or used.
    #[error("the folder {path} for compiled guests cannot be used")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path is something else.
    #[error("{path} is to hold compiled guests, but is not a folder")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Another user could put code in.
    #[error(
        "the folder {path} for compiled guests has mode {mode:o}: others could have native code \
         run by the monitor; make it 700"
    )]
    OpenToOthers {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another user owns it.
    #[error(
        "the folder {path} for compiled guests belongs to user {owner}, not to user {own}, as whom \
         the monitor runs"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who should own it.
        own: u32,
    },
}

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    user: u32,
    /// Stands for the engine in file names.
    engine: String,
    /// Tells this process's temporary files apart.
    next: AtomicU32,
}

impl Cache {
    /// Opens the folder, making it if it is not there.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let io_error = |source| CacheError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                CacheError::NotAFolder { path: dir.to_owned() }
            } else {
                io_error(source)
            }
        })?;
        let cache = Self {
            dir: dir.to_owned(),
            user: 0,
            engine: engine_id(engine),
            next: AtomicU32::new(0),
        };
        // A file of our own shows as whom we write, and that we can.
        let (path, file) = cache.temporary().map_err(io_error)?;
        let user = file.metadata().map_err(io_error)?.uid();
        fs::remove_file(&path).map_err(io_error)?;
        let found = fs::symlink_metadata(dir).map_err(io_error)?;
        if !found.is_dir() {
            return Err(CacheError::NotAFolder { path: dir.to_owned() });
        }
        if found.uid() != user {
            let path = dir.to_owned();
            return Err(CacheError::Foreign { path, owner: found.uid(), own: user });
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CacheError::OpenToOthers { path: dir.to_owned(), mode });
        }
        Ok(Self { user, ..cache })
    }

    /// The compiled form of the component with that digest, if a sound one is there.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        match self.read(&path) {
            Ok(Some(code)) => match deserialize(engine, &code) {
                Ok(component) => Some(component),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(path = %path.display(), error, "compiled guest of another engine");
                    None
                }
            },
            Ok(None) => {
                tracing::warn!(path = %path.display(), "compiled guest is damaged; compiling again");
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled guest cannot be read");
                None
            }
        }
    }

    /// Keeps the compiled form. That it cannot is no reason not to run the guest.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let written = component
            .serialize()
            .map_err(|error| format!("{error:#}"))
            .and_then(|code| self.write(&path, &code).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), error, "compiled guest cannot be kept");
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine))
    }

    /// The code in a file, or none if the file is not what was written.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != self.user || found.permissions().mode() & 0o022 != 0 {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        file.read_to_end(&mut content)?;
        let Some((head, _)) = content.split_at_checked(HEAD) else { return Ok(None) };
        let Some((magic, digest)) = head.split_at_checked(MAGIC.len()) else { return Ok(None) };
        if magic != MAGIC {
            return Ok(None);
        }
        let digest = digest.to_vec();
        let code = content.split_off(HEAD);
        Ok((Sha256::digest(&code).as_slice() == digest).then_some(code))
    }

    /// Written beside, then renamed: a reader sees the whole file or none.
    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let (temporary, mut file) = self.temporary()?;
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(&Sha256::digest(code)))
            .and_then(|()| file.write_all(code))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // What cannot be written can perhaps not be removed either; it is never read.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn temporary(&self) -> io::Result<(PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{}-{number}.part", std::process::id()));
        // Left by a process of the same number that was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }
}

#[expect(unsafe_code, reason = "the one place where compiled code is taken from the disk")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was written by `Cache::put` of this user: it comes from a folder that nobody
    // else can enter, out of a file of our own, and carries the digest it was written with. The
    // engine itself checks that its version and settings are the same.
    unsafe { Component::deserialize(engine, code) }
}

/// Everything about the engine that compiled code depends on, as 16 hexadecimal digits.
fn engine_id(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize()).chars().take(16).collect()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .collect()
}
