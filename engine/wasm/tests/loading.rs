//! What is refused when it is loaded, and the cache of compiled code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{evaluate, host, hostile};
use watchkeeper_core::proposal::FailureKind;
use watchkeeper_guests::{guest_bytes, patched};
use watchkeeper_wasm::host::CacheError;
use watchkeeper_wasm::{Host, HostConfig, HostError, Limits, LoadError};

fn refused(bytes: &[u8]) -> LoadError {
    let error = host().load_policy(bytes).expect_err("should not have been loaded");
    assert!(host().load_policy(hostile()).is_ok(), "the next one loads all the same");
    error
}

#[test]
fn files_that_are_no_components() {
    assert!(matches!(refused(b""), LoadError::Empty));
    assert!(matches!(refused(b"not wasm at all"), LoadError::NotWasm { .. }));
    assert!(matches!(refused(&wat::parse_str("(module)").unwrap()), LoadError::CoreModule));
    let component = hostile();
    for length in [5, 100, component.len() / 2, component.len() - 1] {
        let error = refused(&component[..length]);
        assert!(matches!(error, LoadError::Truncated { have } if have == length), "{error}");
    }
    let mut damaged = component.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle - 2_000..middle].fill(0xff);
    assert!(matches!(refused(&damaged), LoadError::Invalid { .. }));
}

#[test]
fn a_file_over_the_limit() {
    let limits = Limits { component_bytes: 1_000, ..Limits::default() };
    let host = Host::new(HostConfig { limits, ..HostConfig::default() }).unwrap();
    assert!(matches!(
        host.load_policy(hostile()),
        Err(LoadError::TooLarge { limit: 1_000, size }) if size == hostile().len() as u64
    ));
}

#[test]
fn components_of_another_world_or_version() {
    let notifier = guest_bytes("guest-notifier");
    let error = refused(&notifier);
    assert!(
        matches!(&error, LoadError::OtherWorld { found, .. } if found == "a notifier"),
        "{error}"
    );
    let error = host().load_notifier(hostile()).unwrap_err();
    assert!(
        matches!(&error, LoadError::OtherWorld { found, .. } if found == "a policy"),
        "{error}"
    );

    let newer = patched(hostile(), "facts@0.1.0", "facts@0.7.0");
    let error = refused(&newer);
    assert!(
        matches!(&error, LoadError::OtherVersion { found, supported }
            if found.ends_with("@0.7.0") && supported == "watchkeeper:policy@0.1.0"),
        "{error}"
    );
    // A later patch of the same version is the same contract.
    let patch = patched(hostile(), "facts@0.1.0", "facts@0.1.9");
    assert!(host().load_policy(&patch).is_ok());

    let empty = wat::parse_str("(component)").unwrap();
    assert!(
        matches!(refused(&empty), LoadError::MissingExports { missing, .. } if missing.len() == 3)
    );
    let types = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "describe" (func $f))
            (export "evaluate" (func $f))
            (export "migrate" (func $f)))"#,
    )
    .unwrap();
    let error = refused(&types);
    assert!(matches!(error, LoadError::WrongTypes { .. }), "{error}");
}

#[test]
fn files_and_network_are_refused_by_name() {
    match refused(&guest_bytes("guest-reaching")) {
        LoadError::NotGranted { imports } => {
            assert!(
                imports.iter().any(|import| import.starts_with("wasi:filesystem/")),
                "{imports:?}"
            );
            assert!(
                imports.iter().any(|import| import.starts_with("wasi:sockets/tcp")),
                "{imports:?}"
            );
            assert!(imports.iter().all(|import| !import.starts_with("wasi:cli/")), "{imports:?}");
        }
        other => panic!("{other}"),
    }
}

fn describing(how: &str) -> LoadError {
    let to = format!("{:<24}", format!("hostile-describe:{how}"));
    refused(&patched(hostile(), "hostile-describe:normal ", &to))
}

#[test]
fn a_description_that_does_not_come_or_makes_no_sense() {
    assert!(
        matches!(describing("loop"), LoadError::Describe(failure) if failure.kind == FailureKind::Deadline)
    );
    match describing("panic") {
        LoadError::Describe(failure) => {
            assert_eq!(failure.kind, FailureKind::Trap);
            assert!(failure.detail.contains("I do not know who I am"), "{failure}");
        }
        other => panic!("{other}"),
    }
    assert!(
        matches!(describing("name"), LoadError::Description(problem) if problem.contains("Not A Name"))
    );
    assert!(matches!(describing("schema"), LoadError::Schema(problems) if problems.len() == 1));
}

fn cached(dir: &Path) -> Result<Host, HostError> {
    Host::new(HostConfig { cache_dir: Some(dir.to_owned()), ..HostConfig::default() })
}

fn only_file(dir: &Path) -> PathBuf {
    let files: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn compiled_code_is_kept_and_a_damaged_file_is_compiled_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cache");
    let host = cached(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let digest = host.load_policy(hostile()).unwrap().revision().digest.clone();
    let file = only_file(&dir);
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with(&digest));
    let sound = fs::read(&file).unwrap();

    // Another file's content under this name is used: so this name is what is looked up.
    let check = |content: &[u8], what: &str| {
        fs::write(&file, content).unwrap();
        let policy = cached(&dir).unwrap().load_policy(hostile()).expect(what);
        assert!(evaluate(&policy, "nothing", 1).outcome.is_ok(), "{what}");
        only_file(&dir);
        assert!(fs::read(&file).unwrap().starts_with(b"watchkeeper-aot1"), "{what}");
        fs::read(&file).unwrap().len()
    };
    assert_eq!(check(&sound, "sound"), sound.len());
    assert_eq!(check(&sound[..sound.len() / 2], "cut"), sound.len());
    assert_eq!(check(b"", "empty"), sound.len());
    let mut flipped = sound.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    check(&flipped, "flipped");
    assert_ne!(fs::read(&file).unwrap(), flipped, "it was replaced");
    fs::write(&file, &sound).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    cached(&dir).unwrap().load_policy(hostile()).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "a file that others could have written was replaced");
}

#[test]
fn compiled_code_is_loaded_from_the_cache() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cache");
    cached(&dir).unwrap().load_policy(hostile()).unwrap();
    let one = only_file(&dir);
    let notifier = guest_bytes("guest-notifier");
    cached(&dir).unwrap().load_notifier(&notifier).unwrap();
    let other =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).find(|path| *path != one);
    // Exchanged on purpose: if the cache is used at all, a notifier comes out under the policy's
    // name, which nobody but this user could have arranged.
    fs::copy(other.unwrap(), &one).unwrap();
    assert!(matches!(
        cached(&dir).unwrap().load_policy(hostile()),
        Err(LoadError::OtherWorld { .. })
    ));
}

#[test]
fn a_folder_that_others_may_enter_is_not_used() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cache");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        cached(&dir),
        Err(HostError::Cache(CacheError::OpenToOthers { mode: 0o755, .. }))
    ));
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(cached(&file), Err(HostError::Cache(CacheError::NotAFolder { .. }))));
}
