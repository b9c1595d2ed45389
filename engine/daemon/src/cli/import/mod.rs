//! `watchkeeper import`: a configuration from what the vendor's monitor was configured with.
//!
//! In the order of the data: [`properties`], the file's format; [`words`], what a key says;
//! [`values`], what a value says; [`reading`], what both together claim, with [`reasons`] to doubt
//! it or to leave it; [`site`], all claims together; [`became`] and [`keys`], what became of each
//! key; [`draft`], the configuration; [`report`], the table.
//!
//! Invariants: nothing is guessed without being told; with an error nothing is written; no secret
//! of the file is shown or written.

mod became;
mod draft;
mod keys;
mod properties;
mod reading;
mod reasons;
mod report;
mod site;
mod values;
mod words;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::draft::Given;
use self::keys::Keys;
use self::report::Row;
use self::site::settle;
use super::exit::Exit;
use super::{check, complain, init, print, print_error, print_json};
use crate::config::problem::report as problems_text;
use crate::config::{Level, Problem};

/// The largest file that is read, in bytes. The vendor's has about a page.
const MAX_FILE: u64 = 1 << 20;

/// What `--help` says behind the options.
pub(super) const HELP: &str = "\
It prints what became of each key: understood, guessed (with why, and what to check), or left out.
With an error nothing is written. Secrets in the file are neither shown nor written.

Examples:
  watchkeeper import /etc/opt/teradata/datamover/failover.properties
  watchkeeper import --stdout failover.properties > watchkeeper.toml
  ssh dm1 cat /etc/opt/teradata/datamover/failover.properties | watchkeeper import --json -";

/// What to read, and where to write.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The vendor's file; - for standard input
    file: PathBuf,
    /// The folder to write to; - for --stdout
    #[arg(long, default_value = "/etc/watchkeeper")]
    dir: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Print the configuration instead of writing it; the table then goes to standard error
    #[arg(long)]
    stdout: bool,
    /// The cluster's name in the configuration
    #[arg(long, value_name = "NAME", default_value = "prod", value_parser = cluster_name)]
    cluster: String,
}

/// A name that TOML takes without quotes.
fn cluster_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a name here is made of letters, digits, '_' and '-', at most 64".to_owned())
    }
}

/// Why nothing was read or written.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read {0}: it is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    #[error(transparent)]
    Init(#[from] init::InitError),
}

/// What was made of a file.
#[derive(Debug, Default)]
struct Imported {
    rows: Vec<Row>,
    problems: Vec<Problem>,
    /// How the file was read.
    encoding: Option<&'static str>,
    /// None: there are errors.
    configuration: Option<String>,
}

impl Import {
    /// Reads, writes, tells.
    pub(super) fn run(&self, as_json: bool) -> Exit {
        self.try_run(as_json).unwrap_or_else(|error| {
            complain(&error);
            Exit::Failed
        })
    }

    fn try_run(&self, as_json: bool) -> Result<Exit, ImportError> {
        let bytes = read(&self.file)?;
        let imported = import(&bytes, &self.file, &self.cluster);
        let written = match &imported.configuration {
            Some(text) if !self.only_prints() => init::write(&self.dir, self.force, text).map(Some),
            _ => Ok(None),
        };
        // What was understood is worth being told even if it could not be written.
        let path = written.as_ref().ok().and_then(Option::as_deref);
        if as_json {
            print_json(&self.to_json(&imported, path));
        } else if self.only_prints() {
            print_error(&self.text(&imported, path));
            print(imported.configuration.as_deref().unwrap_or_default());
        } else {
            print(&self.text(&imported, path));
        }
        written?;
        Ok(if imported.configuration.is_some() { Exit::Ok } else { Exit::Failed })
    }

    fn only_prints(&self) -> bool {
        self.stdout || self.dir == Path::new("-")
    }

    fn text(&self, imported: &Imported, written: Option<&Path>) -> String {
        let mut text = report::table(&self.file.display().to_string(), &imported.rows);
        text.push('\n');
        text.push_str(&problems_text(&imported.problems));
        text.push('\n');
        if imported.configuration.is_none() {
            text.push_str("nothing was written: correct a copy of the file, and import that\n");
        }
        if let Some(path) = written {
            text.push_str(&init::next_steps(path));
        }
        text
    }

