//! Files that a site writes.

use std::path::PathBuf;
use std::sync::OnceLock;

use watchkeeper::config::{Level, Mode, differences, load_as};

/// A file in memory that is written over each time.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER
        .get_or_init(|| tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    folder.path().join(name)
}

/// `watchkeeper.toml`: it is accepted and equal to itself, or every mistake has its place.
pub fn config(data: &[u8]) {
    let path = scratch("watchkeeper.toml");
    std::fs::write(&path, data).unwrap();
    let lines = data.split(|byte| *byte == b'\n').count();
    let problems = match load_as(&path, Mode::Check) {
        Ok(config) => {
            assert_eq!(config.digest().len(), 64);
            assert!(differences(&config, &config).is_empty());
            config.warnings().to_vec()
        }
        Err(problems) => {
            let list = problems.list();
            assert!(
                list.iter().any(|problem| problem.level == Level::Error),
                "refused without why"
            );
            list.to_vec()
        }
    };
    for problem in problems {
        assert!(!problem.message.is_empty());
        assert!(problem.at.line <= lines, "line {} of {lines}", problem.at.line);
        if let Some(excerpt) = problem.excerpt {
            crate::assert_plain(&excerpt.text, 1_024);
            assert!(excerpt.width > 0 && problem.at.line > 0);
        }
    }
}

/// `failover.properties`: what is made of it is a configuration that can be read.
pub fn properties(data: &[u8]) {
    let (said, configuration) = watchkeeper::fuzzing::import(data);
    assert!(!said.contains('\u{1b}'), "{said:?}");
    if let Some(text) = configuration {
        let path = scratch("imported.toml");
        std::fs::write(&path, &text).unwrap();
        if let Err(problems) = load_as(&path, Mode::Check) {
            let broken =
                problems.list().iter().find(|problem| problem.message.contains("not TOML"));
            assert!(broken.is_none(), "{problems}\n{text}");
        }
    }
}
