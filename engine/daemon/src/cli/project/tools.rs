//! Other languages' own tools: fetched once, by their own package managers, in the versions and with the digests that the
//! project's lock file names, and run.
//!
//! Without `--tools` they go into the project. With it, projects that lock the same share them: each set of tools has a
//! folder named by what was locked, is made beside it and takes its place in one step, so that two builds at once do no harm.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::manifest::Project;
use super::{ProjectError, read, write};

const NPM: &str =
    "npm is part of Node.js, 18 or later: install that (Debian: apt-get install nodejs npm)";
const PYTHON: &str = "install Python 3.10 or later (Debian: apt-get install python3 python3-pip)";

/// Runs a tool to its end, and gives what it printed; an error if it failed.
pub(super) fn run(
    command: &mut Command,
    advice: &'static str,
    explain: impl FnOnce(&str) -> String,
) -> Result<Vec<u8>, ProjectError> {
    let tool = tool(command.get_program());
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProjectError::NoTool { tool: tool.clone(), advice, source })?;
    if status.success() {
        return Ok(stdout);
    }
    let mut said = String::from_utf8_lossy(&stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&stderr));
    Err(ProjectError::Tool { tool, said: explain(&said) })
}

fn tool(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}

/// What a tool said, as it said it.
pub(super) fn as_it_is(said: &str) -> String {
    said.trim_end().to_owned()
}

/// The folder with the programs of the npm packages that the project locks.
pub(super) fn npm(project: &Project, shared: Option<&Path>) -> Result<PathBuf, ProjectError> {
    let lock = project.root.join("package-lock.json");
    if !lock.is_file() {
        return Err(ProjectError::Project {
            path: lock,
            problem:
                "it is not there: `npm install` makes it, with the versions and digests of what it \
                      finds"
                    .to_owned(),
        });
    }
    let locked = read(&lock)?;
    let root = match shared {
        Some(shared) => shared.join(format!("npm-{}", key(&packages(&locked)))),
        None => project.root.clone(),
    };
    let bin = root.join("node_modules/.bin");
    let stamp = root.join("node_modules/.locked");
    if read(&stamp).is_ok_and(|there| there == locked || shared.is_some()) {
        return Ok(bin);
    }
    let install = |folder: &Path| {
        run(
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder),
            NPM,
            as_it_is,
        )
    };
    if shared.is_none() {
        install(&root)?;
        write(&stamp, &locked)?;
        return Ok(bin);
    }
    swap_in(&root, There::Stays, |fresh| {
        for file in ["package.json", "package-lock.json"] {
            write(&fresh.join(file), read(&project.root.join(file))?)?;
        }
        install(fresh)?;
        write(&fresh.join("node_modules/.locked"), &locked)
    })?;
    Ok(bin)
}

/// What is locked, without the project's own name and version.
fn packages(locked: &str) -> String {
    let mut lock: serde_json::Value = serde_json::from_str(locked).unwrap_or_default();
    let packages = lock.get_mut("packages").and_then(|it| it.as_object_mut());
    packages.map_or_else(
        || locked.to_owned(),
        |packages| {
            packages.remove("");
            serde_json::to_string(packages).unwrap_or_default()
        },
    )
}

/// The folder with the Python packages that the project's requirements.txt locks.
pub(super) fn pip(project: &Project, shared: Option<&Path>) -> Result<PathBuf, ProjectError> {
    let requirements = std::path::absolute(project.root.join("requirements.txt"))
        .map_err(|source| ProjectError::Read { path: project.root.clone(), source })?;
    let locked = read(&requirements)?;
    let (root, there) = match shared {
        Some(shared) => (shared.join(format!("pip-{}", key(&locked))), There::Stays),
        None => (project.build().join("tools"), There::Goes),
    };
    if read(&root.join(".locked")).is_ok_and(|there| there == locked) {
        return Ok(root);
    }
    swap_in(&root, there, |fresh| {
        let mut install = Command::new("python3");
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--require-hashes", "--only-binary=:all:", "--target"])
            .arg(fresh)
            .arg("--requirement")
            .arg(&requirements)
            // As root it would warn of what it does not do here.
            .env("PIP_ROOT_USER_ACTION", "ignore");
        run(&mut install, PYTHON, |said| {
            let hint = "\npip is a package of its own on Debian: apt-get install python3-pip";
            format!(
                "{}{}",
                as_it_is(said),
                if said.contains("No module named pip") { hint } else { "" }
            )
        })?;
        write(&fresh.join(".locked"), &locked)
    })?;
    Ok(root)
}

