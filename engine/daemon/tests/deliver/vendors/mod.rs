//! The plugins for other companies' services, against stand-ins that check every request against what the vendor
//! documents: the component that ships, the configuration, the delivery and TLS are the real ones.
//!
//! A stand-in is too busy for the first request, and loses an answer now and then. Each vendor's file names the
//! documentation that it follows; what the documentation does not say, a stand-in cannot know.

mod incidents;
mod jira;
mod mistaken;
mod opsgenie;
mod pagerduty;
mod schema;
mod servicenow;
mod slack;
mod standin;
mod teams;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use watchkeeper::config;
use watchkeeper::deliver::Receivers;
use watchkeeper::wiring::{self, Shelf};
use watchkeeper_core::alerting::{Alert, Changes, Fingerprint};
use watchkeeper_core::event::Event;
use watchkeeper_core::proposal::Severity;
use watchkeeper_core::state::State;
use watchkeeper_wasm::Host;

use crate::support::{Folder, Site, alert, now, prod};
use jira::Jira;
use opsgenie::Opsgenie;
use pagerduty::PagerDuty;
use servicenow::ServiceNow;
use slack::Slack;
use standin::Fault::{Busy, Lost};
use standin::{Fault, NAME, Standin, Vendor};
use teams::Teams;

/// What every alert says: longer than any field, and with what a vendor might take for more than a text.
const SAYS: &str = "Köln: \"x\" <!channel> & {{secret \"token\"}} [code] 😀\n";

/// So many alerts begin at once in the middle of the story.
const MANY: usize = 30;

/// A receiver as a site configures it. `{HOST}` in the settings stands for the vendor's host and port.
struct Receiver {
    plugin: &'static str,
    settings: &'static str,
    /// What is in the secret `token`.
    secret: String,
}

/// The receivers of a configuration in `folder`.
fn receivers(folder: &Folder, port: u16, receiver: &Receiver) -> Receivers {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let Receiver { plugin, settings, secret } = receiver;
    let component = watchkeeper_guests::guest_bytes(plugin);
    write(&format!("plugins/{plugin}.wasm"), &component);
    for (name, text) in [("token", secret.as_str()), ("key", "x"), ("known_hosts", "x")] {
        write(name, text.as_bytes());
    }
    let host = format!("127.0.0.1:{port}");
    let settings = settings.replace("{HOST}", &host);
    let text = format!(
        r#"
        guests = {{ plugins = "plugins", policies = "plugins" }}
        monitor = {{ name = "vp1", state-dir = "state" }}
        secrets = {{ token = {{ file = "token" }} }}
        ssh = {{ key = "key", known-hosts = "known_hosts" }}

        [receivers.vendor]
        plugin = "{plugin}"
        settings = {{ {settings} }}
        hosts = ["{host}"]
        secrets = ["token"]
        ca = "{NAME}.pem"
        min-severity = "info"
        timeout = "20s"
        retry-first = "50ms"
        retry-max = "200ms"

        [route]
        receiver = "vendor"
        group-by = ["cluster"]
        group-wait = "0s"
        group-interval = "0s"

        [clusters.prod]
        primary = "dm1"
        secondary = "dm2"

        [clusters.prod.servers]
        dm1 = {{ address = "10.0.0.1", services = ["repository", "activemq", "daemon", "agent", "rest"] }}
        dm2 = {{ address = "10.0.0.2", services = ["repository", "activemq", "daemon", "agent", "rest"] }}
        "#
    );
    write("watchkeeper.toml", text.as_bytes());
    let config = config::load(&folder.0.join("watchkeeper.toml"));
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let host = Host::new(wiring::host_config(&config.guests, None)).unwrap();
    let mut shelf = Shelf::new(Arc::new(host), None);
    let mut rejected = BTreeMap::new();
    let before = Receivers::default();
    let (receivers, _) = wiring::receivers(&mut shelf, &config, &before, &mut rejected);
    assert!(rejected.is_empty(), "{rejected:?}");
    receivers
}

/// An alert with a very long text.
fn long(name: &str, severity: Severity) -> Alert {
    let mut long = alert(name, now());
    long.claim.summary = format!("{name}: {}", SAYS.repeat(100));
    long.claim.severity = severity;
    long.claim.labels = (0..30).map(|number| (format!("label{number}"), SAYS.repeat(5))).collect();
    long.fingerprint = Fingerprint::of(prod().as_ref(), "engine", &long.claim);
    long
}

fn over(alert: &Alert) -> Alert {
    Alert { ends_at: Some(now()), ..alert.clone() }
}

/// Everything that was made has been delivered.
fn delivered(state: &State) -> bool {
    assert!(!state.post.outbox.entries().any(|it| it.dead), "{:?}", crate::support::dead(state));
    state.post.outbox.next_id() > 0 && state.post.outbox.entries().count() == 0
}

/// A story in four notifications of a group: an alert begins; many more do, and are worse; somebody takes care of all,
/// and the first is over; everything is over.
async fn story<V: Vendor>(vendor: V, receiver: &Receiver, faults: &[(usize, Fault)]) -> Standin<V> {
    let folder = Folder::new();
    let standin = Standin::start(&folder, vendor, &receiver.secret, faults).await;
    let receivers = receivers(&folder, standin.port, receiver);
    let mut site = Site::with(folder, receivers).await;
    let tell = async |site: &mut Site, fired: &[Alert], resolved: &[Alert]| {
        let changes = Changes { fired: fired.to_vec(), resolved: resolved.to_vec() };
        site.tell(&changes).await;
        site.until(delivered).await;
    };
    let first = long("first", Severity::Warning);
    tell(&mut site, std::slice::from_ref(&first), &[]).await;
    let more: Vec<Alert> =
        (0..MANY).map(|number| long(&format!("more-{number}"), Severity::Critical)).collect();
    tell(&mut site, &more, &[]).await;
    let taken = |alert: &Alert| Event::AlertAcknowledged {
        fingerprint: alert.fingerprint.clone(),
        by: "ada".to_owned(),
        comment: SAYS.to_owned(),
    };
    let taken = more.iter().map(|alert| (prod(), taken(alert))).collect();
    site.journal.append(now(), taken).await.unwrap();
    tell(&mut site, &[], &[over(&first)]).await;
    let all_over: Vec<Alert> = more.iter().map(over).collect();
    tell(&mut site, &[], &all_over).await;
    standin
}

