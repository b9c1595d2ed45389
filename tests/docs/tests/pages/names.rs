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

/// In docs/architecture.md a path in backquotes is one of the repository, and `path: name` names a test.
#[test]
fn files_and_tests_that_the_architecture_names_exist() {
    let page = read("docs/architecture.md");
    let mut named = 0;
    for piece in page.split('`').skip(1).step_by(2) {
        let (file, test) = piece.split_once(": ").unwrap_or((piece, ""));
        let roots = ["engine/", "sdk/", "policies/", "plugins/", "tests/", "docs/"];
        if !roots.iter().any(|root| file.starts_with(root)) {
            continue;
        }
        assert!(path(file).exists(), "there is no {file}");
        if !test.is_empty() {
            assert!(read(file).contains(&format!("fn {test}(")), "{file} has no test {test}");
            named += 1;
        }
    }
    assert!(named >= 20, "only {named} tests are named");
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
