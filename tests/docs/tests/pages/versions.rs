//! The contract's versions: what a version means stays so.
//!
//! `tests/docs/released` has each version of each contract, without its comments. The one that the
//! contract's files name has to be as it stands there; a new version of the same compatibility (0.1.1
//! after 0.1.0) has to have everything of the one before, and may add functions to what the host gives. So
//! a component that was built against a version works with every host that names a compatible one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::read;

const CONTRACTS: [(&str, &str); 2] =
    [("policy", "sdk/wit/policy/policy.wit"), ("notifier", "sdk/wit/notifier/notifier.wit")];

/// What the host gives: a guest that does not know of an addition is not disturbed by it.
const GIVEN: [&str; 2] = ["interface facts", "interface log"];

fn released(contract: &str, version: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("released");
    folder.join(format!("{contract}-{version}.wit"))
}

/// Without comments and empty lines.
fn bare(wit: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().trim_end().to_owned();
    wit.lines().map(code).filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn version(wit: &str) -> String {
    let line = wit.lines().find_map(|line| line.strip_prefix("package ")).expect("a package");
    let (_, version) = line.trim_end_matches(';').split_once('@').expect("a version");
    version.to_owned()
}

/// What versions have to have in common to be compatible, as for Cargo: the major one, and before 1.0.0
/// the minor one.
fn family(version: &str) -> &str {
    let parts = if version.starts_with("0.") { 2 } else { 1 };
    let end = version.match_indices('.').nth(parts - 1).map_or(version.len(), |(at, _)| at);
    &version[..end]
}

/// The members of everything that has a name, by the path to it: `interface types/record state`.
fn items(bare: &str) -> BTreeMap<String, Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    let mut items = BTreeMap::<String, Vec<String>>::new();
    for line in bare.lines().map(str::trim) {
        if line == "}" {
            path.pop();
        } else if let Some(head) = line.strip_suffix('{') {
            path.push(head.trim().to_owned());
            items.entry(path.join("/")).or_default();
        } else {
            items.entry(path.join("/")).or_default().push(line.to_owned());
        }
    }
    items
}

/// What of `old` a guest would miss or stumble over in `new`.
fn breaks(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (items(old), items(new));
    let mut breaks = Vec::new();
    for (path, members) in old.iter().filter(|(path, _)| !path.is_empty()) {
        let Some(now) = new.get(path) else {
            breaks.push(format!("{path} is gone"));
            continue;
        };
        let may_grow = GIVEN.iter().any(|given| path.starts_with(given));
        let same = if may_grow {
            members.iter().all(|member| now.contains(member))
        } else {
            members == now
        };
        if !same {
            breaks.push(format!("{path} is another: {members:?} became {now:?}"));
        }
    }
    breaks
}

#[test]
fn a_version_of_the_contract_means_what_it_meant() {
    for (contract, file) in CONTRACTS {
        let now = bare(&read(file));
        let version = version(&now);
        let kept = released(contract, &version);
        if !kept.exists() && std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&kept, &now).expect("a new version is written");
        }
        let before = std::fs::read_to_string(&kept).unwrap_or_else(|_| {
            panic!(
                "{version} of {file} is new: UPDATE_DOCS=1 puts it on record as {}",
                kept.display()
            )
        });
        assert!(
            before == now,
            "{file} is another and still says {version}. Raise its version: to the next patch if it \
             only adds functions to {GIVEN:?}, else to the next {} one. What broke: {:?}",
            if version.starts_with("0.") { "minor" } else { "major" },
            breaks(&before, &now)
        );
        for entry in std::fs::read_dir(kept.parent().expect("a folder")).expect("it is there") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            let Some(other) = name.strip_prefix(&format!("{contract}-")) else { continue };
            let other = other.trim_end_matches(".wit");
            if family(other) == family(&version) {
                let old = std::fs::read_to_string(released(contract, other)).expect("it is read");
                let breaks = breaks(&old, &now);
                assert!(breaks.is_empty(), "{version} of {file} is not {other}'s next: {breaks:?}");
            }
        }
    }
}

#[test]
fn what_breaks_a_guest_is_told_from_what_does_not() {
    let old = "package a:b@0.1.0;\ninterface facts {\n f: func();\n}\ninterface types {\n record r {\n a: u8,\n }\n}\n";
    let grown = old.replace("f: func();", "f: func();\n g: func();");
    assert!(breaks(old, &grown).is_empty());
    for (from, to) in [
        ("f: func();", ""),
        ("f: func();", "f: func() -> u8;"),
        ("a: u8,", "a: u8,\n b: u8,"),
        ("a: u8,", "a: u16,"),
        ("record r", "record s"),
    ] {
        assert_eq!(breaks(old, &old.replace(from, to)).len(), 1, "{from} to {to}");
    }
    assert_eq!((family("0.1.0"), family("0.1.7"), family("1.2.3")), ("0.1", "0.1", "1"));
}
