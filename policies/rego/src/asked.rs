//! Which parts of the snapshot rules mention.

use regorus::Source;
use regorus::unstable::{Lexer, Token, TokenKind};

/// The parts of `input`, as its keys name them.
pub(crate) const PARTS: [&str; 8] =
    ["number", "at", "cluster", "servers", "services", "measures", "rescues", "changes"];

/// The parts that rules ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(Vec<&'static str>);

impl Asked {
    /// What this text mentions: `input.servers`, `input["servers"]`. Where it says `input` in any
    /// other way, as in `input[part]`, it may want anything, and gets everything.
    pub(crate) fn by(rules: &Source) -> Self {
        let mut asked = Self::default();
        let mut lexer = Lexer::new(rules);
        let mut next = || lexer.next_token().ok().filter(|token| token.0 != TokenKind::Eof);
        while let Some(token) = next() {
            if !is(&token, &TokenKind::Ident, "input") {
                continue;
            }
            let (dot, name) = (next(), next());
            let named = match (&dot, &name) {
                (Some(dot), Some(name)) if is(dot, &TokenKind::Symbol, ".") => {
                    part(name, &TokenKind::Ident)
                }
                (Some(open), Some(name)) if is(open, &TokenKind::Symbol, "[") => {
                    part(name, &TokenKind::String)
                }
                _ => None,
            };
            let Some(named) = named else { return Self(PARTS.to_vec()) };
            if !asked.0.contains(&named) {
                asked.0.push(named);
            }
        }
        asked
    }

    /// Whether this part is asked for.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.0.contains(&part)
    }
}

fn is(token: &Token, kind: &TokenKind, text: &str) -> bool {
    token.0 == *kind && token.1.text() == text
}

fn part(token: &Token, kind: &TokenKind) -> Option<&'static str> {
    let name = token.1.text().trim_matches('"');
    PARTS.into_iter().find(|part| token.0 == *kind && *part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(rules: &str) -> Vec<&'static str> {
        let source = Source::from_contents("rules".to_owned(), rules.to_owned()).unwrap();
        Asked::by(&source).0
    }

    #[test]
    fn only_what_is_mentioned_is_asked_for() {
        assert_eq!(
            asked("package a\nx := input.at\ny := input[\"servers\"][0].name"),
            ["at", "servers"]
        );
        assert_eq!(asked("package a\n# input\nx := \"input\"\ny := `input.at`"), [""; 0]);
        assert_eq!(
            asked("package a\nimport input.services as all\nx := input.services"),
            ["services"]
        );
    }

    #[test]
    fn what_cannot_be_told_is_everything() {
        for rules in [
            "package a\nx := input[part]",
            "package a\nimport input as i\nx := i.at",
            "package a\nx := y with input as {}",
            "package a\nx := f(input)",
            "package a\nx := input.nonsense",
            "package a\nx := input",
        ] {
            assert_eq!(asked(rules), PARTS, "{rules}");
        }
    }
}
