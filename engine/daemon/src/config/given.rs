//! What a configuration file gives for a setting of a guest. The guest's own schema decides
//! later whether it is acceptable.

/// A given value. Stands in for the type of the same shape and name in the core's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
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
