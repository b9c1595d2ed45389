//! A module of the core imports floors below its own, never beside or above: the order is that of
//! `lib.rs`, which is the order of the data.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a test reads and writes files; the core does not")]

use std::path::{Path, PathBuf};

/// The modules in the order in which `lib.rs` lists them, the lowest floor first.
fn floors(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// The modules that `source` names by `crate::`, in `use` lines or in passing, with their lines.
fn named(source: &str) -> Vec<(usize, String)> {
    let code = |line: &str| line.split("//").next().unwrap_or("").to_owned();
    let mut found = Vec::new();
    for (number, line) in source.lines().map(code).enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = line.get(at + "crate::".len()..).unwrap_or("");
            let module: String =
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(!module.is_empty(), "one `crate::` path a line, please: {line}");
            found.push((number + 1, module));
        }
    }
    found
}

/// What breaks the rule in the file of `module`.
fn problems(floors: &[String], module: &str, source: &str) -> Vec<String> {
    let floor = |name: &str| floors.iter().position(|one| one == name);
    let own = floor(module).unwrap_or_else(|| panic!("lib.rs does not list {module}"));
    named(source)
        .into_iter()
        .filter(|(_, name)| floor(name).is_none_or(|other| other >= own && name != module))
        .map(|(line, name)| format!("line {line}: {module} imports {name}, which is not below it"))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

#[test]
fn modules_import_floors_below_their_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors(&std::fs::read_to_string(src.join("lib.rs")).unwrap());
    assert!(floors.len() >= 12, "{floors:?}");
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for path in sources(&src) {
        let within = path.strip_prefix(&src).unwrap();
        let top = within.iter().next().unwrap().to_str().unwrap();
        let module = top.strip_suffix(".rs").unwrap_or(top);
        if module == "lib" {
            continue;
        }
        looked_at += 1;
        let source = std::fs::read_to_string(&path).unwrap();
        let problems = problems(&floors, module, &source);
        found.extend(problems.into_iter().map(|one| format!("{}: {one}", within.display())));
    }
    assert!(looked_at >= floors.len());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn what_breaks_the_rule_is_found() {
    let floors = floors("//! x\npub mod model;\n\npub mod facts;\n\npub mod plan;\n");
    assert_eq!(floors, ["model", "facts", "plan"]);
    assert!(problems(&floors, "facts", "use crate::model::Side;\n").is_empty());
    assert!(problems(&floors, "plan", "use crate::plan::Act;\n").is_empty());
    assert!(problems(&floors, "facts", "// see crate::plan\n/// [`crate::plan`]\n").is_empty());
    for above in [
        "use crate::plan::Plan;\n",
        "pub(crate) use crate::plan::Plan;\n",
        "fn f(plan: &crate::plan::Plan) {}\n",
        "use crate::unlisted::X;\n",
    ] {
        assert_eq!(problems(&floors, "facts", above).len(), 1, "{above}");
    }
}
