//! Plugins in every language, as a stranger would make them by docs/plugins.md: from `plugin new` to an incident at the other
//! side. And the plugin that ships in another language than Rust, with the conversations that it ships with.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::World;
use super::{line_of, repository, run, watchkeeper, words};

/// What is particular to a language.
struct Language {
    name: &'static str,
    /// The file with the plugin.
    source: &'static str,
    /// What the tutorial has its reader change, and into what.
    change: (&'static str, &'static str),
    /// Something in it, and a mistake in its place that shows only in a delivery.
    mistake: (&'static str, &'static str),
    /// What is told of it.
    told: &'static str,
}

const RUST: Language = Language {
    name: "rust",
    source: "src/lib.rs",
    change: ("body.text(\"title\",", "body.text(\"subject\","),
    mistake: ("&notification.headline()", "notification.alerts[7].name.as_str()"),
    told: "index out of bounds",
};

const JAVASCRIPT: Language = Language {
    name: "js",
    source: "plugin.js",
    change: ("{ title: ", "{ subject: "),
    mistake: ("notification.headline()", "notification.alerts[7].name"),
    told: "TypeError",
};

const PYTHON: Language = Language {
    name: "python",
    source: "tells.py",
    change: ("\"title\": ", "\"subject\": "),
    mistake: ("notification.headline()", "notification.alerts[7].name"),
    told: "IndexError: list index out of range",
};

/// The other side: it opens, notes and closes incidents, as the template wants it.
struct Incidents {
    url: String,
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// A request that was taken.
#[derive(Debug, Clone)]
struct Taken {
    path: String,
    head: String,
    body: String,
}

impl Incidents {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { url, taken }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

/// Answers one request.
async fn serve(mut stream: TcpStream, taken: Arc<Mutex<Vec<Taken>>>) {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut part).await else { return };
        read.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.unwrap_or("0").parse::<usize>().unwrap() {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let one = Taken { path, head: head.to_owned(), body: body.to_owned() };
        taken.lock().unwrap().push(one);
        break;
    }
    let body = r#"{"id": 4711}"#;
    let answer = format!(
        "HTTP/1.1 201 Created\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// The commands of the tutorial in docs/plugins.md, in their order.
struct Tutorial(VecDeque<Vec<String>>);

impl Tutorial {
    fn read() -> Self {
        let page = std::fs::read_to_string(repository("docs/plugins.md")).unwrap();
        let (_, after) = page.split_once("<!-- tutorial: ").expect("the tutorial is marked");
        let (tutorial, _) = after.split_once("<!-- end of the tutorial -->").unwrap();
        let lines = tutorial.lines().filter_map(|line| line.strip_prefix("$ watchkeeper "));
        let commands: Vec<Vec<String>> = lines.map(words).collect();
        assert!(commands.len() >= 8, "{commands:?}");
        Self(commands.into())
    }

    /// Gives the next command, which has to be this one.
    async fn next(
        &mut self,
        is: &str,
        language: &Language,
        folder: &Path,
        world: &World,
    ) -> super::Said {
        let command = self.0.pop_front().expect("the tutorial goes on");
        assert!(command.join(" ").starts_with(is), "{command:?} is not {is}");
        let args = command.iter().map(|word| if word == "js" { language.name } else { word });
        let config = world.config_path();
        let args: Vec<&str> = args.chain(["--config", config.to_str().unwrap()]).collect();
        watchkeeper(&args, folder).await
    }
}

fn replace(file: &Path, (before, after): (&str, &str)) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(before), "{before:?} is not in {}", file.display());
    std::fs::write(file, text.replace(before, after)).unwrap();
}

/// What docs/plugins.md has a stranger do, up to an incident at the other side, which is closed again.
async fn the_tutorial_leads_to_its_end(language: &Language) -> (TempDir, PathBuf) {
    let mut tutorial = Tutorial::read();
    let incidents = Incidents::open().await;
    let mut world = World::prepare().await;
    world.run().await;

    let folder = tempfile::Builder::new().prefix("wk-plugin-").tempdir().unwrap();
    tutorial.next("plugin new", language, folder.path(), &world).await.done();
    let root = folder.path().join("tickets");
    let tested = tutorial.next("plugin test", language, &root, &world).await.done();
    assert!(tested.contains("3 passed, 0 failed") && !tested.contains("never"), "{tested}");

    replace(&root.join(language.source), language.change);
    let different = ["DIFFERENT  incident\n", "-        \"title\": ", "+        \"subject\": "];
    tutorial.next("plugin test", language, &root, &world).await.failed(&different);
    tutorial.next("plugin test --update", language, &root, &world).await.done();
    let expected = std::fs::read_to_string(root.join("conversations/incident/expected.txt"));
    assert!(expected.unwrap().contains("\"subject\": "));
    let built = tutorial.next("plugin build", language, &root, &world).await.done();
    assert!(built.contains("and has the settings: url, token, team"), "{built}");

    let component = std::fs::read(root.join("build/tickets.wasm")).unwrap();
    world.put("plugins/tickets.wasm", &component);
    world.put("incidents-token", b"t0p");
    world.config.set("secrets.incidents.file", "incidents-token");
    world.config.set("receivers.incidents.plugin", "tickets");
    world.config.set("receivers.incidents.settings.url", format!("{}/v1", incidents.url));
    world.config.set("receivers.incidents.settings.token", "{{secret \"incidents\"}}");
    world.config.set("receivers.incidents.hosts", vec![incidents.url.clone()]);
    world.config.set("receivers.incidents.secrets", vec!["incidents"]);
    world.write_config();
    tutorial.next("check", language, &root, &world).await.done();
    let shown = tutorial.next("alerts preview", language, &root, &world).await.done();
    assert!(shown.contains("/v1/incidents\n") && shown.contains("subject"), "{shown}");
    tutorial.next("reload", language, &root, &world).await.done();
    let told = tutorial.next("alerts test", language, &root, &world).await.done();
    assert!(told.contains("incidents has taken both"), "{told}");
    assert!(tutorial.0.is_empty(), "not given: {:?}", tutorial.0);

    let taken = incidents.taken();
    let paths: Vec<&str> = taken.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["/v1/incidents", "/v1/incidents/4711/close"], "{taken:#?}");
    assert!(taken[0].head.contains("authorization: Bearer t0p"), "{taken:#?}");
    assert!(taken[0].body.contains("\"subject\":"), "{taken:#?}");
    (folder, root)
}

