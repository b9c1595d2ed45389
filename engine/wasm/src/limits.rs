//! What a guest may use.
//!
//! Every limit ends in a named failure when it is reached; none is silent, except that log lines
//! over their limit are counted and dropped, because a line too many is no reason to lose a say.

use std::time::Duration;

/// The limits of one call, and of what may be loaded. The defaults leave a Rust policy a hundred
/// times what it needs, and are enough for policies in JavaScript and Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The size of a component's file in bytes. A Rust policy has 60 KB, a Python one 18 MB.
    pub component_bytes: u64,
    /// How long a call may take: an evaluation takes 20 microseconds in Rust, 2 ms in Python.
    pub call: Duration,
    /// How long `describe` may take. It is called once, when the component is loaded.
    pub describe: Duration,
    /// All linear memories of an instance together, in bytes.
    pub memory_bytes: usize,
    /// All tables of an instance together, in elements. Python's runtime has some 10,000.
    pub table_elements: usize,
    /// The stack of a call, in bytes. It has to fit the stack of the thread that calls.
    pub stack_bytes: usize,
    /// What a guest may hand over in one crossing of the border, in bytes as the host holds them:
    /// the arguments of a host call, or the result of the whole call.
    pub handed_bytes: usize,
    /// The size of a policy's or notifier's state, in bytes.
    pub state_bytes: usize,
    /// How many times a call may ask the host for something.
    pub host_calls: u32,
    /// How many log lines of a call are kept.
    pub log_lines: usize,
    /// How many bytes of a log line are kept.
    pub log_line_bytes: usize,
    /// How many proposals, holds, alerts or notes each an evaluation may have, and how many
    /// settings or options a description.
    pub items: usize,
    /// How many labels an alert may have.
    pub labels: usize,
    /// The size of a reason, a summary, a note or another text, in bytes.
    pub text_bytes: usize,
    /// The least time until a policy is looked at again although no fact has changed. What asks
    /// for less gets this, so that a policy cannot keep the monitor busy.
    pub look_again: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 64 << 20,
            call: Duration::from_millis(100),
            describe: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            stack_bytes: 512 << 10,
            handed_bytes: 1 << 20,
            state_bytes: 256 << 10,
            host_calls: 20_000,
            log_lines: 100,
            log_line_bytes: 1 << 10,
            items: 256,
            labels: 32,
            text_bytes: 4 << 10,
            look_again: Duration::from_millis(100),
        }
    }
}

/// The ticks of the epoch that a call may last: one a millisecond, rounded up, and one more,
/// because the first may come at once. Never less than two.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_a_single_tick() {
        for (micros, expected) in [(0, 2), (1, 2), (1_000, 2), (1_001, 3), (100_000, 101)] {
            assert_eq!(ticks(Duration::from_micros(micros)), expected, "{micros}");
        }
    }
}
