//! Between the engine's words and the contract's: the same, in types of their own.

use std::sync::Arc;

use watchkeeper_core as core;
use watchkeeper_core::model::{ServerName, ServiceId};

use crate::policy as wit;
use crate::settings;

/// Two enums with the same cases.
macro_rules! same {
    ($($ours:ty, $engines:ty: $($case:ident),+;)*) => {$(
        impl From<$ours> for $engines {
            fn from(case: $ours) -> Self {
                match case { $(<$ours>::$case => Self::$case),+ }
            }
        }
        impl From<$engines> for $ours {
            fn from(case: $engines) -> Self {
                match case { $(<$engines>::$case => Self::$case),+ }
            }
        }
    )*};
}

same! {
    wit::Service, core::model::Service: Activemq, Repository, Daemon, Agent, Rest, Sync, Dsa;
    wit::Role, core::model::Role: Primary, Secondary, Additional;
    wit::Side, core::model::Side: Primary, Secondary;
    wit::Status, core::model::Status: Up, Down, Unknown;
    wit::Place, core::snapshot::Place: Active, Standby, Additional;
    wit::Ending, core::snapshot::Ending: UnderWay, Succeeded, Failed;
    wit::Severity, core::proposal::Severity: Info, Warning, Critical;
    wit::ReasonCode, core::facts::ReasonCode: Serving, Running, NotRunning, Refused, TimedOut,
        Unreachable, Silent, Reset, Protocol, Denied, HostKey, Tls, Unhealthy, Monitor, NotProbed;
}

impl From<core::lifecycle::Phase> for wit::Phase {
    fn from(phase: core::lifecycle::Phase) -> Self {
        use core::lifecycle::Phase;
        match phase {
            Phase::Active(_) => Self::Active,
            Phase::Rescuing(_) => Self::Rescuing,
            Phase::Clearing(_) => Self::Clearing,
            Phase::FailingOver(_) => Self::FailingOver,
            Phase::SwitchingOver => Self::SwitchingOver,
            Phase::SwitchingBack => Self::SwitchingBack,
            Phase::NeedsOperator(_) => Self::NeedsOperator,
        }
    }
}

impl From<&core::facts::Value> for wit::Value {
    fn from(value: &core::facts::Value) -> Self {
        use core::facts::Value;
        match value {
            Value::Flag(value) => Self::Flag(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::Number(value) => Self::Number(*value),
            Value::Text(value) => Self::Text(value.as_ref().to_owned()),
        }
    }
}

impl From<wit::Value> for core::facts::Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Flag(value) => Self::Flag(value),
            wit::Value::Integer(value) => Self::Integer(value),
            wit::Value::Number(value) => Self::Number(value),
            wit::Value::Text(value) => Self::Text(Arc::from(value)),
        }
    }
}

impl From<&core::snapshot::State> for wit::State {
    fn from(state: &core::snapshot::State) -> Self {
        Self {
            status: state.status.into(),
            code: state.reason.code.into(),
            detail: state.reason.detail.as_ref().to_owned(),
            since: state.since.0,
            confirmations: state.confirmations,
            seen: state.seen.0,
        }
    }
}

impl From<&core::snapshot::ClusterFacts> for wit::Cluster {
    fn from(cluster: &core::snapshot::ClusterFacts) -> Self {
        Self {
            name: cluster.name.as_str().to_owned(),
            phase: cluster.phase.into(),
            active: cluster.phase.side().into(),
            active_since: cluster.active_since.0,
            maintenance: cluster.maintenance,
        }
    }
}

impl From<&core::snapshot::ServerFacts> for wit::Server {
    fn from(server: &core::snapshot::ServerFacts) -> Self {
        Self {
            name: server.name.as_str().to_owned(),
            role: server.role.into(),
            place: server.place.into(),
            state: (&server.state).into(),
        }
    }
}

impl From<&core::snapshot::ServiceFacts> for wit::ServiceFacts {
    fn from(service: &core::snapshot::ServiceFacts) -> Self {
        Self {
            server: service.id.server.as_str().to_owned(),
            service: service.id.service.into(),
            place: service.place.into(),
            expected: service.expected,
            maintenance: service.maintenance,
            state: (&service.state).into(),
        }
    }
}

impl From<&core::snapshot::Measure> for wit::Measure {
    fn from(measure: &core::snapshot::Measure) -> Self {
        Self {
            server: measure.server.as_str().to_owned(),
            service: measure.service.map(Into::into),
            name: measure.name.as_ref().to_owned(),
            value: (&measure.value).into(),
            at: measure.at.0,
        }
    }
}

