//! docs/contract.md: the contract's files as tables. Not a parser of WIT: it reads the form that these
//! files have, and stops at a line that it does not know.

use std::fmt::Write as _;

use crate::{compare, read};

const PAGE: &str = "docs/contract.md";
const MARK: &str = "<!-- What follows is made from sdk/wit; do not edit. \
                    `UPDATE_DOCS=1 cargo test -p watchkeeper-docs` rewrites it. -->\n";

#[test]
fn the_page_has_the_contract_as_its_files_say() {
    let page = read(PAGE);
    let (head, _) = page.split_once(MARK).expect("the mark is there");
    let mut text = format!("{head}{MARK}");
    for file in ["sdk/wit/policy/policy.wit", "sdk/wit/notifier/notifier.wit"] {
        let reference = reference(&read(file));
        for documented in ["\n### ", "\n#### ", "\n| "] {
            assert!(reference.contains(documented), "{file}: {reference}");
        }
        text.push_str(&reference);
    }
    compare(PAGE, &text);
}

#[test]
fn a_line_of_another_form_is_not_passed_over() {
    let known = "package a:b@1.0.0;\n/// C.\ninterface c {\n    /// D.\n    enum d {\n        e,\n    }\n}\n";
    assert!(reference(known).contains("| `e` |  |"));
    let unknown = known.replace("e,", "e; f");
    assert!(std::panic::catch_unwind(|| reference(&unknown)).is_err());
}

/// What is said of the next item, and whether a table has begun.
#[derive(Default)]
struct Reading {
    said: Vec<String>,
    table: bool,
    out: String,
}

fn reference(wit: &str) -> String {
    let mut reading = Reading::default();
    for (number, line) in wit.lines().enumerate() {
        let known = reading.line(line.trim());
        assert!(known, "line {} is of a form that is not known here: {line}", number + 1);
    }
    reading.out
}

impl Reading {
    fn line(&mut self, line: &str) -> bool {
        if let Some(said) = line.strip_prefix("///") {
            self.said.push(said.trim().replace('|', "\\|"));
        } else if let Some(package) = line.strip_prefix("package ") {
            self.heading("##", &format!("`{}`", package.trim_end_matches(';')));
        } else if line.is_empty() || line == "}" || line.starts_with("use ") {
            self.table = false;
        } else if let Some(name) = begins(line, &["interface", "world"]) {
            self.heading("###", &name);
        } else if let Some(name) = begins(line, &["record", "variant", "enum", "flags", "resource"])
        {
            self.heading("####", &name);
        } else if let Some(import) = line.strip_prefix("import ") {
            self.row(&format!("import {}", import.trim_end_matches(';')));
        } else {
            let last = line.ends_with(',') || line.ends_with(';');
            let member = line.trim_end_matches([',', ';']);
            if !last || member.contains(';') {
                return false;
            }
            self.row(member);
        }
        true
    }

    fn heading(&mut self, level: &str, title: &str) {
        write!(self.out, "\n{level} {title}\n").unwrap();
        let said = std::mem::take(&mut self.said);
        if !said.is_empty() {
            write!(self.out, "\n{}\n", said.join("\n")).unwrap();
        }
        self.table = false;
    }

    fn row(&mut self, member: &str) {
        if !self.table {
            self.out.push_str("\n| | |\n|---|---|\n");
            self.table = true;
        }
        let said = std::mem::take(&mut self.said).join(" ");
        writeln!(self.out, "| `{}` | {said} |", member.replace('|', "\\|")).unwrap();
    }
}

/// `record state {` as a title, if the line begins one of these.
fn begins(line: &str, kinds: &[&str]) -> Option<String> {
    let (kind, name) = line.strip_suffix('{')?.trim().split_once(' ')?;
    kinds.contains(&kind).then(|| format!("{kind} `{name}`"))
}
