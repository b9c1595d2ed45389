//! Guests that mean harm, by the dozen: each is contained and named, and the host goes on. The table
//! of them in docs/hostile-guests.md is written from here (`UPDATE_DOCS=1`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod core;
mod kinds;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{evaluate, snapshot};
use kinds::{At, Expected, Kind};
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::Failure;
use watchkeeper_wasm::notifier::{self, CommandResponse, Response};
use watchkeeper_wasm::{Host, HostConfig, Limits, Notifier, Policy};

use crate::core::Core;

/// One host for all of them, so that what one does could harm the others.
fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        // On a busy machine the other limits are to be reached before the time.
        let time = Duration::from_millis(500);
        let limits = Limits { call: time, describe: time, ..Limits::default() };
        Host::new(HostConfig { limits, ..HostConfig::default() }).unwrap()
    })
}

fn good() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| host().load_policy(&Core::default().policy()).unwrap())
}

fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What a loaded guest is.
enum Loaded {
    Policy(Policy),
    Notifier(Notifier),
}

fn load(kind: &Kind) -> Result<Loaded, String> {
    let loaded = if kind.notifier {
        host().load_notifier(&kind.bytes).map(Loaded::Notifier)
    } else {
        host().load_policy(&kind.bytes).map(Loaded::Policy)
    };
    loaded.map_err(|error| told(&error))
}

/// The failure of a call; none if it came to an answer.
fn call(loaded: &Loaded, at: At) -> Option<Failure> {
    let text = String::new;
    let now = Timestamp(1);
    match (loaded, at) {
        (Loaded::Policy(policy), At::Evaluate) => evaluate(policy, "x", 7).outcome.err(),
        (Loaded::Policy(policy), At::Migrate) => policy.migrate("0.1.0", b"old").outcome.err(),
        (Loaded::Notifier(notifier), At::Start) => {
            let alert = notifier::Alert {
                fingerprint: text(),
                status: notifier::AlertStatus::Firing,
                news: true,
                name: "service-down".to_owned(),
                severity: notifier::Severity::Critical,
                cluster: text(),
                server: text(),
                service: text(),
                code: text(),
                summary: text(),
                details: text(),
                source: text(),
                labels: Vec::new(),
                starts_at: 1,
                ends_at: None,
                acknowledged_by: text(),
            };
            let notification = notifier::Notification {
                idempotency_key: text(),
                group_key: text(),
                group_labels: Vec::new(),
                cause: notifier::Cause::First,
                status: notifier::AlertStatus::Firing,
                alerts: vec![alert],
                more: 0,
                memory: Vec::new(),
                queued_at: 1,
                monitor: text(),
            };
            notifier.start(&notification, &[], now).outcome.err()
        }
        (Loaded::Notifier(notifier), At::Resume) => {
            let response = Response::Command(CommandResponse { exit: None, output: Vec::new() });
            notifier.resume(b"state", &response, &[], now).outcome.err()
        }
        _ => panic!("it has no such function"),
    }
}

/// What is wrong with what came of a guest.
fn judge(kind: &Kind) -> Result<(), String> {
    let has = |words: &str, text: &str| words.split('|').any(|words| text.contains(words));
    match (kind.expected, load(kind)) {
        (Expected::Refused(words), Err(error)) if has(words, &error) => Ok(()),
        (_, Err(error)) => Err(format!("refused: {error}")),
        (Expected::Refused(_), Ok(_)) => Err("it was loaded".to_owned()),
        (Expected::Fails(at, wanted, words), Ok(loaded)) => match call(&loaded, at) {
            Some(failure) if failure.kind == wanted && has(words, &failure.detail) => Ok(()),
            other => Err(format!("{other:?}")),
        },
        (Expected::Gains(state), Ok(Loaded::Policy(first))) => {
            let Ok(Loaded::Policy(second)) = load(kind) else {
                return Err("not loaded again".to_owned());
            };
            if first.description() != second.description() {
                return Err("it describes itself otherwise".to_owned());
            }
            for policy in [&first, &second, &first] {
                let evaluated = evaluate(policy, "x", 7);
                let answer = evaluated.outcome.map_err(|failure| failure.to_string())?;
                if answer.state != state || evaluated.log.len() > Limits::default().log_lines {
                    return Err(format!("{:?}, {} lines", answer.state, evaluated.log.len()));
                }
            }
            Ok(())
        }
        (Expected::Gains(_), Ok(Loaded::Notifier(_))) => Err("no such kind".to_owned()),
    }
}

