//! The folders whose files matter: configuration, policies and plugins.
//!
//! The operating system tells of changes (inotify). It tells of a folder as it was when that was
//! asked for: not of another one that has its name by now, as after a release was switched by a
//! symbolic link, or a folder was moved away and another came. So each is known by what it is as well,
//! and links are watched too. Whatever is missed is found by looking now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;

/// How long a change of files has to be over before they are read: editors write in several
/// steps.
const QUIET: Duration = Duration::from_millis(100);

/// How long changes may go on without an end before they are looked at all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often files are looked at even if no change was noticed: network file systems tell nobody.
pub(crate) const POLL: Duration = Duration::from_secs(5);

/// What a folder is, whatever its name is: device and inode.
type Identity = (u64, u64);

/// The folders whose files matter.
pub(crate) struct Files {
    watcher: Option<notify::RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Option<Identity>>,
    /// Files whatever their names end in, and symbolic links on the way to the folders.
    named: Arc<Mutex<BTreeSet<PathBuf>>>,
    news: mpsc::Receiver<()>,
}

/// Whether a change of this file can matter.
fn is_ours(path: &Path, named: &BTreeSet<PathBuf>) -> bool {
    path.extension().is_some_and(|it| it == "toml" || it == "wasm" || it == "minisig")
        || named.contains(path)
}

/// A folder as the operating system is told it, and tells it.
fn spelt(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn identity(folder: &Path) -> Option<Identity> {
    std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

impl Files {
    /// Watches what `config` names.
    pub(crate) fn watch(config: &Config) -> Self {
        let (sender, news) = mpsc::channel(1);
        let named = Arc::new(Mutex::new(BTreeSet::new()));
        let known = Arc::clone(&named);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is not a change, and would go on for ever; and others write in these
            // folders as well.
            if event.is_ok_and(|event| {
                let named = known.lock().unwrap_or_else(PoisonError::into_inner);
                !event.kind.is_access() && event.paths.iter().any(|path| is_ours(path, &named))
            }) {
                // One that waits stands for all.
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(%error, "changes of files are noticed every {} s only", POLL.as_secs());
            })
            .ok();
        let mut files = Self { watcher, folders: BTreeMap::new(), named, news };
        files.follow(config);
        files
    }

    /// Watches the folders that matter now.
    pub(crate) fn follow(&mut self, config: &Config) {
        let mut wanted: BTreeSet<PathBuf> =
            config.files().iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        wanted.extend(config.include_folder().cloned());
        wanted.extend([config.guests.policies.clone(), config.guests.plugins.clone()]);
        let links: BTreeSet<PathBuf> = wanted.iter().flat_map(|folder| links_to(folder)).collect();
        wanted.extend(links.iter().filter_map(|link| link.parent()).map(Path::to_owned));
        let wanted: BTreeMap<PathBuf, Option<Identity>> = wanted
            .into_iter()
            .map(|folder| {
                let folder = spelt(&folder).to_owned();
                let identity = identity(&folder);
                (folder, identity)
            })
            .collect();
        let files = config
            .files()
            .iter()
            .filter_map(|file| Some(spelt(file.parent()?).join(file.file_name()?)));
        let named = links.into_iter().chain(files).collect();
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = named;
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.iter().filter(|(path, is)| wanted.get(*path) != Some(is)) {
            // It may be gone altogether.
            let _ = watcher.unwatch(gone.0);
        }
        for (folder, is) in &wanted {
            if self.folders.get(folder) == Some(is) || is.is_none() {
                continue;
            }
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %folder.display(), "changes in it are noticed every {} s only", POLL.as_secs());
            }
        }
        self.folders = wanted;
    }

    /// Waits for a change, and until it is over.
    pub(crate) async fn changed(&mut self) {
        if self.news.recv().await.is_none() {
            return std::future::pending().await;
        }
        let patience = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                () = sleep_until(patience.min(Instant::now() + QUIET)) => return,
                news = self.news.recv() => if news.is_none() { return },
            }
        }
    }
}

/// The symbolic links among a path and the folders above it.
fn links_to(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.ancestors()
        .filter(|part| part.symlink_metadata().is_ok_and(|found| found.is_symlink()))
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_on_the_way_are_found_and_matter() {
        let dir = tempfile::tempdir().unwrap();
        let release = dir.path().join("releases/1/policies");
        std::fs::create_dir_all(&release).unwrap();
        let current = dir.path().join("current");
        std::os::unix::fs::symlink(dir.path().join("releases/1"), &current).unwrap();
        let links: BTreeSet<PathBuf> = links_to(&current.join("policies")).collect();
        assert!(links.contains(&current), "{links:?}");
        assert!(is_ours(&current, &links) && is_ours(Path::new("a.wasm"), &links));
        assert!(!is_ours(Path::new("a.txt"), &links));
        let before = identity(&current.join("policies"));
        std::fs::create_dir_all(dir.path().join("releases/2/policies")).unwrap();
        std::fs::remove_file(&current).unwrap();
        assert_eq!(identity(&current.join("policies")), None);
        std::os::unix::fs::symlink(dir.path().join("releases/2"), &current).unwrap();
        assert_ne!(identity(&current.join("policies")), before);
    }
}
