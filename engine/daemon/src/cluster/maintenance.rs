//! Maintenance mode on and off: of the whole cluster, or of one service by the name that an operator
//! wrote.

use std::collections::BTreeMap;

use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ServiceId, Timestamp, Topology};
use watchkeeper_core::state::Maintenance;

use super::Watch;
use super::order::{Answer, Refusal};
use crate::config::nearest;

/// How many services a message lists at most.
const LISTED: usize = 12;

impl Watch {
    pub(super) async fn maintenance_on(
        &self,
        by: String,
        reason: String,
        until: Option<Timestamp>,
        service: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let service = service.map(|text| find(text, &self.services())).transpose()?;
        self.note(Event::MaintenanceOn { by, reason, until, service }).await
    }

    pub(super) async fn maintenance_off(
        &self,
        by: String,
        service: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let state = self.ledger.cluster(&self.name).await;
        let on = &state.services_in_maintenance;
        let service = match service {
            // A service that is no longer configured can still be taken out of it.
            Some(text) => match on.keys().find(|id| id.to_string() == text) {
                Some(id) => Some(id.clone()),
                None => Some(find(text, &self.services())?),
            },
            None => None,
        };
        if state.maintenance_of(service.as_ref()).is_none() {
            return Err(Refusal::Impossible(not_on(service.as_ref(), on)));
        }
        self.note(Event::MaintenanceOff { by, service }).await
    }

    fn services(&self) -> Vec<ServiceId> {
        services(&self.setup.borrow().topology)
    }
}

/// Every service that is configured.
fn services(topology: &Topology) -> Vec<ServiceId> {
    let of_server = |server: &watchkeeper_core::model::Server| {
        let name = server.name.clone();
        let id = move |service: &_| ServiceId { server: name.clone(), service: *service };
        server.services.iter().map(id).collect::<Vec<_>>()
    };
    topology.servers().iter().flat_map(of_server).collect()
}

fn find(text: &str, known: &[ServiceId]) -> Result<ServiceId, Refusal> {
    let found = known.iter().find(|id| id.to_string() == text);
    found.cloned().ok_or_else(|| Refusal::Impossible(unknown(text, known)))
}

/// That there is no such service, and which were probably meant.
fn unknown(text: &str, known: &[ServiceId]) -> String {
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    let mut meant = nearest(text, names.iter().map(String::as_str));
    if meant.is_empty() {
        // Half of the name was given.
        let half = |name: &&str| name.split('/').any(|part| part == text);
        meant = names.iter().map(String::as_str).filter(half).collect();
    }
    let help = if meant.is_empty() {
        let more = if names.len() > LISTED { ", ..." } else { "" };
        let listed: Vec<&str> = names.iter().map(String::as_str).take(LISTED).collect();
        format!("there are {}{more}", listed.join(", "))
    } else {
        format!("did you mean {}?", meant.join(" or "))
    };
    format!("there is no service {text:?}; {help}")
}

fn not_on(service: Option<&ServiceId>, on: &BTreeMap<ServiceId, Maintenance>) -> String {
    let what = match service {
        Some(id) => format!("{id} is not in maintenance"),
        None => "maintenance mode is not on".to_owned(),
    };
    if on.is_empty() {
        return what;
    }
    let names: Vec<String> = on.keys().map(ToString::to_string).collect();
    format!("{what}; what is, by itself: {} (--service)", names.join(", "))
}

#[cfg(test)]
mod tests {
    use watchkeeper_core::model::{ServerName, Service};

    use super::*;

    fn id(server: &str, service: Service) -> ServiceId {
        ServiceId { server: ServerName::new(server).unwrap(), service }
    }

    #[test]
    fn a_misspelt_service_is_told_with_the_nearest_names() {
        let known = [
            id("dm1", Service::Daemon),
            id("dm1", Service::Rest),
            id("dm2", Service::Daemon),
            id("dm3", Service::Agent),
        ];
        for (text, says) in [
            ("dm1/deamon", "there is no service \"dm1/deamon\"; did you mean dm1/daemon?"),
            ("dm9/daemon", "did you mean dm1/daemon or dm2/daemon?"),
            ("daemon", "did you mean dm1/daemon or dm2/daemon?"),
            ("dm1", "did you mean dm1/daemon or dm1/rest?"),
            ("postgres", "there are dm1/daemon, dm1/rest, dm2/daemon, dm3/agent"),
        ] {
            let Err(Refusal::Impossible(why)) = find(text, &known) else { panic!("{text}") };
            assert!(why.contains(says), "{why}");
        }
        assert_eq!(find("dm1/rest", &known).unwrap(), id("dm1", Service::Rest));
    }

    #[test]
    fn what_is_not_on_is_told_with_what_is() {
        let maintenance = Maintenance {
            by: "ada".to_owned(),
            reason: "patches".to_owned(),
            since: Timestamp(0),
            until: None,
        };
        let on = BTreeMap::from([(id("dm1", Service::Rest), maintenance)]);
        let daemon = id("dm1", Service::Daemon);
        assert_eq!(not_on(Some(&daemon), &BTreeMap::new()), "dm1/daemon is not in maintenance");
        assert!(not_on(None, &on).ends_with("by itself: dm1/rest (--service)"));
    }
}
