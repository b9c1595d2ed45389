//! What the exit codes mean, in one place.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or the answer is yes.
    Ok = 0,
    /// Failed, or the answer is no.
    Failed = 1,
    /// The command line is wrong (clap's own code for it).
    Usage = 2,
    /// The daemon cannot be reached over its socket.
    NoDaemon = 3,
    /// A guard refused; `--override` may lift it, where it may be lifted.
    Held = 4,
    /// It was begun and needs an operator to go on.
    NeedsOperator = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
