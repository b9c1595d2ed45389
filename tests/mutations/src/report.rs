//! What came of it, as a table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::breaks::Break;
use crate::trial::Noticed;

const BEGIN: &str = "<!-- breaks: made by `make mutations` -->";
const END: &str = "<!-- end of breaks -->";

/// A break's row.
pub(crate) fn row(one: &Break, noticed: &Noticed) -> String {
    let simulation = match &noticed.simulation {
        Some(what) => short(what),
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
    match plain.char_indices().nth(90) {
        Some((at, _)) => format!("{}...", plain.get(..at).unwrap_or(&plain)),
        None => plain,
    }
}

/// A page with the table between two markers.
pub(crate) struct Page {
    path: PathBuf,
    before: String,
    after: String,
    /// The rows by the names of the breaks.
    rows: BTreeMap<String, String>,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(path, &text).ok_or_else(|| format!("{} has no markers", path.display()))
    }

    fn parse(path: &Path, text: &str) -> Option<Self> {
        let (before, rest) = text.split_once(BEGIN)?;
        let (table, after) = rest.split_once(END)?;
        let named = |line: &str| {
            Some((line.strip_prefix("| ")?.split(" |").next()?.to_owned(), line.to_owned()))
        };
        let rows =
            table.lines().skip_while(|line| !line.starts_with("|---")).filter_map(named).collect();
        let (before, after) = (before.to_owned(), after.to_owned());
        Some(Self { path: path.to_owned(), before, after, rows })
    }

    /// Whether a break has a row.
    pub(crate) fn has(&self, one: &Break) -> bool {
        self.rows.contains_key(&one.name)
    }

    /// Puts a break's row in; the table has them in the order of `all`, and none of others.
    pub(crate) fn put(
        &mut self,
        all: &[Break],
        one: &Break,
        noticed: &Noticed,
    ) -> Result<(), String> {
        self.rows.insert(one.name.clone(), row(one, noticed));
        std::fs::write(&self.path, self.text(all))
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn text(&self, all: &[Break]) -> String {
        let mut table = String::from(
            "| broken | the simulation | the model | the core's tests | elsewhere |\n|---|---|---|---|---|\n",
        );
        for row in all.iter().filter_map(|one| self.rows.get(&one.name)) {
            table.push_str(row);
            table.push('\n');
        }
        format!("{}{BEGIN}\n{table}{END}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaks;

    fn named(name: &str) -> Break {
        Break { name: name.to_owned(), ..Break::default() }
    }

    #[test]
    fn rows_are_put_in_and_the_others_stay() {
        let path = Path::new("page.md");
        let before = "| broken | by |\n|---|---|\n| old | x |\n| c | y |\n";
        let page = format!("a\n{BEGIN}\n{before}{END}\nb\n");
        let mut page = Page::parse(path, &page).unwrap();
        let all = [named("a guard"), named("c"), named("none")];
        assert!(page.has(&all[1]) && !page.has(&all[0]) && !page.has(&named("broken")));
        page.rows.insert("a guard".to_owned(), "| a guard | z |".to_owned());
        let text = page.text(&all);
        assert!(text.starts_with(&format!("a\n{BEGIN}\n| broken | the simulation |")), "{text}");
        let end = format!("|---|\n| a guard | z |\n| c | y |\n{END}\nb\n");
        assert!(text.ends_with(&end), "{text}");
        let again = Page::parse(path, &text).unwrap();
        assert_eq!(again.text(&all), text);
        assert!(Page::parse(path, "a").is_none());
    }

    #[test]
    fn a_row_says_who_noticed() {
        let one = Break { name: "a guard".to_owned(), ..Break::default() };
        let noticed = Noticed {
            simulation: Some("seed 7: both | sides".to_owned()),
            model: Some(false),
            tests: Some(vec!["a".to_owned(), "b".to_owned()]),
        };
        assert_eq!(
            row(&one, &noticed),
            "| a guard | seed 7: both  sides | - | `a` and 1 more |  |"
        );
    }

    #[test]
    fn the_page_has_each_break_and_who_noticed_it() {
        let page = breaks::repository().join("docs/safety.md");
        let page = std::fs::read_to_string(page).unwrap();
        for one in breaks::all().unwrap() {
            let row = page.lines().find(|line| line.starts_with(&format!("| {} |", one.name)));
            let row = row.unwrap_or_else(|| panic!("{}: has no row", one.name));
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let by = cells.get(2..5).unwrap_or_default();
            let noticed = if one.twin { &by[..1] } else { by };
            assert!(noticed.iter().any(|cell| !matches!(*cell, "" | "-")), "nobody: {row}");
        }
    }
}
