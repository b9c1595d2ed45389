//! What notifiers say in the same words: an alert's facts, a whole notification as plain text, and
//! texts that fit.

use core::fmt::Write as _;

use super::{Alert, AlertStatus, Cause, Notification};
use crate::time::{human, rfc3339};

/// What stands at the end of a text that was cut.
const MARK: &str = " ...";

/// The text, with at most `most` characters, its mark of a cut counted; never cut within a
/// character. `most` has to leave room for the mark.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let keep = most.saturating_sub(MARK.len());
    let kept: String = text.chars().take(keep).collect();
    format!("{}{MARK}", kept.trim_end())
}

/// The text as one line: what would end or disturb a line becomes a space.
pub fn flat(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Alert {
    /// What it is about: the cluster, the server and the service, as far as there are any.
    pub fn place(&self) -> String {
        let parts = [&self.cluster, &self.server, &self.service];
        let parts: Vec<&str> =
            parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(" / ")
    }

    /// How long it has lasted, as people read it.
    pub fn span(&self) -> String {
        let since = rfc3339(self.starts_at);
        match self.ends_at {
            None => since,
            Some(ends_at) => format!(
                "{since} until {} ({})",
                rfc3339(ends_at),
                human(ends_at.saturating_sub(self.starts_at))
            ),
        }
    }

    /// What there is to know beside the summary and the details, each with a name of its own.
    pub fn facts(&self) -> Vec<(String, String)> {
        let own = [
            ("alert", self.name.clone()),
            ("status", self.status.name().to_owned()),
            ("severity", self.severity.name().to_owned()),
            ("code", self.code.clone()),
            ("on", self.place()),
            ("since", self.span()),
            ("acknowledged by", self.acknowledged_by.clone()),
            ("source", self.source.clone()),
        ];
        let taken = |name: &str| {
            matches!(name, "summary" | "details") || own.iter().any(|(own, _)| *own == name)
        };
        let labels = self.labels.iter().map(|(name, value)| {
            let name = if taken(name) { format!("label {name}") } else { name.clone() };
            (name, value.clone())
        });
        let own_facts = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        own_facts.chain(labels).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Its summary, facts and details as plain text.
    pub fn text(&self) -> String {
        let mut text = self.summary.clone();
        for (name, value) in self.facts() {
            let _ = write!(text, "\n{name}: {value}");
        }
        if !self.details.is_empty() {
            let _ = write!(text, "\n{}", self.details);
        }
        text
    }
}

impl Notification {
    /// Why it is told, for people.
    pub const fn occasion(&self) -> &'static str {
        match (self.cause, self.status) {
            (_, AlertStatus::Resolved) => "it is over",
            (Cause::First, _) => "it has begun",
            (Cause::News | Cause::Over, _) => "something in it has changed",
            (Cause::Repeat, _) => "it is still so",
            (Cause::Escalated, _) => "another receiver could not be told",
        }
    }

    /// Whether something fires, and somebody takes care of all that does.
    pub fn acknowledged(&self) -> bool {
        self.more == 0
            && self.firing().next().is_some()
            && self.firing().all(|alert| !alert.acknowledged_by.is_empty())
    }

    /// The whole as plain text: the headline, why it is told, and each alert.
    pub fn text(&self) -> String {
        let mut text = format!("{}\nTold because {}.", self.headline(), self.occasion());
        for alert in &self.alerts {
            let _ = write!(text, "\n\n{}", alert.text());
        }
        if self.more > 0 {
            let _ = write!(text, "\n\nFurther alerts that fire in this group: {}.", self.more);
        }
        let _ = write!(text, "\n\nWatchkeeper on {}", self.monitor);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(cut("äöüßäöüß", 7), "äöü ...");
        assert_eq!(cut("äö üßäöüß", 7), "äö ...");
        assert_eq!(cut(&"😀".repeat(200), 130).chars().count(), 130);
    }

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(flat("a\nb\u{1b}[c\u{85}"), "a b [c ");
    }
}
