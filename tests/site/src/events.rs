//! What happened on the site, and an independent check that it was safe.

use std::time::Instant;

use watchkeeper_core::model::{ServerName, Service};

/// An exclusive service ran on both sides at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// When the second one was launched.
    pub at: Instant,
    /// Which service.
    pub service: Service,
    /// Where it was running already.
    pub first: ServerName,
    /// Where it was launched in addition.
    pub second: ServerName,
}

/// The site's own record. It is kept by what the services do, not by what anybody claims.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) log: Vec<(Instant, String)>,
    pub(crate) overlaps: Vec<Overlap>,
}

impl Events {
    pub(crate) fn note(&mut self, what: String) {
        tracing::info!("{what}");
        self.log.push((Instant::now(), what));
    }

    pub(crate) fn overlap(&mut self, service: Service, first: &ServerName, second: &ServerName) {
        self.note(format!("BOTH ACTIVE: {service} launched on {second} while it runs on {first}"));
        self.overlaps.push(Overlap {
            at: Instant::now(),
            service,
            first: first.clone(),
            second: second.clone(),
        });
    }
}
