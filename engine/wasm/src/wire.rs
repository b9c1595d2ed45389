//! The contract's types as they cross the border, and their mapping to the core's.
//!
//! These are written by hand, in the order of sdk/wit/policy, and not generated from it: so the
//! answers can share the snapshot's texts instead of copying them, and arguments can be borrowed.
//! Drift cannot go unnoticed: the engine compares each type with the component's when it is
//! loaded. Enums stand in the contract's order, which is not the core's, so each value is mapped
//! by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Lower, flags};
use watchkeeper_core::facts::{self, ReasonCode as CoreCode};
use watchkeeper_core::lifecycle::Phase as CorePhase;
use watchkeeper_core::model::Status as CoreStatus;
use watchkeeper_core::model::{Role as CoreRole, Service as CoreService, Side as CoreSide};
use watchkeeper_core::proposal::{Grant, Severity as CoreSeverity};
use watchkeeper_core::settings::{self, SettingValue};
use watchkeeper_core::snapshot as seen;

/// An enum of the contract, and the core's values one by one.
macro_rules! enums {
    ($($name:ident = $core:ident { $($wire:literal $variant:ident),* $(,)? })*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
        #[component(enum)]
        #[repr(u8)]
        pub(crate) enum $name { $(#[component(name = $wire)] $variant),* }

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                match value { $($core::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $core {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    )*};
}

use watchkeeper_core::snapshot::{Ending as CoreEnding, Place as CorePlace};

enums! {
    Service = CoreService {
        "repository" Repository, "activemq" Activemq, "dsa" Dsa, "daemon" Daemon,
        "agent" Agent, "rest" Rest, "sync" Sync,
    }
    Side = CoreSide { "primary" Primary, "secondary" Secondary }
    Role = CoreRole { "primary" Primary, "secondary" Secondary, "additional" Additional }
    Place = CorePlace { "active" Active, "standby" Standby, "additional" Additional }
    Status = CoreStatus { "up" Up, "down" Down, "unknown" Unknown }
    ReasonCode = CoreCode {
        "serving" Serving, "running" Running, "not-running" NotRunning, "refused" Refused,
        "timed-out" TimedOut, "unreachable" Unreachable, "silent" Silent, "reset" Reset,
        "protocol" Protocol, "denied" Denied, "host-key" HostKey, "tls" Tls,
        "unhealthy" Unhealthy, "monitor" Monitor, "not-probed" NotProbed,
    }
    Ending = CoreEnding { "under-way" UnderWay, "succeeded" Succeeded, "failed" Failed }
    Severity = CoreSeverity { "info" Info, "warning" Warning, "critical" Critical }
}

/// The core's phase without its side, which the contract gives beside it.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Phase {
    #[component(name = "active")]
    Active,
    #[component(name = "rescuing")]
    Rescuing,
    #[component(name = "clearing")]
    Clearing,
    #[component(name = "failing-over")]
    FailingOver,
    #[component(name = "switching-over")]
    SwitchingOver,
    #[component(name = "switching-back")]
    SwitchingBack,
    #[component(name = "needs-operator")]
    NeedsOperator,
}

impl From<CorePhase> for Phase {
    fn from(phase: CorePhase) -> Self {
        match phase {
            CorePhase::Active(_) => Self::Active,
            CorePhase::Rescuing(_) => Self::Rescuing,
            CorePhase::Clearing(_) => Self::Clearing,
            CorePhase::FailingOver(_) => Self::FailingOver,
            CorePhase::SwitchingOver => Self::SwitchingOver,
            CorePhase::SwitchingBack => Self::SwitchingBack,
            CorePhase::NeedsOperator(_) => Self::NeedsOperator,
        }
    }
}

flags! {
    Statuses {
        #[component(name = "up")]
        const UP;
        #[component(name = "down")]
        const DOWN;
        #[component(name = "unknown")]
        const UNKNOWN;
    }
}

flags! {
    Grants {
        #[component(name = "rescue")]
        const RESCUE;
        #[component(name = "stop-service")]
        const STOP_SERVICE;
        #[component(name = "failover")]
        const FAILOVER;
        #[component(name = "hold")]
        const HOLD;
        #[component(name = "alert")]
        const ALERT;
    }
}

impl Grants {
    pub(crate) fn to_core(self) -> Vec<Grant> {
        [
            (Self::RESCUE, Grant::Rescue),
            (Self::STOP_SERVICE, Grant::StopService),
            (Self::FAILOVER, Grant::Failover),
            (Self::HOLD, Grant::Hold),
            (Self::ALERT, Grant::Alert),
        ]
        .into_iter()
        .filter(|(flag, _)| self & *flag == *flag)
        .map(|(_, grant)| grant)
        .collect()
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum Value {
    #[component(name = "flag")]
    Flag(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "number")]
    Number(f64),
    #[component(name = "text")]
    Text(Arc<str>),
}

impl From<&facts::Value> for Value {
    fn from(value: &facts::Value) -> Self {
        match value {
            facts::Value::Flag(flag) => Self::Flag(*flag),
            facts::Value::Integer(number) => Self::Integer(*number),
            facts::Value::Number(number) => Self::Number(*number),
            facts::Value::Text(text) => Self::Text(Arc::clone(text)),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Cluster {
    name: Arc<str>,
    phase: Phase,
    active: Side,
    #[component(name = "active-since")]
    active_since: u64,
    maintenance: bool,
}

impl From<&seen::ClusterFacts> for Cluster {
    fn from(cluster: &seen::ClusterFacts) -> Self {
        Self {
            name: cluster.name.shared(),
            phase: cluster.phase.into(),
            active: cluster.phase.side().into(),
            active_since: cluster.active_since.0,
            maintenance: cluster.maintenance,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct State {
    status: Status,
    code: ReasonCode,
    detail: Arc<str>,
    since: u64,
    confirmations: u32,
    seen: u64,
}

impl From<&seen::State> for State {
    fn from(state: &seen::State) -> Self {
        Self {
            status: state.status.into(),
            code: state.reason.code.into(),
            detail: Arc::clone(&state.reason.detail),
            since: state.since.0,
            confirmations: state.confirmations,
            seen: state.seen.0,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Server {
    name: Arc<str>,
    role: Role,
    place: Place,
    state: State,
}

impl From<&seen::ServerFacts> for Server {
    fn from(server: &seen::ServerFacts) -> Self {
        Self {
            name: server.name.shared(),
            role: server.role.into(),
            place: server.place.into(),
            state: (&server.state).into(),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct ServiceFacts {
    server: Arc<str>,
    service: Service,
    place: Place,
    expected: bool,
    maintenance: bool,
    state: State,
}

impl From<&seen::ServiceFacts> for ServiceFacts {
    fn from(facts: &seen::ServiceFacts) -> Self {
        Self {
            server: facts.id.server.shared(),
            service: facts.id.service.into(),
            place: facts.place.into(),
            expected: facts.expected,
            maintenance: facts.maintenance,
            state: (&facts.state).into(),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Filter {
    place: Option<Place>,
    service: Option<Service>,
    statuses: Statuses,
    expected: Option<bool>,
}

impl From<Filter> for seen::Filter {
    fn from(filter: Filter) -> Self {
        let has = |flag| filter.statuses & flag == flag;
        Self {
            place: filter.place.map(Into::into),
            service: filter.service.map(Into::into),
            statuses: seen::Statuses {
                up: has(Statuses::UP),
                down: has(Statuses::DOWN),
                unknown: has(Statuses::UNKNOWN),
            },
            expected: filter.expected,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Counts {
    up: u32,
    down: u32,
    unknown: u32,
}

impl From<seen::Counts> for Counts {
    fn from(counts: seen::Counts) -> Self {
        Self { up: counts.up, down: counts.down, unknown: counts.unknown }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Measure {
    server: Arc<str>,
    service: Option<Service>,
    name: Arc<str>,
    value: Value,
    at: u64,
}

impl From<&seen::Measure> for Measure {
    fn from(measure: &seen::Measure) -> Self {
        Self {
            server: measure.server.shared(),
            service: measure.service.map(Into::into),
            name: Arc::clone(&measure.name),
            value: (&measure.value).into(),
            at: measure.at.0,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Rescue {
    server: Arc<str>,
    service: Service,
    begun: u64,
    ending: Ending,
}

impl From<&seen::Rescue> for Rescue {
    fn from(rescue: &seen::Rescue) -> Self {
        Self {
            server: rescue.id.server.shared(),
            service: rescue.id.service.into(),
            begun: rescue.begun.0,
            ending: rescue.ending.into(),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Change {
    from: Side,
    to: Side,
    planned: bool,
    begun: u64,
    ending: Ending,
}

impl From<&seen::Change> for Change {
    fn from(change: &seen::Change) -> Self {
        Self {
            from: change.from.into(),
            to: change.to.into(),
            planned: change.planned,
            begun: change.begun.0,
            ending: change.ending.into(),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct ServiceRef {
    pub(crate) server: String,
    pub(crate) service: Service,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum Action {
    #[component(name = "rescue")]
    Rescue(ServiceRef),
    #[component(name = "stop-service")]
    StopService(ServiceRef),
    #[component(name = "failover")]
    Failover,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Proposal {
    pub(crate) action: Action,
    pub(crate) reason: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) server: Option<String>,
    pub(crate) service: Option<Service>,
    pub(crate) code: String,
    pub(crate) summary: String,
    pub(crate) labels: Vec<(String, String)>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Evaluation {
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) holds: Vec<String>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) state: Vec<u8>,
    #[component(name = "look-again")]
    pub(crate) look_again: Option<u64>,
    pub(crate) notes: Vec<String>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Bounds {
    default: i64,
    min: i64,
    max: i64,
}

impl From<Bounds> for settings::Bounds {
    fn from(bounds: Bounds) -> Self {
        Self { default: bounds.default, min: bounds.min, max: bounds.max }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Choice {
    default: String,
    options: Vec<String>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum SettingKind {
    #[component(name = "flag")]
    Flag(bool),
    #[component(name = "integer")]
    Integer(Bounds),
    #[component(name = "duration")]
    Duration(Bounds),
    #[component(name = "text")]
    Text(String),
    #[component(name = "choice")]
    Choice(Choice),
    #[component(name = "texts")]
    Texts(Vec<String>),
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Setting {
    name: String,
    doc: String,
    kind: SettingKind,
}

impl From<Setting> for settings::Setting {
    fn from(setting: Setting) -> Self {
        let kind = match setting.kind {
            SettingKind::Flag(flag) => settings::SettingKind::Flag(flag),
            SettingKind::Integer(bounds) => settings::SettingKind::Integer(bounds.into()),
            SettingKind::Duration(bounds) => settings::SettingKind::Duration(bounds.into()),
            SettingKind::Text(text) => settings::SettingKind::Text(text),
            SettingKind::Choice(Choice { default, options }) => {
                settings::SettingKind::Choice { default, options }
            }
            SettingKind::Texts(texts) => settings::SettingKind::Texts(texts),
        };
        Self { name: setting.name, doc: setting.doc, kind }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct PolicyDescription {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) needs: Grants,
    pub(crate) settings: Vec<Setting>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct NotifierDescription {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings: Vec<Setting>,
}

/// A setting's value, borrowed for the call.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum SettingRef<'a> {
    #[component(name = "flag")]
    Flag(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "texts")]
    Texts(&'a [String]),
}

/// All values, borrowed for the call.
pub(crate) fn borrow(settings: &[SettingValue]) -> Vec<SettingRef<'_>> {
    settings
        .iter()
        .map(|value| match value {
            SettingValue::Flag(flag) => SettingRef::Flag(*flag),
            SettingValue::Integer(number) => SettingRef::Integer(*number),
            SettingValue::Text(text) => SettingRef::Text(text),
            SettingValue::Texts(texts) => SettingRef::Texts(texts),
        })
        .collect()
}

/// Labels in their order; the last of a name counts.
pub(crate) fn labels(labels: Vec<(String, String)>) -> BTreeMap<String, String> {
    labels.into_iter().collect()
}
