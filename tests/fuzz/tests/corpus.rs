//! Every way in takes its seeds, what was once found, and changes of these.
//!
//! The changes are the same in each run. A failure names the file that shows it: `target/fuzz-NAME`; put it into
//! the folder of seeds when the mistake is corrected.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use watchkeeper_fuzz::{TARGETS, Target};

/// Longer inputs show nothing that shorter ones do not.
const LONGEST: usize = 32 * 1024;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Numbers as good as random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (end.max(1) as u64)).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// What breaks things.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\x1b[2J",
    b"\xc2\x9b",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"=",
    b"-1",
    b"0",
    b"18446744073709551615",
    b"9223372036854775808",
    b"1e999",
    b"null",
    "\u{202e}".as_bytes(),
    b"\xed\xa0\x80",
    b"../",
    b"%",
    b" ",
];

fn change(dice: &mut Dice, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let from = dice.below(data.len() + 1);
        let to = (from + dice.below(16)).min(data.len());
        match dice.below(7) {
            0 => drop(data.splice(from..from, dice.one(&PIECES).iter().copied())),
            1 => drop(data.splice(from..to, dice.one(&PIECES).iter().copied())),
            2 => drop(data.splice(from..to, [])),
            3 => {
                let copy = data[from..to].to_vec();
                let at = dice.below(data.len() + 1);
                drop(data.splice(at..at, copy));
            }
            4 => data.truncate(from),
            5 => {
                let start = dice.below(other.len() + 1);
                let end = (start + dice.below(64)).min(other.len());
                drop(data.splice(from..to, other[start..end].iter().copied()));
            }
            _ => {
                if let Some(byte) = data.get_mut(from) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    data.truncate(LONGEST);
    data
}

fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("seeds").join(target.name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

fn try_all(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = seeds(target);
    assert!(seeds.len() >= 2, "{name} has no seeds");
    for (file, seed) in &seeds {
        attempt(target, seed, &file.display().to_string());
    }
    let mut dice = Dice(1);
    for number in 0..target.changes {
        let seed = &seeds[dice.below(seeds.len())].1;
        let other = &seeds[dice.below(seeds.len())].1;
        let changed = change(&mut dice, seed, other);
        attempt(target, &changed, &format!("change {number}"));
    }
}

fn attempt(target: &Target, data: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(data))) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        std::fs::write(&file, data).unwrap();
        eprintln!("{what} breaks {}; it is in {}", target.name, file.display());
        resume_unwind(panic);
    }
}

macro_rules! each {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            try_all($name);
        })*

        const TRIED: &[&str] = &[$($name),*];
    };
}

each! {
    a_configuration_is_accepted_or_each_mistake_has_its_place: "config",
    an_imported_configuration_can_be_read: "properties",
    a_changed_journal_is_refused_or_reads_as_it_was_written: "journal",
    events_read_back_as_themselves: "records",
    what_is_no_guest_is_refused_with_a_reason: "wasm",
    every_request_is_answered_or_hung_up_on: "api",
    whatever_the_other_monitor_says_fits_what_is_known: "peer",
    what_etcd_says_is_told_plainly: "etcd",
    a_key_that_is_not_in_the_file_is_never_known: "known_hosts",
    what_servers_answer_is_told_plainly_and_briefly: "answers",
    a_command_counts_as_run_only_if_the_server_says_so: "mark",
    only_a_greeting_is_a_greeting: "openwire",
    only_a_certificate_has_an_end: "certificate",
    no_secret_comes_back: "secrets",
}

/// What no seed is long enough for.
#[test]
fn a_request_of_any_size_is_answered_or_hung_up_on() {
    let head = "POST /v1/alerts/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let body = "x".repeat(3 << 20);
    let large = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let deep = "[".repeat(1 << 20);
    let deep = format!("{head}content-length: {}\r\n\r\n{deep}", deep.len());
    let long = format!("GET /v1/{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    let many = "x-y: z\r\n".repeat(10_000);
    for request in [large, deep, long, format!("{head}{many}\r\n")] {
        watchkeeper_fuzz::api(request.as_bytes());
    }
    // And it answers all the same.
    watchkeeper_fuzz::api(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
}

/// Each target has its program, its seeds and its test.
#[test]
fn no_way_in_is_forgotten() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    assert_eq!(TRIED.iter().copied().collect::<BTreeSet<_>>(), names);
    let listed = |folder_name: &str| -> BTreeSet<String> {
        std::fs::read_dir(folder().join(folder_name))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(listed("seeds"), names);
    assert_eq!(listed("fuzz_targets"), names);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no [[bin]]");
    }
}
