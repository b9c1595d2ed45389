//! Exit codes, for scripts.

use std::process::{ExitCode, Termination};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked, or the answer is yes.
    Ok,
    /// It did not, or the answer is no.
    Failed,
    /// No daemon answers.
    Unreachable,
    /// A guard holds what was asked; nothing was done.
    Held,
}

/// What `--help` says of them. 2 is what the argument parser gives.
pub const HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no daemon answers, \
                        4 held by a guard.";

impl Exit {
    /// The code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Unreachable => 3,
            Self::Held => 4,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
