//! What of a line may be shown.
//!
//! Invariant: no value that may hold a secret gets into an excerpt, whatever the complaint on its
//! line is about. In a file that was parsed those values are known by their keys; in a line that
//! is not TOML only what is plainly harmless is shown.

use super::keys::{self, Kind, SECTIONS};
use super::problem::Excerpt;
use super::source::{Node, Place, Table, Value};
use crate::terminal;

/// How many characters of a line are shown.
const MAX_LINE: usize = 160;

/// A line of a text, and what is meant in it: byte offsets in the text.
pub(super) struct Line<'a> {
    pub(super) start: usize,
    pub(super) text: &'a str,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The line as it may be shown: `hidden` says of a byte offset whether it is to be left out.
pub(super) fn excerpt(line: &Line<'_>, hidden: impl Fn(usize) -> bool) -> Excerpt {
    let (mut shown, mut count, mut before, mut width) = (String::new(), 0_usize, None, 0_usize);
    let mut masked = false;
    for (offset, c) in line.text.char_indices() {
        let at = line.start + offset;
        let hide = hidden(at);
        if !(hide && masked) {
            shown.push(match c {
                _ if hide => '…',
                _ if terminal::acts(c) => ' ',
                _ => c,
            });
            count += 1;
        }
        masked = hide;
        if at == line.from || (line.from..line.to).contains(&at) {
            before.get_or_insert(count - 1);
        }
        if before.is_some() && at < line.to {
            width = count - before.unwrap_or(count);
        }
    }
    let (mut before, width) = (before.unwrap_or(count - usize::from(masked)), width.max(1));
    let mut cut = 0;
    if before + width > MAX_LINE {
        cut = before.saturating_sub(20);
        before -= cut;
    }
    let shown: String = shown.chars().skip(cut).take(MAX_LINE).collect();
    let width = width.min(MAX_LINE.saturating_sub(before).max(1));
    Excerpt { text: shown.trim_end().to_owned(), before, width }
}

/// The places of all values that may hold what nobody should see.
pub(super) fn conceal(table: &Table, section: &str, hidden: &mut Vec<Place>) {
    let found = keys::section(section);
    for entry in &table.entries {
        let key = found.and_then(|found| found.key(&entry.key));
        let inner = match key {
            Some(key) => super::reader::join(section, key.name),
            None => super::reader::join(section, "*"),
        };
        match (key.map(|key| key.kind), &entry.node.value) {
            (None | Some(Kind::Table), Value::Table(table)) => conceal(table, &inner, hidden),
            (Some(Kind::Tables), Value::List(list)) => {
                for node in list {
                    match &node.value {
                        Value::Table(table) => conceal(table, &format!("{inner}[]"), hidden),
                        _ => conceal_all(node, hidden),
                    }
                }
            }
            (Some(kind), value) if plain(kind) && !address(value) => {}
            _ => conceal_all(&entry.node, hidden),
        }
    }
}

/// A table that was begun with a header ends nowhere in particular: its values are hidden.
fn conceal_all(node: &Node, hidden: &mut Vec<Place>) {
    match &node.value {
        Value::Table(table) => {
            for entry in &table.entries {
                conceal_all(&entry.node, hidden);
            }
        }
        Value::List(list) if list.iter().any(|one| matches!(one.value, Value::Table(_))) => {
            for one in list {
                conceal_all(one, hidden);
            }
        }
        _ => hidden.push(node.place),
    }
}

/// Whether the value is no plain word: a table, or an address, which may hold a login.
fn address(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Text(text) => text.contains("://") || (text.contains('@') && text.contains(':')),
        Value::List(list) => list.iter().any(|one| address(&one.value)),
        _ => false,
    }
}

/// Whether a value of that kind may be shown.
fn plain(kind: Kind) -> bool {
    match kind {
        Kind::Text
        | Kind::Name
        | Kind::Path
        | Kind::Flag
        | Kind::Integer(..)
        | Kind::Duration(..)
        | Kind::Size(..)
        | Kind::Choice(_)
        | Kind::Texts
        | Kind::Integers(..) => true,
        Kind::Hidden
        | Kind::Secret
        | Kind::Secrets
        | Kind::Argv
        | Kind::Table
        | Kind::Tables
        | Kind::Settings
        | Kind::Map => false,
    }
}