    fn to_json(&self, imported: &Imported, written: Option<&Path>) -> serde_json::Value {
        json!({
            "file": self.file.to_string_lossy(),
            "encoding": imported.encoding,
            "keys": imported.rows,
            "problems": imported.problems.iter().map(check::problem_json).collect::<Vec<_>>(),
            "configuration": imported.configuration,
            "written": written.map(Path::to_string_lossy),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let source: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    source.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ImportError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

/// Makes a configuration of the file's bytes, and says of each key what became of it.
fn import(bytes: &[u8], file: &Path, cluster: &str) -> Imported {
    let properties = match properties::read(bytes) {
        Ok(properties) => properties,
        Err(not_text) => {
            let problems = vec![Problem::whole(file, not_text.to_string())];
            return Imported { problems, ..Imported::default() };
        }
    };
    let keys = Keys::of(&properties);
    let settled = settle(&keys.claims());
    let guessed = keys.guessed(&settled);
    let mut imported = Imported {
        rows: keys.rows(&settled),
        problems: keys.problems(&settled, file),
        encoding: Some(properties.encoding.as_str()),
        configuration: None,
    };
    if imported.problems.iter().any(|problem| problem.level == Level::Error) {
        return imported;
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let given = Given { site: &settled.site, guessed: &guessed, file: &name, cluster };
    match draft::configuration(&given) {
        Ok(text) => imported.configuration = Some(text),
        Err(missing) => imported.problems.push(Problem::whole(file, missing.to_string())),
    }
    imported
}

/// All that is said of a file, as text and as JSON, and the configuration made of it: for [`crate::fuzzing`].
pub(crate) fn everything(bytes: &[u8]) -> (String, Option<String>) {
    let arguments = Import {
        file: PathBuf::from("failover.properties"),
        dir: PathBuf::new(),
        force: false,
        stdout: false,
        cluster: "prod".to_owned(),
    };
    let imported = import(bytes, &arguments.file, &arguments.cluster);
    let json = arguments.to_json(&imported, None).to_string();
    (arguments.text(&imported, None) + &json, imported.configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everywhere a secret should stand, and in some places where it should not.
    const TELLING: &str = "\
primary.daemon.host=dm1
secondary.daemon.host=dm2
agents.host=dm1,dm2
ssh.user=dmuser
dmuser.password=hunter2-hunter2
repository.user=dm
repository.password : hunter2-hunter2
jms.broker.pwd hunter2-hunter2
rest.passwd=hunter2-\\
  hunter2
primary.rest.url=https://watch:hunter2-hunter2@dm1:1443/datamover
primary.repository.url=jdbc:postgresql://dm1/d?password=hunter2-hunter2
primary.repository.pazzword=hunter2-hunter2
primary.monitor.host=vp1
";

    #[test]
    fn no_slip_of_the_finger_shows_a_secret() {
        assert!(everything(TELLING.as_bytes()).1.is_some());
        let mut shown = Vec::new();
        for (at, c) in TELLING.char_indices() {
            let (before, after) = TELLING.split_at(at);
            let rest = &after[c.len_utf8()..];
            let mut slips = vec![format!("{before}{rest}")];
            slips.extend(
                ["=", ":", " ", "\n", "\\", "\"", ",", "#"]
                    .map(|slip| format!("{before}{slip}{after}")),
            );
            for slip in slips {
                let (said, _) = everything(slip.as_bytes());
                if said.contains("hunter2") {
                    shown.push(format!("{slip}\n----\n{said}"));
                }
            }
        }
        assert!(shown.is_empty(), "{} of them:\n{}", shown.len(), shown[0]);
    }

    /// Numbers as good as random, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            // Knuth's MMIX generator; the upper bits are the good ones.
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (usize::try_from(self.0 >> 33).unwrap()) % end
        }
    }

    #[test]
    fn nothing_makes_it_panic_and_what_is_written_is_toml() {
        let pieces: [&[u8]; 16] = [
            b"\\",
            b"\\u",
            b"\\u00",
            b"=",
            b":",
            b"\n",
            b"\r",
            b" ",
            b",",
            b"[",
            b"]",
            b"://",
            b"\xff",
            b"\xc3",
            "\u{e9}".as_bytes(),
            b"\0",
        ];
        let (mut dice, mut written) = (Dice(1), 0);
        for _ in 0..4_000 {
            let mut bytes = TELLING.as_bytes().to_vec();
            for _ in 0..=dice.below(4) {
                let from = dice.below(bytes.len() + 1);
                let to = (from + dice.below(12)).min(bytes.len());
                let piece = pieces[dice.below(pieces.len())];
                match dice.below(3) {
                    0 => drop(bytes.splice(from..from, piece.iter().copied())),
                    1 => drop(bytes.splice(from..to, piece.iter().copied())),
                    _ => {
                        let copy = bytes[from..to].to_vec();
                        let at = dice.below(bytes.len() + 1);
                        bytes.splice(at..at, copy);
                    }
                }
            }
            let (said, configuration) = everything(&bytes);
            assert!(!said.contains('\u{1b}'));
            if let Some(text) = configuration {
                written += 1;
                let table = text.parse::<toml::Table>().unwrap_or_else(|e| panic!("{e}\n{text}"));
                assert!(table["clusters"]["prod"]["servers"].get("dm2").is_some());
            }
        }
        assert!(written > 200, "only {written} were accepted");
    }

    #[test]
    fn a_name_of_a_cluster_needs_no_quotes() {
        assert!(cluster_name("prod_2-x").is_ok());
        for bad in ["", "a.b", "a b", "\u{e9}"] {
            assert!(cluster_name(bad).is_err(), "{bad}");
        }
    }
}
