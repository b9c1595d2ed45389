//! From the core's types to the generated ones, once, before anything is measured.

use watchkeeper_core::facts::{Reason, ReasonCode as CoreCode, Value as CoreValue};
use watchkeeper_core::lifecycle::Phase as CorePhase;
use watchkeeper_core::model::Status as CoreStatus;
use watchkeeper_core::model::{Role as CoreRole, Service as CoreService, Side as CoreSide};
use watchkeeper_core::settings::SettingValue as CoreSetting;
use watchkeeper_core::snapshot as core;

use super::bindings::watchkeeper::policy::types::{
    Cluster, Counts, Ending, Filter, Measure, Phase, Place, ReasonCode, Rescue, Role, Server,
    Service, ServiceFacts, SettingValue, Side, State, Status, Statuses, Value,
};

macro_rules! enums {
    ($($name:ident = $core:path { $($variant:ident),* $(,)? })*) => {$(
        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => Self::$variant),* }
            }
        }
    )*};
}

enums! {
    Service = CoreService { Repository, Activemq, Dsa, Daemon, Agent, Rest, Sync }
    Side = CoreSide { Primary, Secondary }
    Role = CoreRole { Primary, Secondary, Additional }
    Place = core::Place { Active, Standby, Additional }
    Status = CoreStatus { Up, Down, Unknown }
    Ending = core::Ending { UnderWay, Succeeded, Failed }
    ReasonCode = CoreCode {
        Serving, Running, NotRunning, Refused, TimedOut, Unreachable, Silent, Reset, Protocol,
        Denied, HostKey, Tls, Unhealthy, Monitor, NotProbed,
    }
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

impl From<&core::ClusterFacts> for Cluster {
    fn from(cluster: &core::ClusterFacts) -> Self {
        Self {
            name: cluster.name.to_string(),
            phase: cluster.phase.into(),
            active: cluster.phase.side().into(),
            active_since: cluster.active_since.0,
            maintenance: cluster.maintenance,
        }
    }
}

impl From<&core::State> for State {
    fn from(state: &core::State) -> Self {
        let Reason { code, detail } = &state.reason;
        Self {
            status: state.status.into(),
            code: (*code).into(),
            detail: detail.to_string(),
            since: state.since.0,
            confirmations: state.confirmations,
            seen: state.seen.0,
        }
    }
}

impl From<&core::ServerFacts> for Server {
    fn from(server: &core::ServerFacts) -> Self {
        Self {
            name: server.name.to_string(),
            role: server.role.into(),
            place: server.place.into(),
            state: (&server.state).into(),
        }
    }
}

impl From<&core::ServiceFacts> for ServiceFacts {
    fn from(facts: &core::ServiceFacts) -> Self {
        Self {
            server: facts.id.server.to_string(),
            service: facts.id.service.into(),
            place: facts.place.into(),
            expected: facts.expected,
            maintenance: facts.maintenance,
            state: (&facts.state).into(),
        }
    }
}

impl From<core::Filter> for Filter {
    fn from(filter: core::Filter) -> Self {
        let mut statuses = Statuses::empty();
        for (wanted, flag) in [
            (filter.statuses.up, Statuses::UP),
            (filter.statuses.down, Statuses::DOWN),
            (filter.statuses.unknown, Statuses::UNKNOWN),
        ] {
            if wanted {
                statuses |= flag;
            }
        }
        Self {
            place: filter.place.map(Into::into),
            service: filter.service.map(Into::into),
            statuses,
            expected: filter.expected,
        }
    }
}

impl From<core::Counts> for Counts {
    fn from(counts: core::Counts) -> Self {
        Self { up: counts.up, down: counts.down, unknown: counts.unknown }
    }
}

impl From<&core::Measure> for Measure {
    fn from(measure: &core::Measure) -> Self {
        let value = match &measure.value {
            CoreValue::Flag(flag) => Value::Flag(*flag),
            CoreValue::Integer(number) => Value::Integer(*number),
            CoreValue::Number(number) => Value::Number(*number),
            CoreValue::Text(text) => Value::Text(text.to_string()),
        };
        Self {
            server: measure.server.to_string(),
            service: measure.service.map(Into::into),
            name: measure.name.to_string(),
            value,
            at: measure.at.0,
        }
    }
}

impl From<&core::Rescue> for Rescue {
    fn from(rescue: &core::Rescue) -> Self {
        Self {
            server: rescue.id.server.to_string(),
            service: rescue.id.service.into(),
            begun: rescue.begun.0,
            ending: rescue.ending.into(),
        }
    }
}

impl From<&CoreSetting> for SettingValue {
    fn from(value: &CoreSetting) -> Self {
        match value {
            CoreSetting::Flag(flag) => Self::Flag(*flag),
            CoreSetting::Integer(number) => Self::Integer(*number),
            CoreSetting::Text(text) => Self::Text(text.clone()),
            CoreSetting::Texts(texts) => Self::Texts(texts.clone()),
        }
    }
}
