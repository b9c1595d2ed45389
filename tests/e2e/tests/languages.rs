//! Policies in every language, as a new author would make them: from `policy new` to being in force in a daemon on the
//! stand-in site. And the policies that ship in other languages than Rust, with the cases that they ship with.
//!
//! The tools come from the package managers' registries the first time, into a folder that all share. That is why
//! `cargo test` leaves this file out (`test = false` in Cargo.toml), and tests/run says so where the tools cannot be had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    unused_imports,
    missing_docs,
    reason = "tests, and a harness of which they need a part"
)]

#[path = "suite/harness/mod.rs"]
mod harness;
#[path = "languages/plugins.rs"]
mod plugins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::World;
use tempfile::TempDir;
use tokio::process::Command;
use toml::Value;
use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;
use watchkeeper_core::settings;
use watchkeeper_wasm::{Host, HostConfig};

/// How long a command may take: far longer than a busy machine needs to fetch and build everything.
const LONG: Duration = Duration::from_mins(9);

/// A path in the repository.
fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// A place for what is fetched and built once.
fn kept(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository("target"), |dir| repository("").join(dir));
    target.join(name)
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(program: &str, args: &[&str], folder: &Path, env: &[(&str, &Path)]) -> Said {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).envs(env.iter().copied()).kill_on_drop(true);
    let output = tokio::time::timeout(LONG, command.output())
        .await
        .unwrap_or_else(|_| panic!("{program} {args:?} did not end"))
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `watchkeeper` in a folder, with shared tools.
async fn watchkeeper(args: &[&str], folder: &Path) -> Said {
    let env = [
        ("WATCHKEEPER_TOOLS", kept("tools")),
        // A new project of Rust's builds the helpers' dependencies, of which the workspace has fetched every one.
        ("CARGO_TARGET_DIR", kept("languages")),
        ("CARGO_NET_OFFLINE", PathBuf::from("true")),
    ];
    let env: Vec<(&str, &Path)> =
        env.iter().map(|(name, value)| (*name, value.as_path())).collect();
    run(env!("CARGO_BIN_EXE_watchkeeper-e2e-daemon"), args, folder, &env).await
}

impl Said {
    fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    fn failed(self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        let all = format!("{}\n{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "{word:?} is not in\n{all}");
        }
    }

    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.out, self.err))
    }
}

/// What is particular to a language.
struct Language {
    name: &'static str,
    /// The file with the rule.
    source: &'static str,
    /// Something in it, and a mistake in its place that shows only in an evaluation.
    mistake: (&'static str, &'static str),
    /// What is told of it.
    told: &'static [&'static str],
    /// What no compiler takes.
    nonsense: &'static str,
}

const RUST: Language = Language {
    name: "rust",
    source: "src/lib.rs",
    mistake: (".rescue(&rest, \"REST does not serve\")", ".rescue(None.unwrap(), \"\")"),
    told: &["src/lib.rs:", "panicked"],
    nonsense: "fn x(:",
};

const JAVASCRIPT: Language = Language {
    name: "js",
    source: "policy.js",
    mistake: ("answer.rescue(rest,", "answer.rescu(rest,"),
    told: &["policy.js:", "TypeError: "],
    nonsense: "const = 1;",
};

const PYTHON: Language = Language {
    name: "python",
    source: "rule.py",
    mistake: ("answer.rescue(rest,", "answer.rescu(rest,"),
    told: &["rule.py:", "AttributeError: ", "'rescu'"],
    nonsense: "def x(:",
};

/// A project in a folder of its own, and where it is.
async fn project(language: &Language) -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("wk-new-").tempdir().unwrap();
    let new = ["policy", "new", "rest-again", "--lang", language.name];
    assert!(watchkeeper(&new, folder.path()).await.done().contains("watchkeeper policy build"));
    watchkeeper(&new, folder.path()).await.failed(&["rest-again is there already"]);
    let root = folder.path().join("rest-again");
    (folder, root)
}

/// The number of the first line of `file` that has `text` in it.
fn line_of(file: &Path, text: &str) -> usize {
    let source = std::fs::read_to_string(file).unwrap();
    source.lines().position(|line| line.contains(text)).expect("it is there") + 1
}

