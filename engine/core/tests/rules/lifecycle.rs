use std::fmt::Write as _;
use std::path::Path;

use watchkeeper_core::lifecycle::TRANSITIONS;

use crate::world::{compare, golden};

const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->";

#[test]
fn the_table_is_as_it_was_and_as_the_documentation_says() {
    let mut text = String::new();
    let mut table = String::from("| while | on | then | because |\n|---|---|---|---|\n");
    for row in TRANSITIONS {
        let (from, trigger, to) =
            (row.from.to_string(), row.trigger.to_string(), row.to.to_string());
        writeln!(text, "{from:40} + {trigger:37} -> {to:40} # {}", row.why).unwrap();
        writeln!(table, "| {from} | {trigger} | {to} | {} |", row.why).unwrap();
    }
    golden("lifecycle.txt", &text);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lifecycle.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("docs/lifecycle.md marks its table");
    let (_, after) = rest.split_once(END).expect("docs/lifecycle.md ends its table");
    compare(&path, &format!("{before}{BEGIN}{table}{END}{after}"));
}
