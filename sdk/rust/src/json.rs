//! A writer of JSON, because a serialiser with its derive costs a guest more than the rest of it.
//!
//! Invariant: what comes out is valid JSON whatever texts go in: objects and arrays are opened and
//! closed here, and texts are escaped.
//!
//! Invariant: no text can ask for a secret. The engine replaces `{{secret "NAME"}}` wherever it
//! stands in a body; what an alert says may come from a server, so two braces in a row are written
//! as an escape, which readers of JSON take for the same.

mod read;

pub use read::text_at;

/// A JSON object that is being written.
///
/// ```
/// use watchkeeper_sdk::json::Object;
/// let mut body = Object::new();
/// body.text("say", "\"hello\"").object("who", |who| {
///     who.number("age", 3);
/// });
/// assert_eq!(body.finish(), r#"{"say":"\"hello\"","who":{"age":3}}"#);
/// ```
#[derive(Debug)]
pub struct Object {
    out: String,
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self { out: String::from("{") }
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        quote(&mut self.out, value);
        self
    }

    /// Adds a text if there is one; an empty one is none.
    pub fn text_if_any(&mut self, key: &str, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.text(key, value) }
    }

    /// Adds the text of a setting, in which `{{secret "NAME"}}` stays as it is, so that the engine
    /// finds it. Never for what comes out of an alert.
    pub fn setting(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        quote_setting(&mut self.out, value);
        self
    }

    /// Adds an array of texts.
    pub fn texts<'a>(&mut self, key: &str, values: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.key(key);
        self.out.push('[');
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            quote(&mut self.out, value);
        }
        self.out.push(']');
        self
    }

    /// Adds a whole number.
    pub fn number(&mut self, key: &str, value: i64) -> &mut Self {
        self.key(key);
        self.out.push_str(&value.to_string());
        self
    }

    /// Adds true or false.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
        self
    }

    /// Adds null.
    pub fn null(&mut self, key: &str) -> &mut Self {
        self.key(key);
        self.out.push_str("null");
        self
    }

    /// Adds an object, which `fill` fills.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.key(key);
        self.nested(fill);
        self
    }

    /// Adds an array of objects, each filled by `fill` from one of `items`.
    pub fn objects<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.key(key);
        self.out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.nested(|object| fill(object, item));
        }
        self.out.push(']');
        self
    }

    /// The text of the whole.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn nested(&mut self, fill: impl FnOnce(&mut Self)) {
        self.out.push('{');
        fill(self);
        self.out.push('}');
    }

    fn key(&mut self, key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        quote(&mut self.out, key);
        self.out.push(':');
    }
}

/// An array of objects, each filled by `fill` from one of `items`, for receivers whose body is one.
pub fn array<T>(items: impl IntoIterator<Item = T>, fill: impl Fn(&mut Object, T)) -> String {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        let mut object = Object::new();
        fill(&mut object, item);
        out.push_str(&object.finish());
    }
    out.push(']');
    out
}

/// As [`quote`], but for the placeholders of secrets.
fn quote_setting(out: &mut String, text: &str) {
    const OPEN: &str = "{{secret \"";
    const CLOSE: &str = "\"}}";
    out.push('"');
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(OPEN) {
        let Some((name, after)) = from.split_once(CLOSE) else { break };
        escape(out, before);
        for part in [OPEN, name, CLOSE] {
            out.push_str(part);
        }
        rest = after;
    }
    escape(out, rest);
    out.push('"');
}

/// Writes a text with its quotes, escaped as RFC 8259 (7) wants it.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text);
    out.push('"');
}

fn escape(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut before = '"';
    for c in text.chars() {
        match c {
            '{' if before == '{' => out.push_str("\\u007b"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                out.push_str("\\u00");
                for digit in [c as usize >> 4, c as usize & 15] {
                    out.push(HEX.get(digit).copied().map_or('0', char::from));
                }
            }
            c => out.push(c),
        }
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut object = Object::new();
        object.text("a\"b", "line\nnext\t\\ \u{1}\u{1f}\u{7f} {é}");
        assert_eq!(object.finish(), r#"{"a\"b":"line\nnext\t\\ \u0001\u001f\u007f {é}"}"#);
    }

    #[test]
    fn a_text_that_ends_like_an_object_does_not_confuse_the_commas() {
        let mut object = Object::new();
        object.text("a", "{").text("b", "").text_if_any("c", "").flag("d", true).null("e");
        assert_eq!(object.finish(), r#"{"a":"{","b":"","d":true,"e":null}"#);
    }

    #[test]
    fn no_text_can_ask_for_a_secret() {
        let mut object = Object::new();
        object.text("a", "{{secret 'x'}} {{{").object("b", |_| {});
        let text = object.finish();
        assert!(!text.contains("{{"), "{text}");
        assert_eq!(text, r#"{"a":"{\u007bsecret 'x'}} {\u007b\u007b","b":{}}"#);
    }

    #[test]
    fn objects_nest() {
        let mut object = Object::new();
        object
            .objects("list", [1, 2], |item, n| {
                item.number("n", n);
            })
            .objects("none", [0; 0], |_, _| {})
            .object("empty", |_| {});
        assert_eq!(object.finish(), r#"{"list":[{"n":1},{"n":2}],"none":[],"empty":{}}"#);
    }

    #[test]
    fn only_a_setting_can_ask_for_a_secret() {
        let mut body = Object::new();
        body.text("a", "{{secret \"x\"}}").setting("b", "k\"{{secret \"x\"}}{{{");
        assert_eq!(
            body.finish(),
            "{\"a\":\"{\\u007bsecret \\\"x\\\"}}\",\"b\":\"k\\\"{{secret \"x\"}}{\\u007b\\u007b\"}"
        );
    }

    #[test]
    fn arrays_hold_objects_and_texts() {
        let mut body = Object::new();
        body.texts("tags", ["a", "b\""]).texts("none", []);
        assert_eq!(body.finish(), r#"{"tags":["a","b\""],"none":[]}"#);
        let numbers = array([1, 2], |object, number| {
            object.number("n", number);
        });
        assert_eq!(numbers, r#"[{"n":1},{"n":2}]"#);
    }
}
