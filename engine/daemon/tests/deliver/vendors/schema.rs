//! What a vendor's documentation says of a JSON document, as data, and the check of a document against it. A field that
//! the documentation does not have is a mistake.

use serde_json::Value;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A text of so many characters at the least and at the most.
    Text(usize, usize),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text of a form that has this name.
    Form(&'static str, fn(&str) -> bool),
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// True or false.
    Flag,
    /// Nothing.
    Null,
    /// Any object: its fields are the sender's own.
    Free,
    /// An object whose fields are the sender's own and texts, of so many characters in all at the most.
    Texts(usize),
    /// A list of so many at the least and at the most.
    List(&'static Kind, usize, usize),
    /// An object of these fields.
    Record(&'static [Field]),
    /// An object whose field `type` says which of these it is.
    Typed(&'static [(&'static str, &'static [Field])]),
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

/// A field that has to be there.
pub(super) const fn need(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

/// A field that may be there.
pub(super) const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

/// As many as one likes.
pub(super) const ANY: usize = usize::MAX;

/// A moment as RFC 3339 and ISO 8601 both have it, in UTC.
pub(super) const MOMENT: Kind = Kind::Form("a moment", |text| {
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let shape: String = text.chars().map(shape).collect();
    shape == "0000-00-00T00:00:00Z" || shape == "0000-00-00T00:00:00.000Z"
});

/// An address in the web.
pub(super) const LINK: Kind =
    Kind::Form("a URL", |text| text.starts_with("https://") || text.starts_with("http://"));

/// Everything in `value` that is not as `kind` has it, each with its place.
pub(super) fn mistakes(kind: Kind, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(kind, value, "body", &mut wrong);
    wrong
}

fn check(kind: Kind, value: &Value, place: &str, wrong: &mut Vec<String>) {
    let fits = match (kind, value) {
        (Kind::Text(least, most), Value::String(text)) => {
            (least..=most).contains(&text.chars().count())
        }
        (Kind::OneOf(words), Value::String(text)) => words.contains(&text.as_str()),
        (Kind::Form(_, form), Value::String(text)) => form(text),
        (Kind::Whole(least, most), Value::Number(number)) => {
            number.as_i64().is_some_and(|number| (least..=most).contains(&number))
        }
        (Kind::Flag, Value::Bool(_))
        | (Kind::Null, Value::Null)
        | (Kind::Free, Value::Object(_)) => true,
        (Kind::Texts(most), Value::Object(fields)) => {
            let length = |(name, value): (&String, &Value)| {
                value.as_str().map(|text| name.chars().count() + text.chars().count())
            };
            let all: Option<Vec<usize>> = fields.iter().map(length).collect();
            all.is_some_and(|all| all.iter().sum::<usize>() <= most)
        }
        (Kind::List(kind, least, most), Value::Array(items)) => {
            for (number, item) in items.iter().enumerate() {
                check(*kind, item, &format!("{place}[{number}]"), wrong);
            }
            (least..=most).contains(&items.len())
        }
        (Kind::Record(fields), Value::Object(_)) => {
            record(fields, value, &[], place, wrong);
            true
        }
        (Kind::Typed(kinds), Value::Object(_)) => {
            let named = kinds.iter().find(|(name, _)| value["type"] == *name);
            if let Some((_, fields)) = named {
                record(fields, value, &["type"], place, wrong);
            }
            named.is_some()
        }
        _ => false,
    };
    if !fits {
        let shown: String = value.to_string().chars().take(80).collect();
        wrong.push(format!("{place}: {} expected, not {shown}", expected(kind)));
    }
}

fn record(fields: &[Field], value: &Value, besides: &[&str], place: &str, wrong: &mut Vec<String>) {
    for field in fields {
        match value.get(field.name) {
            Some(value) => check(field.kind, value, &format!("{place}.{}", field.name), wrong),
            None if field.required => wrong.push(format!("{place}: {} is missing", field.name)),
            None => {}
        }
    }
    for name in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
        let known = fields.iter().any(|field| field.name == name);
        if !known && !besides.contains(&name.as_str()) {
            wrong.push(format!("{place}: there is no field {name}"));
        }
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text(least, ANY) => format!("a text of {least} or more characters"),
        Kind::Text(least, most) => format!("a text of {least} to {most} characters"),
        Kind::OneOf(words) => format!("one of {words:?}"),
        Kind::Form(name, _) => name.to_owned(),
        Kind::Whole(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Flag => "true or false".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Free | Kind::Record(_) => "an object".to_owned(),
        Kind::Texts(most) => format!("an object of texts with {most} characters in all"),
        Kind::List(_, least, most) => format!("a list of {least} to {most}"),
        Kind::Typed(kinds) => {
            let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
            format!("an object of a type out of {names:?}")
        }
    }
}
