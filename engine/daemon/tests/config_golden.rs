//! Every kind of mistake, with the words in which it is reported: a folder for each in
//! `tests/config`, with the file and the expected report. `UPDATE_GOLDEN=1` rewrites the reports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "import/golden.rs"]
mod import;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use std::process::{Command, Output};

use watchkeeper::config::keys::{Kind, Presence, SECTIONS, kinds_of};
use watchkeeper::config::mail::MailTls;
use watchkeeper::config::problem::report;
use watchkeeper::config::{Config, Mode, differences, load, load_as};
use watchkeeper_core::model::{ServerName, Service};
use watchkeeper_core::settings::Given;

/// A folder of its own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wk-config-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for name in ["policies/data-mover-ha.wasm", "plugins/slack.wasm", "known_hosts", "ca.pem"] {
            folder.write(name, "x");
        }
        for name in ["id_ed25519", "slack-url", "repository-password"] {
            folder.private(name, &format!("S3CRET-{name}\n"));
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn private(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.join("watchkeeper.toml")
    }

    /// What `watchkeeper check` says of the files, and whether it accepts them.
    fn check(&self) -> (String, bool) {
        let (text, accepted) = match load_as(&self.file(), Mode::Check) {
            Ok(config) => (report(config.warnings()), true),
            Err(problems) => (problems.to_string(), false),
        };
        (format!("{text}\n").replace(self.0.to_str().unwrap(), "DIR"), accepted)
    }

    /// Runs `watchkeeper init` here.
    fn init(&self, force: bool) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchkeeper"));
        command.arg("init").arg("--dir").arg(&self.0).args(force.then_some("--force"));
        command.output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else if entry.file_name() != "expected.txt" {
            fs::copy(entry.path(), &target).unwrap();
            if target.extension().is_some_and(|it| it == "key") {
                // git keeps no such modes.
                fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
    }
}

#[test]
fn mistakes_are_reported_in_these_words() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut names: Vec<_> = fs::read_dir(&cases).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for case in names {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = Folder::new(&name);
        copy(&case, &folder.0);
        let (report, accepted) = folder.check();
        assert_eq!(accepted, report.lines().last().unwrap().starts_with("0 errors"), "{name}");
        assert!(!report.contains("S3CRET"), "{name} shows a secret:\n{report}");
        let expected = case.join("expected.txt");
        if update {
            fs::write(&expected, &report).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != report {
            wrong.push(format!("== {name}\n{report}"));
        }
        count += 1;
    }
    assert!(count >= 40, "only {count} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everywhere a secret should not stand, and nevertheless may.
const TELLING: &str = r#"
[monitor]
name = "vp1"
[secrets]
literal = "hunter2-hunter2"
slip = { flie = "hunter2-hunter2", file = "slack-url" }
[commands.page]
argv = ["/bin/page", "--token=hunter2-hunter2"]
[receivers.ops]
plugin = "slack"
hosts = ["https://me:hunter2-hunter2@example.com"]
secrets = ["hunter2-hunter2"]
settings = { text = "hunter2-hunter2", depth = { token = "hunter2-hunter2" } }
[clusters.prod]
primary = "dm1"
secondary = "dm2"
repository = { password = "hunter2-hunter2", tls = "of" }
servers = { dm1 = { address = "a", services = [] }, dm2 = { address = "b", services = [] } }
[[clusters.prod.site-steps]]
name = "a b"
command = """
hunter2-hunter2 = hunter2
"""
"#;

#[test]
fn no_slip_of_the_finger_makes_a_report_show_a_secret() {
    let folder = Folder::new("slips");
    let mut shown = Vec::new();
    for (at, c) in TELLING.char_indices() {
        let (before, after) = TELLING.split_at(at);
        let rest = &after[c.len_utf8()..];
        // One slip for each place: all three everywhere take three times as long.
        let text = match at % 3 {
            0 => format!("{before}{rest}"),
            1 => format!("{before}\"{after}"),
            _ => format!("{before}\n{after}"),
        };
        folder.write("watchkeeper.toml", &text);
        let (report, accepted) = folder.check();
        assert!(!accepted, "{text}");
        if report.contains("hunter2") {
            shown.push(report);
        }
    }
    assert!(shown.is_empty(), "{} of them:\n{}", shown.len(), shown[0]);
}

#[test]
fn a_main_file_that_cannot_be_read_is_named() {
    let folder = Folder::new("main-file");
    let missing = "error: cannot read DIR/watchkeeper.toml: No such file or directory (os error 2)\n  \
                   --> DIR/watchkeeper.toml\n  = `watchkeeper init` writes one to start from\n\n\
                   1 error, 0 warnings\n";
    assert_eq!(folder.check(), (missing.to_owned(), false));
    fs::create_dir(folder.file()).unwrap();
    let (report, accepted) = folder.check();
    assert!(!accepted);
    assert!(report.starts_with("error: cannot read DIR/watchkeeper.toml: it is not a file\n"));
    fs::remove_dir(folder.file()).unwrap();
    fs::File::create(folder.file()).unwrap().set_len((4 << 20) + 1).unwrap();
    let (report, accepted) = folder.check();
    assert!(!accepted);
    assert!(report.contains("it is larger than 4194304 bytes"), "{report}");
}

#[test]
fn a_setting_s_file_is_part_of_the_configuration() {
    let folder = Folder::new("setting-file");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/setting-files"), &folder.0);
    let old = loaded(&folder);
    let file = folder.0.join("rules/site.rego");
    assert!(old.files().contains(&file), "{:?}", old.files());
    let settings = &old.clusters[0].policies[0].settings;
    assert_eq!(settings.values["rules"], Given::Text("package watchkeeper\n".to_owned()));
    let named = settings.name_files("refused: rules:1:9: no");
    assert_eq!(named, format!("refused: {}:1:9: no", file.display()));

    folder.write("rules/site.rego", "package other\n");
    let new = loaded(&folder);
    assert_ne!(old.digest(), new.digest());
    let path = file.display();
    assert_eq!(
        differences(&old, &new),
        [
            format!(
                "clusters.prod.policies.data-mover-ha.settings.rules ({path}) has another text"
            ),
            format!("receivers.ops.settings.text ({path}) has another text"),
        ]
    );

    fs::File::create(&file).unwrap().set_len((256 << 10) + 1).unwrap();
    let problems = load_as(&folder.file(), Mode::Run).unwrap_err();
    assert!(problems.to_string().contains("site.rego: it is larger than 262144 bytes"));
    assert!(problems.files().contains(&file), "its correction is to be noticed");
}

#[test]
fn what_init_writes_is_accepted_once_its_files_are_there() {
    let folder = Folder::new("init");
    assert!(folder.init(false).status.success());
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
    folder.write("watchkeeper.toml", "mine");
    let refused = folder.init(false);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("is there already; --force writes over it"), "{said}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "mine");
    assert!(folder.init(true).status.success());
    let config = load(&folder.file()).unwrap();
    let cluster = &config.clusters[0];
    assert_eq!(cluster.topology.servers().len(), 3);
    // Whatever cannot be right as it is says so.
    let text = fs::read_to_string(folder.file()).unwrap();
    let sites = ["example.com", "unit = ", "database = ", "user = ", "subscription = "];
    for line in text.lines().filter(|line| sites.iter().any(|one| line.contains(one))) {
        assert!(line.contains("# CHANGE") || line.starts_with("# How"), "{line}");
    }
    for name in ["DM1", "DM2", "DM3", "VP1", "VP2"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("#   {name}  "))), "{name}");
    }
    // Three logins, thirteen status commands, two of each of five configured probes, and a look at each side.
    assert_eq!(cluster.probes.len(), 3 + 13 + 10 + 2);
}