#[test]
fn each_kind_is_contained_and_the_host_goes_on() {
    let kinds = kinds::all();
    let names: BTreeSet<_> = kinds.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), kinds.len(), "each has a name of its own");
    assert!(kinds.len() >= 40, "{}", kinds.len());
    let mut wrong = Vec::new();
    for kind in &kinds {
        if let Err(problem) = judge(kind) {
            wrong.push(format!("{}: expected {:?}, got {problem}", kind.name, kind.expected));
        }
        let next = evaluate(good(), "x", 7).outcome;
        assert!(next.is_ok(), "after {}: {next:?}", kind.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A sequence that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn mutated(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        let to = (at + dice.below(32)).min(bytes.len());
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.splice(at..at, bytes[at..to].to_vec()).for_each(drop),
            _ => bytes.truncate(at.max(9)),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

#[test]
fn mutated_binaries_are_refused_or_run_under_all_limits() {
    let sound = Core::default().policy();
    let (mut refused, mut ran) = (0, 0);
    for seed in 1..=600 {
        let bytes = mutated(&sound, &mut Dice(seed * 0x9e37_79b9));
        match host().load_policy(&bytes) {
            Err(error) => {
                assert!(!told(&error).is_empty(), "seed {seed}");
                refused += 1;
            }
            Ok(policy) => {
                // An answer or a failure with a name; both are well.
                drop(evaluate(&policy, "x", 7));
                ran += 1;
            }
        }
        if seed % 50 == 0 {
            assert!(evaluate(good(), "x", 7).outcome.is_ok(), "after seed {seed}");
        }
    }
    eprintln!("{refused} refused, {ran} ran");
    assert!(refused > 100 && ran > 10, "{refused} refused, {ran} ran: the mutations are of no use");
}

/// Prints how long a good policy takes while two threads call hostile ones all the time:
/// `--nocapture` shows it; docs/benchmarks.md has the figures of a run.
#[test]
fn a_good_policy_answers_while_hostile_ones_run() {
    let measure = |until: &dyn Fn() -> bool| {
        let mut took = Vec::new();
        let snapshot = snapshot(7);
        while took.len() < 5_000 || !until() {
            let began = Instant::now();
            let outcome = good().evaluate(&snapshot, &[], b"state").outcome;
            took.push(began.elapsed());
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        took.sort_unstable();
        (took[took.len() / 2], took[took.len() * 99 / 100], took.len())
    };
    let alone = measure(&|| true);
    let hostile: Vec<(Loaded, At)> = kinds::all()
        .iter()
        .filter_map(|kind| match kind.expected {
            Expected::Fails(at, ..) => Some((load(kind).ok()?, at)),
            _ => None,
        })
        .collect();
    let ended = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for (loaded, at) in &hostile {
                        assert!(call(loaded, *at).is_some());
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let results: Vec<_> =
                callers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            // Before anything else: else the measurement would go on for ever.
            ended.store(true, Ordering::SeqCst);
            assert!(results.iter().all(Result::is_ok));
        });
        measure(&|| ended.load(Ordering::SeqCst))
    });
    eprintln!("(median, p99, evaluations) alone {alone:?}, beside hostile ones {beside:?}");
}

const BEGIN: &str = "<!-- kinds: written by engine/wasm/tests/hostile, UPDATE_DOCS=1 -->\n";
const END: &str = "<!-- end of kinds -->\n";

#[test]
fn the_page_has_each_kind() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hostile-guests.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the table begins");
    let (table, tail) = rest.split_once(END).expect("the table ends");
    let mut rows = "\n| kind | what it tries | what comes of it |\n|---|---|---|\n".to_owned();
    for Kind { name, why, expected, .. } in kinds::all() {
        let comes = match expected {
            Expected::Refused(_) => "not loaded".to_owned(),
            Expected::Fails(at, kind, _) => {
                format!("`{}` fails: {kind}", format!("{at:?}").to_lowercase())
            }
            Expected::Gains(_) => "it gains nothing".to_owned(),
        };
        rows.extend(["| ", name, " | ", why, " | ", &comes, " |\n"]);
    }
    rows.push('\n');
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{head}{BEGIN}{rows}{END}{tail}")).unwrap();
    } else {
        assert!(table == rows, "docs/hostile-guests.md is not up to date: UPDATE_DOCS=1");
    }
}
