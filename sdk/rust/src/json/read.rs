//! Picks a text out of a receiver's answer. An answer may be anything: what is not found, or not
//! JSON, is none.

/// How deep arrays and objects may lie in one another.
const DEEPEST: usize = 64;

/// The text, number, true or false at a path of keys, and of numbers in arrays.
///
/// ```
/// use watchkeeper_sdk::json::text_at;
/// let answer = br#"{"result": [{"id": 7, "name": "a\u0062"}]}"#;
/// assert_eq!(text_at(answer, &["result", "0", "name"]).as_deref(), Some("ab"));
/// assert_eq!(text_at(answer, &["result", "0", "id"]).as_deref(), Some("7"));
/// assert_eq!(text_at(answer, &["result", "1", "id"]), None);
/// ```
pub fn text_at(json: &[u8], path: &[&str]) -> Option<String> {
    let mut reader = Reader { rest: core::str::from_utf8(json).ok()? };
    for part in path {
        reader.enter(part)?;
    }
    reader.scalar()
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.peek();
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Goes to the value of a key, or to an array's member.
    fn enter(&mut self, part: &str) -> Option<()> {
        match self.peek()? {
            '{' => {
                self.take('{')?;
                while self.peek()? != '}' {
                    let key = self.text()?;
                    self.take(':')?;
                    if key == part {
                        return Some(());
                    }
                    self.skip(0)?;
                    self.comma('}')?;
                }
                None
            }
            '[' => {
                let wanted: usize = part.parse().ok()?;
                self.take('[')?;
                for _ in 0..wanted {
                    if self.peek()? == ']' {
                        return None;
                    }
                    self.skip(0)?;
                    self.comma(']')?;
                }
                (self.peek()? != ']').then_some(())
            }
            _ => None,
        }
    }

    /// A comma, or the end that stays where it is.
    fn comma(&mut self, end: char) -> Option<()> {
        if self.peek()? == end { Some(()) } else { self.take(',') }
    }

    fn scalar(&mut self) -> Option<String> {
        match self.peek()? {
            '"' => self.text(),
            '{' | '[' => None,
            _ => match self.word()? {
                "null" => None,
                word => Some(word.to_owned()),
            },
        }
    }

    /// A number, true, false or null.
    fn word(&mut self) -> Option<&str> {
        let other = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        let end = self.rest.find(other).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        let (open, close) = match self.peek()? {
            '"' => return self.text().map(drop),
            '{' => ('{', '}'),
            '[' => ('[', ']'),
            _ => return self.word().map(drop),
        };
        if depth == DEEPEST {
            return None;
        }
        self.take(open)?;
        while self.peek()? != close {
            if open == '{' {
                self.text()?;
                self.take(':')?;
            }
            self.skip(depth + 1)?;
            self.comma(close)?;
        }
        self.take(close)
    }

    fn text(&mut self) -> Option<String> {
        self.take('"')?;
        let mut text = String::new();
        loop {
            let mut chars = self.rest.chars();
            let c = chars.next()?;
            self.rest = chars.as_str();
            match c {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => c,
            'u' => match self.unit()? {
                high @ 0xd800..0xdc00 => {
                    self.rest = self.rest.strip_prefix("\\u")?;
                    let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)?
                }
                unit => char::from_u32(unit)?,
            },
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)?;
        self.rest = rest;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_behind_anything() {
        let json =
            br#" { "a" : [ { } , [ 1 , -2.5e+3 , null ] , "x\"]" ] , "b" : { "c" : "d" } } "#;
        assert_eq!(text_at(json, &["b", "c"]).as_deref(), Some("d"));
        assert_eq!(text_at(json, &["a", "1", "1"]).as_deref(), Some("-2.5e+3"));
        assert_eq!(text_at(json, &["a", "2"]).as_deref(), Some("x\"]"));
        for none in [&["a", "3"][..], &["a", "1", "2"], &["b"], &["c"], &["b", "c", "e"], &[]] {
            assert_eq!(text_at(json, none), None, "{none:?}");
        }
    }

    #[test]
    fn escapes_are_read() {
        let read = |text: &str| text_at(text.as_bytes(), &[]);
        assert_eq!(read(r#""\u00fc \ud83d\ude00 \n\/""#).as_deref(), Some("ü 😀 \n/"));
        for wrong in [r#""\ud83d""#, r#""\ud83d\u0041""#, r#""\u00""#, r#""\x""#, "\"a", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_json_has_nothing() {
        for wrong in ["<html>", "{\"a\" 1}", "{\"b\":,\"a\":1}", "{\"b\":1 \"a\":1}", "[[", "\u{0}"]
        {
            assert_eq!(text_at(wrong.as_bytes(), &["a"]), None, "{wrong}");
        }
        assert_eq!(text_at(&[0xff, b'{'], &["a"]), None);
        let deep = format!("{{\"b\":{}", "[".repeat(100_000));
        assert_eq!(text_at(deep.as_bytes(), &["a"]), None);
    }
}