/// It came back not before a second had passed, as it was told to.
fn assert_waited<V: Vendor>(standin: &Standin<V>) {
    assert!(standin.pause_after(1) >= Duration::from_secs(1), "{:?}", standin.pause_after(1));
}

#[tokio::test]
async fn pagerduty_has_one_incident_that_is_resolved() {
    let receiver = Receiver {
        plugin: "pagerduty",
        settings: r#"routing-key = '{{secret "token"}}', url = "https://{HOST}/v2/enqueue", link = "https://wiki.example.com/dm""#,
        secret: pagerduty::ROUTING_KEY.to_owned(),
    };
    let standin = story(PagerDuty::default(), &receiver, &[(1, Busy), (2, Lost), (6, Lost)]).await;
    // What the second and the sixth request said is said again, by the same key.
    let said = [
        "trigger",
        "trigger",
        "trigger",
        "trigger",
        "acknowledge",
        "trigger",
        "acknowledge",
        "resolve",
    ];
    standin.look(|vendor| assert_eq!(vendor.incidents.only(), said));
}

#[tokio::test]
async fn opsgenie_has_one_alert_that_is_closed() {
    let receiver = Receiver {
        plugin: "opsgenie",
        settings: r#"key = '{{secret "token"}}', url = "https://{HOST}", teams = ["Data Mover"], tags = ["dm"]"#,
        secret: opsgenie::KEY.to_owned(),
    };
    let standin = story(Opsgenie::default(), &receiver, &[(1, Busy), (2, Lost)]).await;
    let said = ["create", "create", "create", "notes", "create", "acknowledge", "close"];
    standin.look(|vendor| assert_eq!(vendor.incidents.only(), said));
}

#[tokio::test]
async fn servicenow_has_one_incident_that_is_resolved() {
    let receiver = Receiver {
        plugin: "servicenow",
        settings: r#"url = "https://{HOST}", basic = '{{secret "token"}}', fields = ["assignment_group=Data Mover"]"#,
        secret: servicenow::BASIC.to_owned(),
    };
    // Too busy; searched, and opened with no answer; found by its key, and noted.
    let standin = story(ServiceNow::default(), &receiver, &[(1, Busy), (3, Lost)]).await;
    let said = ["create", "note", "note", "note", "resolve"];
    standin.look(|vendor| assert_eq!(vendor.incidents.only(), said));
    assert_waited(&standin);
}

#[tokio::test]
async fn servicenow_gives_a_token_for_each_delivery() {
    let receiver = Receiver {
        plugin: "servicenow",
        settings: r#"url = "https://{HOST}", client-id = "a329c4515612210071a5e0c298ee2be8", client-secret = '{{secret "token"}}'"#,
        secret: servicenow::CLIENT.1.to_owned(),
    };
    let standin = story(ServiceNow::default(), &receiver, &[(1, Busy), (4, Lost)]).await;
    let said = ["create", "note", "note", "note", "resolve"];
    standin.look(|vendor| assert_eq!(vendor.incidents.only(), said));
}

#[tokio::test]
async fn jira_has_one_issue_that_is_done() {
    let receiver = Receiver {
        plugin: "jira",
        settings: r#"url = "https://{HOST}", basic = '{{secret "token"}}', project = "DM", labels = ["data-mover"]"#,
        secret: jira::BASIC.to_owned(),
    };
    let standin = story(Jira::default(), &receiver, &[(1, Busy), (3, Lost)]).await;
    let said = ["create", "comment", "comment", "comment", "transition", "comment"];
    standin.look(|vendor| assert_eq!(vendor.incidents.only(), said));
    assert_waited(&standin);
}

#[tokio::test]
async fn slack_gets_a_message_for_each_notification() {
    let receiver = Receiver {
        plugin: "slack",
        settings: r#"url = 'https://{HOST}/{{secret "token"}}'"#,
        secret: slack::PATH.to_owned(),
    };
    let standin = story(Slack::default(), &receiver, &[(1, Busy), (2, Lost)]).await;
    // The first is repeated: there is no key by which Slack would know it again.
    standin.look(|vendor| assert_told(&vendor.messages));
    assert_waited(&standin);
}

#[tokio::test]
async fn teams_gets_a_card_for_each_notification() {
    let receiver = Receiver {
        plugin: "teams",
        settings: r#"url = 'https://{HOST}/{{secret "token"}}', link = "https://wiki.example.com/dm""#,
        secret: format!("{}?{}", teams::PATH, teams::SIGNATURE),
    };
    let standin = story(Teams::default(), &receiver, &[(1, Busy), (2, Lost)]).await;
    standin.look(|vendor| assert_told(&vendor.messages));
    assert_waited(&standin);
}

/// The whole story, the first part of it twice.
fn assert_told(messages: &[String]) {
    let begins = |words: &[&str]| {
        messages.len() == words.len()
            && messages.iter().zip(words).all(|(message, word)| message.starts_with(word))
    };
    assert!(begins(&["WARNING", "WARNING", "CRITICAL", "CRITICAL", "RESOLVED"]), "{messages:#?}");
    assert_eq!(messages[0], messages[1]);
}