impl From<&core::snapshot::Rescue> for wit::Rescue {
    fn from(rescue: &core::snapshot::Rescue) -> Self {
        Self {
            server: rescue.id.server.as_str().to_owned(),
            service: rescue.id.service.into(),
            begun: rescue.begun.0,
            ending: rescue.ending.into(),
        }
    }
}

impl From<&core::snapshot::Change> for wit::Change {
    fn from(change: &core::snapshot::Change) -> Self {
        Self {
            from: change.from.into(),
            to: change.to.into(),
            planned: change.planned,
            begun: change.begun.0,
            ending: change.ending.into(),
        }
    }
}

impl From<wit::Filter> for core::snapshot::Filter {
    fn from(filter: wit::Filter) -> Self {
        Self {
            place: filter.place.map(Into::into),
            service: filter.service.map(Into::into),
            statuses: core::snapshot::Statuses {
                up: filter.statuses.contains(wit::Statuses::UP),
                down: filter.statuses.contains(wit::Statuses::DOWN),
                unknown: filter.statuses.contains(wit::Statuses::UNKNOWN),
            },
            expected: filter.expected,
        }
    }
}

impl From<settings::Spec> for core::settings::Setting {
    fn from(spec: settings::Spec) -> Self {
        use core::settings::{Bounds, SettingKind};
        use settings::Kind;
        let kind = match spec.kind {
            Kind::Flag(default) => SettingKind::Flag(default),
            Kind::Integer { default, min, max } => {
                SettingKind::Integer(Bounds { default, min, max })
            }
            Kind::Duration { default, min, max } => {
                SettingKind::Duration(Bounds { default, min, max })
            }
            Kind::Text(default) => SettingKind::Text(default),
            Kind::Choice { default, options } => SettingKind::Choice { default, options },
            Kind::Texts(default) => SettingKind::Texts(default),
        };
        Self { name: spec.name, doc: spec.doc, kind }
    }
}

impl From<core::settings::SettingValue> for settings::Value {
    fn from(value: core::settings::SettingValue) -> Self {
        use core::settings::SettingValue;
        match value {
            SettingValue::Flag(value) => Self::Flag(value),
            SettingValue::Integer(value) => Self::Integer(value),
            SettingValue::Text(value) => Self::Text(value),
            SettingValue::Texts(value) => Self::Texts(value),
        }
    }
}

fn server(name: &str) -> Result<ServerName, String> {
    ServerName::new(name).map_err(|error| format!("{name:?} is no server's name: {error}"))
}

/// What a policy came to, in the engine's words.
pub(super) fn evaluation(from: wit::Evaluation) -> Result<core::proposal::Evaluation, String> {
    use core::proposal::{Action, AlertClaim, Evaluation, Proposal};
    let id = |id: &wit::ServiceId| -> Result<ServiceId, String> {
        Ok(ServiceId { server: server(&id.server)?, service: id.service.into() })
    };
    let mut to = Evaluation {
        holds: from.holds,
        state: from.state,
        look_again_ms: from.look_again,
        notes: from.notes,
        ..Evaluation::default()
    };
    for proposal in from.proposals {
        let action = match &proposal.action {
            wit::Action::Rescue(which) => Action::Rescue(id(which)?),
            wit::Action::StopService(which) => Action::StopService(id(which)?),
            wit::Action::Failover => Action::Failover,
        };
        to.proposals.push(Proposal { action, reason: proposal.reason });
    }
    for alert in from.alerts {
        to.alerts.push(AlertClaim {
            name: alert.name,
            severity: alert.severity.into(),
            server: alert.server.as_deref().map(server).transpose()?,
            service: alert.service.map(Into::into),
            code: alert.code,
            summary: alert.summary,
            labels: alert.labels.into_iter().collect(),
        });
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_services_are_the_engines() {
        for (ours, engines) in wit::Service::ALL.into_iter().zip(core::model::Service::ALL) {
            assert_eq!(core::model::Service::from(ours), engines);
            assert_eq!(ours.name(), engines.as_str());
            assert_eq!(ours.exclusive(), engines.exclusive());
            let needed: Vec<core::model::Service> =
                ours.depends_on().iter().map(|service| (*service).into()).collect();
            assert_eq!(needed, engines.depends_on());
        }
    }

    #[test]
    fn a_calm_cluster_is_asked_for_little() {
        let kit = crate::testkit::cluster().snapshot();
        let snapshot: &wit::Snapshot = &kit;
        assert!(snapshot.server_at(wit::Place::Standby).is_some());
        assert!(snapshot.services(wit::Filter::active().expected(true).not_up()).is_empty());
        let reads = kit.into_reads();
        assert!(!reads.contains(&core::snapshot::Read::Servers), "{reads:?}");
        assert!(!reads.contains(&core::snapshot::Read::Time), "{reads:?}");
    }
}
