//! A copy of the tree in which breaks are tried out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::breaks::Break;

/// Who noticed a break, and by what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Noticed {
    /// The first seed that failed, with what it came to, or the first of its stories.
    pub(crate) simulation: Option<String>,
    /// None: it does not run this code.
    pub(crate) model: Option<bool>,
    /// The core's tests that failed; none: they were not run.
    pub(crate) tests: Option<Vec<String>>,
}

impl Noticed {
    /// Whether anybody did.
    pub(crate) fn by_any(&self) -> bool {
        let by_tests = self.tests.as_ref().is_some_and(|failed| !failed.is_empty());
        self.simulation.is_some() || self.model == Some(true) || by_tests
    }
}

/// The copy.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Copies what git knows of the repository; files that are the same stay as they are, so that
    /// little is built anew.
    pub(crate) fn copy(repository: &Path, to: &Path) -> Result<Self, String> {
        let listed = command("git", &["ls-files"], repository)?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for file in listed.lines() {
            let Ok(content) = std::fs::read(repository.join(file)) else { continue };
            let there = to.join(file);
            if std::fs::read(&there).is_ok_and(|known| known == content) {
                continue;
            }
            let folder = there.parent().unwrap_or(to);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&there, content))
                .map_err(|error| format!("{}: {error}", there.display()))?;
        }
        Ok(Self { root: to.to_path_buf() })
    }

    /// Whether all is well while nothing is broken.
    pub(crate) fn check(&self, seeds: u64, tests: bool) -> Result<(), String> {
        let whole = Break { name: "nothing".to_owned(), model: true, ..Break::default() };
        let noticed = self.all(&whole, seeds, tests)?;
        if noticed.by_any() {
            return Err(format!("nothing is broken, and something fails: {noticed:?}"));
        }
        Ok(())
    }

    /// Breaks, tries, and puts right.
    pub(crate) fn try_out(&self, one: &Break, seeds: u64, tests: bool) -> Result<Noticed, String> {
        let file = self.root.join(&one.file);
        let read = std::fs::read_to_string(&file);
        let source = read.map_err(|error| format!("{}: {error}", file.display()))?;
        let write = |text: &str| {
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
        };
        write(&one.apply(&source)?)?;
        let noticed = self.all(one, seeds, tests);
        write(&source)?;
        noticed
    }

    fn all(&self, one: &Break, seeds: u64, tests: bool) -> Result<Noticed, String> {
        let builds = |arguments: &[&str]| {
            let built = self.cargo(arguments)?;
            let told = || String::from_utf8_lossy(&built.stderr).into_owned();
            built
                .status
                .success()
                .then_some(())
                .ok_or_else(|| format!("{} does not compile:\n{}", one.name, told()))
        };
        builds(&["build", "-p", "watchkeeper-sim"])?;
        let simulated = self.cargo(&[
            "run",
            "-p",
            "watchkeeper-sim",
            "--",
            "--failures",
            "1",
            "--seeds",
            &seeds.to_string(),
        ])?;
        let simulation = match failed_seed(&String::from_utf8_lossy(&simulated.stdout)) {
            Some((seed, what)) => Some(format!("seed {seed}: {what}")),
            None => self.failed_story(&builds)?,
        };
        let model = if one.model {
            builds(&["test", "-p", "watchkeeper-model", "--no-run"])?;
            Some(!self.cargo(&["test", "-p", "watchkeeper-model"])?.status.success())
        } else {
            None
        };
        let tests = if one.twin || !tests {
            None
        } else {
            let all = ["test", "-p", "watchkeeper-core", "--lib", "--test", "rules"];
            builds(&[&all[..], &["--no-run"]].concat())?;
            let tested = self.cargo(&[&all[..], &["--no-fail-fast"]].concat())?;
            Some(failed_tests(&String::from_utf8_lossy(&tested.stdout)))
        };
        Ok(Noticed { simulation, model, tests })
    }

    /// The first of the simulation's stories that fails: what each seed would rarely bring about.
    fn failed_story(
        &self,
        builds: &impl Fn(&[&str]) -> Result<(), String>,
    ) -> Result<Option<String>, String> {
        let stories = ["test", "-p", "watchkeeper-sim", "--test", "seeds"];
        builds(&[&stories[..], &["--no-run"]].concat())?;
        let rest = ["--no-fail-fast", "--", "--skip", "whatever_goes_wrong"];
        let told = self.cargo(&[&stories[..], &rest].concat())?;
        let failed = failed_tests(&String::from_utf8_lossy(&told.stdout));
        Ok(failed.first().map(|name| format!("story `{name}`")))
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        let (first, rest) = arguments.split_first().ok_or("nothing to run")?;
        let all: Vec<&str> =
            [*first, "--profile", "mutation"].into_iter().chain(rest.iter().copied()).collect();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        command(&cargo, &all, &self.root)
    }
}

fn command(program: &str, arguments: &[&str], folder: &Path) -> Result<Output, String> {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{program}: {error}"))
}

/// The least seed of the lines `seed N: what` in the simulation's output: several run at once.
fn failed_seed(output: &str) -> Option<(u64, String)> {
    let failed = output.lines().filter_map(|line| {
        let (number, what) = line.strip_prefix("seed ")?.split_once(": ")?;
        Some((number.parse().ok()?, what.to_owned()))
    });
    failed.min_by_key(|(number, _)| *number)
}

/// The names of the tests that failed.
fn failed_tests(output: &str) -> Vec<String> {
    let failed =
        |line: &str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned);
    output.lines().filter_map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_read_from_what_is_printed() {
        let output = "note\nseed 21: late\nseed 17: both sides are active: dm1\n3 seeds in 1 s";
        let failed = failed_seed(output);
        assert_eq!(failed, Some((17, "both sides are active: dm1".to_owned())));
        assert_eq!(failed_seed("3 seeds in 1 s"), None);
        let output = "test a::b ... ok\ntest a::c ... FAILED\ntest result: FAILED.";
        assert_eq!(failed_tests(output), ["a::c"]);
    }
}
