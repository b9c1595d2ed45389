//! JSON laid out for people, a line for each member and for each line of a text; otherwise as it was written: the order of
//! keys and the form of numbers are part of what a plugin sends.

use serde::de::IgnoredAny;

/// The text with a line for each member; none if it is no JSON object or list.
pub(super) fn laid_out(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut out = String::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut letters = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(letter) = letters.next() {
        if quoted {
            out.push(letter);
            if escaped && letter == 'n' && letters.peek() != Some(&'"') {
                // A text of several lines has them here, too. In JSON itself no text has a line break in it.
                line(&mut out, depth + 1);
            }
            quoted = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => {
                quoted = true;
                out.push(letter);
            }
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if letter.is_ascii_whitespace() => {}
            _ => out.push(letter),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_space_around_members_is_changed() {
        let text = r#"{"b":1.0e3, "a" : [ {"x":"a\"}, [\\"}, null,true ],"e":{ }, "l":[]}"#;
        let wanted = "{\n  \"b\": 1.0e3,\n  \"a\": [\n    {\n      \"x\": \"a\\\"}, [\\\\\"\n    },\n    null,\n    \
                      true\n  ],\n  \"e\": {},\n  \"l\": []\n}";
        assert_eq!(laid_out(text).unwrap(), wanted);
        assert_eq!(laid_out(wanted).unwrap(), wanted);
    }

    #[test]
    fn a_text_of_several_lines_has_them_here_too() {
        let text = r#"{"t":"a\nb\\n\nc\n"}"#;
        assert_eq!(laid_out(text).unwrap(), "{\n  \"t\": \"a\\n\n    b\\\\n\\n\n    c\\n\"\n}");
    }

    #[test]
    fn what_is_no_object_and_no_list_is_left_alone() {
        for text in ["", "1", "\"a\"", "{", "a=b&c=d", "[1] x"] {
            assert_eq!(laid_out(text), None, "{text}");
        }
    }
}