/// New, build, test, and everything that can go wrong on the way.
async fn is_made_and_tested(language: &Language) -> (TempDir, PathBuf) {
    let (folder, root) = project(language).await;
    let tested = watchkeeper(&["policy", "test", "--json"], &root).await.json();
    let cases = tested["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3, "{tested:#}");
    assert!(cases.iter().all(|case| case["result"] == "as-expected"), "{tested:#}");
    assert_eq!(tested["never-exercised"], serde_json::json!([]), "{tested:#}");
    assert_eq!(tested["never-given"], serde_json::json!([]), "{tested:#}");

    // What is expected differs: shown, and on demand written.
    let again: &[&str] = &["policy", "test"];
    let expected = root.join("cases/rest-down/expected.txt");
    let good = std::fs::read_to_string(&expected).unwrap();
    std::fs::write(&expected, good.replace("begins rescue", "begins to rescue")).unwrap();
    let different =
        ["DIFFERENT  rest-down\n", "-         begins to rescue", "+         begins rescue"];
    watchkeeper(again, &root).await.failed(&[&different[..], &["2 passed, 1 failed"]].concat());
    watchkeeper(&[again, &["--update"]].concat(), &root).await.done();
    assert_eq!(std::fs::read_to_string(&expected).unwrap(), good);
    let few = watchkeeper(&[again, &["--case", "briefly"]].concat(), &root).await.done();
    assert!(few.contains("1 passed, 0 failed") && !few.contains("never exercised"), "{few}");
    std::fs::remove_dir_all(root.join("cases/rest-starts-not")).unwrap();
    let less = watchkeeper(again, &root).await.done();
    assert!(less.contains("no case gives confirmations, code"), "{less}");
    (folder, root)
}

/// Mistakes are told with the file and the line.
async fn mistakes_are_told_where_they_are(language: &Language, root: &Path) {
    let source = root.join(language.source);
    let good = std::fs::read_to_string(&source).unwrap();
    let (right, wrong) = language.mistake;
    assert!(good.contains(right));
    std::fs::write(&source, good.replace(right, wrong)).unwrap();
    let place = format!("{}:{}", language.source, line_of(&source, wrong));
    let told = [language.told, &["BROKEN     rest-down\n", &place]].concat();
    watchkeeper(&["policy", "test"], root).await.failed(&told);

    std::fs::write(&source, format!("{good}\n{}\n", language.nonsense)).unwrap();
    let place = format!("{}:{}", language.source, line_of(&source, language.nonsense));
    watchkeeper(&["policy", "build"], root).await.failed(&[&place]);
    assert!(!root.join("build/rest-again.wasm").exists(), "nothing of an earlier build is left");
    std::fs::write(&source, good).unwrap();
}

/// Tried on a snapshot, checked in a configuration, and in force in a daemon, where it does what it says.
async fn comes_into_force(root: &Path) {
    let component = root.join("build/rest-again.wasm");
    let snapshot = repository("docs/examples/snapshot.json");
    let evaluate =
        ["policy", "evaluate", "build/rest-again.wasm", "--snapshot", snapshot.to_str().unwrap()];
    let evaluated = watchkeeper(&evaluate, root).await.done();
    assert!(evaluated.contains("proposes nothing"), "{evaluated}");

    let mut world = World::prepare().await;
    world.put_policy("rest-again", &std::fs::read(component).unwrap());
    world.config.set("clusters.prod.policies", Value::Array(Vec::new()));
    let path = world.config.policy("rest-again", &["rescue", "alert"]);
    world.config.set(&format!("{path}.settings.confirmations"), 2);
    world.write_config();
    let config = world.config_path();
    watchkeeper(&["check", "--config", config.to_str().unwrap()], root).await.done();

    world.run().await;
    world.site.kill("dm1", Service::Rest).await.unwrap();
    world.wait_site("REST is back", |site| site.is_ready("dm1", Service::Rest)).await;
    let loaded = world.journal().into_iter().any(|record| {
        matches!(&record.event, Event::GuestLoaded { name, .. } if name.as_str() == "rest-again")
    });
    assert!(loaded);
    world.wait_taken("rest-down", "firing").await;
}

/// The commands of the tutorial in docs/languages.md, in their order.
struct Tutorial(std::collections::VecDeque<Vec<String>>);

impl Tutorial {
    fn read() -> Self {
        let page = std::fs::read_to_string(repository("docs/languages.md")).unwrap();
        let (_, after) = page.split_once("<!-- tutorial: ").expect("the tutorial is marked");
        let (tutorial, _) = after.split_once("\n## ").unwrap();
        let lines = tutorial.lines().filter_map(|line| line.strip_prefix("$ watchkeeper "));
        let commands: Vec<Vec<String>> = lines.map(words).collect();
        assert!(commands.len() >= 10, "{commands:?}");
        Self(commands.into())
    }

    /// Gives the next command, which has to be this one.
    async fn next(
        &mut self,
        is: &str,
        language: &Language,
        folder: &Path,
        world: &World,
    ) -> String {
        let command = self.0.pop_front().expect("the tutorial goes on");
        assert!(command.join(" ").starts_with(is), "{command:?} is not {is}");
        let args = command.iter().map(|word| if word == "js" { language.name } else { word });
        let config = world.config_path();
        let args: Vec<&str> = args.chain(["--config", config.to_str().unwrap()]).collect();
        watchkeeper(&args, folder).await.done()
    }
}

/// The words of a command line, up to a comment.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap_or_default();
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// What docs/languages.md has a stranger do in ten minutes, with a daemon that has no policy yet.
async fn the_tutorial_leads_to_its_end(language: &Language) {
    let mut tutorial = Tutorial::read();
    let mut world = World::prepare().await;
    world.config.set("clusters.prod.policies", Value::Array(Vec::new()));
    world.run().await;
    world.let_pass(3).await;

    let folder = tempfile::Builder::new().prefix("wk-tutorial-").tempdir().unwrap();
    tutorial.next("policy new", language, folder.path(), &world).await;
    let root = folder.path().join("rest-again");
    let tested = tutorial.next("policy test", language, &root, &world).await;
    assert!(tested.contains("3 passed, 0 failed"), "{tested}");
    let built = tutorial.next("policy build", language, &root, &world).await;
    assert!(built.contains("needs the grants: rescue, alert"), "{built}");
    let replayed = tutorial.next("replay", language, &root, &world).await;
    assert!(replayed.contains("rest-again"), "{replayed}");

    let component = root.join("build/rest-again.wasm");
    world.put_policy("rest-again", &std::fs::read(&component).unwrap());
    let path = world.config.policy("rest-again", &["rescue", "alert"]);
    world.config.set(&format!("{path}.mode"), "shadow");
    world.write_config();
    tutorial.next("check", language, &root, &world).await;
    tutorial.next("reload", language, &root, &world).await;
    world.site.kill("dm1", Service::Rest).await.unwrap();
    world.wait_for("what it would do", |it| harness::cluster(it).in_shadow.is_some()).await;
    let status = tutorial.next("status", language, &root, &world).await;
    let told = "in the shadow: rescue dm1/rest, as rest-again asks: REST does not serve";
    assert!(status.contains(told), "{status}");

    tutorial.next("policy promote", language, &root, &world).await;
    world.wait_site("REST is back", |site| site.is_ready("dm1", Service::Rest)).await;

    let digest = |status: &watchkeeper::api::StatusReport| {
        harness::cluster(status).policies[0].revision.as_ref().map(|it| it.digest.clone())
    };
    let first = digest(&world.status().await);
    let source = root.join(language.source);
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("REST does not serve", "REST is not there")).unwrap();
    tutorial.next("policy build", language, &root, &world).await;
    world.put_policy("rest-again", &std::fs::read(&component).unwrap());
    world.wait_for("the new one", |status| digest(status) != first).await;
    let listed = tutorial.next("policy list", language, &root, &world).await;
    assert!(listed.contains("a rollback leads to"), "{listed}");
    tutorial.next("policy rollback", language, &root, &world).await;
    world.wait_for("the one before", |status| digest(status) == first).await;
    assert!(tutorial.0.is_empty(), "not given: {:?}", tutorial.0);
}

async fn from_nothing_to_in_force(language: &Language) {
    the_tutorial_leads_to_its_end(language).await;
    let (_folder, root) = is_made_and_tested(language).await;
    comes_into_force(&root).await;
    mistakes_are_told_where_they_are(language, &root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_from_nothing_to_in_force() {
    from_nothing_to_in_force(&RUST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_from_nothing_to_in_force() {
    from_nothing_to_in_force(&JAVASCRIPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_from_nothing_to_in_force() {
    from_nothing_to_in_force(&PYTHON).await;
}

/// What is printed, and what no guest has, in the words of the language.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_without_a_clock_and_with_a_log() {
    let (_folder, root) = project(&JAVASCRIPT).await;
    let source = root.join("policy.js");
    let good = std::fs::read_to_string(&source).unwrap();
    let with = |line: &str| {
        let body = "evaluate({ snapshot, settings, answer }) {\n";
        let text = good.replace(body, &format!("{body}    {line}\n"));
        assert_ne!(text, good);
        std::fs::write(&source, format!("import './sdk/js/log.js';\n{text}")).unwrap();
    };
    with("console.log('it is', { time: snapshot.time() });");
    let said = watchkeeper(&["policy", "test", "--log", "--case", "briefly"], &root).await.done();
    assert!(said.contains("    info: it is {\"time\":1772330400000}"), "{said}");
    // The same without a project.
    let component = ["policy", "test", "--component", "build/rest-again.wasm", "--cases", "cases"];
    let said = watchkeeper(&component, &root).await.done();
    assert!(said.contains("3 passed, 0 failed") && !said.contains("info:"), "{said}");
    for (line, told) in [
        ("new Date();", "there is no clock but snapshot.time()"),
        ("Math.random();", "there is no randomness"),
        ("setTimeout(() => 0, 1);", "ReferenceError: setTimeout is not defined"),
    ] {
        with(line);
        watchkeeper(&["policy", "test"], &root).await.failed(&["policy.js:", told]);
    }
}

/// The policies that ship come out as their cases say, and every grant and setting is exercised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policies_that_ship_come_out_as_expected() {
    for name in ["agent-quorum", "job-window"] {
        let folder = repository("policies").join(name);
        let tested = watchkeeper(&["policy", "test", "--json"], &folder).await.json();
        let cases = tested["cases"].as_array().unwrap();
        assert!(cases.len() >= 10, "{name}: {tested:#}");
        assert!(cases.iter().all(|case| case["result"] == "as-expected"), "{name}: {tested:#}");
        assert_eq!(tested["never-exercised"], serde_json::json!([]), "{name}");
    }
}

/// The recipes of docs/cookbook.md in these languages, in the projects that their authors would put them in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_of_the_cookbook_do_their_work() {
    let cookbook = repository("docs/examples/cookbook");
    for (name, language, recipe) in
        [("big-job", JAVASCRIPT, "big-job.js"), ("month-end", PYTHON, "month_end.py")]
    {
        let (_folder, root) = project(&language).await;
        std::fs::copy(cookbook.join(recipe), root.join(language.source)).unwrap();
        let cases = cookbook.join("cases").join(name);
        let mut command = vec!["policy", "test", "--json", "--cases", cases.to_str().unwrap()];
        if std::env::var_os("UPDATE_CASES").is_some() {
            command.push("--update");
        }
        let tested = watchkeeper(&command, &root).await.json();
        let cases = tested["cases"].as_array().unwrap();
        let good = |case: &serde_json::Value| {
            ["as-expected", "updated"].iter().any(|result| case["result"] == **result)
        };
        assert!(!cases.is_empty() && cases.iter().all(good), "{name}: {tested:#}");
        assert_eq!(tested["never-exercised"], serde_json::json!([]), "{name}");
    }
}

/// The helpers by themselves, in the languages' own ways of testing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_helpers_by_themselves() {
    let folder = repository("tests/languages");
    run("node", &["--test", "helpers.test.mjs"], &folder, &[]).await.done();
    let sdk = repository("sdk/python").canonicalize().unwrap();
    for folder in ["tests/languages", "policies/job-window"] {
        let env = [("PYTHONPATH", sdk.as_path()), ("PYTHONDONTWRITEBYTECODE", Path::new("1"))];
        run("python3", &["-m", "unittest"], &repository(folder), &env).await.done();
    }
}

/// `cargo test ... --test languages -- --ignored --nocapture how_large`, on a machine that does nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn how_large_and_how_fast() {
    let snapshot = std::fs::read(repository("docs/examples/snapshot.json")).unwrap();
    let snapshot = Arc::new(serde_json::from_slice(&snapshot).unwrap());
    for language in [RUST, JAVASCRIPT, PYTHON] {
        let (_folder, root) = project(&language).await;
        watchkeeper(&["policy", "build"], &root).await.done();
        let began = Instant::now();
        std::fs::write(root.join(language.source), {
            let text = std::fs::read_to_string(root.join(language.source)).unwrap();
            text.replace("REST does not serve", "REST is not there")
        })
        .unwrap();
        watchkeeper(&["policy", "build"], &root).await.done();
        let built = began.elapsed();
        let bytes = std::fs::read(root.join("build/rest-again.wasm")).unwrap();
        let config = HostConfig { cache_dir: Some(root.join("cache")), ..HostConfig::default() };
        let [cold, warm] = [(), ()].map(|()| {
            let host = Host::new(config.clone()).unwrap();
            let began = Instant::now();
            host.load_policy(&bytes).unwrap();
            began.elapsed()
        });
        let policy = Host::new(config).unwrap().load_policy(&bytes).unwrap();
        let settings = settings::check(&policy.description().settings, &BTreeMap::new()).unwrap();
        let mut took: Vec<Duration> = (0..1_000)
            .map(|_| {
                let evaluated = policy.evaluate(&snapshot, &settings, &[]);
                evaluated.outcome.unwrap();
                evaluated.took
            })
            .collect();
        let first = took[0];
        took.sort_unstable();
        println!(
            "{}: {} bytes; built again and looked at in {built:?}; loaded: compiled {cold:?}, from the cache {warm:?}; \
             evaluated: first {first:?}, least {:?}, median {:?}, 99 of 100 {:?}, most {:?}",
            language.name,
            bytes.len(),
            took[0],
            took[500],
            took[990],
            took[999],
        );
    }
}