fn loaded(folder: &Folder) -> Config {
    load_as(&folder.file(), Mode::Run).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn no_secret_is_shown_and_differences_are_in_the_files_words() {
    let folder = Folder::new("differences");
    assert!(folder.init(true).status.success());
    let old = loaded(&folder);
    assert!(!format!("{old:?} {old:#?}").contains("S3CRET"));
    assert_eq!(old.secrets["slack-url"].expose(), "S3CRET-slack-url");
    assert!(differences(&old, &loaded(&folder)).is_empty());

    let text = fs::read_to_string(folder.file()).unwrap();
    let text = text
        .replace("cooldown = \"10m\"", "cooldown = \"5m\"")
        .replace("unit = \"activemq\" ", "start = \"S3CRET\"\nstop = \"b\"\nstatus = \"c\" ")
        .replace("min-severity = \"warning\"", "settings = { channel = \"S3CRET\" }");
    folder.write("watchkeeper.toml", &text);
    folder.private("slack-url", "S3CRET-other");
    let new = loaded(&folder);
    assert_ne!(old.digest(), new.digest());
    assert_eq!(
        differences(&old, &new),
        [
            "clusters.prod.guards.cooldown: \"10m\" -> \"5m\"",
            "clusters.prod.services.activemq.start added",
            "clusters.prod.services.activemq.status added",
            "clusters.prod.services.activemq.stop added",
            "clusters.prod.services.activemq.unit removed",
            "receivers.ops.min-severity removed",
            "receivers.ops.settings added",
            "secrets.slack-url has another value",
        ]
    );
}

#[test]
fn the_example_for_five_servers_is_accepted() {
    let folder = Folder::new("example");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/five-servers");
    copy(&example, &folder.0);
    folder.write("plugins/webhook.wasm", "x");
    let of_the_repository = ["repository-password", "replication-password"];
    for name in ["slack-url", "rest-password", "activemq-password"].iter().chain(&of_the_repository)
    {
        folder.private(&format!("secrets/{name}"), "S3CRET\n");
    }
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
    let config = loaded(&folder);
    let cluster = &config.clusters[0];
    assert_eq!(cluster.arrangements.site_steps.len(), 2);
    let dm3 = &cluster.servers[&ServerName::new("dm3").unwrap()];
    assert_eq!(dm3.commands[&Service::Agent].start, "sudo -n /etc/init.d/dmagent start");
    let dm1 = &cluster.servers[&ServerName::new("dm1").unwrap()];
    assert_eq!(dm1.commands[&Service::Agent].start, "sudo -n systemctl start dm-agent");
    let to = cluster.repository.connection_to(dm1);
    assert!(to.expose().starts_with("host='198.51.100.11' port=5432 dbname='datamover'"));
    // Three logins, thirteen status commands, and two of each of seven configured probes.
    assert_eq!(cluster.probes.len(), 3 + 13 + 14 + 2);
}

/// The routes that docs/alerts.md shows, added to the example for five servers.
#[test]
fn the_example_of_routes_is_accepted() {
    let folder = Folder::new("routes");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    copy(&docs.join("five-servers"), &folder.0);
    folder.write("plugins/webhook.wasm", "x");
    for name in ["slack-url", "rest-password", "activemq-password"] {
        folder.private(&format!("secrets/{name}"), "S3CRET\n");
    }
    for name in ["repository-password", "replication-password"] {
        folder.private(&format!("secrets/{name}"), "S3CRET\n");
    }
    folder.write("conf.d/routes.toml", &fs::read_to_string(docs.join("routes.toml")).unwrap());
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
    let routing = loaded(&folder).routing;
    let root = routing.root.unwrap();
    assert_eq!((root.routes.len(), root.routes[0].goes_on), (2, true));
    // What a route does not say it has from the one around it.
    let test = &root.routes[1];
    assert_eq!((test.grouping.wait, test.grouping.interval), (1_800_000, 60_000));
    assert_eq!(test.grouping.by, root.grouping.by);
    assert_eq!(routing.heartbeat.unwrap().every, 60_000);
}

/// The mail server that docs/alerts.md shows, added to the same example.
#[test]
fn the_example_of_e_mail_is_accepted() {
    let folder = Folder::new("mail");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    copy(&docs.join("five-servers"), &folder.0);
    folder.write("plugins/webhook.wasm", "x");
    folder.write("plugins/email.wasm", "x");
    let secrets = ["slack-url", "rest-password", "activemq-password", "repository-password"];
    for name in secrets.into_iter().chain(["replication-password"]) {
        folder.private(&format!("secrets/{name}"), "S3CRET\n");
    }
    folder.private("conf.d/mail-password", "S3CRET\n");
    folder.write("conf.d/mail.toml", &fs::read_to_string(docs.join("mail.toml")).unwrap());
    assert_eq!(folder.check(), ("0 errors, 0 warnings\n".to_owned(), true));
    let config = loaded(&folder);
    let mail = config.receiver(&"mail".parse().unwrap()).unwrap().mail.as_ref().unwrap();
    assert_eq!((mail.server.port, mail.server.tls), (587, MailTls::StartTls));
    assert!(mail.covers(&"anybody@example.com".parse().unwrap()));
    assert!(!mail.covers(&"anybody@example.org".parse().unwrap()));
}

/// The tables of the documentation, from the list of keys.
fn documentation() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let title = match section.path {
            "" => "The file itself".to_owned(),
            path if path.ends_with("[]") => format!("`[[{}]]`", path.trim_end_matches("[]")),
            path => format!("`[{path}]`"),
        };
        write!(
            text,
            "\n### {title}\n\n| key | value | without it | what it does |\n|---|---|---|---|\n"
        )
        .unwrap();
        for key in section.keys {
            let presence = match key.presence {
                Presence::Required => "required".to_owned(),
                Presence::Default(value) => format!("`{value}`"),
                Presence::Optional(words) => words.to_owned(),
            };
            let kind = watchkeeper::config::expected(key.kind).replace('|', "\\|");
            writeln!(text, "| `{}` | {kind} | {presence} | {} |", key.name, key.doc).unwrap();
        }
    }
    text
}

#[test]
fn the_documentation_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let mark = "<!-- The tables below are made from the list of keys; do not edit them. -->\n";
    let head = text.split_once(mark).expect("the mark is there").0;
    let wanted = format!("{head}{mark}{}", documentation());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, wanted).unwrap();
    } else {
        assert_eq!(text, wanted, "rewrite docs/configuration.md with UPDATE_GOLDEN=1");
    }
}

#[test]
fn keys_are_told_apart_and_defaults_are_accepted() {
    let kinds = watchkeeper::config::keys::PROBE_KINDS;
    for section in SECTIONS {
        for (i, key) in section.keys.iter().enumerate() {
            assert!(section.keys[..i].iter().all(|old| old.name != key.name), "{}", key.name);
            assert!(key.doc.ends_with('.'), "{}", key.name);
            if let (Kind::Choice(words), Presence::Default(value)) = (key.kind, key.presence) {
                assert!(words.contains(&value), "{}", key.name);
            }
            assert!(kinds_of(key.name).is_none_or(|list| list.iter().all(|k| kinds.contains(k))));
        }
    }
}