/// Runs a Python program with the packages of a folder that [`pip`] gave.
pub(super) fn python(tools: &Path, program: &str) -> (Command, &'static str) {
    let mut command = Command::new("python3");
    command.arg("-c").arg(program).env("PYTHONPATH", tools).env("RUST_BACKTRACE", "0");
    (command, PYTHON)
}

/// Runs a script of package.json with the programs of a folder that [`npm`] gave.
pub(super) fn npm_script(bin: &Path, script: &str) -> (Command, &'static str) {
    let mut command = Command::new("npm");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    // A folder's name with a colon in it cannot be in PATH; the project's own is found without it.
    if let Ok(path) = std::env::join_paths(paths) {
        command.env("PATH", path);
    }
    command.args(["run", "--silent", script]).env("RUST_BACKTRACE", "0");
    (command, NPM)
}

fn key(locked: &str) -> String {
    watchkeeper_wasm::digest(locked.as_ref()).chars().take(12).collect()
}

/// What becomes of a folder that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// It is as good: another build was faster, and may be using it.
    Stays,
    /// It is of an earlier lock file.
    Goes,
}

/// Makes a folder beside `root` and puts it in its place.
fn swap_in(
    root: &Path,
    there: There,
    fill: impl FnOnce(&Path) -> Result<(), ProjectError>,
) -> Result<(), ProjectError> {
    let failed = |source| ProjectError::Write { path: root.to_owned(), source };
    let root = std::path::absolute(root).map_err(failed)?;
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let fresh = root.with_file_name(name);
    std::fs::create_dir_all(&fresh).map_err(failed)?;
    let placed = fill(&fresh).and_then(|()| {
        if there == There::Goes && root.exists() {
            std::fs::remove_dir_all(&root).map_err(failed)?;
        }
        match std::fs::rename(&fresh, &root) {
            Err(_) if there == There::Stays && root.exists() => Ok(()),
            done => done.map_err(failed),
        }
    });
    let _ = std::fs::remove_dir_all(&fresh);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_name_is_no_part_of_what_is_locked() {
        let lock = |name: &str, version: &str| {
            format!(
                r#"{{"name": "{name}", "packages": {{"": {{"name": "{name}"}}, "node_modules/a": {{"version": "{version}"}}}}}}"#
            )
        };
        assert_eq!(packages(&lock("one", "1")), packages(&lock("two", "1")));
        assert_ne!(packages(&lock("one", "1")), packages(&lock("one", "2")));
        assert_eq!(key("").len(), 12);
    }

    #[test]
    fn a_folder_takes_its_place_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tools");
        swap_in(&root, There::Goes, |fresh| write(&fresh.join("a"), "1")).unwrap();
        assert_eq!(read(&root.join("a")).unwrap(), "1");
        let error = swap_in(&root, There::Goes, |fresh| {
            write(&fresh.join("a"), "2")?;
            Err(ProjectError::NothingBuilt(PathBuf::from("x")))
        });
        assert!(error.is_err());
        assert_eq!(read(&root.join("a")).unwrap(), "1");
        swap_in(&root, There::Stays, |fresh| write(&fresh.join("b"), "3")).unwrap();
        assert_eq!(read(&root.join("a")).unwrap(), "1");
        swap_in(&root, There::Goes, |fresh| write(&fresh.join("b"), "3")).unwrap();
        assert!(!root.join("a").exists() && root.join("b").exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_tool_that_is_missing_or_fails_is_named() {
        let missing = run(&mut Command::new("no-such-tool"), NPM, as_it_is).unwrap_err();
        assert!(missing.to_string().contains("no-such-tool cannot be started; npm is part of"));
        let failing =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), NPM, as_it_is);
        assert_eq!(failing.unwrap_err().to_string(), "out\nerr\n(sh failed)");
    }
}
