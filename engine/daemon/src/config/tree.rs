//! Who is told what, as the configuration has it.

use std::collections::BTreeMap;

use watchkeeper_core::alerting::{
    Escalation, Filter, Grouping, Inhibition, Matcher, Route, Routing,
};
use watchkeeper_core::arbitration::ENGINE;
use watchkeeper_core::model::ReceiverName;

/// The name of the alert that always fires, so that its receiver notices when nobody tells it any more.
pub const HEARTBEAT: &str = "heartbeat";

/// What the configuration says about who is told what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root of the routes; none: each receiver is told of everything that it wants.
    pub root: Option<Route>,
    /// What is not told beside something else.
    pub inhibitions: Vec<Inhibition>,
    /// Who is told instead.
    pub escalations: BTreeMap<ReceiverName, Escalation>,
    /// Who is told that this monitor lives.
    pub heartbeat: Option<Heartbeat>,
}

/// A receiver that is told again and again that this monitor lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who.
    pub receiver: ReceiverName,
    /// How often, in milliseconds.
    pub every: u64,
}

impl Heartbeat {
    /// The route for that alert and for nothing else. It comes before all others.
    fn route(&self) -> Route {
        let name = Matcher::is("alertname", HEARTBEAT);
        Route {
            matchers: vec![name, Matcher::is("source", ENGINE)],
            receiver: Some(self.receiver.clone()),
            grouping: Grouping { repeat: Some(self.every), ..Grouping::ALONE },
            goes_on: false,
            routes: Vec::new(),
        }
    }
}

impl Tree {
    /// Who is told what, with what each receiver hears of at the most.
    pub fn routing(self, filters: BTreeMap<ReceiverName, Filter>) -> Routing {
        let all = Routing::to_all(filters);
        let mut root = self.root.unwrap_or(all.root);
        if let Some(heartbeat) = self.heartbeat {
            root.routes.insert(0, heartbeat.route());
        }
        Routing {
            root,
            inhibitions: self.inhibitions,
            filters: all.filters,
            escalations: self.escalations,
        }
    }
}
