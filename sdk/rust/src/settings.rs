//! Settings: declared once, from which follow the schema, the defaults and the reading.
//!
//! [`settings!`](macro@crate::settings) makes a struct whose fields are settings. Their doc comments are
//! the schema's words for an administrator, so write them for one. The engine checks what the
//! configuration gives against the schema and passes every value in the schema's order; a guest
//! that finds anything else refuses to answer.

use core::ops::RangeInclusive;
use core::time::Duration;

/// What a setting may be, with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Flag(bool),
    /// A whole number and its bounds.
    Integer {
        /// The value if the configuration gives none.
        default: i64,
        /// The least that is accepted.
        min: i64,
        /// The most that is accepted.
        max: i64,
    },
    /// A duration and its bounds, in milliseconds.
    Duration {
        /// The value if the configuration gives none.
        default: i64,
        /// The least that is accepted.
        min: i64,
        /// The most that is accepted.
        max: i64,
    },
    /// A text.
    Text(String),
    /// One of several words.
    Choice {
        /// The value if the configuration gives none.
        default: String,
        /// What is accepted.
        options: Vec<String>,
    },
    /// A list of texts.
    Texts(Vec<String>),
}

/// A setting as the schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its key, in kebab case.
    pub name: String,
    /// What it does: one line.
    pub doc: String,
    /// What it may be.
    pub kind: Kind,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// For a flag.
    Flag(bool),
    /// For an integer, and for a duration in milliseconds.
    Integer(i64),
    /// For a text or a choice.
    Text(String),
    /// For a list of texts.
    Texts(Vec<String>),
}

impl Kind {
    /// The value if the configuration gives none.
    pub fn default_value(&self) -> Value {
        match self {
            Self::Flag(default) => Value::Flag(*default),
            Self::Integer { default, .. } | Self::Duration { default, .. } => {
                Value::Integer(*default)
            }
            Self::Text(default) | Self::Choice { default, .. } => Value::Text(default.clone()),
            Self::Texts(default) => Value::Texts(default.clone()),
        }
    }
}

/// A set of settings. Made by [`settings!`](macro@crate::settings).
pub trait Settings: Sized {
    /// What they are, in the order in which [`Settings::read`] expects them.
    fn specs() -> Vec<Spec>;

    /// Takes the values in. None if they are not what [`Settings::specs`] says.
    fn read(values: &mut dyn Iterator<Item = Value>) -> Option<Self>;
}

/// No settings.
impl Settings for () {
    fn specs() -> Vec<Spec> {
        Vec::new()
    }

    fn read(values: &mut dyn Iterator<Item = Value>) -> Option<Self> {
        values.next().is_none().then_some(())
    }
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// How its default is written.
    type Default;
    /// How its bounds are written.
    type Bounds;

    /// What it may be.
    fn kind(default: Self::Default, bounds: Option<Self::Bounds>) -> Kind;

    /// The value, if it is one of this type.
    fn read(value: Value) -> Option<Self>;
}

impl Setting for bool {
    type Default = Self;
    type Bounds = core::convert::Infallible;

    fn kind(default: Self, _: Option<Self::Bounds>) -> Kind {
        Kind::Flag(default)
    }

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Flag(value) => Some(value),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            type Default = Self;
            type Bounds = RangeInclusive<Self>;

            #[allow(clippy::cast_lossless, clippy::allow_attributes, reason = "one of them is i64")]
            fn kind(default: Self, bounds: Option<Self::Bounds>) -> Kind {
                let bounds = bounds.unwrap_or(Self::MIN..=Self::MAX);
                Kind::Integer {
                    default: default as i64,
                    min: *bounds.start() as i64,
                    max: *bounds.end() as i64,
                }
            }

            fn read(value: Value) -> Option<Self> {
                match value {
                    Value::Integer(value) => value.try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(u8, u16, u32, i64);

impl Setting for Duration {
    type Default = Self;
    type Bounds = RangeInclusive<Self>;

    fn kind(default: Self, bounds: Option<Self::Bounds>) -> Kind {
        /// The longest that a configuration may ask for if the policy names no bounds.
        const YEAR: Duration = Duration::from_hours(366 * 24);
        let ms = |duration: &Self| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let bounds = bounds.unwrap_or(Self::ZERO..=YEAR);
        Kind::Duration { default: ms(&default), min: ms(bounds.start()), max: ms(bounds.end()) }
    }

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Integer(ms) => ms.try_into().ok().map(Self::from_millis),
            _ => None,
        }
    }
}

impl Setting for String {
    type Default = &'static str;
    type Bounds = core::convert::Infallible;

