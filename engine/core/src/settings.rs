//! What a guest lets the configuration set, and the check of what the configuration gives.
//!
//! A guest describes its settings ([`Setting`]); a configuration file gives some of them
//! ([`Given`]). [`check`] turns the two into one value for each setting, in the guest's order, and
//! reports everything that is wrong at once, so that a file is corrected in one go.
//!
//! Invariant: a value that comes out of [`check`] is of its setting's kind and within its bounds.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A setting that the configuration may give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its key, in kebab case.
    pub name: String,
    /// What it does: one line.
    pub doc: String,
    /// What it may be.
    pub kind: SettingKind,
}

/// What a setting may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// true or false; the default.
    Flag(bool),
    /// A whole number.
    Integer(Bounds),
    /// A duration, written as `30s`, `5m`, `250ms`; its bounds are milliseconds.
    Duration(Bounds),
    /// A text; the default.
    Text(String),
    /// One of several words.
    Choice {
        /// The value if the configuration gives none.
        default: String,
        /// What is accepted.
        options: Vec<String>,
    },
    /// A list of texts; the default.
    Texts(Vec<String>),
}

/// A number's default and its bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The value if the configuration gives none.
    pub default: i64,
    /// The least that is accepted.
    pub min: i64,
    /// The most that is accepted.
    pub max: i64,
}

/// The value of a setting, as the guest gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingValue {
    /// For a flag.
    Flag(bool),
    /// For an integer, and for a duration in milliseconds.
    Integer(i64),
    /// For a text or a choice.
    Text(String),
    /// For a list of texts.
    Texts(Vec<String>),
}

/// What a configuration file gives for a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// true or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A text in quotes.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::Texts(texts) => write!(f, "a list of {} texts", texts.len()),
        }
    }
}

impl SettingKind {
    /// What is expected in the configuration, for people.
    pub fn expected(&self) -> String {
        match self {
            Self::Flag(_) => "true or false".to_owned(),
            Self::Integer(bounds) => {
                format!("a whole number from {} to {}", bounds.min, bounds.max)
            }
            Self::Duration(bounds) => format!(
                "a duration from {} to {}, such as \"30s\"",
                duration_text(bounds.min),
                duration_text(bounds.max)
            ),
            Self::Text(_) => "a text in quotes".to_owned(),
            Self::Choice { options, .. } => format!("one of {}", quoted(options)),
            Self::Texts(_) => "a list of texts".to_owned(),
        }
    }

    /// The value if the configuration gives none.
    pub fn default_value(&self) -> SettingValue {
        match self {
            Self::Flag(flag) => SettingValue::Flag(*flag),
            Self::Integer(bounds) | Self::Duration(bounds) => SettingValue::Integer(bounds.default),
            Self::Text(text) | Self::Choice { default: text, .. } => {
                SettingValue::Text(text.clone())
            }
            Self::Texts(texts) => SettingValue::Texts(texts.clone()),
        }
    }
}

/// Something that is wrong with what the configuration gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingProblem {
    /// There is no such setting.
    #[error("there is no setting {name:?}{}", suggestion(.nearest.as_deref(), .known))]
    Unknown {
        /// The key that was given.
        name: String,
        /// The valid key that is most like it, if one is.
        nearest: Option<String>,
        /// All valid keys.
        known: Vec<String>,
    },
    /// The value is of another type.
    #[error("setting {name:?} has to be {expected}, not {given}")]
    WrongType {
        /// The setting.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given.
        given: Given,
    },
    /// The text is not a duration.
    #[error("setting {name:?} has to be {expected}: {error}")]
    Duration {
        /// The setting.
        name: String,
        /// What was expected.
        expected: String,
        /// What is wrong with the text.
        error: DurationError,
    },
    /// The number or duration is too small or too large.
    #[error("setting {name:?} has to be {expected}; {given} is not")]
    OutOfBounds {
        /// The setting.
        name: String,
        /// What was expected.
        expected: String,
        /// What was given, as it was written.
        given: String,
    },
    /// The word is none of those that are accepted.
    #[error("setting {name:?} has to be one of {}; {given:?} is not{}",
        quoted(.options), did_you_mean(.nearest.as_deref()))]
    UnknownChoice {
        /// The setting.
        name: String,
        /// What was given.
        given: String,
        /// What is accepted.
        options: Vec<String>,
        /// The accepted word that is most like it, if one is.
        nearest: Option<String>,
    },
}

