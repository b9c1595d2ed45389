//! What rules get, what they may answer, and how their mistakes are told: natively.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeMap;
use std::path::Path;

use data_mover_ha::DataMoverHa;
use rego::{Rego, Settings};
use serde_json::{Value, json};
use watchkeeper_sdk::policy::{
    Action, Ending, Evaluation, Policy as _, Service, Severity, Value as Measured,
};
use watchkeeper_sdk::testkit::core::settings::{Given, SettingValue, check};
use watchkeeper_sdk::testkit::{self, Cluster};

fn scene() -> Cluster {
    testkit::cluster()
        .down("dm1", Service::Rest)
        .measures("dm1", "replay-lag-bytes", Measured::Integer(4096))
        .rescued("dm1", Service::Rest, Ending::Failed)
        .in_maintenance("dm2", Service::Agent)
        .confirmed(2)
}

fn ask(rules: &str, data: &str, state: &[u8]) -> Result<Evaluation, String> {
    let settings = Settings {
        rules: rules.to_owned(),
        data: data.to_owned(),
        measures: vec!["replay-lag-bytes".to_owned()],
        ..Settings::default()
    };
    Rego::evaluate(&scene().snapshot(), &settings, state)
}

/// With rules whose decision is `decision`.
fn decide(decision: &str) -> Result<Evaluation, String> {
    ask(&format!("package watchkeeper\nimport rego.v1\ndecision := {decision}"), "{}", &[])
}

#[test]
fn the_input_is_the_snapshot_as_the_journal_keeps_it() {
    let rules = "package watchkeeper\nimport rego.v1\ndecision := {\"state\": input}";
    let found: Value = serde_json::from_slice(&ask(rules, "{}", &[]).unwrap().state).unwrap();
    let kept = serde_json::to_value(&*scene().take()).unwrap();
    assert!(kept["measures"].as_array().is_some_and(|it| it.len() == 1), "{kept:#}");
    assert!(kept["rescues"].as_array().is_some_and(|it| it.len() == 1), "{kept:#}");
    assert_eq!(found, kept);
}

#[test]
fn only_what_the_rules_mention_is_in_the_input() {
    let rules = "package watchkeeper\nimport rego.v1\n\
                 decision := {\"state\": {\"name\": input.cluster.name, \"all\": data}}";
    let found: Value = serde_json::from_slice(&ask(rules, "{}", &[]).unwrap().state).unwrap();
    assert_eq!(found["name"], json!("cluster"));
}

#[test]
fn a_whole_decision_is_an_evaluation() {
    let evaluation = decide(
        r#"{
            "proposals": [
                {"action": "rescue", "server": "dm1", "service": "rest", "reason": "a"},
                {"action": "stop-service", "server": "dm2", "service": "daemon", "reason": "b"},
                {"action": "failover", "reason": "c"},
            ],
            "holds": {"x"},
            "alerts": [{"name": "n", "severity": "critical", "server": "dm1", "service": "rest",
                        "code": "4604002", "summary": "s", "labels": {"kind": "k"}}],
            "notes": ["one"],
            "state": {"seen": 1},
            "look-again": 1500,
        }"#,
    )
    .unwrap();
    let actions: Vec<&Action> = evaluation.proposals.iter().map(|it| &it.action).collect();
    assert!(matches!(
        actions[..],
        [Action::Rescue(rest), Action::StopService(daemon), Action::Failover]
            if rest.service == Service::Rest && daemon.server == "dm2"
    ));
    assert_eq!(evaluation.holds, ["x"]);
    let alert = &evaluation.alerts[0];
    assert!(alert.severity == Severity::Critical && alert.code == "4604002");
    assert_eq!(alert.labels, [("kind".to_owned(), "k".to_owned())]);
    assert_eq!(evaluation.state, b"{\"seen\":1}");
    assert_eq!((evaluation.look_again, evaluation.notes), (Some(1500), vec!["one".to_owned()]));
}

#[test]
fn what_was_remembered_and_the_site_s_settings_are_data() {
    let rules = "package watchkeeper\nimport rego.v1\n\
                 before := data.state.n if data.state\nbefore := 0 if not data.state\n\
                 decision := {\"state\": {\"n\": before + data.settings.step}}";
    let first = ask(rules, "{\"step\": 5}", &[]).unwrap();
    assert_eq!(first.state, b"{\"n\":5}");
    assert_eq!(ask(rules, "{\"step\": 5}", &first.state).unwrap().state, b"{\"n\":10}");
}

