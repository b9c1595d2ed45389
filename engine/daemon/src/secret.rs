//! A password, token or other text that must never be shown.
//!
//! Invariant: the only way to the text is [`Secret::expose`]; formatting it in any way, also as a
//! field of something else, prints `<secret>`. It does not implement `Serialize`, so it cannot
//! reach the journal or an answer by accident.

use std::fmt;
use std::sync::Arc;

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Hand it to a protocol, never to a message, a log or a guest.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_itself_only_on_demand() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:#?}", Some(&secret)).matches("hunter2").count(),
            0
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    /// Whether a type can be serialised, found out while this is compiled.
    struct Form<T>(std::marker::PhantomData<T>);

    trait Otherwise {
        fn can_be_serialised(&self) -> bool {
            false
        }
    }

    impl<T> Otherwise for &Form<T> {}

    impl<T: serde::Serialize> Form<T> {
        #[expect(clippy::unused_self, reason = "it is found by its type")]
        fn can_be_serialised(&self) -> bool {
            true
        }
    }

    #[test]
    fn it_cannot_be_written_anywhere_by_serialising_it() {
        assert!(Form::<String>(std::marker::PhantomData).can_be_serialised());
        assert!(!(&Form::<Secret>(std::marker::PhantomData)).can_be_serialised());
    }
}