/// What is wrong with a conversation is told where it is, and what is wrong with the project. Whatever the language.
async fn mistakes_in_conversations_are_told(root: &Path) {
    let (plugin, all) = ("build/tickets.wasm", "conversations");
    let test: &[&str] = &["plugin", "test", "--component", plugin, "--conversations", all];
    let conversation = root.join("conversations/busy/conversation.toml");
    let good = std::fs::read_to_string(&conversation).unwrap();
    for (before, after, told) in [
        ("why = ", "wy = ", &["unknown key `wy`", "did you mean `why`?"][..]),
        ("status = 503", "staus = 503", &["unknown key `staus`", "did you mean `status`?"]),
        ("status = 503", "status = 5030", &["has to be a whole number from 100 to 599"]),
        ("status = 503", "exit = 1", &["answer 1 is of another kind", "`headers` cannot stand"]),
        ("lost = \"the", "lost = the", &["this is not TOML"]),
        ("[settings]\nurl", "[settings]\nurrl", &["urrl", "did you mean \"url\"?"]),
    ] {
        assert!(good.contains(before), "{before}");
        let bad = good.replacen(before, after, 1);
        std::fs::write(&conversation, &bad).unwrap();
        let said = watchkeeper(test, root).await;
        assert_eq!(said.code, Some(1), "{after}: {}\n{}", said.out, said.err);
        assert!(told.iter().any(|word| said.out.contains(word)), "{told:?}: {}", said.out);
        let line =
            bad.lines().position(|line| line.contains(after.split('\n').next_back().unwrap()));
        let place = format!("busy/conversation.toml:{}:", line.unwrap() + 1);
        if !after.starts_with("exit") {
            assert!(said.out.contains(&place), "{place} is not in {}", said.out);
        }
        assert!(said.out.contains("BROKEN     busy\n"), "{}", said.out);
        assert!(said.out.contains("2 passed, 1 failed"), "{}", said.out);
    }
    // An answer too few, and one too many.
    let (first, _) = good.split_once("\n[[notification.answer]]").unwrap();
    std::fs::write(&conversation, first).unwrap();
    watchkeeper(test, root).await.failed(&["there is no answer to request 1", "-> POST https://"]);
    let more = "\n[[notification.answer]]\nstatus = 200\n";
    std::fs::write(&conversation, format!("{good}{more}")).unwrap();
    watchkeeper(test, root).await.failed(&["the last 1 of the answers are to no request"]);
    // What is not granted is not sent.
    std::fs::write(&conversation, good.replace("incidents.example.com\"]", "example.org\"]"))
        .unwrap();
    let ungranted = "+   not sent, a dead letter: the host https://incidents.example.com of the URL is not granted";
    watchkeeper(test, root).await.failed(&["DIFFERENT  busy\n", ungranted]);
    std::fs::write(&conversation, &good).unwrap();

    // No project, no component, and no conversation.
    let empty = tempfile::tempdir().unwrap();
    watchkeeper(&["plugin", "test"], empty.path())
        .await
        .failed(&["`watchkeeper plugin new` makes a project"]);
    let missing = ["plugin", "test", "--component", "no.wasm", "--conversations", "conversations"];
    watchkeeper(&missing, root).await.failed(&["cannot read no.wasm"]);
    let none = empty.path().to_str().unwrap();
    let none = ["plugin", "test", "--component", "build/tickets.wasm", "--conversations", none];
    watchkeeper(&none, root).await.failed(&["there is no conversation in"]);
}

