//! What reads bytes from outside, a function for each way in.
//!
//! Each takes bytes as the other side might send them, and panics when a rule is broken: beside not to
//! panic by itself, what is read back is what was written, what is made of an answer is bounded and
//! has no control characters, a damaged journal is never taken for another one, and no secret shows.
//!
//! The same functions run twice. `tests/corpus.rs` runs each on its seeds, on what was once found,
//! and on a few thousand changes of these: with stable Rust, in CI. A fuzzer goes on from there:
//!
//! ```text
//! RUSTUP_TOOLCHAIN=nightly cargo fuzz run --fuzz-dir tests/fuzz -s none config tests/fuzz/corpus/config tests/fuzz/seeds/config
//! ```
//!
//! What it finds becomes a file in `seeds/NAME`, so that it is tried for ever.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a broken rule is told by a panic"
)]

mod api;
mod config;
mod guests;
mod journal;
mod monitors;
mod secrets;
mod servers;

pub use api::api;
pub use config::{config, properties};
pub use guests::wasm;
pub use journal::{journal, records};
pub use monitors::{etcd, peer};
pub use secrets::secrets;
pub use servers::{answers, certificate, known_hosts, mark, openwire};

/// A way in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its program and of its folder of seeds.
    pub name: &'static str,
    /// Takes bytes in.
    pub run: fn(&[u8]),
    /// How many changes of its seeds the tests try. Those that compile or write files try fewer.
    pub changes: u32,
}

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target { name: "config", run: config, changes: 2_000 },
    Target { name: "properties", run: properties, changes: 4_000 },
    Target { name: "journal", run: journal, changes: 400 },
    Target { name: "records", run: records, changes: 4_000 },
    Target { name: "wasm", run: wasm, changes: 400 },
    Target { name: "api", run: api, changes: 1_000 },
    Target { name: "peer", run: peer, changes: 4_000 },
    Target { name: "etcd", run: etcd, changes: 4_000 },
    Target { name: "known_hosts", run: known_hosts, changes: 4_000 },
    Target { name: "answers", run: answers, changes: 4_000 },
    Target { name: "mark", run: mark, changes: 4_000 },
    Target { name: "openwire", run: openwire, changes: 4_000 },
    Target { name: "certificate", run: certificate, changes: 4_000 },
    Target { name: "secrets", run: secrets, changes: 4_000 },
];

/// What a person reads has no character that acts on a terminal, and an end.
fn assert_plain(text: &str, most: usize) {
    let acts =
        |c: &char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = text.chars().find(acts);
    assert!(bad.is_none(), "a control character {bad:?} gets through: {text:?}");
    assert!(text.len() <= most, "{} bytes, at most {most} are allowed", text.len());
}

/// The program of a target: a fuzzer's, or one that takes in the files that it is given.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os()
                .skip(1)
                .try_for_each(|file| std::fs::read(file).map(|data| $crate::$target(&data)))
        }
    };
}
