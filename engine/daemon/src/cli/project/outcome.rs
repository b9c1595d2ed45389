//! How the examples of a project went, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use watchkeeper_cases::{Came, CaseError};
use watchkeeper_wasm::LogLine;

/// How one went.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Played {
    pub(in crate::cli) name: String,
    #[serde(flatten)]
    pub(in crate::cli) result: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub(in crate::cli) enum Outcome {
    AsExpected,
    Updated,
    /// Something else came.
    Different {
        difference: String,
    },
    /// It could not be played to its end.
    Broken {
        problem: String,
    },
}

impl Outcome {
    pub(in crate::cli) const fn failed(&self) -> bool {
        matches!(self, Self::Different { .. } | Self::Broken { .. })
    }
}

impl From<Result<Came, CaseError>> for Outcome {
    fn from(came: Result<Came, CaseError>) -> Self {
        match came {
            Ok(Came::AsExpected) => Self::AsExpected,
            Ok(Came::Updated) => Self::Updated,
            Ok(Came::Otherwise(difference)) => Self::Different { difference },
            Err(error) => Self::Broken { problem: crate::errors::chain(&error) },
        }
    }
}

/// How many did not go as expected.
pub(in crate::cli) fn failed(all: &[Played]) -> usize {
    all.iter().filter(|played| played.result.failed()).count()
}

/// One for people, with what the guest logged in it.
pub(in crate::cli) fn told(played: &Played, log: &[LogLine]) -> String {
    let name = &played.name;
    let mut out = match &played.result {
        Outcome::AsExpected => format!("ok         {name}\n"),
        Outcome::Updated => format!("updated    {name}\n"),
        Outcome::Different { difference } => format!("DIFFERENT  {name}\n{}", indented(difference)),
        Outcome::Broken { problem } => format!("BROKEN     {name}\n{}", indented(problem)),
    };
    for line in log {
        let level = format!("{:?}", line.level).to_lowercase();
        let _ = writeln!(out, "    {level}: {}", line.text);
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {line}");
        out
    })
}
