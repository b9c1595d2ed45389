//! `watchkeeper policy build`: a component of a project, by its language's own tools, and a first look at it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use watchkeeper_core::proposal::Grant;
use watchkeeper_wasm::{Host, HostConfig, Limits, Policy};

use super::project::{Made, Project, Python};
use super::{PolicyError, blame, tools, write};
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};

/// What `policy build` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Build {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    tools: Tools,
    /// Put the component there as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where other languages' tools are.
#[derive(Debug, clap::Args)]
pub(super) struct Tools {
    /// A folder for the tools from npm and PyPI that projects share; without it, they go into the project
    #[arg(long = "tools", value_name = "DIR", env = "WATCHKEEPER_TOOLS")]
    pub(super) shared: Option<PathBuf>,
}

pub(in crate::cli) const HELP: &str = "The component is written to build/NAME.wasm. Rust projects need cargo with the target \
    wasm32-wasip2, JavaScript Node.js with npm, Python pip.\n\nExamples:\n  watchkeeper policy build\n  \
    watchkeeper policy build ~/policies/agent-quorum --out /etc/watchkeeper/policies/agent-quorum.wasm";

/// A component, and what it says of itself.
pub(super) struct Built {
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
    pub(super) policy: Policy,
}

impl Build {
    /// Builds the project.
    pub(in crate::cli) fn run(&self, json: bool) -> Result<Exit, PolicyError> {
        let began = Instant::now();
        let project = Project::find(&self.dir)?;
        let built = build(&project, self.tools.shared.as_deref(), Limits::default())?;
        if let Some(out) = &self.out {
            place(&built.path, out)?;
        }
        let path = self.out.as_ref().unwrap_or(&built.path);
        let (description, revision) = (built.policy.description(), built.policy.revision());
        if json {
            print_json(&serde_json::json!({
                "component": path,
                "bytes": built.bytes,
                "name": description.name,
                "version": revision.version,
                "digest": revision.digest,
                "needs": description.needs,
                "took-ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            }));
            return Ok(Exit::Ok);
        }
        let needs: Vec<&str> =
            description.needs.iter().map(|grant: &Grant| grant.as_str()).collect();
        print(&format!(
            "{} is {} {}, {} KB, and needs the grants: {}\n",
            path.display(),
            description.name,
            revision.version,
            built.bytes.div_ceil(1_000),
            needs.join(", ")
        ));
        Ok(Exit::Ok)
    }
}

/// Puts a component where a daemon may be looking: beside, then renamed, so that no half of it is read.
fn place(component: &Path, out: &Path) -> Result<(), PolicyError> {
    let bytes = bytes(component)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".new");
    let beside = out.with_file_name(name);
    write(&beside, bytes)?;
    std::fs::rename(&beside, out)
        .map_err(|source| PolicyError::Write { path: out.to_owned(), source })
}

fn bytes(path: &Path) -> Result<Vec<u8>, PolicyError> {
    std::fs::read(path).map_err(|source| PolicyError::Read { path: path.to_owned(), source })
}

/// Builds a project, and loads what came of it.
pub(super) fn build(
    project: &Project,
    shared: Option<&Path>,
    limits: Limits,
) -> Result<Built, PolicyError> {
    let component = project.component();
    let compiled = project.build().join("compiled");
    if let Made::Python(python) = &project.made
        && is_newest(project, python, &component)
    {
        return load(&component, Some(compiled), limits);
    }
    // What is there is of an earlier build: it must not pass for what this one makes.
    let _ = std::fs::remove_file(&component);
    let _ = std::fs::remove_dir_all(&compiled);
    std::fs::create_dir_all(project.build())
        .map_err(|source| PolicyError::Write { path: project.build(), source })?;
    match &project.made {
        Made::Rust => rust(project)?,
        Made::Js => js(project, shared)?,
        Made::Python(python) => self::python(project, python, shared)?,
    }
    if !component.is_file() {
        return Err(PolicyError::NothingBuilt(component));
    }
    load(&component, Some(compiled), limits)
}

/// Whether nothing that a Python component is made of has changed since. Making it takes ten seconds, and compiling what
/// comes of it as many again: componentize-py never makes the same bytes twice.
fn is_newest(project: &Project, python: &Python, component: &Path) -> bool {
    let Some(made) = changed(component) else { return false };
    let mut folders = vec![project.root.clone(), project.root.join(&python.wit)];
    folders.extend(python.path.iter().map(|path| project.root.join(path)));
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { return false };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !MADE.iter().any(|made| name == *made) {
                folders.push(entry.path());
            } else if !is_folder && changed(&entry.path()).is_none_or(|changed| changed >= made) {
                return false;
            }
        }
    }
    true
}

