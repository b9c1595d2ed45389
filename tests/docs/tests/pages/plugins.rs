//! docs/plugins.md: the settings of the plugins that ship, as their schemas have them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use watchkeeper_sdk::notifier::Notifier;
use watchkeeper_sdk::settings::{Kind, Settings as _, Spec};
use watchkeeper_sdk::time::human;

use crate::{compare, path, read};

const PAGE: &str = "docs/plugins.md";
const MARK: &str = "<!-- What follows is made from the plugins' schemas; do not edit. \
                    `UPDATE_DOCS=1 cargo test -p watchkeeper-docs` rewrites it. -->\n";

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
    assert_eq!(told, there, "a folder of plugins/ is missing here");

    let page = read(PAGE);
    let (head, _) = page.split_once(MARK).expect("the mark is there");
    for name in &there {
        assert!(head.contains(&format!("| [{name}](#{name}) |")), "the table has no {name}");
    }
    let tables: String = sections.iter().map(|(_, text)| text.as_str()).collect();
    compare(PAGE, &format!("{head}{MARK}{tables}"));
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

fn default(kind: &Kind) -> String {
    let quoted = |text: &str| format!("`{text:?}`");
    let bounded = |default: i64, min: i64, max: i64, shown: &dyn Fn(i64) -> String| {
        format!("{}, from {} to {}", shown(default), shown(min), shown(max))
    };
    match kind {
        Kind::Flag(default) => format!("`{default}`"),
        Kind::Integer { default, min, max } => {
            bounded(*default, *min, *max, &|number| number.to_string())
        }
        Kind::Duration { default, min, max } => {
            let shown = |ms| human(u64::try_from(ms).unwrap_or(0));
            bounded(*default, *min, *max, &shown)
        }
        Kind::Text(default) => quoted(default),
        Kind::Choice { default, options } => {
            let options: Vec<String> = options.iter().map(|word| quoted(word)).collect();
            format!("{} out of {}", quoted(default), options.join(", "))
        }
        Kind::Texts(default) => format!("`{default:?}`"),
    }
}