#[test]
fn a_decision_that_is_none_is_told_with_its_place() {
    for (decision, told) in [
        ("[]", "data.watchkeeper.decision has to be an object, not []"),
        (
            "{\"proposal\": []}",
            "data.watchkeeper.decision has no key \"proposal\": it may have proposals",
        ),
        ("{\"holds\": \"x\"}", "decision.holds has to be an array or a set, not \"x\""),
        ("{\"holds\": [1]}", "decision.holds[0] has to be a text, not 1"),
        ("{\"proposals\": [{\"action\": \"reboot\", \"reason\": \"x\"}]}", "not \"reboot\""),
        ("{\"proposals\": [{\"action\": \"failover\"}]}", "proposals[0].reason is missing"),
        (
            "{\"proposals\": [{\"action\": \"failover\", \"reason\": \"x\", \"server\": \"dm1\"}]}",
            "no key \"server\"",
        ),
        (
            "{\"alerts\": [{\"name\": \"n\", \"severity\": \"bad\", \"summary\": \"s\"}]}",
            "not \"bad\"",
        ),
        ("{\"look-again\": \"5s\"}", "whole number of milliseconds"),
        ("1 if false", "data.watchkeeper.decision is undefined"),
    ] {
        let said = decide(decision).unwrap_err();
        assert!(said.contains(told), "{decision}: {said}");
    }
}

#[test]
fn a_mistake_in_a_text_is_told_with_line_and_column() {
    let rules = |body: &str| format!("package watchkeeper\nimport rego.v1\n{body}\n");
    for (body, place) in [
        ("decision := {", "rules:4:"),
        ("decision := nothing.like.this", "rules:3:"),
        ("decision := {\"state\": strange(1)}", "rules:3:"),
        ("decision := {\"state\": time.now_ns()}", "rules:3:"),
        ("decision := {\"state\": rand.intn(\"a\", 5)}", "rules:3:"),
        ("decision := {\"state\": http.send({})}", "rules:3:"),
        ("decision := {\"state\": opa.runtime()}", "rules:3:"),
    ] {
        let said = ask(&rules(body), "{}", &[]).unwrap_err();
        assert!(said.starts_with(place), "{body}: {said}");
    }
    assert!(ask("", "{}", &[]).unwrap_err().starts_with("rules:1:1: there are no rules"));
    let data = ask(&rules("decision := {}"), "{\n  x", &[]).unwrap_err();
    assert!(data.starts_with("data:2:3: this is not JSON"), "{data}");
}

#[test]
fn rules_that_may_only_hold_and_alert_do_nothing_else() {
    let ask = |decision: &str| {
        let rules = format!("package watchkeeper\nimport rego.v1\ndecision := {decision}");
        let may = ["hold", "alert"].map(str::to_owned).to_vec();
        let settings = Settings { rules, may, ..Settings::default() };
        Rego::evaluate(&scene().snapshot(), &settings, &[])
    };
    assert_eq!(ask("{\"holds\": [\"x\"]}").unwrap().holds, ["x"]);
    let more = ask("{\"proposals\": [{\"action\": \"failover\", \"reason\": \"x\"}]}").unwrap_err();
    assert!(more.contains("ask for failover"), "{more}");
}

/// The rules of data-mover-ha in Rego, and itself, about everything that its cases go through.
#[test]
fn the_rules_of_data_mover_ha_in_rego_propose_the_same() {
    /// They leave out single services in maintenance and sides that were swapped by hand, say in other
    /// words that no attempts are set, and stop what came back in another order.
    const OTHERWISE: [&str; 4] =
        ["maintenance-", "sides-swapped", "no-attempts", "old-primary-comes-back"];
    let rules = include_str!("../../../tests/bench/src/data-mover-ha.rego");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-mover-ha/cases");
    let mut compared = 0;
    let mut different = BTreeMap::new();
    for case in testkit::cases::find(&cases).unwrap() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let mut ask = |snapshot: &_, given: &BTreeMap<String, Given>, state: &[u8]| {
            let ours = testkit::evaluate::<DataMoverHa>(snapshot, given, state)?;
            let settings = BTreeMap::from([
                ("rules".to_owned(), Given::Text(rules.to_owned())),
                ("data".to_owned(), Given::Text(settings(given).to_string())),
            ]);
            let theirs = testkit::evaluate::<Rego>(snapshot, &settings, &[])?;
            compared += 1;
            if theirs.proposals != ours.proposals {
                different.entry(name.clone()).or_insert((ours.proposals.clone(), theirs.proposals));
            }
            Ok(ours)
        };
        testkit::cases::play(&case, &mut ask).unwrap();
    }
    different.retain(|name, _| !OTHERWISE.iter().any(|begin| name.starts_with(begin)));
    assert!(compared > 1_000, "{compared}");
    assert!(different.is_empty(), "{different:#?}");
}

/// The settings of data-mover-ha by their names.
fn settings(given: &BTreeMap<String, Given>) -> Value {
    use watchkeeper_sdk::settings::Settings as _;
    let schema: Vec<_> = <DataMoverHa as watchkeeper_sdk::policy::Policy>::Settings::specs()
        .into_iter()
        .map(Into::into)
        .collect();
    let values = check(&schema, given).unwrap();
    let plain = |value: &SettingValue| match value {
        SettingValue::Flag(flag) => json!(flag),
        SettingValue::Integer(number) => json!(number),
        SettingValue::Text(text) => json!(text),
        SettingValue::Texts(texts) => json!(texts),
    };
    schema
        .iter()
        .zip(&values)
        .map(|(setting, value)| (setting.name.clone(), plain(value)))
        .collect()
}