/// Folders in which nothing is that a component is made of.
const MADE: [&str; 5] = ["build", "cases", "__pycache__", ".git", ".venv"];

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

/// Loads a component.
pub(super) fn load(
    path: &Path,
    cache_dir: Option<PathBuf>,
    limits: Limits,
) -> Result<Built, PolicyError> {
    let bytes = bytes(path)?;
    let host = Host::new(HostConfig { limits, cache_dir, ..HostConfig::default() })?;
    let policy = host
        .load_policy(&bytes)
        .map_err(|source| PolicyError::Load { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Built { path: path.to_owned(), bytes: bytes.len(), policy })
}

const CARGO: &str = "install Rust by rustup, and then `rustup target add wasm32-wasip2`";

fn rust(project: &Project) -> Result<(), PolicyError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "rustc",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--crate-type",
            "cdylib",
            "--lib",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(&project.root);
    let said = tools::run(&mut cargo, CARGO, blame::rust)?;
    let made = String::from_utf8_lossy(&said).lines().filter_map(artifact).next_back();
    let component = project.component();
    match made {
        Some(made) => write(&component, bytes(&made)?),
        None => Err(PolicyError::NothingBuilt(component)),
    }
}

/// The component that a line of cargo's messages names.
fn artifact(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message.get("reason")?.as_str()? != "compiler-artifact" {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    files
        .iter()
        .filter_map(|file| file.as_str())
        .find(|file| Path::new(file).extension().is_some_and(|it| it == "wasm"))
        .map(PathBuf::from)
}

fn js(project: &Project, shared: Option<&Path>) -> Result<(), PolicyError> {
    let bin = tools::npm(project, shared)?;
    let bin = std::path::absolute(&bin).unwrap_or(bin);
    let (mut npm, advice) = tools::npm_script(&bin, "build");
    tools::run(npm.current_dir(&project.root), advice, blame::js).map(drop)
}

/// What componentize-py installs as a command of that name.
const COMPONENTIZE_PY: &str = "import sys; from componentize_py import script; sys.exit(script())";

fn python(project: &Project, made: &Python, shared: Option<&Path>) -> Result<(), PolicyError> {
    let folder = tools::pip(project, shared)?;
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let (mut python, advice) = tools::python(&folder, COMPONENTIZE_PY);
    python.args([
        "--quiet",
        "--wit-path",
        &made.wit,
        "--world",
        "policy",
        "componentize",
        "--stub-wasi",
    ]);
    for path in &made.path {
        python.args(["--python-path", path]);
    }
    let output = Path::new("build").join(format!("{}.wasm", project.name));
    python.arg("--output").arg(output).arg(&made.module).current_dir(&project.root);
    tools::run(&mut python, advice, |said| blame::python(said, &made.path)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_component_is() {
        let line =
            r#"{"reason":"compiler-artifact","filenames":["/t/librule.rlib","/t/rule.wasm"]}"#;
        assert_eq!(artifact(line), Some(PathBuf::from("/t/rule.wasm")));
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("   Compiling rule"), None);
    }
}
