//! Scenario cases: a folder each, with what happens and what is expected.
//!
//! `cases/NAME/case.toml` says why the case is there, what the settings are, and what happens when;
//! `cases/NAME/expected.txt` says what comes of it. Time passes in steps of the probe interval; in
//! each, everything is probed and the policy is evaluated; the first thing it proposes is carried
//! out with the outcome that the case names, and the history is kept as the engine keeps it.
//!
//! ```toml
//! why = "What the case shows, in one line."
//! until = "1m"                          # default: 20 s after the last moment
//! interval = "1s"                       # of the probes
//!
//! [start]                               # all optional
//! active = "secondary"
//! phase = "needs-operator"
//! maintenance = true
//! in-maintenance = ["dm1/daemon"]       # single services
//!
//! [servers]                             # default: dm1, dm2 with everything, dm3 with an agent
//! dm1 = { role = "primary", services = ["repository", "activemq"] }
//!
//! [settings]
//! rescue-attempts = 1
//! rules = { file = "../../rules.rego" } # a text from a file, relative to the case's folder
//!
//! [outcomes]                            # default: everything succeeds
//! rescue = "fails"                      # of every rescue; also: stop, failover, switchover, switchback
//! "rescue dm1/daemon" = "succeeds"      # of this one; or: fails, refused, held, hangs
//!
//! [[at]]
//! time = "5s"
//! dm1.daemon = "down"                   # up, down, unknown; dm1.server is the server itself
//! dm3 = "unknown"                       # the server and everything on it
//! measures.dm1.repository = { replay-lag-bytes = 1000 }
//! measures.dm1.server = { disk-used-percent = 80 } # of the server itself
//! seen.dm1 = { dm2 = "gone", dm3 = "alive" } # what these find of it while it is silent; or: hung, unable, nothing; vp2 = "silent"
//! outcomes.failover = "fails"
//! maintenance = false
//! in-maintenance = []                   # from now on these services, and no others
//! operator = "secondary"                # declares a side active
//! order = "switchover"                  # or switchback, failover
//! ```
//!
//! The evaluation is a closure, so that the same cases run natively (`watchkeeper_sdk::testkit::evaluate`), through the
//! engine's host of components, and from the command line (`watchkeeper policy test`).

pub mod world;

mod difference;
mod file;
mod play;
mod settings;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use difference::difference;
use watchkeeper_core::proposal::Evaluation;
use watchkeeper_core::settings::{Given, name_files};
use watchkeeper_core::snapshot::Snapshot;

/// Set to 1, it makes [`run`] rewrite what is expected; read the difference before you keep it.
pub const UPDATE: &str = "UPDATE_CASES";

/// How a case asks a policy: the engine's snapshot, the settings as the case gives them, and the
/// state that the last evaluation of the case returned.
pub type Evaluate<'a> =
    dyn FnMut(&Arc<Snapshot>, &BTreeMap<String, Given>, &[u8]) -> Result<Evaluation, String> + 'a;

/// Why cases did not pass.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file or folder could not be read or written.
    #[error("{path}: cannot be {what}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no case in the folder.
    #[error("{0}: there is no case in it")]
    Empty(PathBuf),
    /// A case is not well-formed.
    #[error("{path}: {problem}")]
    Malformed {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// What came of some cases is not what is expected. The text shows the differences.
    #[error(
        "{count} of {of} cases did not come out as expected\n{differences}\
             If that is what you want: {UPDATE}=1, and read the difference."
    )]
    Different {
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
        /// Line by line, for people.
        differences: String,
    },
}

/// What is to become of what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is compared with what comes.
    Compare,
    /// It becomes what comes.
    Update,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// What is expected.
    AsExpected,
    /// Something else. The text shows the difference line by line: `-` is expected, `+` came.
    Otherwise(String),
    /// Something else, which is expected from now on.
    Updated,
}