/// A mistake in the plugin is told with its place.
async fn a_mistake_is_told_where_it_is(language: &Language, root: &Path) {
    let source = root.join(language.source);
    let right = std::fs::read_to_string(&source).unwrap();
    replace(&source, language.mistake);
    let place = format!("{}:{}", language.source, line_of(&source, language.mistake.1));
    let told =
        ["DIFFERENT  busy\n", "to be tried again: the plugin failed: ", &place, language.told];
    watchkeeper(&["plugin", "test"], root).await.failed(&told);
    std::fs::write(&source, right).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_in_rust_from_nothing_to_an_incident() {
    let (_folder, root) = the_tutorial_leads_to_its_end(&RUST).await;
    mistakes_in_conversations_are_told(&root).await;
    a_mistake_is_told_where_it_is(&RUST, &root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_in_javascript_from_nothing_to_an_incident() {
    let (_folder, root) = the_tutorial_leads_to_its_end(&JAVASCRIPT).await;
    a_mistake_is_told_where_it_is(&JAVASCRIPT, &root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_in_python_from_nothing_to_an_incident() {
    let (_folder, root) = the_tutorial_leads_to_its_end(&PYTHON).await;
    a_mistake_is_told_where_it_is(&PYTHON, &root).await;
}

/// The plugin that ships comes out as its conversations say, with nothing that none of them shows; and docs/plugins.md has its
/// settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_in_javascript_that_ships_comes_out_as_expected() {
    let folder = repository("plugins/matrix");
    let mut command = vec!["plugin", "test", "--json"];
    if std::env::var_os("UPDATE_CASES").is_some() {
        command.push("--update");
    }
    let tested = watchkeeper(&command, &folder).await.json();
    let all = tested["conversations"].as_array().unwrap();
    let good = |one: &serde_json::Value| {
        ["as-expected", "updated"].iter().any(|result| one["result"] == **result)
    };
    assert!(all.len() >= 5 && all.iter().all(good), "{tested:#}");
    assert_eq!(tested["never-exercised"], serde_json::json!([]), "{tested:#}");

    let page = std::fs::read_to_string(repository("docs/plugins.md")).unwrap();
    let built = watchkeeper(&["plugin", "build", "--json"], &folder).await.json();
    let settings = built["settings"].as_array().unwrap();
    assert!(settings.len() >= 6, "{built:#}");
    for setting in settings {
        let (name, doc) = (setting["name"].as_str().unwrap(), setting["doc"].as_str().unwrap());
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")) && line.contains(doc));
        assert!(row.is_some(), "docs/plugins.md has no {name} that says: {doc}");
    }
}

/// The example of docs/plugins.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_rust_comes_out_as_expected() {
    let said = watchkeeper(&["plugin", "test"], &repository("docs/examples/pager")).await.done();
    assert!(said.contains("2 passed, 0 failed") && !said.contains("never"), "{said}");
}

/// The helpers for notifiers in JavaScript, and the plugin that ships, under Node.js; those in Python are tested with those for
/// policies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_helpers_for_notifiers_by_themselves() {
    let folder = repository("tests/languages");
    run("node", &["--test", "notifier.test.mjs", "matrix.test.mjs"], &folder, &[]).await.done();
}