impl SettingProblem {
    /// The setting it is about, or the key that was given in its place.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. }
            | Self::WrongType { name, .. }
            | Self::Duration { name, .. }
            | Self::OutOfBounds { name, .. }
            | Self::UnknownChoice { name, .. } => name,
        }
    }
}

/// Something that is wrong with the settings as a guest describes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaProblem {
    /// A key is not in kebab case.
    #[error("the setting name {0:?} is not in kebab case (lower-case words joined by '-')")]
    Name(String),
    /// A key is there twice.
    #[error("the setting {0:?} is described twice")]
    Duplicate(String),
    /// The least is more than the most.
    #[error("the setting {name:?} accepts nothing: its minimum {min} is above its maximum {max}")]
    EmptyBounds {
        /// The setting.
        name: String,
        /// Its minimum.
        min: i64,
        /// Its maximum.
        max: i64,
    },
    /// The default is not accepted by the setting itself.
    #[error("the default {default} of the setting {name:?} is not {expected}")]
    Default {
        /// The setting.
        name: String,
        /// Its default.
        default: String,
        /// What it accepts.
        expected: String,
    },
    /// A choice without options.
    #[error("the setting {0:?} is a choice without options")]
    NoOptions(String),
    /// A duration that can be negative.
    #[error("the setting {0:?} is a duration, and its minimum is negative")]
    NegativeDuration(String),
}

