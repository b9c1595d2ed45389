//! `watchkeeper init`: a commented configuration for two sides, an additional agent server and
//! the monitors. It is accepted as it is once the files that it lists are there, so that a first
//! look at `check` shows the site's own mistakes only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;

/// What is written.
pub(super) const TEMPLATE: &str = include_str!("init.toml");

/// Write a commented configuration to start from.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder to write to.
    #[arg(long, default_value = "/etc/watchkeeper")]
    pub dir: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// There is a file.
    #[error("{0} is there already; --force writes over it")]
    Exists(PathBuf),
    /// The file system refuses.
    #[error("cannot write {path}")]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes `text` as `watchkeeper.toml` in `dir`, and makes the folders that it names.
pub(super) fn write(dir: &Path, force: bool, text: &str) -> Result<PathBuf, InitError> {
    let path = dir.join("watchkeeper.toml");
    for folder in ["policies", "plugins", "conf.d"] {
        let folder = dir.join(folder);
        fs::create_dir_all(&folder).map_err(|source| InitError::Write { path: folder, source })?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let done = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    done.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.clone()),
        _ => InitError::Write { path: path.clone(), source },
    })?;
    Ok(path)
}

/// What to say when a configuration was written.
pub(super) fn next_steps(path: &Path) -> String {
    format!(
        "wrote {0}\nnext: change the lines marked CHANGE, put the files that it lists in place, \
         then\n  watchkeeper check --config {0}\n",
        path.display()
    )
}

impl Init {
    /// Writes, and says what is next.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
        let said = match write(&self.dir, self.force, TEMPLATE) {
            Ok(path) => write!(out, "{}", next_steps(&path)).map(|()| Exit::Ok),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                writeln!(err, "error: {error}{}", cause.unwrap_or_default()).map(|()| Exit::Failed)
            }
        };
        said.unwrap_or(Exit::Failed)
    }
}

#[cfg(test)]
mod tests {
    use watchkeeper_core::model::MonitorName;

    use super::*;
    use crate::config;
    use crate::config::duty::Mode;

    /// What is written for two monitors is right once its `#` are gone and the keys are made.
    #[test]
    fn the_part_for_two_monitors_is_accepted_as_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), false, TEMPLATE).unwrap();
        let (mut text, mut inside) = (String::new(), false);
        for line in TEMPLATE.lines() {
            inside = (inside && !line.is_empty()) || line == "# [duty.peer]";
            let bare = if inside { line.trim_start_matches("# ") } else { line };
            text.push_str(bare);
            text.push('\n');
        }
        assert!(text.contains("\n[duty.peer]\nname = \"vp2\""), "{text}");
        fs::write(&path, text).unwrap();
        for name in ["vp1", "vp2"] {
            crate::duty::peer::keys::make(dir.path(), &MonitorName::new(name).unwrap()).unwrap();
        }
        for file in [
            "id_ed25519",
            "known_hosts",
            "slack-url",
            "repository-password",
            "policies/data-mover-ha.wasm",
            "plugins/slack.wasm",
        ] {
            fs::write(dir.path().join(file), "something").unwrap();
        }
        let loaded = config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        let Mode::Peer(peer) = loaded.duty.mode else { panic!("{:?}", loaded.duty) };
        assert!(peer.first && crate::duty::peer::check(&peer).is_ok());
    }
}
