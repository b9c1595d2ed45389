//! What people read on a terminal or in a log, and nothing that acts on it.
//!
//! Servers, monitors, guests and files have their words in reasons, alerts and errors. Some characters
//! in them are orders to a terminal: to move, to delete, to rename the window, to answer as if the
//! person had typed. Others make a text look like another one. Where words come in they are mostly
//! cleaned already; here, on the way out, nothing gets past.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether a character acts on a terminal, or on the direction in which the characters around it are shown.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// A text with its lines and tabs, where each other character that acts is shown as its number: `\u{1b}`.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let kept = |c: char| !acts(c) || matches!(c, '\n' | '\t');
    if text.chars().all(kept) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if kept(c) {
            shown.push(c);
        } else {
            // Writing to a text cannot fail.
            let _ = write!(shown, "{}", c.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

/// JSON that means the same. Such characters stand only within its texts, where they can be written as numbers.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let kept = |c: char| !acts(c) || c == '\n';
    if text.chars().all(kept) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if kept(c) {
            shown.push(c);
        } else {
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(shown)
}

/// Where log lines go. What is logged comes in whole; a line within it is indented, so that it cannot pass for one
/// that was logged by itself.
#[derive(Debug)]
pub(crate) struct LogLines<W>(pub(crate) W);

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (body, end) = match bytes.split_last() {
            Some((b'\n', body)) => (body, "\n"),
            _ => (bytes, ""),
        };
        let mut line = Vec::with_capacity(bytes.len() + 16);
        for byte in body {
            match byte {
                b'\n' => line.extend_from_slice(b"\n    | "),
                b'\r' => line.extend_from_slice(b"\\r"),
                byte => line.push(*byte),
            }
        }
        line.extend_from_slice(end.as_bytes());
        self.0.write_all(&line)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\u{1b}]0;owned\u{7}\u{9b}2J\rb\u{8}\u{202e}c\u{2028}d\u{7f}\u{2066}e\u{200f}";

    #[test]
    fn nothing_acts_on_a_terminal() {
        let shown = text(HOSTILE);
        assert!(!shown.chars().any(acts), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{d}b"), "{shown}");
        let plain = "one\n\ttwo, d\u{fc}nn und \u{65e5}\u{672c}\u{8a9e}\n";
        assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "plain"] });
        for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&written);
            assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn a_line_within_what_is_logged_does_not_pass_for_another_one() {
        let mut log = LogLines(Vec::new());
        log.write_all(b"WARN dm1 says: x\r\n2026-01-01 INFO all is well\n").unwrap();
        log.write_all(b"INFO next\n").unwrap();
        let log = String::from_utf8(log.0).unwrap();
        assert_eq!(log, "WARN dm1 says: x\\r\n    | 2026-01-01 INFO all is well\nINFO next\n");
    }
}
