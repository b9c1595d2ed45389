//! A plain text in the Atlassian Document Format, version 1: a paragraph for each block of lines. Its
//! text nodes have no marks, so what an alert says makes no links and mentions nobody.

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::cut;

/// Most characters of a description or a comment. Whether Jira counts the document or the text in it is
/// not documented, so the document is what is kept within it.
const LONGEST: usize = 32_767;

/// Most characters of the text: the first whose document is not too long is taken. A line of its own
/// costs some sixty characters, so the last always fits.
const TEXTS: [usize; 5] = [16_000, 8_000, 4_000, 2_000, 400];

/// The text, cut so that its document fits.
pub(crate) fn fitting(text: &str) -> String {
    let mut cut_text = String::new();
    for most in TEXTS {
        cut_text = cut(text, most);
        let mut object = Object::new();
        write(&mut object, &cut_text);
        if object.finish().chars().count() <= LONGEST {
            break;
        }
    }
    cut_text
}

/// A node of a paragraph. A text node may not be empty.
enum Node<'a> {
    Text(&'a str),
    Break,
}

/// Writes the document into `object`.
pub(crate) fn write(object: &mut Object, text: &str) {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    object.text("type", "doc").number("version", 1).objects(
        "content",
        blocks,
        |paragraph, block| {
            let mut nodes = Vec::new();
            for line in block.lines() {
                if !nodes.is_empty() {
                    nodes.push(Node::Break);
                }
                if !line.is_empty() {
                    nodes.push(Node::Text(line));
                }
            }
            paragraph.text("type", "paragraph").objects("content", nodes, |node, what| {
                match what {
                    Node::Text(text) => node.text("type", "text").text("text", text),
                    Node::Break => node.text("type", "hardBreak"),
                };
            });
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_text_and_breaks_and_no_text_is_empty() {
        let mut object = Object::new();
        write(&mut object, "a\nb\n\n\n\nc\n");
        assert_eq!(
            object.finish(),
            r#"{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a"},{"type":"hardBreak"},{"type":"text","text":"b"}]},{"type":"paragraph","content":[{"type":"text","text":"c"}]}]}"#
        );
    }

    #[test]
    fn whatever_a_text_is_made_of_its_document_fits() {
        for text in ["a\n", "a\n\n", "\u{7}", "😀", "word "] {
            let fits = fitting(&text.repeat(40_000));
            let mut object = Object::new();
            write(&mut object, &fits);
            let length = object.finish().chars().count();
            assert!(length <= LONGEST, "{text:?}: {length}");
            assert!(fits.chars().count() > 390, "{text:?}");
        }
    }
}
