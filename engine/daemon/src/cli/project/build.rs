//! `watchkeeper policy build` and `plugin build`: a component of a project, by its language's own tools, and a first look at it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use watchkeeper_wasm::{Host, HostConfig, Limits, LoadError};

use super::manifest::{Made, Project, Python};
use super::{Kind, ProjectError, blame, tools, write};
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};

/// What `build` is asked.
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
pub(in crate::cli) struct Tools {
    /// A folder for the tools from npm and PyPI that projects share; without it, they go into the project
    #[arg(long = "tools", value_name = "DIR", env = "WATCHKEEPER_TOOLS")]
    pub(in crate::cli) shared: Option<PathBuf>,
}

/// A component's file, and the guest that it is.
#[derive(Debug)]
pub(in crate::cli) struct Built<G> {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) bytes: usize,
    pub(in crate::cli) guest: G,
}

/// What there is to say of a guest.
#[derive(Debug)]
pub(in crate::cli) struct Introduced {
    /// For programs: an object.
    pub(in crate::cli) said: Value,
    /// Its name and version.
    pub(in crate::cli) name: String,
    /// What else there is to say, after "and".
    pub(in crate::cli) more: String,
}

/// How a host loads a kind of guest.
type Loader<G> = fn(&Host, &[u8]) -> Result<G, LoadError>;

impl Build {
    /// Builds the project. `introduce` gives what there is to say of a guest.
    pub(in crate::cli) fn run<G>(
        &self,
        kind: Kind,
        loader: Loader<G>,
        introduce: impl Fn(&G) -> Introduced,
        json: bool,
    ) -> Result<Exit, ProjectError> {
        let began = Instant::now();
        let project = Project::find(&self.dir, kind)?;
        let built = build(&project, self.tools.shared.as_deref(), Limits::default(), loader)?;
        if let Some(out) = &self.out {
            place(&built.path, out)?;
        }
        let path = self.out.as_ref().unwrap_or(&built.path);
        let Introduced { mut said, name, more } = introduce(&built.guest);
        if json {
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            if let Value::Object(said) = &mut said {
                said.insert("component".to_owned(), json!(path));
                said.insert("bytes".to_owned(), json!(built.bytes));
                said.insert("took-ms".to_owned(), json!(took));
            }
            print_json(&said);
            return Ok(Exit::Ok);
        }
        let kb = built.bytes.div_ceil(1_000);
        print(&format!("{} is {name}, {kb} KB, and {more}\n", path.display()));
        Ok(Exit::Ok)
    }
}

/// Puts a component where a daemon may be looking: beside, then renamed, so that no half of it is read.
fn place(component: &Path, out: &Path) -> Result<(), ProjectError> {
    let bytes = bytes(component)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".new");
    let beside = out.with_file_name(name);
    write(&beside, bytes)?;
    std::fs::rename(&beside, out)
        .map_err(|source| ProjectError::Write { path: out.to_owned(), source })
}

fn bytes(path: &Path) -> Result<Vec<u8>, ProjectError> {
    std::fs::read(path).map_err(|source| ProjectError::Read { path: path.to_owned(), source })
}

/// Builds a project, and loads what came of it.
pub(in crate::cli) fn build<G>(
    project: &Project,
    shared: Option<&Path>,
    limits: Limits,
    loader: Loader<G>,
) -> Result<Built<G>, ProjectError> {
    let component = project.component();
    let compiled = project.build().join("compiled");
    if let Made::Python(python) = &project.made
        && is_newest(project, python, &component)
    {
        return load(&component, Some(compiled), limits, loader);
    }
    // What is there is of an earlier build: it must not pass for what this one makes.
    let _ = std::fs::remove_file(&component);
    let _ = std::fs::remove_dir_all(&compiled);
    std::fs::create_dir_all(project.build())
        .map_err(|source| ProjectError::Write { path: project.build(), source })?;
    match &project.made {
        Made::Rust => rust(project)?,
        Made::Js => js(project, shared)?,
        Made::Python(python) => self::python(project, python, shared)?,
    }
    if !component.is_file() {
        return Err(ProjectError::NothingBuilt(component));
    }
    load(&component, Some(compiled), limits, loader)
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
const MADE: [&str; 6] = ["build", "cases", "conversations", "__pycache__", ".git", ".venv"];

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

/// Loads a component.
pub(in crate::cli) fn load<G>(
    path: &Path,
    cache_dir: Option<PathBuf>,
    limits: Limits,
    loader: Loader<G>,
) -> Result<Built<G>, ProjectError> {
    let bytes = bytes(path)?;
    let host = Host::new(HostConfig { limits, cache_dir, ..HostConfig::default() })?;
    let guest = loader(&host, &bytes)
        .map_err(|source| ProjectError::Load { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Built { path: path.to_owned(), bytes: bytes.len(), guest })
}

const CARGO: &str = "install Rust by rustup, and then `rustup target add wasm32-wasip2`";

fn rust(project: &Project) -> Result<(), ProjectError> {
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
        None => Err(ProjectError::NothingBuilt(component)),
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

fn js(project: &Project, shared: Option<&Path>) -> Result<(), ProjectError> {
    let bin = tools::npm(project, shared)?;
    let bin = std::path::absolute(&bin).unwrap_or(bin);
    let (mut npm, advice) = tools::npm_script(&bin, "build");
    tools::run(npm.current_dir(&project.root), advice, blame::js).map(drop)
}

/// What componentize-py installs as a command of that name.
const COMPONENTIZE_PY: &str = "import sys; from componentize_py import script; sys.exit(script())";

fn python(project: &Project, made: &Python, shared: Option<&Path>) -> Result<(), ProjectError> {
    let folder = tools::pip(project, shared)?;
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let (mut python, advice) = tools::python(&folder, COMPONENTIZE_PY);
    python.args([
        "--quiet",
        "--wit-path",
        &made.wit,
        "--world",
        project.kind.world(),
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
