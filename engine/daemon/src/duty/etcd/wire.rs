//! The JSON of etcd's gateway, as far as it is used here.
//!
//! Keys and values are base64 there and 64-bit numbers are texts; what is zero or empty is left
//! out. Nothing of that is known outside of this file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use watchkeeper_core::duty::lease::{Entry, Index, News, Op, Transacted, Transaction};

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The end of the range of all keys that begin with `prefix`.
fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

pub(super) fn range(prefix: &str) -> Value {
    json!({ "key": encode(prefix), "range_end": encode(after(prefix)), "keys_only": true })
}

pub(super) fn watch(prefix: &str, from: u64) -> Value {
    json!({ "create_request": {
        "key": encode(prefix),
        "range_end": encode(after(prefix)),
        "start_revision": from.to_string(),
    } })
}

pub(super) fn transaction(transaction: &Transaction) -> Value {
    let Transaction { conditions, then, otherwise } = transaction;
    let compare: Vec<Value> = conditions
        .iter()
        .map(|it| {
            json!({
                "target": "MOD",
                "result": "EQUAL",
                "key": encode(&it.key),
                "mod_revision": it.since.to_string(),
            })
        })
        .collect();
    let ops = |list: &[Op]| list.iter().map(operation).collect::<Vec<_>>();
    json!({ "compare": compare, "success": ops(then), "failure": ops(otherwise) })
}

fn operation(op: &Op) -> Value {
    match op {
        Op::Get { key } => json!({ "request_range": { "key": encode(key) } }),
        Op::Put { key, value, lease } => json!({ "request_put": {
            "key": encode(key),
            "value": encode(value),
            "lease": lease.unwrap_or(0).to_string(),
        } }),
        Op::Delete { key } => json!({ "request_delete_range": { "key": encode(key) } }),
    }
}

/// A 64-bit number, as a text or as a number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Number(u64),
    }
    match Form::deserialize(deserializer)? {
        Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Form::Number(number) => Ok(number),
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::from_utf8(bytes(deserializer)?).map_err(serde::de::Error::custom)
}

/// Who answered, and when by etcd's own count.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Header {
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) raft_term: u64,
}

#[derive(Debug, Deserialize)]
struct RawEntry {
    #[serde(deserialize_with = "text")]
    key: String,
    #[serde(default, deserialize_with = "bytes")]
    value: Vec<u8>,
    #[serde(default, deserialize_with = "number")]
    mod_revision: u64,
    #[serde(default, deserialize_with = "number")]
    lease: u64,
}

impl From<RawEntry> for Entry {
    fn from(raw: RawEntry) -> Self {
        Self { key: raw.key, value: raw.value, revision: raw.mod_revision, lease: raw.lease }
    }
}

#[derive(Debug, Deserialize)]
struct RawRange {
    #[serde(default)]
    kvs: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawTransaction {
    header: Header,
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<RawResponse>,
}

#[derive(Deserialize)]
struct RawResponse {
    response_range: Option<RawRange>,
}

/// The answer to a transaction.
#[derive(Debug)]
pub(super) struct Answer(pub(super) Transacted);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawTransaction::deserialize(deserializer)?;
        let found = raw.responses.into_iter().filter_map(|it| it.response_range);
        let found = found.map(|range| range.kvs.into_iter().next().map(Entry::from)).collect();
        Ok(Self(Transacted { met: raw.succeeded, revision: raw.header.revision, found }))
    }
}

/// The answer to a question for all keys of a range, without values.
#[derive(Debug)]
pub(super) struct Range(pub(super) Index);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            header: Header,
            #[serde(default)]
            kvs: Vec<RawEntry>,
        }
        let Raw { header: Header { revision, raft_term }, kvs } = Raw::deserialize(deserializer)?;
        let entries = kvs.into_iter().map(Entry::from).collect();
        Ok(Self(Index { revision, raft_term, entries }))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Granted {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) id: u64,
    /// In seconds.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) ttl: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Kept {
    pub(super) result: KeptResult,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeptResult {
    pub(super) header: Header,
    /// In seconds; 0: there is no such lease.
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub(super) ttl: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
}

/// An answer that says nothing but that it was done.
#[derive(Debug, Deserialize)]
pub(super) struct Done {}

/// An answer that says what is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Complaint {
    pub(super) message: String,
    #[serde(default, alias = "grpc_code")]
    pub(super) code: u32,
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct WatchLine {
    pub(super) result: WatchResult,
}

#[derive(Debug, Deserialize)]
pub(super) struct WatchResult {
    #[serde(default)]
    pub(super) canceled: bool,
    #[serde(default)]
    pub(super) cancel_reason: String,
    /// What is asked for is forgotten already: the first revision that is not.
    #[serde(default, deserialize_with = "number")]
    pub(super) compact_revision: u64,
    #[serde(default)]
    events: Vec<RawEvent>,
}

#[derive(Debug, Deserialize)]
struct RawEvent {
    #[serde(default)]
    r#type: String,
    kv: RawEntry,
}

impl WatchResult {
    pub(super) fn into_news(self) -> Vec<News> {
        let news = |event: RawEvent| match event.r#type.as_str() {
            "DELETE" => News::Deleted { key: event.kv.key, revision: event.kv.mod_revision },
            _ => News::Put(event.kv.into()),
        };
        self.events.into_iter().map(news).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_does_not_begin_with_it() {
        assert_eq!(after("/wk/"), b"/wk0");
        assert_eq!(after("a\u{7f}"), b"a\x80");
        assert_eq!(after(""), [0]);
    }

    #[test]
    fn answers_are_read_and_garbage_is_an_error() {
        let answer = r#"{"header":{"cluster_id":"15","revision":"7","raft_term":"2"},"succeeded":true,
            "responses":[{"response_put":{"header":{"revision":"7"}}},{"response_range":{"kvs":[
            {"key":"L3drL2E=","create_revision":"2","mod_revision":"5","value":"aGk=","lease":"41"}]}},
            {"response_range":{"header":{}}}]}"#;
        let Answer(answer) = serde_json::from_str(answer).unwrap();
        let entry =
            Entry { key: "/wk/a".to_owned(), value: b"hi".to_vec(), revision: 5, lease: 41 };
        assert!(answer.met && answer.revision == 7);
        assert_eq!(answer.found, [Some(entry), None]);
        let line = r#"{"result":{"header":{},"events":[{"type":"DELETE","kv":{"key":"L3drL2E=","mod_revision":"9"}}]}}"#;
        let line: WatchLine = serde_json::from_str(line).unwrap();
        let deleted = News::Deleted { key: "/wk/a".to_owned(), revision: 9 };
        assert_eq!(line.result.into_news(), [deleted]);
        for bad in [r#"{"key":"*"}"#, r#"{"key":"/w=="}"#, r#"{"key":"YQ==","lease":"-1"}"#] {
            assert!(serde_json::from_str::<RawEntry>(bad).is_err(), "{bad}");
        }
    }
}
