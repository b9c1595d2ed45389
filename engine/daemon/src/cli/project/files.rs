//! What `policy new` and `plugin new` write: the templates, the helpers of each language and the contract, as they are in `sdk` when this
//! program is built. So it works without a network, and the helpers fit the contract that this program speaks.

use std::path::{Path, PathBuf};

use super::Kind;
use super::manifest::Language;

/// A file of `sdk`, by its path there.
macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/", $path)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

/// The helpers and the contract, by language and kind.
mod helpers {
    use super::Files;

    pub(super) const RUST: Files = sdk![
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

    pub(super) const JS: Files = sdk!["js/README.md", "js/common.d.ts", "js/common.js"];

    pub(super) const JS_POLICY: Files =
        sdk!["js/log.js", "js/watchkeeper.d.ts", "js/watchkeeper.js", "wit/policy/policy.wit",];

    pub(super) const JS_PLUGIN: Files = sdk![
        "js/alerts.js",
        "js/notifier-log.js",
        "js/notifier.d.ts",
        "js/notifier.js",
        "wit/notifier/notifier.wit",
    ];

    pub(super) const PYTHON: Files =
        sdk!["python/README.md", "python/watchkeeper/__init__.py", "python/watchkeeper/_guest.py",];

    pub(super) const PYTHON_POLICY: Files =
        sdk!["python/watchkeeper/_wire.py", "wit/policy/policy.wit"];

    pub(super) const PYTHON_PLUGIN: Files = sdk![
        "python/watchkeeper/_notifier_wire.py",
        "python/watchkeeper/alerts.py",
        "python/watchkeeper/notifier.py",
        "wit/notifier/notifier.wit",
    ];
}

/// What a new project begins with, by language and kind.
mod templates {
    use super::Files;

    pub(super) const CASES: Files = sdk![
        "templates/cases/rest-down/case.toml",
        "templates/cases/rest-down/expected.txt",
        "templates/cases/rest-down-briefly/case.toml",
        "templates/cases/rest-down-briefly/expected.txt",
        "templates/cases/rest-starts-not/case.toml",
        "templates/cases/rest-starts-not/expected.txt",
    ];

    pub(super) const CONVERSATIONS: Files = sdk![
        "templates/plugin/conversations/busy/conversation.toml",
        "templates/plugin/conversations/busy/expected.txt",
        "templates/plugin/conversations/incident/conversation.toml",
        "templates/plugin/conversations/incident/expected.txt",
        "templates/plugin/conversations/refused/conversation.toml",
        "templates/plugin/conversations/refused/expected.txt",
    ];

    pub(super) const RUST_POLICY: Files = sdk![
        "templates/rust/Cargo.toml",
        "templates/rust/README.md",
        "templates/rust/gitignore",
        "templates/rust/lib.rs",
    ];

    pub(super) const RUST_PLUGIN: Files = sdk![
        "templates/plugin/rust/Cargo.toml",
        "templates/plugin/rust/README.md",
        "templates/plugin/rust/gitignore",
        "templates/plugin/rust/lib.rs",
    ];

    pub(super) const JS_POLICY: Files = sdk![
        "templates/js/README.md",
        "templates/js/gitignore",
        "templates/js/package-lock.json",
        "templates/js/package.json",
        "templates/js/policy.js",
    ];

    pub(super) const JS_PLUGIN: Files = sdk![
        "templates/plugin/js/README.md",
        "templates/plugin/js/gitignore",
        "templates/plugin/js/package-lock.json",
        "templates/plugin/js/package.json",
        "templates/plugin/js/plugin.js",
    ];

    pub(super) const PYTHON_PLUGIN: Files = sdk![
        "templates/plugin/python/README.md",
        "templates/plugin/python/gitignore",
        "templates/plugin/python/pyproject.toml",
        "templates/plugin/python/requirements.txt",
        "templates/plugin/python/tells.py",
    ];

