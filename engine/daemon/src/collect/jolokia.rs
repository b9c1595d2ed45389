//! A broker's own opinion of its health, over Jolokia (JMX over HTTP).

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use super::http::{HttpAsk, refusal};

/// Asks for the broker's health and its limits in one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Jolokia {
    /// Where and how: usually `http://HOST:8161/api/jolokia` with basic authentication. Jolokia in
    /// strict mode also wants a header `Origin` that it knows.
    pub ask: HttpAsk,
    /// The broker's name, `localhost` unless the site named it.
    pub broker: String,
}

/// What is read of the broker, and the values that it becomes. The messages are those of all queues
/// and topics together that nobody has acknowledged: Data Mover's own parts are the only consumers,
/// so what grows there waits for one of them.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("MemoryPercentUsage", "memory-percent"),
    ("StorePercentUsage", "store-percent"),
    ("TempPercentUsage", "temp-percent"),
    ("CurrentConnectionsCount", "connections"),
    ("TotalMessageCount", "queued-messages"),
    ("TotalConsumerCount", "consumers"),
    ("TotalProducerCount", "producers"),
];

/// One answer of a bulk request.
#[derive(Deserialize)]
struct Read {
    status: u16,
    #[serde(default)]
    value: serde_json::Value,
    #[serde(default)]
    error: Option<String>,
}

impl Jolokia {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let broker = format!("org.apache.activemq:type=Broker,brokerName={}", self.broker);
        let body = json!([
            {"type": "read", "mbean": format!("{broker},service=Health"),
             "attribute": "CurrentStatus"},
            {"type": "read", "mbean": broker,
             "attribute": ATTRIBUTES.map(|(attribute, _)| attribute)},
        ]);
        let answer = self.ask.ask(Method::POST, Some(body.to_string()), None, deadline).await;
        match answer {
            Ok(answer) => answer.measured(judge(&self.ask.address(), answer.status, &answer.body)),
            Err(finding) => finding,
        }
    }
}

pub(super) fn judge(address: &str, status: StatusCode, body: &[u8]) -> Finding {
    if let Some(finding) = refusal(address, status) {
        return finding;
    }
    let Some([health, broker]) = serde_json::from_slice::<Vec<Read>>(body)
        .ok()
        .and_then(|reads| <[Read; 2]>::try_from(reads).ok())
    else {
        let detail = format!("{address} answers {status}, which is not an answer of Jolokia");
        return Finding::down(ReasonCode::Protocol, &detail);
    };
    if matches!(broker.status, 401 | 403) {
        let detail = format!("Jolokia at {address} does not let this user read the broker");
        return Finding::unknown(ReasonCode::Denied, &detail);
    }
    let mut finding = match health.value.as_str() {
        Some("Good") => Finding::up(ReasonCode::Serving, "the broker's health is good"),
        Some(words) if health.status == 200 => {
            Finding::down(ReasonCode::Unhealthy, &format!("the broker's health: {words}"))
        }
        // Brokers without the health view still have their own attributes.
        _ if broker.status == 200 => Finding::up(ReasonCode::Serving, "the broker answers"),
        _ => {
            let words = broker.error.as_deref().unwrap_or("no explanation");
            let detail = format!("{address} has no broker of that name: {words}");
            Finding::down(ReasonCode::Unhealthy, &detail)
        }
    };
    for (attribute, value) in ATTRIBUTES {
        if let Some(number) = broker.value.get(attribute).and_then(serde_json::Value::as_i64) {
            finding = finding.with(value, Value::Integer(number));
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchkeeper_core::model::Status;

    const BROKER: &str = r#"{"status":200,"value":{"MemoryPercentUsage":3,
        "StorePercentUsage":7,"CurrentConnectionsCount":12,"TotalMessageCount":41,"TotalConsumerCount":5}}"#;

    fn judged(health: &str, broker: &str) -> Finding {
        judge("dm1:8161", StatusCode::OK, format!("[{health},{broker}]").as_bytes())
    }

    #[test]
    fn health_decides_and_the_brokers_attributes_stand_in_for_it() {
        let good = judged(r#"{"status":200,"value":"Good"}"#, BROKER);
        assert_eq!(good.status, Status::Up);
        assert_eq!(good.values.get("store-percent"), Some(&Value::Integer(7)));
        assert_eq!(good.values.get("connections"), Some(&Value::Integer(12)));
        assert_eq!(good.values.get("queued-messages"), Some(&Value::Integer(41)));
        assert_eq!(good.values.get("consumers"), Some(&Value::Integer(5)));
        // What this broker does not say is not made up.
        assert_eq!(good.values.get("producers"), None);
        let bad = judged(r#"{"status":200,"value":"Getting Worse"}"#, BROKER);
        assert_eq!((bad.status, bad.reason.code), (Status::Down, ReasonCode::Unhealthy));
        let none = r#"{"status":404,"error":"no such bean"}"#;
        assert_eq!(judged(none, BROKER).status, Status::Up);
        let gone = judged(none, none);
        assert_eq!(gone.status, Status::Down);
        assert!(gone.reason.detail.contains("no such bean"));
        assert_eq!(judged(none, r#"{"status":403}"#).reason.code, ReasonCode::Denied);
    }

    #[test]
    fn what_is_not_jolokia_is_down() {
        for body in ["", "{}", "[]", "[1,2]", "<html>"] {
            let finding = judge("dm1:8161", StatusCode::OK, body.as_bytes());
            assert_eq!(finding.reason.code, ReasonCode::Protocol, "{body}");
        }
        let denied = judge("dm1:8161", StatusCode::UNAUTHORIZED, b"");
        assert_eq!((denied.status, denied.reason.code), (Status::Unknown, ReasonCode::Denied));
    }
}
