//! What came of it, as a table.

use std::path::Path;

use crate::breaks::Break;
use crate::trial::Noticed;

const BEGIN: &str = "<!-- breaks: made by `make mutations` -->";
const END: &str = "<!-- end of breaks -->";

/// A break's row.
pub(crate) fn row(one: &Break, noticed: &Noticed) -> String {
    let simulation = match &noticed.simulation {
        Some((seed, what)) => format!("seed {seed}: {}", short(what)),
        None => "-".to_owned(),
    };
    let model = match noticed.model {
        Some(true) => "yes",
        Some(false) => "-",
        None => "",
    };
    let tests = match noticed.tests.as_deref() {
        None => String::new(),
        Some([]) => "-".to_owned(),
        Some([name]) => format!("`{name}`"),
        Some([name, rest @ ..]) => format!("`{name}` and {} more", rest.len()),
    };
    let elsewhere = one.by.as_ref().map_or_else(String::new, |by| format!("`{by}`"));
    format!("| {} | {simulation} | {model} | {tests} | {elsewhere} |", one.name)
}

/// The beginning of what a run came to, on one line and without what a table cannot hold.
fn short(what: &str) -> String {
    let plain: String = what.chars().filter(|c| !matches!(c, '|' | '\n')).collect();
    match plain.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", plain.get(..at).unwrap_or(&plain)),
        None => plain,
    }
}

/// Puts the table between the markers of a page.
pub(crate) fn write(page: &Path, rows: &[(&Break, Noticed)]) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", page.display());
    let text = std::fs::read_to_string(page).map_err(problem)?;
    let mut table = String::from(
        "| broken | the simulation | the model | the core's tests | elsewhere |\n|---|---|---|---|---|\n",
    );
    for (one, noticed) in rows {
        table.push_str(&row(one, noticed));
        table.push('\n');
    }
    let with =
        between(&text, &table).ok_or_else(|| format!("{} has no markers", page.display()))?;
    std::fs::write(page, with).map_err(problem)
}

fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_between_the_markers() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(between(&page, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(between("a", "new"), None);
    }

    #[test]
    fn a_row_says_who_noticed() {
        let one = Break { name: "a guard".to_owned(), ..Break::default() };
        let noticed = Noticed {
            simulation: Some((7, "both | sides".to_owned())),
            model: Some(false),
            tests: Some(vec!["a".to_owned(), "b".to_owned()]),
        };
        assert_eq!(
            row(&one, &noticed),
            "| a guard | seed 7: both  sides | - | `a` and 1 more |  |"
        );
    }
}
