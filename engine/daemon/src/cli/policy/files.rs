//! What `policy new` writes: the templates, the helpers of each language and the contract, as they are in `sdk` when this
//! program is built. So it works without a network, and the helpers fit the contract that this program speaks.

use std::path::{Path, PathBuf};

use super::project::Language;

/// A file of `sdk`, by its path there.
macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/", $path)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

const CASES: Files = sdk![
    "templates/cases/rest-down/case.toml",
    "templates/cases/rest-down/expected.txt",
    "templates/cases/rest-down-briefly/case.toml",
    "templates/cases/rest-down-briefly/expected.txt",
    "templates/cases/rest-starts-not/case.toml",
    "templates/cases/rest-starts-not/expected.txt",
];

const RUST: Files = sdk![
    "templates/rust/Cargo.toml",
    "templates/rust/README.md",
    "templates/rust/gitignore",
    "templates/rust/lib.rs",
    "templates/rust/sdk.toml",
    "rust/README.md",
    "rust/src/arena.rs",
    "rust/src/bindings.rs",
    "rust/src/json.rs",
    "rust/src/json/read.rs",
    "rust/src/lib.rs",
    "rust/src/notifier.rs",
    "rust/src/notifier/testkit.rs",
    "rust/src/notifier/words.rs",
    "rust/src/policy.rs",
    "rust/src/settings.rs",
    "rust/src/time.rs",
    "wit/notifier/notifier.wit",
    "wit/policy/policy.wit",
];

const JS: Files = sdk![
    "templates/js/README.md",
    "templates/js/gitignore",
    "templates/js/package-lock.json",
    "templates/js/package.json",
    "templates/js/policy.js",
    "js/README.md",
    "js/log.js",
    "js/watchkeeper.d.ts",
    "js/watchkeeper.js",
    "wit/policy/policy.wit",
];

const PYTHON: Files = sdk![
    "templates/python/README.md",
    "templates/python/gitignore",
    "templates/python/rule.py",
    "templates/python/pyproject.toml",
    "templates/python/requirements.txt",
    "python/README.md",
    "python/watchkeeper/__init__.py",
    "python/watchkeeper/_wire.py",
    "wit/policy/policy.wit",
];

/// The files of a new project named `name`: where each goes, and what is in it.
pub(super) fn of(language: Language, name: &str) -> Vec<(PathBuf, String)> {
    let own = match language {
        Language::Rust => RUST,
        Language::Js => JS,
        Language::Python => PYTHON,
    };
    own.iter()
        .chain(CASES)
        .map(|(path, text)| match path.strip_prefix("templates/") {
            Some(template) => (place(template), filled(text, name)),
            None => (Path::new("sdk").join(path), (*text).to_owned()),
        })
        .collect()
}

/// Where a template goes in a project.
fn place(template: &str) -> PathBuf {
    let file = template.split_once('/').map_or(template, |(_, file)| file);
    match template {
        "rust/lib.rs" => "src/lib.rs".into(),
        "rust/sdk.toml" => "sdk/rust/Cargo.toml".into(),
        _ if template.starts_with("cases/") => template.into(),
        _ if file == "gitignore" => ".gitignore".into(),
        _ => file.into(),
    }
}

fn filled(text: &str, name: &str) -> String {
    text.replace("{{name}}", name).replace("{{version}}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn below(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                below(root, &path, found);
            } else {
                found.insert(path);
            }
        }
    }

    /// A file that is added to the helpers or the templates is written by `policy new`, too.
    #[test]
    fn every_file_of_the_sdk_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk");
        let mut there = BTreeSet::new();
        for folder in ["templates", "js", "python", "wit", "rust/src"] {
            below(&root, folder, &mut there);
        }
        // The test kit needs the engine's core.
        there.retain(|path| !path.contains("/testkit/") && !path.contains("__pycache__"));
        there.insert("rust/README.md".to_owned());
        let written: BTreeSet<String> = [RUST, JS, PYTHON, CASES]
            .iter()
            .flat_map(|all| all.iter())
            .map(|it| it.0.to_owned())
            .collect();
        assert_eq!(written, there);
    }

    #[test]
    fn nothing_is_left_to_fill_in_and_no_place_is_taken_twice() {
        for language in Language::ALL {
            let files = of(language, "rest-keeper");
            let places: BTreeSet<&PathBuf> = files.iter().map(|file| &file.0).collect();
            assert_eq!(places.len(), files.len());
            for (path, text) in &files {
                assert!(!text.contains("{{") || path.starts_with("sdk"), "{}", path.display());
            }
            assert!(places.contains(&PathBuf::from(".gitignore")));
        }
    }

    /// The helpers in a project are built with the same generator as those here.
    #[test]
    fn the_rust_helpers_depend_on_what_the_workspace_depends_on() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace: toml::Table =
            std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
        let (_, ours) = RUST.iter().find(|file| file.0 == "templates/rust/sdk.toml").unwrap();
        let ours: toml::Table = ours.parse().unwrap();
        let wanted = &workspace["workspace"]["dependencies"]["wit-bindgen"]["version"];
        assert_eq!(&ours["dependencies"]["wit-bindgen"]["version"], wanted);
        assert_eq!(
            ours["package"]["rust-version"],
            workspace["workspace"]["package"]["rust-version"]
        );
    }
}
