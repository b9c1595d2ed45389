//! The format of Java's `.properties` files, as `java.util.Properties` reads it: one key a logical
//! line, ended by `=`, `:` or blanks; `#` and `!` begin a line of comment; a backslash at a line's
//! end joins the next; `\t`, `\n`, `\r`, `\f` and `\uXXXX` are escapes, and any other character
//! after a backslash stands for itself.
//!
//! Two things are more tolerant than there: UTF-8 is read as such, not as Latin-1 only, and blanks
//! at a value's end are left out. One is stricter: a byte that no text has ends the reading.

/// Keys at most: a file with more is not one of these.
pub(super) const MAX_KEYS: usize = 1_000;

/// How the bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8; ASCII too.
    Utf8,
    /// Not UTF-8, so each byte is a character of ISO 8859-1.
    Latin1,
}

impl Encoding {
    /// Its name in output.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Latin1 => "Latin-1",
        }
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    /// The key, without escapes.
    pub(super) key: String,
    /// The value, without escapes and without blanks at its end.
    pub(super) value: String,
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// The column of the key's first character, from 1.
    pub(super) column: usize,
    /// Whether `=` or `:` stands between key and value, not only blanks or nothing.
    pub(super) separated: bool,
}

/// A line that cannot be read: an escape `\u` without its four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadEscape {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column of the line's key, from 1.
    pub(super) column: usize,
}

/// Why bytes are not a properties file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotText {
    /// A byte-order mark of UTF-16.
    #[error("this is UTF-16: save the file in UTF-8")]
    Utf16,
    /// A control character on this line, from 1.
    #[error("line {0} has a character that no text has: this is not a properties file")]
    Control(usize),
    /// More keys than anybody writes.
    #[error("more than {MAX_KEYS} keys: this is not failover.properties")]
    TooLong,
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Properties {
    /// The keys in the order of the file; one that stands there twice is here twice.
    pub(super) list: Vec<Property>,
    /// The lines that cannot be read.
    pub(super) bad: Vec<BadEscape>,
    /// How the bytes were read.
    pub(super) encoding: Encoding,
}

/// Reads a file's bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Properties, NotText> {
    let (text, encoding) = decode(bytes)?;
    let control = |line: &str| line.contains(|c: char| c.is_ascii_control() && !is_blank(c));
    if let Some(at) = natural_lines(&text).position(control) {
        return Err(NotText::Control(at + 1));
    }
    let mut read = Properties { list: Vec::new(), bad: Vec::new(), encoding };
    let mut lines = natural_lines(&text).enumerate();
    while let Some((number, line)) = lines.next() {
        let begun = line.trim_start_matches(is_blank);
        if begun.is_empty() || begun.starts_with(['#', '!']) {
            continue;
        }
        if read.list.len() + read.bad.len() == MAX_KEYS {
            return Err(NotText::TooLong);
        }
        let column = line.chars().count() - begun.chars().count() + 1;
        let mut logical = begun.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        match property(&logical, number + 1, column) {
            Some(property) => read.list.push(property),
            None => read.bad.push(BadEscape { line: number + 1, column }),
        }
    }
    Ok(read)
}

fn decode(bytes: &[u8]) -> Result<(String, Encoding), NotText> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(NotText::Utf16);
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    Ok(match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Encoding::Utf8),
        Err(_) => (bytes.iter().map(|byte| char::from(*byte)).collect(), Encoding::Latin1),
    })
}

/// The lines as they end by CR, LF or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Whether an odd number of backslashes stands at the end.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// A logical line taken apart; none: it has a bad escape.
fn property(line: &str, number: usize, column: usize) -> Option<Property> {
    let mut escaped = false;
    let end = line
        .find(|c: char| {
            let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
            escaped = !escaped && c == '\\';
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start_matches(is_blank);
    let (rest, separated) = match rest.strip_prefix(['=', ':']) {
        Some(rest) => (rest.trim_start_matches(is_blank), true),
        None => (rest, false),
    };
    let value = unescape(rest)?;
    Some(Property {
        key: unescape(key)?,
        value: value.trim_end().to_owned(),
        line: number,
        column,
        separated,
    })
}

/// The text without escapes; none: `\u` is not followed by four hexadecimal digits, or they are
/// half of a pair.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    units.push(unit(&mut chars)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        flush(&mut units, &mut out)?;
        out.push(plain);
    }
    flush(&mut units, &mut out)?;
    Some(out)
}

