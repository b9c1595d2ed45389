//! Files of the repository that pages show: a fenced block after a comment that names the file.

use std::fmt::Write as _;

use crate::{compare, pages, read};

const MARK: &str = "<!-- file: ";

#[test]
fn what_pages_show_of_files_is_what_stands_in_them() {
    let mut shown = 0;
    for page in pages().into_iter().chain(["policies/rego/README.md".to_owned()]) {
        let there = read(&page);
        let wanted = with_files(&there, &mut shown);
        compare(&page, &wanted);
    }
    assert!(shown >= 4, "only {shown} files are shown");
}

fn with_files(page: &str, shown: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(MARK) {
        let (name, after) = after.split_once(" -->\n```").expect("a block follows the mark");
        let (language, after) = after.split_once('\n').unwrap();
        let (_, after) = after.split_once("```\n").expect("the block ends");
        let file = read(name);
        write!(out, "{before}{MARK}{name} -->\n```{language}\n{file}```\n").unwrap();
        rest = after;
        *shown += 1;
    }
    out + rest
}
