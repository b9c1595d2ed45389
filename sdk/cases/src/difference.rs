//! What differs between two texts, line by line.

use std::fmt::Write as _;

/// Lines around a difference that are shown with it.
const AROUND: usize = 2;

/// Most pairs of lines that are compared to find the least difference. Beyond it, all between the first and the last
/// difference is shown: it is right, and longer than it needs to be.
const MOST: usize = 4_000_000;

/// A line, and which of the texts it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Expected(&'a str),
    Came(&'a str),
}

/// What differs, with the lines around it: `-` is expected, `+` came. Three dots stand for what is left out in between.
pub(super) fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let lines = aligned(&old, &new);
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1);
        lines.get(around).unwrap_or_default().iter().any(|line| !matches!(line, Line::Both(_)))
    };
    let mut out = String::new();
    let mut last = None;
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| near(*at)) {
        if last.is_some_and(|last| last + 1 < at) {
            out.push_str("  ...\n");
        }
        last = Some(at);
        let _ = match line {
            Line::Both(text) => writeln!(out, "  {text}"),
            Line::Expected(text) => writeln!(out, "- {text}"),
            Line::Came(text) => writeln!(out, "+ {text}"),
        };
    }
    out
}

/// Both texts as one list: with as many lines in common as there can be.
fn aligned<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let after = after.min(old.len().min(new.len()) - before);
    let middle = |all: &[&'a str]| all.get(before..all.len() - after).unwrap_or_default().to_vec();
    let mut lines: Vec<Line<'a>> = old.iter().take(before).map(|line| Line::Both(line)).collect();
    least(&middle(old), &middle(new), &mut lines);
    lines.extend(old.iter().skip(old.len() - after).map(|line| Line::Both(line)));
    lines
}

/// The longest common subsequence, by the usual table of the lengths of what is left.
fn least<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Vec<Line<'a>>) {
    if old.len().saturating_mul(new.len()) > MOST {
        lines.extend(old.iter().map(|line| Line::Expected(line)));
        lines.extend(new.iter().map(|line| Line::Came(line)));
        return;
    }
    let width = new.len() + 1;
    let mut common = vec![0_usize; (old.len() + 1) * width];
    let get =
        |common: &[usize], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let length = if one == other {
                get(&common, i + 1, j + 1) + 1
            } else {
                get(&common, i + 1, j).max(get(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = length;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                lines.push(Line::Both(one));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other)
                if other.is_none() || get(&common, i + 1, j) >= get(&common, i, j + 1) =>
            {
                lines.push(Line::Expected(one));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push(Line::Came(other));
                j += 1;
            }
            _ => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_changed_and_what_is_around_it() {
        assert_eq!(
            difference("a\nb\nc\nd\ne\n", "a\nb\nc\nX\nY\ne\n"),
            "  b\n  c\n- d\n+ X\n+ Y\n  e\n"
        );
        assert_eq!(difference("a\na\n", "a\n"), "  a\n- a\n");
        assert_eq!(difference("", "a\n"), "+ a\n");
    }

    #[test]
    fn differences_far_apart_are_shown_each_by_itself() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\nX\n3\n4\n5\n6\n7\n9\n";
        assert_eq!(difference(old, new), "  1\n  2\n+ X\n  3\n  4\n  ...\n  6\n  7\n- 8\n  9\n");
    }

    #[test]
    fn texts_that_are_very_long_are_compared_all_the_same() {
        let lines = |mark: &str| (0..3_000).map(|i| format!("{mark}{i}")).collect::<Vec<_>>();
        let text = |mark: &str| lines(mark).join("\n");
        let shown = difference(&text("a"), &text("b"));
        assert_eq!(shown.lines().count(), 6_000);
        assert!(shown.starts_with("- a0\n"));
    }
}
