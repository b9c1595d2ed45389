//! What two monitors send each other: a question, and the answer to it.
//!
//! Both are JSON, and both begin with the version of the protocol. It is looked at before anything
//! else, so that monitors of different versions can tell each other so. A field that is not known
//! is a mistake, except within the past, where a new field has a default (see
//! [`watchkeeper_core::past`]).

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use watchkeeper_core::duty::peer::{Answer, Ask, PROTOCOL, Report};
use watchkeeper_core::model::{ClusterName, MonitorName, Timestamp};

use super::super::sights::Told;
use crate::net;

/// Where questions go.
pub(super) const PATH: &str = "/v1/duty";

/// How long a question or an answer may be: a past may hold several memories of 256 KiB each, in
/// hexadecimal.
pub(super) const MAX_BODY: usize = 8 << 20;

/// Who says something, and what goes with everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sender {
    /// Who it is from.
    pub(super) from: MonitorName,
    /// Whom it is for.
    pub(super) to: MonitorName,
    /// The sender's clock.
    pub(super) now: Timestamp,
    /// Whether the sender is about to end: it accepts nothing any more.
    pub(super) stopping: bool,
    /// The clusters that the sender watches.
    pub(super) watches: BTreeSet<ClusterName>,
    /// Where the duty is, for each cluster that the sender watches or knows something of.
    pub(super) reports: Vec<Report>,
    /// What the sender sees of the servers of the clusters that it watches.
    pub(super) sights: Told,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The version of the protocol.
    pub(super) protocol: u32,
    /// Who asks.
    pub(super) sender: Sender,
    /// What.
    pub(super) ask: Ask,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// The version of the protocol.
    pub(super) protocol: u32,
    /// Who answers.
    pub(super) sender: Sender,
    /// What.
    pub(super) answer: Answer,
}

/// The answer to what is no question that could be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Complaint {
    /// The version of the protocol.
    pub(super) protocol: u32,
    /// Whether asking the same again may help.
    pub(super) passing: bool,
    /// What is wrong, for people.
    pub(super) why: String,
}

impl Complaint {
    /// Something that stays wrong until somebody changes it.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { protocol: PROTOCOL, passing: false, why: why.into() }
    }

    /// Something that may be over soon.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self { protocol: PROTOCOL, passing: true, why: why.into() }
    }
}

/// Why something that was received cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misread {
    /// It is of another version of the protocol.
    #[error(
        "it speaks version {0} of the protocol between monitors, and this one version {PROTOCOL}: \
         both have to run the same release of Watchkeeper"
    )]
    Version(u32),
    /// It is something else.
    #[error("what it says is not of the protocol between monitors ({0})")]
    Form(String),
}

/// Reads a message of this version.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Misread> {
    #[derive(Deserialize)]
    struct Version {
        protocol: u32,
    }
    // It may quote what came.
    let form = |error: serde_json::Error| Misread::Form(net::one_line(&error.to_string()));
    let version: Version = serde_json::from_slice(bytes).map_err(form)?;
    if version.protocol != PROTOCOL {
        return Err(Misread::Version(version.protocol));
    }
    serde_json::from_slice(bytes).map_err(form)
}

/// A question with the bytes that say it again, for [`crate::fuzzing`].
pub(crate) fn question(bytes: &[u8]) -> Result<(Vec<Report>, Ask, Vec<u8>), String> {
    let question: Question = read(bytes).map_err(|error| error.to_string())?;
    let again = serde_json::to_vec(&question).map_err(|error| error.to_string())?;
    Ok((question.sender.reports, question.ask, again))
}

/// An answer with the bytes that say it again, for [`crate::fuzzing`].
pub(crate) fn reply(bytes: &[u8]) -> Result<(Vec<Report>, Answer, Vec<u8>), String> {
    let reply: Reply = read(bytes).map_err(|error| error.to_string())?;
    let again = serde_json::to_vec(&reply).map_err(|error| error.to_string())?;
    Ok((reply.sender.reports, reply.answer, again))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use watchkeeper_core::duty::Tenure;
    use watchkeeper_core::state::State;

    use super::*;

    fn question() -> Question {
        let (vp1, vp2) = (MonitorName::new("vp1").unwrap(), MonitorName::new("vp2").unwrap());
        let cluster = ClusterName::new("prod").unwrap();
        let report = Report::of(&cluster, &Tenure::default());
        let sender = Sender {
            from: vp1,
            to: vp2,
            now: Timestamp(5),
            stopping: false,
            watches: [cluster.clone()].into(),
            reports: vec![report],
            sights: Told::new(),
        };
        let past = Box::new(State::default().past(&cluster));
        let ask = Ask::Offer { cluster, next: watchkeeper_core::model::Term(2), past };
        Question { protocol: PROTOCOL, sender, ask }
    }

    #[test]
    fn what_is_said_is_heard() {
        let bytes = serde_json::to_vec(&question()).unwrap();
        assert_eq!(read::<Question>(&bytes).unwrap(), question());
    }

    #[test]
    fn another_version_is_told_from_something_that_is_not_understood() {
        let changed = |change: fn(&mut Value)| {
            let mut value = serde_json::to_value(question()).unwrap();
            change(&mut value);
            read::<Question>(value.to_string().as_bytes()).unwrap_err()
        };
        let older = changed(|it| it["protocol"] = json!(0));
        assert_eq!(older, Misread::Version(0));
        // Whatever else it says by then.
        let newer = changed(|it| *it = json!({"protocol": 3, "asks": "something"}));
        assert_eq!(newer, Misread::Version(3));
        for unknown in [
            changed(|it| it["more"] = json!(1)),
            changed(|it| it["sender"]["more"] = json!(1)),
            changed(|it| it["ask"]["more"] = json!(1)),
            changed(|it| it["ask"]["ask"] = json!("dance")),
            changed(|it| it["sender"]["from"] = json!("")),
            changed(|it| *it = json!([])),
        ] {
            assert!(matches!(unknown, Misread::Form(_)), "{unknown:?}");
        }
        assert!(matches!(read::<Question>(b"\xff\x00{"), Err(Misread::Form(_))));
    }
}
