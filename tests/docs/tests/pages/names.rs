//! What pages name exists: files that they link or name, tests, kinds of events, commands.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::CommandFactory as _;

use crate::{pages, path, read};

#[test]
fn links_lead_somewhere() {
    let mut dead = String::new();
    for page in pages() {
        let folder = Path::new(&page).parent().unwrap().to_owned();
        let text = read(&page);
        for piece in text.split("](").skip(1) {
            let (target, _) = piece.split_once(')').unwrap_or((piece, ""));
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !path(folder.join(file).to_str().unwrap()).exists() {
                writeln!(dead, "{page}: {target}").unwrap();
            }
        }
    }
    assert!(dead.is_empty(), "{dead}");
}

/// In these pages a path in backquotes is one of the repository, and `path: name` names a test.
#[test]
fn files_and_tests_that_pages_name_exist() {
    for (page, least) in [("docs/architecture.md", 20), ("docs/threat-model.md", 50)] {
        files_and_tests_exist(page, least);
    }
}

fn files_and_tests_exist(name: &str, least: usize) {
    let page = read(name);
    let mut named = 0;
    for piece in page.split('`').skip(1).step_by(2) {
        let (file, test) = piece.split_once(": ").unwrap_or((piece, ""));
        let roots = ["engine/", "sdk/", "policies/", "plugins/", "tests/", "docs/", "packaging/"];
        if !roots.iter().any(|root| file.starts_with(root)) {
            continue;
        }
        assert!(path(file).exists(), "{name}: there is no {file}");
        if !test.is_empty() {
            let source = read(file);
            // Some lists of tests are made by a macro.
            let is_there = source.contains(&format!("fn {test}("))
                || source.contains(&format!("\n    {test}: \""));
            assert!(is_there, "{name}: {file} has no test {test}");
            named += 1;
        }
    }
    assert!(named >= least, "{name}: only {named} tests are named");
}

/// In docs/architecture.md a bold word is the kind of an event.
#[test]
fn the_architecture_names_every_kind_of_event() {
    let text = read("docs/architecture.md");
    let named: BTreeSet<&str> = text.split("**").skip(1).step_by(2).collect();
    let golden = read("engine/core/tests/golden/events.json");
    let kinds: BTreeSet<&str> = golden
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"event\": \"")?.split('"').next())
        .collect();
    assert!(kinds.contains("plan-begun"), "{kinds:?}");
    assert_eq!(named, kinds);
}

/// A command line of watchkeeper in a page's console block can be given so.
#[test]
fn command_lines_in_pages_are_accepted() {
    let mut tried = 0;
    for page in pages().into_iter().filter(|page| page != "docs/commands.md") {
        let text = read(&page);
        for block in text.split("```").skip(1).step_by(2) {
            let Some(lines) = block.strip_prefix("console\n") else { continue };
            for line in
                lines.lines().filter_map(|line| line.trim_start().strip_prefix("$ watchkeeper "))
            {
                let given = words(line);
                let arguments = std::iter::once("watchkeeper".to_owned()).chain(given);
                if let Err(error) = watchkeeper::cli::Cli::command().try_get_matches_from(arguments)
                {
                    panic!("{page}: watchkeeper {line}\n{error}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 15, "only {tried} command lines were found");
}

/// The words of a simple command line, up to a redirection, a pipe or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .take_while(|word| !matches!(word.as_str(), ">" | "|" | "#"))
        .collect()
}