/// Runs every case in `folder` and compares what comes of it with what is expected; returns how
/// many there are. With [`UPDATE`] set to 1 it rewrites what is expected instead.
///
/// `evaluate` gets the engine's snapshot, the settings as the case gives them, and the state that
/// the last evaluation of the case returned.
pub fn run(
    folder: &Path,
    mut evaluate: impl FnMut(
        &Arc<Snapshot>,
        &BTreeMap<String, Given>,
        &[u8],
    ) -> Result<Evaluation, String>,
) -> Result<usize, CaseError> {
    let update = std::env::var_os(UPDATE).is_some_and(|value| value == "1");
    let mode = if update { Mode::Update } else { Mode::Compare };
    let cases = find(folder)?;
    let mut differences = String::new();
    let mut count = 0;
    for case in &cases {
        if let Came::Otherwise(difference) = settle(case, mode, &mut evaluate)? {
            count += 1;
            let _ = writeln!(differences, "\n{}", case.join(EXPECTED).display());
            differences.push_str(&difference);
        }
    }
    if count > 0 {
        return Err(CaseError::Different { count, of: cases.len(), differences });
    }
    Ok(cases.len())
}

/// The cases in `folder`, in the order of their names. There is at least one.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder, "read"))? {
        let path = entry.map_err(io(folder, "read"))?.path();
        if path.is_dir() {
            cases.push(path);
        }
    }
    cases.sort();
    if cases.is_empty() {
        return Err(CaseError::Empty(folder.to_owned()));
    }
    Ok(cases)
}

/// The file of a case that says what is expected.
pub const EXPECTED: &str = "expected.txt";

/// Plays one case, and compares what comes of it with what is expected, or makes it that.
pub fn settle(case: &Path, mode: Mode, evaluate: &mut Evaluate<'_>) -> Result<Came, CaseError> {
    compare(&case.join(EXPECTED), play(case, evaluate)?, mode)
}

/// Compares what came with the file that says what is expected, or makes it that. A file that is not there expects nothing.
pub fn compare(path: &Path, actual: String, mode: Mode) -> Result<Came, CaseError> {
    let expected = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io(path, "read")(error)),
    };
    if expected == actual {
        return Ok(Came::AsExpected);
    }
    if mode == Mode::Update {
        std::fs::write(path, actual).map_err(io(path, "written"))?;
        return Ok(Came::Updated);
    }
    Ok(Came::Otherwise(difference(&expected, &actual)))
}

/// Plays one case, and says what comes of it.
pub fn play(case: &Path, evaluate: &mut Evaluate<'_>) -> Result<String, CaseError> {
    let path = case.join("case.toml");
    let text = std::fs::read_to_string(&path).map_err(io(&path, "read"))?;
    let malformed = |problem| CaseError::Malformed { path: path.clone(), problem };
    let case = file::Case::parse(&text, case).map_err(malformed)?;
    let files = || case.files.iter().map(|(setting, file)| (setting.as_str(), file.display()));
    play::play(&case, evaluate).map_err(|problem| malformed(name_files(&problem, files())))
}

fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> CaseError {
    let path = path.to_owned();
    move |source| CaseError::Io { path, what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case that nothing is expected of yet differs, then is what was written, then agrees.
    #[test]
    fn what_is_expected_is_compared_or_written() {
        let folder = tempfile::tempdir().unwrap();
        let case = folder.path().join("calm");
        assert!(matches!(find(folder.path()), Err(CaseError::Empty(_))));
        std::fs::create_dir(&case).unwrap();
        std::fs::write(case.join("case.toml"), "why = \"Nothing happens.\"\nuntil = \"1s\"")
            .unwrap();
        assert_eq!(find(folder.path()).unwrap(), [case.as_path()]);
        let settle = |mode| settle(&case, mode, &mut |_, _, _| Ok(Evaluation::default())).unwrap();
        let Came::Otherwise(difference) = settle(Mode::Compare) else { panic!() };
        assert!(difference.starts_with("+ # Nothing happens.\n+ 0s      active on primary\n"));
        assert_eq!(settle(Mode::Update), Came::Updated);
        assert_eq!(settle(Mode::Update), Came::AsExpected);
        assert_eq!(settle(Mode::Compare), Came::AsExpected);
    }
}