    fn kind(default: Self::Default, _: Option<Self::Bounds>) -> Kind {
        Kind::Text(default.to_owned())
    }

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Setting for Vec<String> {
    type Default = &'static [&'static str];
    type Bounds = core::convert::Infallible;

    fn kind(default: Self::Default, _: Option<Self::Bounds>) -> Kind {
        Kind::Texts(default.iter().map(|text| (*text).to_owned()).collect())
    }

    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Texts(value) => Some(value),
            _ => None,
        }
    }
}

/// Makes a field a setting: its name in kebab case, and one line of its doc comment's lines.
#[doc(hidden)]
#[inline(never)]
pub fn spec(field: &str, doc: &[&str], kind: Kind) -> Spec {
    let mut line = String::new();
    for part in doc {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part.trim_ascii());
    }
    Spec { name: field.replace('_', "-"), doc: line, kind }
}

/// Declares the settings of a policy or a notifier.
///
/// Each field is `name: type = default, bounds;` where the bounds are optional. Types are `bool`,
/// `u8`, `u16`, `u32`, `i64`, [`Duration`], [`String`], `Vec<String>`, and what
/// [`choice!`](crate::choice) makes. The keys in the configuration are the names in kebab case.
///
/// ```
/// use core::time::Duration;
/// watchkeeper_sdk::settings! {
///     /// What the example understands.
///     pub struct Settings {
///         /// How often a stopped service is started again before more is done.
///         rescue_attempts: u32 = 2, 0..=10;
///         /// Within which time those attempts count.
///         rescue_window: Duration = Duration::from_mins(15);
///         /// Which services matter.
///         services: Vec<String> = &["daemon", "rest"];
///     }
/// }
/// assert_eq!(Settings::default().rescue_attempts, 2);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr $(, $bounds:expr)?;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        $visibility struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $crate::settings::Settings for $name {
            fn specs() -> ::std::vec::Vec<$crate::settings::Spec> {
                ::std::vec![$($crate::settings::spec(
                    stringify!($field),
                    &[$($doc),+],
                    <$type as $crate::settings::Setting>::kind(
                        $default,
                        $crate::settings!(@bounds $($bounds)?),
                    ),
                )),*]
            }

            fn read(
                values: &mut dyn ::core::iter::Iterator<Item = $crate::settings::Value>,
            ) -> ::core::option::Option<Self> {
                let settings = Self {
                    $($field: <$type as $crate::settings::Setting>::read(values.next()?)?,)*
                };
                values.next().is_none().then_some(settings)
            }
        }

        impl ::core::default::Default for $name {
            /// What the configuration gives if it is silent.
            fn default() -> Self {
                Self {
                    $($field: <$type as $crate::settings::Setting>::read(
                        <$type as $crate::settings::Setting>::kind(
                            $default,
                            $crate::settings!(@bounds $($bounds)?),
                        )
                        .default_value(),
                    )
                    .unwrap_or_else(|| ::core::unreachable!("a default is a value of its type")),)*
                }
            }
        }
    };
    (@bounds) => { ::core::option::Option::None };
    (@bounds $bounds:expr) => { ::core::option::Option::Some($bounds) };
}

/// Declares a setting that is one of several words.
///
/// ```
/// watchkeeper_sdk::choice! {
///     /// How the receiver is called.
///     pub enum Method {
///         /// As most want it.
///         Post = "post",
///         /// As some want it.
///         Put = "put",
///     }
/// }
/// watchkeeper_sdk::settings! {
///     /// What the example understands.
///     pub struct Settings {
///         /// How the receiver is called.
///         method: Method = Method::Post;
///     }
/// }
/// assert_eq!(Settings::default().method, Method::Post);
/// ```
#[macro_export]
macro_rules! choice {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[doc = $doc:literal])+ $option:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[doc = $doc])+ $option),+
        }

        impl $crate::settings::Setting for $name {
            type Default = Self;
            type Bounds = ::core::convert::Infallible;

            fn kind(
                default: Self,
                _: ::core::option::Option<Self::Bounds>,
            ) -> $crate::settings::Kind {
                $crate::settings::Kind::Choice {
                    default: match default {
                        $(Self::$option => $word.into()),+
                    },
                    options: ::std::vec![$($word.into()),+],
                }
            }

            fn read(value: $crate::settings::Value) -> ::core::option::Option<Self> {
                match value {
                    $crate::settings::Value::Text(word) => match word.as_str() {
                        $($word => ::core::option::Option::Some(Self::$option),)+
                        _ => ::core::option::Option::None,
                    },
                    _ => ::core::option::Option::None,
                }
            }
        }
    };
}