    pub(super) const PYTHON_POLICY: Files = sdk![
        "templates/python/README.md",
        "templates/python/gitignore",
        "templates/python/rule.py",
        "templates/python/pyproject.toml",
        "templates/python/requirements.txt",
    ];
}

/// What a project of that kind and language is made of.
const fn parts(kind: Kind, language: Language) -> [Files; 4] {
    use {helpers as h, templates as t};
    const NONE: Files = &[];
    match (kind, language) {
        (Kind::Policy, Language::Rust) => [t::RUST_POLICY, t::CASES, h::RUST, NONE],
        (Kind::Policy, Language::Js) => [t::JS_POLICY, t::CASES, h::JS, h::JS_POLICY],
        (Kind::Policy, Language::Python) => {
            [t::PYTHON_POLICY, t::CASES, h::PYTHON, h::PYTHON_POLICY]
        }
        (Kind::Plugin, Language::Rust) => [t::RUST_PLUGIN, t::CONVERSATIONS, h::RUST, NONE],
        (Kind::Plugin, Language::Js) => [t::JS_PLUGIN, t::CONVERSATIONS, h::JS, h::JS_PLUGIN],
        (Kind::Plugin, Language::Python) => {
            [t::PYTHON_PLUGIN, t::CONVERSATIONS, h::PYTHON, h::PYTHON_PLUGIN]
        }
    }
}

/// The files of a new project named `name`: where each goes, and what is in it.
pub(super) fn of(kind: Kind, language: Language, name: &str) -> Vec<(PathBuf, String)> {
    let files = parts(kind, language);
    let made =
        files.iter().copied().flatten().map(|(path, text)| match path.strip_prefix("templates/") {
            Some(template) => (place(template), filled(text, name)),
            None => (Path::new("sdk").join(path), (*text).to_owned()),
        });
    made.collect()
}

/// Where a template goes in a project.
fn place(template: &str) -> PathBuf {
    let template = template.strip_prefix("plugin/").unwrap_or(template);
    let file = template.split_once('/').map_or(template, |(_, file)| file);
    match template {
        "rust/lib.rs" => "src/lib.rs".into(),
        "rust/sdk.toml" => "sdk/rust/Cargo.toml".into(),
        _ if template.starts_with("cases/") || template.starts_with("conversations/") => {
            template.into()
        }
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

    const KINDS: [Kind; 2] = [Kind::Policy, Kind::Plugin];

    /// A file that is added to the helpers or the templates is written by one of the commands, too.
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
        let all = KINDS.iter().flat_map(|kind| Language::ALL.map(|language| (*kind, language)));
        let written: BTreeSet<String> = all
            .flat_map(|(kind, language)| parts(kind, language).into_iter().flatten())
            .map(|it| it.0.to_owned())
            .collect();
        assert_eq!(written, there);
    }

    #[test]
    fn nothing_is_left_to_fill_in_and_no_place_is_taken_twice() {
        let all = KINDS.iter().flat_map(|kind| Language::ALL.map(|language| (*kind, language)));
        for files in all.map(|(kind, language)| of(kind, language, "rest-keeper")) {
            let places: BTreeSet<&PathBuf> = files.iter().map(|file| &file.0).collect();
            assert_eq!(places.len(), files.len());
            for (path, text) in &files {
                let left = text.contains("{{name}}") || text.contains("{{version}}");
                assert!(!left || path.starts_with("sdk"), "{}", path.display());
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
        let (_, ours) =
            helpers::RUST.iter().find(|file| file.0 == "templates/rust/sdk.toml").unwrap();
        let ours: toml::Table = ours.parse().unwrap();
        let wanted = &workspace["workspace"]["dependencies"]["wit-bindgen"]["version"];
        assert_eq!(&ours["dependencies"]["wit-bindgen"]["version"], wanted);
        assert_eq!(
            ours["package"]["rust-version"],
            workspace["workspace"]["package"]["rust-version"]
        );
    }
}
