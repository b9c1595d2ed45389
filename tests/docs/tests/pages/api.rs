//! docs/api.md: each route of the server has a section, and each example is of the type that goes over
//! the socket, with nothing that the type does not know.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use watchkeeper::api::{
    AlertOrder, AlertReply, AlertsReport, OrderReply, OrderRequest, RehearsalLine, StatusReport,
};
use watchkeeper::explain::Story;
use watchkeeper_core::event::Record;
use watchkeeper_core::snapshot::Snapshot;

use crate::read;

#[test]
fn each_route_is_documented_and_no_other() {
    let documented: BTreeSet<String> = read("docs/api.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    // `.route("/v1/status", get(status))`
    let served: BTreeSet<String> = read("engine/daemon/src/api/server.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "))
        .map(|(path, rest)| {
            let (method, _) = rest.split_once('(').unwrap();
            format!("{} {path}", method.to_uppercase())
        })
        .collect();
    assert!(served.contains("GET /v1/status"), "{served:?}");
    assert_eq!(documented, served);
}

#[test]
fn each_example_is_what_goes_over_the_socket() {
    let page = read("docs/api.md");
    let mut seen = BTreeSet::new();
    let mut rest = page.as_str();
    while let Some((_, after)) = rest.split_once("<!-- type: ") {
        let (kind, after) = after.split_once(" -->\n```json\n").expect("an example follows");
        let (example, after) = after.split_once("```\n").unwrap();
        match kind {
            "StatusReport" => survives::<StatusReport>(kind, example),
            "Record" => survives::<Vec<Record>>(kind, example),
            "Story" => survives::<Story>(kind, example),
            "Snapshot" => survives::<Snapshot>(kind, example),
            "OrderRequest" => survives::<OrderRequest>(kind, example),
            "RehearsalLine" => survives::<RehearsalLine>(kind, example),
            "OrderReply" => survives::<OrderReply>(kind, example),
            "AlertsReport" => survives::<AlertsReport>(kind, example),
            "AlertOrder" => survives::<AlertOrder>(kind, example),
            "AlertReply" => survives::<AlertReply>(kind, example),
            "strings" => survives::<Vec<String>>(kind, example),
            "Mistake" => survives::<Mistake>(kind, example),
            other => panic!("there is no type {other}"),
        }
        seen.insert(kind);
        rest = after;
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
    assert_eq!(page.matches("```json").count(), page.matches("<!-- type: ").count());
}

/// The answer of a request that could not be answered.
#[derive(serde::Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    error: String,
}

/// Every key of the example is known: it is still there after having been read.
fn survives<T: Serialize + DeserializeOwned>(kind: &str, example: &str) {
    let there: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("{kind}: {e}"));
    let read: T =
        serde_json::from_str(example).unwrap_or_else(|e| panic!("{kind}: {e}\n{example}"));
    contains(kind, &serde_json::to_value(&read).unwrap(), &there);
}

fn contains(at: &str, all: &Value, some: &Value) {
    match (all, some) {
        (Value::Object(all), Value::Object(some)) => {
            for (key, value) in some {
                let known = all.get(key).unwrap_or_else(|| panic!("{at}: no key {key}"));
                contains(&format!("{at}.{key}"), known, value);
            }
        }
        (Value::Array(all), Value::Array(some)) => {
            assert_eq!(all.len(), some.len(), "{at}");
            for (i, (all, some)) in all.iter().zip(some).enumerate() {
                contains(&format!("{at}[{i}]"), all, some);
            }
        }
        _ => assert_eq!(all, some, "{at}"),
    }
}