/// From which byte on a line of a file that is not TOML is left out; none: it may be shown.
///
/// Shown are headers, lines whose key is one of ours and takes no secret, and of other lines with
/// one of our keys the key. All else can be a secret's value that runs over several lines.
pub(super) fn untold(earlier: &str, line: &str) -> Option<usize> {
    if earlier.contains("\"\"\"") || earlier.contains("'''") {
        return Some(0);
    }
    let bare = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.starts_with('[') && bare(trimmed.trim_matches(['[', ']'])) {
        return None;
    }
    let Some((key, value)) = line.split_once('=') else { return Some(0) };
    let last = key.trim().rsplit('.').next().unwrap_or("");
    let ours: Vec<_> = SECTIONS.iter().filter_map(|section| section.key(last)).collect();
    if !bare(key.trim()) || ours.is_empty() {
        return Some(0);
    }
    let harmless = ours.iter().all(|key| plain(key.kind))
        && !value.contains(['=', '{', '#', '@'])
        && !value.contains("://")
        && !value.contains("\"\"\"")
        && !value.contains("'''");
    (!harmless).then_some(key.len() + 1 + usize::from(value.starts_with(' ')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn shown(text: &str, from: usize, to: usize, hide: std::ops::Range<usize>) -> (String, String) {
        let line = Line { start: 0, text, from, to };
        let it = excerpt(&line, |at| hide.contains(&at));
        let caret = format!("{}{}", " ".repeat(it.before), "^".repeat(it.width));
        (it.text, caret)
    }

    #[test]
    fn carets_stand_under_what_is_left() {
        let text = "{ a = \"secret\", über = 1 }";
        let at = text.find('ü').unwrap();
        assert_eq!(
            shown(text, at, at + "über".len(), 6..14),
            ("{ a = …, über = 1 }".to_owned(), "         ^^^^".to_owned())
        );
        // What is meant is itself hidden, in part, or stands behind the end.
        assert_eq!(shown("a = \"bc\"", 4, 8, 4..8), ("a = …".to_owned(), "    ^".to_owned()));
        assert_eq!(shown("a = \"bc\"", 0, 8, 4..8), ("a = …".to_owned(), "^^^^^".to_owned()));
        assert_eq!(shown("a = \"bc\"", 6, 6, 4..8), ("a = …".to_owned(), "    ^".to_owned()));
        assert_eq!(shown("a = \"bc\"", 8, 8, 4..8), ("a = …".to_owned(), "    ^".to_owned()));
        assert_eq!(shown("ab", 0, 0, 0..0), ("ab".to_owned(), "^".to_owned()));
        assert_eq!(shown("ab", 2, 2, 0..0), ("ab".to_owned(), "  ^".to_owned()));
        assert_eq!(shown("", 0, 0, 0..0), (String::new(), "^".to_owned()));
    }

    #[test]
    fn a_line_that_is_not_toml_tells_no_secret() {
        for told in ["[monitor", "name = vp1", "  port = 1x", "[[clusters.prod.policies]", ""] {
            assert_eq!(untold("", told), None, "{told}");
        }
        for (line, from) in [
            ("password = S3CRET", 11),
            ("argv = [\"x\", \"S3CRET", 7),
            ("slack-url = { file = \"S3CRET", 0),
            ("name = { password = \"S3CRET", 7),
            ("\"page\", \"S3CRET", 0),
            ("b3BlbnNzaC1rZXktdjEA==", 0),
            ("[\"S3CRET", 0),
            ("password \"S3CRET\"", 0),
            ("hosts = \" [\"https://S3CRET", 8),
        ] {
            assert_eq!(untold("", line), Some(from), "{line}");
        }
        assert_eq!(untold("command = \"\"\"\n", "name = S3CRET"), Some(0));
    }
}