/// The number behind `\u`.
fn unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut number = 0_u16;
    for _ in 0..4 {
        let digit = chars.next()?.to_digit(16)?;
        number = number << 4 | u16::try_from(digit).ok()?;
    }
    Some(number)
}

fn flush(units: &mut Vec<u16>, out: &mut String) -> Option<()> {
    if !units.is_empty() {
        out.push_str(&String::from_utf16(units).ok()?);
        units.clear();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        let read = read(bytes).unwrap();
        assert_eq!(read.bad, []);
        read.list.into_iter().map(|it| (it.key, it.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text.as_bytes());
        assert_eq!(all.len(), 1, "{text:?}: {all:?}");
        all.swap_remove(0)
    }

    #[test]
    fn keys_end_at_the_first_separator() {
        let wanted = ("a.b".to_owned(), "c d".to_owned());
        for text in ["a.b=c d", "a.b:c d", "a.b c d", "  a.b\t=  c d  ", "a.b \x0c : c d\t"] {
            assert_eq!(one(text), wanted, "{text:?}");
        }
        assert_eq!(one("a==b"), ("a".to_owned(), "=b".to_owned()));
        assert_eq!(one("a = :b"), ("a".to_owned(), ":b".to_owned()));
        assert_eq!(one("=b"), (String::new(), "b".to_owned()));
        assert_eq!(one("alone"), ("alone".to_owned(), String::new()));
        assert_eq!(one("a=b=c:d"), ("a".to_owned(), "b=c:d".to_owned()));
        assert_eq!(one("a=b # not a comment").1, "b # not a comment");
    }

    #[test]
    fn escapes_stand_for_what_they_name() {
        assert_eq!(one(r"a\=b\:c\ d=e").0, "a=b:c d");
        assert_eq!(one(r"a=\t\n\r\f\q\\x").1, "\t\n\r\x0cq\\x");
        assert_eq!(one(r"a=\u0041\u00e9\u20AC").1, "Aé€");
        assert_eq!(one(r"a=\ud83d\ude00").1, "😀");
        assert_eq!(one(r"\u0061=b").0, "a");
        assert_eq!(one(r"a=C:\\dm\\x").1, r"C:\dm\x");
    }

    #[test]
    fn a_bad_escape_is_told_with_its_line() {
        let text = "a=1\n  b=\\u12g4\nc=\\ud83d\nd=\\u\ne=2";
        let read = read(text.as_bytes()).unwrap();
        let keys: Vec<&str> = read.list.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["a", "e"]);
        let lines: Vec<(usize, usize)> = read.bad.iter().map(|it| (it.line, it.column)).collect();
        assert_eq!(lines, [(2, 3), (3, 1), (4, 1)]);
    }

    #[test]
    fn a_backslash_joins_lines_and_comments_are_not_joined() {
        let text = "# one \\\na=1, \\\n   2, \\\n# 3\n! b=2\n\nc=\\\n\nd=4\\\\\ne=5\\";
        let wanted = [("a", "1, 2, # 3"), ("c", ""), ("d", "4\\"), ("e", "5")];
        let read = pairs(text.as_bytes());
        let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(read, wanted);
    }

    #[test]
    fn any_line_end_counts_and_lines_are_numbered() {
        let read = read(b"a=1\r\n\r\nb=\\\r\n2\rc=3\n d=4").unwrap();
        let lines: Vec<_> = read.list.iter().map(|it| (it.key.as_str(), it.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("c", 5), ("d", 6)]);
        assert_eq!(read.list[1].value, "2");
        assert_eq!(read.list[3].column, 2);
    }

    #[test]
    fn both_encodings_are_read() {
        assert_eq!(pairs("\u{feff}a=é".as_bytes()), [("a".to_owned(), "é".to_owned())]);
        assert_eq!(pairs(b"a=\xe9"), [("a".to_owned(), "é".to_owned())]);
        assert_eq!(read(b"a=\xe9").unwrap().encoding, Encoding::Latin1);
        assert_eq!(read(b"\xff\xfea\0"), Err(NotText::Utf16));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(read(b"a=1\nb=\0"), Err(NotText::Control(2)));
        assert_eq!(read(b"a=1\\\n\x1b[31m"), Err(NotText::Control(2)));
        let many = "a=1\n".repeat(MAX_KEYS);
        assert_eq!(read(many.as_bytes()).unwrap().list.len(), MAX_KEYS);
        assert_eq!(read(format!("{many}b=1").as_bytes()), Err(NotText::TooLong));
        assert_eq!(read(b"").unwrap().list, []);
    }
}
