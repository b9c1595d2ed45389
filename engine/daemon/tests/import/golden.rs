//! What `watchkeeper import` makes of files: a folder for each in `tests/import/cases`, with the
//! file, what is said of it, and the configuration if there is one. `UPDATE_GOLDEN=1` rewrites
//! both.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Folder;

impl Folder {
    /// Runs `watchkeeper import` here.
    fn import(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchkeeper"));
        command.arg("import").args(arguments).current_dir(&self.0).output().unwrap()
    }
}

fn cases() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/cases");
    let mut cases: Vec<_> = fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    cases
}

/// A folder of a test's own, with a case's file in it.
fn folder(test: &str, case: &Path) -> Folder {
    let folder = Folder::new(&format!("import-{test}-{}", case.file_name().unwrap().display()));
    fs::copy(case.join("failover.properties"), folder.0.join("failover.properties")).unwrap();
    folder
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Compares with a file of the case, or rewrites it.
fn compare(file: &Path, now: Option<&str>, wrong: &mut Vec<String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        match now {
            Some(now) => fs::write(file, now).unwrap(),
            None => drop(fs::remove_file(file)),
        }
    } else if fs::read_to_string(file).ok().as_deref() != now {
        wrong.push(format!("== {}\n{}", file.display(), now.unwrap_or("is there no more")));
    }
}