/// What a guest answers when its settings are not those of its schema.
#[doc(hidden)]
pub fn mismatch() -> String {
    "the settings are not those that the schema describes".to_owned()
}

/// The two worlds have the same words for settings, in types of their own.
macro_rules! worlds {
    ($types:path) => {
        const _: () = {
            use $types as types;

            impl From<Spec> for types::Setting {
                fn from(spec: Spec) -> Self {
                    let kind = match spec.kind {
                        Kind::Flag(default) => types::SettingKind::Flag(default),
                        Kind::Integer { default, min, max } => {
                            types::SettingKind::Integer(types::IntegerSetting { default, min, max })
                        }
                        Kind::Duration { default, min, max } => {
                            types::SettingKind::Duration(types::IntegerSetting {
                                default,
                                min,
                                max,
                            })
                        }
                        Kind::Text(default) => types::SettingKind::Text(default),
                        Kind::Choice { default, options } => {
                            types::SettingKind::Choice(types::ChoiceSetting { default, options })
                        }
                        Kind::Texts(default) => types::SettingKind::Texts(default),
                    };
                    Self { name: spec.name, doc: spec.doc, kind }
                }
            }

            impl From<types::SettingValue> for Value {
                fn from(value: types::SettingValue) -> Self {
                    match value {
                        types::SettingValue::Flag(value) => Self::Flag(value),
                        types::SettingValue::Integer(value) => Self::Integer(value),
                        types::SettingValue::Text(value) => Self::Text(value),
                        types::SettingValue::Texts(value) => Self::Texts(value),
                    }
                }
            }
        };
    };
}

#[cfg(feature = "policy")]
worlds!(crate::bindings::policy::watchkeeper::policy::types);
#[cfg(feature = "notifier")]
worlds!(crate::bindings::notifier::watchkeeper::notifier::types);

#[cfg(test)]
mod tests {
    use super::*;

    choice! {
        /// A choice.
        enum Colour {
            /// Red.
            Red = "red",
            /// Blue.
            Blue = "blue",
        }
    }

    settings! {
        /// One of each.
        struct All {
            /// A flag,
            /// on two lines.
            some_flag: bool = true;
            /// A number.
            number: u8 = 3, 1..=9;
            /// A duration.
            duration: Duration = Duration::from_secs(30), Duration::from_secs(1)..=Duration::from_mins(1);
            /// A text.
            text: String = "hello";
            /// A colour.
            colour: Colour = Colour::Blue;
            /// Texts.
            texts: Vec<String> = &["a", "b"];
        }
    }

    #[test]
    fn a_schema_follows_from_the_fields() {
        let specs = All::specs();
        assert_eq!(specs[0].name, "some-flag");
        assert_eq!(specs[0].doc, "A flag, on two lines.");
        assert_eq!(specs[1].kind, Kind::Integer { default: 3, min: 1, max: 9 });
        assert_eq!(specs[2].kind, Kind::Duration { default: 30_000, min: 1_000, max: 60_000 });
        let options = vec!["red".to_owned(), "blue".to_owned()];
        assert_eq!(specs[4].kind, Kind::Choice { default: "blue".to_owned(), options });
    }

    #[test]
    fn values_are_read_in_the_order_of_the_schema() {
        let values = || All::specs().into_iter().map(|spec| spec.kind.default_value());
        let all = All::read(&mut values()).unwrap();
        assert!(all.some_flag);
        assert_eq!(all.number, 3);
        assert_eq!(all.duration, Duration::from_secs(30));
        assert_eq!(all.text, "hello");
        assert_eq!(all.colour, Colour::Blue);
        assert_eq!(all.texts, ["a", "b"]);
        assert!(All::read(&mut values().take(5)).is_none(), "one is missing");
        assert!(All::read(&mut values().chain([Value::Flag(true)])).is_none(), "one is too many");
        assert!(All::read(&mut values().skip(1).chain([Value::Flag(true)])).is_none());
    }

    #[test]
    fn a_value_outside_of_its_type_is_not_read() {
        assert_eq!(u8::read(Value::Integer(256)), None);
        assert_eq!(Duration::read(Value::Integer(-1)), None);
        assert_eq!(Colour::read(Value::Text("green".to_owned())), None);
    }
}
