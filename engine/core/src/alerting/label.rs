//! Labels of an alert, and matchers that pick alerts by them, written as in Alertmanager.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Alert;
use crate::model::{ClusterName, Service};

/// An alert's labels by name. A label that is not there is the same as an empty one.
pub type Labels = BTreeMap<String, String>;

/// All labels of an alert: what it is about, and what its source gave it beside. What is about the
/// alert itself cannot be replaced by a label of the source's own.
pub fn labels(cluster: Option<&ClusterName>, alert: &Alert) -> Labels {
    let claim = &alert.claim;
    let mut labels = claim.labels.clone();
    let own = [
        ("alertname", claim.name.as_str()),
        ("cluster", cluster.map_or("", ClusterName::as_str)),
        ("server", claim.server.as_ref().map_or("", |server| server.as_str())),
        ("service", claim.service.map_or("", Service::as_str)),
        ("severity", claim.severity.as_str()),
        ("code", &claim.code),
        ("source", &alert.source),
    ];
    for (name, value) in own {
        if value.is_empty() {
            labels.remove(name);
        } else {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    labels
}

/// Whether all of `matchers` match.
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`: it is this value.
    Is,
    /// `!=`: it is another value.
    IsNot,
    /// `=~`: the whole value fits the regular expression.
    Fits,
    /// `!~`: it does not.
    FitsNot,
}

/// The longer ones first, so that none is taken for the beginning of another.
const OPERATORS: [(&str, Operator); 4] = [
    ("=~", Operator::Fits),
    ("!~", Operator::FitsNot),
    ("!=", Operator::IsNot),
    ("=", Operator::Is),
];

/// One condition on a label: `severity="critical"`, `cluster=~"prod-.*"`.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    operator: Operator,
    value: String,
    /// Anchored at both ends; there if the operator needs it.
    regex: Option<Regex>,
}

impl Matcher {
    /// A condition.
    pub fn new(name: &str, operator: Operator, value: &str) -> Result<Self, MatcherError> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(letter) {
            return Err(MatcherError::Name(name.to_owned()));
        }
        let regex = match operator {
            Operator::Is | Operator::IsNot => None,
            Operator::Fits | Operator::FitsNot => Some(
                Regex::new(&format!("^(?:{value})$"))
                    .map_err(|error| MatcherError::Expression(error.to_string()))?,
            ),
        };
        Ok(Self { name: name.to_owned(), operator, value: value.to_owned(), regex })
    }

    /// `name="value"`
    pub fn is(name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { name, operator: Operator::Is, value, regex: None }
    }

    /// Whether it matches.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let fits = self.regex.as_ref().map_or(value == self.value, |regex| regex.is_match(value));
        match self.operator {
            Operator::Is | Operator::Fits => fits,
            Operator::IsNot | Operator::FitsNot => !fits,
        }
    }

    /// Whether it matches an alert that does not have the label: such a matcher alone picks nearly
    /// everything.
    pub fn matches_nothing_given(&self) -> bool {
        self.matches(&Labels::new())
    }
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// There is no operator in it.
    #[error("{0:?} is no matcher: write it NAME=\"VALUE\", with one of = != =~ !~ in between")]
    Operator(String),
    /// What stands before the operator is not a label's name.
    #[error("{0:?} is no label's name: letters, digits, `_` and `-`")]
    Name(String),
    /// The quotes do not close, or something follows them.
    #[error("the value {0} is not well quoted")]
    Quotes(String),
    /// The regular expression is none.
    #[error("the regular expression is none: {0}")]
    Expression(String),
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let at = text.find(['=', '!']).ok_or_else(|| MatcherError::Operator(text.to_owned()))?;
        let (name, rest) = text.split_at(at);
        let (sign, operator) = OPERATORS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| MatcherError::Operator(text.to_owned()))?;
        let value = rest.get(sign.len()..).unwrap_or("").trim();
        Self::new(name.trim(), operator, &unquoted(value)?)
    }
}

/// A value may stand bare; in quotes `\"`, `\\` and `\n` are escapes.
fn unquoted(text: &str) -> Result<String, MatcherError> {
    let bad = || MatcherError::Quotes(text.to_owned());
    let Some(inner) = text.strip_prefix('"') else {
        return if text.contains('"') { Err(bad()) } else { Ok(text.to_owned()) };
    };
    let mut value = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    loop {
        match rest.next().ok_or_else(bad)? {
            '"' => break,
            '\\' => match rest.next().ok_or_else(bad)? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // As it stands: a regular expression has escapes of its own.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    if rest.as_str().is_empty() { Ok(value) } else { Err(bad()) }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, one)| *one == self.operator).map_or("", |it| it.0);
        write!(f, "{}{sign}\"", self.name)?;
        for c in self.value.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '"' | '\\' => write!(f, "\\{c}")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The regular expression follows from the value.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Labels {
        [("cluster", "prod-1"), ("severity", "critical"), ("path", "a\\b\"c")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn matchers_are_read_as_people_write_them() {
        for (text, fits) in [
            ("severity=critical", true),
            ("severity = \"critical\"", true),
            ("severity!=\"critical\"", false),
            ("cluster=~\"prod-.*\"", true),
            ("cluster=~prod", false),
            ("cluster!~\"prod-[0-9]\"", false),
            ("cluster=~\"prod-\\d\"", true),
            ("server=\"\"", true),
            ("server!=\"\"", false),
            ("path=\"a\\\\b\\\"c\"", true),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!(matcher.matches(&given()), fits, "{text}");
            let again: Matcher = matcher.to_string().parse().unwrap();
            assert_eq!(again, matcher, "what is printed can be read again");
            assert_eq!(again.matches(&given()), fits, "{text}");
        }
        assert!("server=~\".*\"".parse::<Matcher>().unwrap().matches_nothing_given());
        assert!(!"server=~\".+\"".parse::<Matcher>().unwrap().matches_nothing_given());
    }

    #[test]
    fn what_is_no_matcher_is_named() {
        for (text, why) in [
            ("severity", "no matcher"),
            ("=x", "no label's name"),
            ("a b=x", "no label's name"),
            ("a!x", "no matcher"),
            ("a=\"x", "not well quoted"),
            ("a=\"x\"y", "not well quoted"),
            ("a=x\"y\"", "not well quoted"),
            ("a=~\"(\"", "regular expression"),
        ] {
            let error = text.parse::<Matcher>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