#[test]
fn files_become_these_configurations() {
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_str().unwrap();
        let folder = folder("become", &case);
        let output = folder.import(&["--dir", ".", "failover.properties"]);
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
        let (said, made) = (text(output.stdout), fs::read_to_string(folder.file()).ok());
        assert_eq!(output.status.code(), Some(i32::from(made.is_none())), "{name}: {said}");
        assert_eq!(made.is_none(), said.contains("nothing was written"), "{name}: {said}");
        if made.is_some() {
            let accepted = ("0 errors, 0 warnings\n".to_owned(), true);
            assert_eq!(folder.check(), accepted, "{name}");
        }
        for shown in [Some(&said), made.as_ref()].into_iter().flatten() {
            assert!(!shown.contains("S3CRET"), "{name} shows a secret:\n{shown}");
            assert!(shown.lines().all(|line| line.len() < 400), "{name}: a line without end");
        }
        compare(&case.join("expected.txt"), Some(&said), &mut wrong);
        compare(&case.join("expected.toml"), made.as_deref(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `--stdout` and `--json` say the same as the file that would be written.
#[test]
fn what_is_printed_is_what_is_written() {
    for case in cases() {
        let name = case.file_name().unwrap().to_str().unwrap();
        let wanted = fs::read_to_string(case.join("expected.txt")).unwrap();
        let made = fs::read_to_string(case.join("expected.toml")).ok();
        let code = Some(i32::from(made.is_none()));
        let folder = folder("printed", &case);

        let printed = folder.import(&["--stdout", "failover.properties"]);
        assert_eq!(printed.status.code(), code, "{name}");
        assert_eq!(text(printed.stdout), made.clone().unwrap_or_default(), "{name}");
        assert!(wanted.starts_with(&text(printed.stderr)), "{name}");

        let output = folder.import(&["--json", "--dir", "-", "failover.properties"]);
        assert_eq!(output.status.code(), code, "{name}");
        assert!(!text(output.stdout.clone()).contains("S3CRET"), "{name}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["configuration"].as_str(), made.as_deref(), "{name}");
        assert_eq!(json["written"], Value::Null, "{name}");
        let errors = json["problems"].as_array().unwrap();
        let errors = errors.iter().filter(|it| it["level"] == "error").count();
        assert_eq!(errors > 0, made.is_none(), "{name}");
        for key in json["keys"].as_array().unwrap() {
            assert!(["understood", "guessed", "left"].iter().any(|it| key["outcome"] == *it));
            if let Some(shown) = key["key"].as_str() {
                assert!(wanted.contains(shown), "{name}: {shown}");
            }
        }
        assert!(!folder.file().exists(), "{name}");
    }
}

/// A guess can be found in the configuration, by the line that it was made from.
#[test]
fn guesses_are_marked() {
    let case = cases().into_iter().find(|case| case.ends_with("release-16.20")).unwrap();
    let output = folder("guesses", &case).import(&["--stdout", "failover.properties"]);
    let made = text(output.stdout);
    let marked = |start: &str| {
        let line = made.lines().find(|line| line.starts_with(start)).unwrap();
        line.split_once("# ").map(|(_, remark)| remark.to_owned())
    };
    let from = |line| Some(format!("CHANGE if wrong: guessed from line {line}"));
    assert_eq!(marked("address = \"192.0.2.11\""), from(2));
    assert_eq!(marked("address = \"192.0.2.12\""), from(3));
    assert_eq!(marked("address = \"192.0.2.13\""), None, "this one is named in so many words");
    assert!(marked("name = \"vp1\"").unwrap().ends_with(&from(8).unwrap()), "{made}");
}

/// Whether a text names a certificate or a key.
fn is_file(text: &str) -> bool {
    let extension = Path::new(text).extension();
    extension.is_some_and(|extension| extension == "pem" || extension == "key")
}

/// What stands there as remarks for two monitors is accepted too.
#[test]
fn the_remarks_on_the_duty_are_a_configuration() {
    let mut tried = 0;
    for case in cases() {
        let folder = folder("duty", &case);
        folder.import(&["--dir", ".", "failover.properties"]);
        let made = fs::read_to_string(folder.file()).unwrap_or_default();
        let Some((before, rest)) = made.split_once("# [duty.peer]\n") else { continue };
        let (remarks, after) = rest.split_once("\n\n").unwrap();
        let remarks = remarks.replace("\n# ", "\n");
        let remarks = remarks.strip_prefix("# ").unwrap();
        folder.write("watchkeeper.toml", &format!("{before}[duty.peer]\n{remarks}\n\n{after}"));
        for file in remarks.split('"').filter(|it| is_file(it)) {
            folder.private(file, "x");
        }
        assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true), "{made}");
        tried += 1;
    }
    assert!(tried >= 5, "only {tried}");
}

#[test]
fn a_configuration_that_is_there_stays() {
    let case = cases().into_iter().find(|case| case.ends_with("release-20")).unwrap();
    let folder = folder("there", &case);
    folder.write("watchkeeper.toml", "mine");
    let refused = folder.import(&["--dir", ".", "failover.properties"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(refused.stderr).contains("is there already; --force writes over it"));
    assert!(text(refused.stdout).contains("understood"), "what was understood is told");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "mine");
    let forced = folder.import(&["--dir", ".", "--force", "failover.properties"]);
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
}

#[test]
fn standard_input_and_a_cluster_of_another_name() {
    let case = cases().into_iter().find(|case| case.ends_with("release-20")).unwrap();
    let folder = Folder::new("import-stdin");
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchkeeper"));
    command.args(["import", "--cluster", "north", "--dir"]).arg(&folder.0).arg("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let file = fs::read(case.join("failover.properties")).unwrap();
    child.stdin.take().unwrap().write_all(&file).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
    let made = fs::read_to_string(folder.file()).unwrap();
    assert!(made.contains("[clusters.north]") && !made.contains("prod"), "{made}");
    for name in ["", "a b", "a.b"] {
        assert_eq!(folder.import(&["--cluster", name, "-"]).status.code(), Some(2), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new("import-unreadable");
    folder.write("large", &"#".repeat((1 << 20) + 1));
    for (file, why) in [("missing", "No such file"), (".", "directory"), ("large", "larger than")] {
        let output = folder.import(&["--dir", ".", file]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(output.stdout.is_empty() && !folder.file().exists(), "{file}");
        let said = text(output.stderr);
        assert!(said.contains(&format!("cannot read {file}")) && said.contains(why), "{said}");
    }
}