/// Checks what the configuration gives, and completes it with the defaults: one value for each
/// setting, in the order of `schema`. Reports every problem, not only the first.
pub fn check(
    schema: &[Setting],
    given: &BTreeMap<String, Given>,
) -> Result<Vec<SettingValue>, Vec<SettingProblem>> {
    let mut problems: Vec<SettingProblem> = given
        .keys()
        .filter(|key| !schema.iter().any(|setting| setting.name == **key))
        .map(|key| SettingProblem::Unknown {
            name: key.clone(),
            nearest: nearest(key, schema.iter().map(|setting| setting.name.as_str())),
            known: schema.iter().map(|setting| setting.name.clone()).collect(),
        })
        .collect();
    let mut values = Vec::with_capacity(schema.len());
    for setting in schema {
        match given.get(&setting.name) {
            None => values.push(setting.kind.default_value()),
            Some(given) => match value(setting, given) {
                Ok(value) => values.push(value),
                Err(problem) => problems.push(problem),
            },
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn value(setting: &Setting, given: &Given) -> Result<SettingValue, SettingProblem> {
    let name = || setting.name.clone();
    let expected = || setting.kind.expected();
    match (&setting.kind, given) {
        (SettingKind::Flag(_), Given::Flag(flag)) => Ok(SettingValue::Flag(*flag)),
        (SettingKind::Integer(bounds), Given::Integer(number)) => bounded(*bounds, *number)
            .ok_or_else(|| SettingProblem::OutOfBounds {
                name: name(),
                expected: expected(),
                given: number.to_string(),
            }),
        (SettingKind::Duration(bounds), Given::Text(text)) => {
            let ms = parse_duration(text).map_err(|error| SettingProblem::Duration {
                name: name(),
                expected: expected(),
                error,
            })?;
            bounded(*bounds, ms).ok_or_else(|| SettingProblem::OutOfBounds {
                name: name(),
                expected: expected(),
                given: text.clone(),
            })
        }
        (SettingKind::Text(_), Given::Text(text)) => Ok(SettingValue::Text(text.clone())),
        (SettingKind::Choice { options, .. }, Given::Text(text)) => {
            if options.contains(text) {
                return Ok(SettingValue::Text(text.clone()));
            }
            Err(SettingProblem::UnknownChoice {
                name: name(),
                given: text.clone(),
                options: options.clone(),
                nearest: nearest(text, options.iter().map(String::as_str)),
            })
        }
        (SettingKind::Texts(_), Given::Texts(texts)) => Ok(SettingValue::Texts(texts.clone())),
        _ => Err(SettingProblem::WrongType {
            name: name(),
            expected: expected(),
            given: given.clone(),
        }),
    }
}

fn bounded(bounds: Bounds, number: i64) -> Option<SettingValue> {
    (bounds.min..=bounds.max).contains(&number).then_some(SettingValue::Integer(number))
}

/// Checks the settings as a guest describes them.
pub fn check_schema(schema: &[Setting]) -> Result<(), Vec<SchemaProblem>> {
    let mut problems = Vec::new();
    for (i, setting) in schema.iter().enumerate() {
        let name = &setting.name;
        if !is_kebab(name) {
            problems.push(SchemaProblem::Name(name.clone()));
        }
        if schema.iter().take(i).any(|earlier| earlier.name == *name) {
            problems.push(SchemaProblem::Duplicate(name.clone()));
        }
        match &setting.kind {
            SettingKind::Duration(bounds) if bounds.min < 0 => {
                problems.push(SchemaProblem::NegativeDuration(name.clone()));
            }
            SettingKind::Integer(bounds) | SettingKind::Duration(bounds) => {
                problems.extend(bounds_problem(setting, *bounds));
            }
            SettingKind::Choice { options, .. } if options.is_empty() => {
                problems.push(SchemaProblem::NoOptions(name.clone()));
            }
            SettingKind::Choice { default, options } if !options.contains(default) => {
                problems.push(SchemaProblem::Default {
                    name: name.clone(),
                    default: format!("{default:?}"),
                    expected: setting.kind.expected(),
                });
            }
            SettingKind::Choice { .. }
            | SettingKind::Flag(_)
            | SettingKind::Text(_)
            | SettingKind::Texts(_) => {}
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn bounds_problem(setting: &Setting, bounds: Bounds) -> Option<SchemaProblem> {
    let name = setting.name.clone();
    if bounds.min > bounds.max {
        return Some(SchemaProblem::EmptyBounds { name, min: bounds.min, max: bounds.max });
    }
    if bounded(bounds, bounds.default).is_some() {
        return None;
    }
    let default = match setting.kind {
        SettingKind::Duration(_) => duration_text(bounds.default),
        _ => bounds.default.to_string(),
    };
    Some(SchemaProblem::Default { name, default, expected: setting.kind.expected() })
}

/// Whether `text` is in kebab case: words of lower-case letters and digits joined by single `-`,
/// the first beginning with a letter.
pub fn is_kebab(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is no number at the front.
    #[error("{0:?} does not begin with a whole number")]
    NoNumber(String),
    /// There is no unit, or one that is not known.
    #[error("{text:?} needs a unit: ms, s, m, h or d, such as \"{number}s\"")]
    Unit {
        /// The text as a whole.
        text: String,
        /// Its number.
        number: String,
    },
    /// It does not fit.
    #[error("{0:?} is too long")]
    TooLong(String),
}

/// Milliseconds of a duration written as `250ms`, `30s`, `5m`, `2h` or `1d`.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    if number.is_empty() {
        return Err(DurationError::NoNumber(text.to_owned()));
    }
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let Some(factor) = factor else {
        return Err(DurationError::Unit { text: text.to_owned(), number: number.to_owned() });
    };
    number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

/// Names of units and their milliseconds, the longest first.
const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration as a configuration would write it, in the longest unit that fits without rest.
pub fn duration_text(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    UNITS
        .iter()
        .find(|(_, factor)| ms % factor == 0)
        .map_or_else(|| format!("{ms}ms"), |(unit, factor)| format!("{}{unit}", ms / factor))
}

/// The largest text that a setting can be given from a file, in bytes. It is recorded with the
/// decisions that rest on it, and handed to the guest in each call.
pub const MAX_TEXT_FILE: u64 = 256 << 10;

/// What a guest says of a text that a setting gives names the setting, a line and a column:
/// `rules:3:5: what is wrong`. Where the text is from a file, this names the file instead. `files`
/// has the settings with their files.
pub fn name_files<'a>(
    said: &str,
    files: impl IntoIterator<Item = (&'a str, impl fmt::Display)>,
) -> String {
    let mut said = said.to_owned();
    for (setting, file) in files {
        let (mut named, mut from) = (String::with_capacity(said.len()), 0);
        for (at, _) in said.match_indices(setting) {
            let (before, after) = (said.get(..at), said.get(at + setting.len()..));
            let begins = before.is_some_and(|text| text.is_empty() || text.ends_with(' '));
            if begins && after.is_some_and(is_place) {
                named.push_str(said.get(from..at).unwrap_or_default());
                let _ = fmt::Write::write_fmt(&mut named, format_args!("{file}"));
                from = at + setting.len();
            }
        }
        named.push_str(said.get(from..).unwrap_or_default());
        said = named;
    }
    said
}

/// Whether it goes on with `:LINE:COLUMN:`.
fn is_place(text: &str) -> bool {
    let mut parts = text.split(':');
    let number = |part: Option<&str>| {
        part.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts.next() == Some("")
        && number(parts.next())
        && number(parts.next())
        && parts.next().is_some()
}

/// The word most like `given`, if one is alike enough to be what was meant.
fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(given.len()) / 3)
        .min()
        .map(|(_, word)| word.to_owned())
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!("; did you mean {word:?}?"))
}

fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None if known.is_empty() => "; there are none".to_owned(),
        None => format!("; there are {}", quoted(known)),
    }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, kind: SettingKind) -> Setting {
        Setting { name: name.to_owned(), doc: String::new(), kind }
    }

    fn schema() -> Vec<Setting> {
        vec![
            setting("enabled", SettingKind::Flag(true)),
            setting("rescue-attempts", SettingKind::Integer(Bounds { default: 2, min: 0, max: 9 })),
            setting(
                "grace",
                SettingKind::Duration(Bounds { default: 5_000, min: 250, max: 86_400_000 }),
            ),
            setting("code", SettingKind::Text("4604001".to_owned())),
            setting(
                "mode",
                SettingKind::Choice {
                    default: "strict".to_owned(),
                    options: vec!["strict".to_owned(), "lenient".to_owned()],
                },
            ),
            setting("ignore", SettingKind::Texts(Vec::new())),
        ]
    }

    fn given<const N: usize>(pairs: [(&str, Given); N]) -> BTreeMap<String, Given> {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn text(text: &str) -> Given {
        Given::Text(text.to_owned())
    }

    #[test]
    fn a_text_s_place_is_named_by_its_file() {
        let files = || [("rules", "/etc/rules.rego"), ("data", "/etc/data.json")];
        let named = |said: &str| name_files(said, files());
        assert_eq!(named("rules:3:15: no"), "/etc/rules.rego:3:15: no");
        assert_eq!(named("refused: data:1:2: no"), "refused: /etc/data.json:1:2: no");
        for other in ["rules: no", "rules:3: no", "my-rules:3:5: no", "rules:a:5: no", "3:5: rules"]
        {
            assert_eq!(named(other), other);
        }
    }

    #[test]
    fn what_is_not_given_is_the_default_and_the_order_is_the_guests() {
        let values =
            check(&schema(), &given([("mode", text("lenient")), ("grace", text("2m"))])).unwrap();
        assert_eq!(
            values,
            [
                SettingValue::Flag(true),
                SettingValue::Integer(2),
                SettingValue::Integer(120_000),
                SettingValue::Text("4604001".to_owned()),
                SettingValue::Text("lenient".to_owned()),
                SettingValue::Texts(Vec::new()),
            ]
        );
    }

    #[test]
    fn every_problem_is_reported_at_once_and_says_what_to_do() {
        let problems = check(
            &schema(),
            &given([
                ("rescue-atempts", Given::Integer(3)),
                ("xyzzy", Given::Flag(true)),
                ("enabled", text("yes")),
                ("rescue-attempts", Given::Integer(10)),
                ("grace", text("90")),
                ("mode", text("lenent")),
                ("ignore", text("dm1")),
            ]),
        )
        .unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "there is no setting \"rescue-atempts\"; did you mean \"rescue-attempts\"?",
                "there is no setting \"xyzzy\"; there are \"enabled\", \"rescue-attempts\", \
                 \"grace\", \"code\", \"mode\", \"ignore\"",
                "setting \"enabled\" has to be true or false, not the text \"yes\"",
                "setting \"rescue-attempts\" has to be a whole number from 0 to 9; 10 is not",
                "setting \"grace\" has to be a duration from 250ms to 1d, such as \"30s\": \
                 \"90\" needs a unit: ms, s, m, h or d, such as \"90s\"",
                "setting \"mode\" has to be one of \"strict\", \"lenient\"; \"lenent\" is not; \
                 did you mean \"lenient\"?",
                "setting \"ignore\" has to be a list of texts, not the text \"dm1\"",
            ]
        );
    }

    #[test]
    fn bounds_are_included() {
        for (number, accepted) in [(-1, false), (0, true), (9, true), (10, false)] {
            let result = check(&schema(), &given([("rescue-attempts", Given::Integer(number))]));
            assert_eq!(result.is_ok(), accepted, "{number}");
        }
        assert!(check(&schema(), &given([("grace", text("249ms"))])).is_err());
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(ms));
            assert_eq!(duration_text(ms), text);
        }
        assert_eq!(duration_text(90_000), "90s");
        assert!(matches!(parse_duration("s"), Err(DurationError::NoNumber(_))));
        assert!(matches!(parse_duration("-5s"), Err(DurationError::NoNumber(_))));
        assert!(matches!(parse_duration("5 s"), Err(DurationError::Unit { .. })));
        assert!(matches!(parse_duration("5µs"), Err(DurationError::Unit { .. })));
        assert!(matches!(parse_duration("99999999999999999d"), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn a_schema_is_checked_too() {
        assert_eq!(check_schema(&schema()), Ok(()));
        let bounds = |default, min, max| SettingKind::Integer(Bounds { default, min, max });
        let problems = check_schema(&[
            setting("Bad_Name", SettingKind::Flag(true)),
            setting("twice", SettingKind::Flag(true)),
            setting("twice", SettingKind::Flag(true)),
            setting("empty", bounds(0, 2, 1)),
            setting("default", bounds(5, 0, 4)),
            setting("negative", SettingKind::Duration(Bounds { default: 0, min: -1, max: 4 })),
            setting("none", SettingKind::Choice { default: String::new(), options: Vec::new() }),
            setting(
                "other",
                SettingKind::Choice { default: "c".to_owned(), options: vec!["a".to_owned()] },
            ),
        ])
        .unwrap_err();
        assert_eq!(
            problems,
            [
                SchemaProblem::Name("Bad_Name".to_owned()),
                SchemaProblem::Duplicate("twice".to_owned()),
                SchemaProblem::EmptyBounds { name: "empty".to_owned(), min: 2, max: 1 },
                SchemaProblem::Default {
                    name: "default".to_owned(),
                    default: "5".to_owned(),
                    expected: "a whole number from 0 to 4".to_owned(),
                },
                SchemaProblem::NegativeDuration("negative".to_owned()),
                SchemaProblem::NoOptions("none".to_owned()),
                SchemaProblem::Default {
                    name: "other".to_owned(),
                    default: "\"c\"".to_owned(),
                    expected: "one of \"a\"".to_owned(),
                },
            ]
        );
        for good in ["a", "look-again", "v2-mode"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "2a", "a_b", "A"] {
            assert!(!is_kebab(bad), "{bad}");
        }
    }
}
