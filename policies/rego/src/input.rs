//! The snapshot as the rules see it: the form that the journal and `watchkeeper journal snapshot` give
//! it, so that rules can be tried on such a file with other tools.

use regorus::Value;
use watchkeeper_sdk::policy::{
    Change, Cluster, Ending, Filter, Measure, Phase, Place, ReasonCode, Rescue, Role, Server,
    ServiceFacts, Snapshot, State, Status, Value as Measured,
};

use crate::asked::Asked;
use crate::rules::object;

/// The document `input`, with the parts that are asked for. Measured values are asked for by name.
pub(crate) fn document(
    snapshot: &Snapshot,
    asked: &Asked,
    measures: &[String],
) -> Result<Value, String> {
    let mut input = object([]);
    let mut add = |part: &str, value: &dyn Fn() -> Value| -> Result<(), String> {
        if asked.wants(part) {
            let object = input.as_object_mut().map_err(|error| error.to_string())?;
            object.insert(Value::from(part), value());
        }
        Ok(())
    };
    add("number", &|| Value::from(snapshot.number()))?;
    add("at", &|| Value::from(snapshot.time()))?;
    add("cluster", &|| cluster(&snapshot.cluster()))?;
    add("servers", &|| list(snapshot.servers(), server))?;
    add("services", &|| list(snapshot.services(Filter::all()), service))?;
    add("measures", &|| list(measures.iter().flat_map(|name| snapshot.measures(name)), measure))?;
    add("rescues", &|| list(snapshot.rescues(), rescue))?;
    add("changes", &|| list(snapshot.changes(), change))?;
    Ok(input)
}

fn list<T>(items: impl IntoIterator<Item = T>, one: impl Fn(T) -> Value) -> Value {
    Value::from(items.into_iter().map(one).collect::<Vec<_>>())
}

fn cluster(it: &Cluster) -> Value {
    object([
        ("name", it.name.as_str().into()),
        ("phase", phase(it.phase).into()),
        ("side", it.active.name().into()),
        ("active_since", it.active_since.into()),
        ("maintenance", it.maintenance.into()),
    ])
}

fn server(it: Server) -> Value {
    let value = object([
        ("name", it.name.into()),
        ("role", role(it.role).into()),
        ("place", place(it.place).into()),
    ]);
    with_state(value, it.state)
}

fn service(it: ServiceFacts) -> Value {
    let mut value = object([
        ("server", it.server.into()),
        ("service", it.service.name().into()),
        ("place", place(it.place).into()),
        ("expected", it.expected.into()),
    ]);
    // As the journal has it: not there if it is false.
    if it.maintenance {
        insert(&mut value, "maintenance", true.into());
    }
    with_state(value, it.state)
}

fn with_state(mut value: Value, it: State) -> Value {
    let reason = object([("code", reason(it.code).into()), ("detail", it.detail.into())]);
    insert(&mut value, "status", status(it.status).into());
    insert(&mut value, "reason", reason);
    insert(&mut value, "since", it.since.into());
    insert(&mut value, "confirmations", it.confirmations.into());
    insert(&mut value, "seen", it.seen.into());
    value
}

fn insert(value: &mut Value, key: &str, inner: Value) {
    if let Ok(object) = value.as_object_mut() {
        object.insert(Value::from(key), inner);
    }
}

fn measure(it: Measure) -> Value {
    let value = match it.value {
        Measured::Flag(flag) => flag.into(),
        Measured::Integer(number) => number.into(),
        Measured::Number(number) if number.is_finite() => number.into(),
        Measured::Number(number) => number.to_string().into(),
        Measured::Text(text) => text.into(),
    };
    object([
        ("server", it.server.into()),
        ("service", it.service.map_or(Value::Null, |service| service.name().into())),
        ("name", it.name.into()),
        ("value", value),
        ("at", it.at.into()),
    ])
}

fn rescue(it: Rescue) -> Value {
    object([
        ("server", it.server.into()),
        ("service", it.service.name().into()),
        ("begun", it.begun.into()),
        ("ending", ending(it.ending).into()),
    ])
}

fn change(it: Change) -> Value {
    object([
        ("from", it.from.name().into()),
        ("to", it.to.name().into()),
        ("planned", it.planned.into()),
        ("begun", it.begun.into()),
        ("ending", ending(it.ending).into()),
    ])
}

const fn phase(it: Phase) -> &'static str {
    match it {
        Phase::Active => "active",
        Phase::Rescuing => "rescuing",
        Phase::Clearing => "clearing",
        Phase::FailingOver => "failing-over",
        Phase::SwitchingOver => "switching-over",
        Phase::SwitchingBack => "switching-back",
        Phase::NeedsOperator => "needs-operator",
    }
}

const fn role(it: Role) -> &'static str {
    match it {
        Role::Primary => "primary",
        Role::Secondary => "secondary",
        Role::Additional => "additional",
    }
}

const fn place(it: Place) -> &'static str {
    match it {
        Place::Active => "active",
        Place::Standby => "standby",
        Place::Additional => "additional",
    }
}

const fn status(it: Status) -> &'static str {
    match it {
        Status::Up => "up",
        Status::Down => "down",
        Status::Unknown => "unknown",
    }
}

const fn ending(it: Ending) -> &'static str {
    match it {
        Ending::UnderWay => "under-way",
        Ending::Succeeded => "succeeded",
        Ending::Failed => "failed",
    }
}

const fn reason(it: ReasonCode) -> &'static str {
    match it {
        ReasonCode::Serving => "serving",
        ReasonCode::Running => "running",
        ReasonCode::NotRunning => "not-running",
        ReasonCode::Refused => "refused",
        ReasonCode::TimedOut => "timed-out",
        ReasonCode::Unreachable => "unreachable",
        ReasonCode::Silent => "silent",
        ReasonCode::Reset => "reset",
        ReasonCode::Protocol => "protocol",
        ReasonCode::Denied => "denied",
        ReasonCode::HostKey => "host-key",
        ReasonCode::Tls => "tls",
        ReasonCode::Unhealthy => "unhealthy",
        ReasonCode::Monitor => "monitor",
        ReasonCode::NotProbed => "not-probed",
    }
}
