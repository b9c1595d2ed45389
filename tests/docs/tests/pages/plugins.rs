//! docs/plugins.md: the keys of a recorded conversation, and the settings of the plugins that ship, as their schemas have them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use watchkeeper::config::keys::{CONVERSATION, Kind, Presence};
use watchkeeper_sdk::notifier::Notifier;
use watchkeeper_sdk::settings::{Kind as SettingKind, Settings as _, Spec};
use watchkeeper_sdk::time::human;

use crate::{compare, path, read};

const PAGE: &str = "docs/plugins.md";
const MARK: &str = "<!-- What follows is made from the plugins' schemas; do not edit. \
                    `UPDATE_DOCS=1 cargo test -p watchkeeper-docs` rewrites it. -->\n";

const KEYS: &str = "<!-- What follows is made from the program; do not edit. \
                    `UPDATE_DOCS=1 cargo test -p watchkeeper-docs` rewrites it. -->\n";
const KEYS_END: &str = "<!-- end of what is made -->\n";

#[test]
fn the_page_has_the_settings_of_every_plugin_that_ships() {
    let sections = [
        section::<alertmanager::Alertmanager>(),
        section::<email::Email>(),
        section::<jira::Jira>(),
        section::<opsgenie::Opsgenie>(),
        section::<pagerduty::PagerDuty>(),
        section::<servicenow::ServiceNow>(),
        section::<slack::Slack>(),
        section::<teams::Teams>(),
        section::<tvi::Tvi>(),
        section::<webhook::Webhook>(),
    ];
    let told: BTreeSet<String> = sections.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = std::fs::read_dir(path("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // Those in other languages are components only where there are the languages' tools: their settings stand in
    // the page, and the test `languages` compares.
    let scripted = |name: &String| path(&format!("plugins/{name}/package.json")).exists();
    let in_rust: BTreeSet<String> = there.iter().filter(|name| !scripted(name)).cloned().collect();
    assert_eq!(told, in_rust, "a folder of plugins/ is missing here");

    let page = read(PAGE);
    let (head, _) = page.split_once(MARK).expect("the mark is there");
    for name in &there {
        assert!(head.contains(&format!("| [{name}](#{name}) |")), "the table has no {name}");
        let section = format!("\n### {name}\n");
        assert!(page.contains(&section), "there is no section for {name}");
    }
    let tables: String = sections.iter().map(|(_, text)| text.as_str()).collect();
    let (before, rest) = head.split_once(KEYS).expect("the keys' mark is there");
    let (_, after) = rest.split_once(KEYS_END).expect("the keys' end is there");
    let keys = conversation();
    compare(PAGE, &format!("{before}{KEYS}{keys}{KEYS_END}{after}{MARK}{tables}"));
}

/// The keys of a conversation, a table for each kind of table.
fn conversation() -> String {
    let mut text = String::new();
    for section in CONVERSATION {
        let title = match section.path.rsplit('.').next().unwrap() {
            "conversation" => "`conversation.toml`".to_owned(),
            _ => format!("`[[{}]]`", section.path["conversation.".len()..].replace("[]", "")),
        };
        write!(text, "\n**{title}**\n\n| key | without it | what it is |\n|---|---|---|\n")
            .unwrap();
        for key in section.keys {
            let without = match key.presence {
                Presence::Required => "required".to_owned(),
                Presence::Default(value) => format!("`{value}`"),
                Presence::Optional(words) => words.to_owned(),
            };
            let expected = match key.kind {
                Kind::Choice(words) => format!(" One of {}.", words.join(", ")),
                _ => String::new(),
            };
            writeln!(text, "| `{}` | {without} | {}{expected} |", key.name, key.doc).unwrap();
        }
    }
    text.push('\n');
    text
}

fn section<N: Notifier>() -> (&'static str, String) {
    let mut text = format!("\n### {}\n{}\n\n", N::NAME, N::SUMMARY);
    text.push_str("| setting | default | what it does |\n|---|---|---|\n");
    for Spec { name, doc, kind } in N::Settings::specs() {
        let doc = doc.replace('|', "\\|");
        writeln!(text, "| `{name}` | {} | {doc} |", default(&kind)).unwrap();
    }
    (N::NAME, text)
}

fn default(kind: &SettingKind) -> String {
    let quoted = |text: &str| format!("`{text:?}`");
    let bounded = |default: i64, min: i64, max: i64, shown: &dyn Fn(i64) -> String| {
        format!("{}, from {} to {}", shown(default), shown(min), shown(max))
    };
    match kind {
        SettingKind::Flag(default) => format!("`{default}`"),
        SettingKind::Integer { default, min, max } => {
            bounded(*default, *min, *max, &|number| number.to_string())
        }
        SettingKind::Duration { default, min, max } => {
            let shown = |ms| human(u64::try_from(ms).unwrap_or(0));
            bounded(*default, *min, *max, &shown)
        }
        SettingKind::Text(default) => quoted(default),
        SettingKind::Choice { default, options } => {
            let options: Vec<String> = options.iter().map(|word| quoted(word)).collect();
            format!("{} out of {}", quoted(default), options.join(", "))
        }
        SettingKind::Texts(default) => format!("`{default:?}`"),
    }
}
