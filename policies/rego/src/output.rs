//! The rules' decision as an evaluation. What it has too much, or in another form, is a mistake in the
//! rules and said with its place in the decision: what is ignored would be missed when it counts.

use core::time::Duration;

use regorus::Value;
use regorus::value::Object;
use watchkeeper_sdk::policy::{Action, Alert, Evaluation, Service, ServiceId, Severity};

/// What a decision may have.
const KEYS: &[&str] = &["proposals", "holds", "alerts", "notes", "state", "look-again"];

/// Reads the value of the rule `named`.
pub(crate) fn evaluation(named: &str, decision: &Value) -> Result<Evaluation, String> {
    let decision = Fields::of(named.to_owned(), decision)?;
    decision.only(KEYS)?;
    let mut evaluation = Evaluation::new();
    for (at, proposal) in decision.list("proposals")? {
        let proposal = Fields::of(at, proposal)?;
        evaluation.propose(action(&proposal)?, proposal.text("reason")?);
    }
    for (at, hold) in decision.list("holds")? {
        evaluation.hold(text(&at, hold)?);
    }
    for (at, claim) in decision.list("alerts")? {
        evaluation.alert(alert(&Fields::of(at, claim)?)?);
    }
    for (at, note) in decision.list("notes")? {
        evaluation.note(text(&at, note)?);
    }
    if let Some(state) = decision.get("state").filter(|state| **state != Value::Null) {
        evaluation.remember(state.to_string().into_bytes());
    }
    if let Some(after) = decision.get("look-again") {
        let ms = after.as_u64().map_err(|_| {
            format!("{named}[\"look-again\"] has to be a whole number of milliseconds")
        })?;
        evaluation.look_again(Duration::from_millis(ms));
    }
    Ok(evaluation)
}

/// Fails if rules ask for something that they may not.
pub(crate) fn within(may: &[String], evaluation: &Evaluation) -> Result<(), String> {
    let actions = evaluation.proposals.iter().map(|proposal| match proposal.action {
        Action::Rescue(_) => "rescue",
        Action::StopService(_) => "stop-service",
        Action::Failover => "failover",
    });
    let hold = (!evaluation.holds.is_empty()).then_some("hold");
    let alert = (!evaluation.alerts.is_empty()).then_some("alert");
    match actions.chain(hold).chain(alert).find(|one| !may.iter().any(|it| it == one)) {
        Some(more) => {
            Err(format!("the rules ask for {more}, which the setting `may` does not name"))
        }
        None => Ok(()),
    }
}

fn action(proposal: &Fields<'_>) -> Result<Action, String> {
    let kind = proposal.text("action")?;
    let on = || -> Result<ServiceId, String> {
        proposal.only(&["action", "reason", "server", "service"])?;
        Ok(ServiceId { server: proposal.text("server")?.to_owned(), service: proposal.service()? })
    };
    match kind {
        "failover" => {
            proposal.only(&["action", "reason"])?;
            Ok(Action::Failover)
        }
        "rescue" => Ok(Action::Rescue(on()?)),
        "stop-service" => Ok(Action::StopService(on()?)),
        _ => Err(format!(
            "{}.action has to be \"failover\", \"rescue\" or \"stop-service\", not {kind:?}",
            proposal.at
        )),
    }
}

fn alert(claim: &Fields<'_>) -> Result<Alert, String> {
    claim.only(&["name", "severity", "server", "service", "code", "summary", "labels"])?;
    let severity = match claim.text("severity")? {
        "info" => Severity::Info,
        "warning" => Severity::Warning,
        "critical" => Severity::Critical,
        other => {
            return Err(format!(
                "{}.severity has to be \"info\", \"warning\" or \"critical\", not {other:?}",
                claim.at
            ));
        }
    };
    let mut alert = Alert::new(severity, claim.text("name")?).summary(claim.text("summary")?);
    if claim.get("server").is_some() {
        alert = alert.on_server(claim.text("server")?);
    }
    if claim.get("service").is_some() {
        alert.service = Some(claim.service()?);
    }
    if claim.get("code").is_some() {
        alert = alert.code(claim.text("code")?);
    }
    if let Some(labels) = claim.get("labels") {
        let labels = Fields::of(format!("{}.labels", claim.at), labels)?;
        for (name, _) in labels.object.iter_sorted() {
            let name = text(&labels.at, name)?;
            alert = alert.label(name, labels.text(name)?);
        }
    }
    Ok(alert)
}

/// An object in the decision, which knows its place.
struct Fields<'a> {
    at: String,
    object: &'a Object,
}

impl<'a> Fields<'a> {
    fn of(at: String, value: &'a Value) -> Result<Self, String> {
        match value.as_object() {
            Ok(object) => Ok(Self { at, object }),
            Err(_) => Err(format!("{at} has to be an object, not {}", shown(value))),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(&Value::from(key))
    }

    fn only(&self, known: &[&str]) -> Result<(), String> {
        for (key, _) in self.object.iter_sorted() {
            let name = text(&self.at, key)?;
            if !known.contains(&name) {
                return Err(format!(
                    "{} has no key {name:?}: it may have {}",
                    self.at,
                    known.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        let at = format!("{}.{key}", self.at);
        text(&at, self.get(key).ok_or_else(|| format!("{at} is missing"))?)
    }

    fn service(&self) -> Result<Service, String> {
        let name = self.text("service")?;
        Service::ALL
            .into_iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| format!("{}.service: there is no service {name:?}", self.at))
    }

    /// What a list or a set has, each with its place. It need not be there.
    fn list(&self, key: &str) -> Result<Vec<(String, &'a Value)>, String> {
        let at = format!("{}.{key}", self.at);
        let items: Vec<&Value> = match self.get(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Set(items)) => items.iter_sorted().collect(),
            Some(other) => {
                return Err(format!("{at} has to be an array or a set, not {}", shown(other)));
            }
        };
        Ok(items.into_iter().enumerate().map(|(i, item)| (format!("{at}[{i}]"), item)).collect())
    }
}

fn text<'a>(at: &str, value: &'a Value) -> Result<&'a str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{at} has to be a text, not {}", shown(other))),
    }
}

/// A value in an error: enough of it to find it.
fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let mut text = value.to_string();
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push_str("...");
    }
    text
}
