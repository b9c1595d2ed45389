//! The engine's reader in the words of a policy.

use std::collections::BTreeSet;

use watchkeeper_core::snapshot::{Read, Reader};

use crate::policy::{
    Change, Cluster, Counts, Filter, Measure, Queries, Rescue, Server, Service, ServiceFacts,
};

/// A snapshot that the engine's reader answers for, and that remembers what it was asked.
#[derive(Debug)]
pub struct KitSnapshot {
    reader: Reader,
}

impl KitSnapshot {
    /// A snapshot that `reader` answers for.
    pub const fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// What was asked, each question once.
    pub fn into_reads(self) -> BTreeSet<Read> {
        self.reader.into_reads()
    }
}

fn all<'a, T: 'a, U: From<&'a T>>(items: impl IntoIterator<Item = &'a T>) -> Vec<U> {
    items.into_iter().map(Into::into).collect()
}

impl Queries for KitSnapshot {
    fn number(&self) -> u64 {
        self.reader.number()
    }

    fn time(&self) -> u64 {
        self.reader.time().0
    }

    fn cluster(&self) -> Cluster {
        self.reader.cluster().into()
    }

    fn servers(&self) -> Vec<Server> {
        all(self.reader.servers())
    }

    fn server(&self, name: &str) -> Option<Server> {
        self.reader.server(name).map(Into::into)
    }

    fn service(&self, server: &str, service: Service) -> Option<ServiceFacts> {
        self.reader.service(server, service.into()).map(Into::into)
    }

    fn services(&self, filter: Filter) -> Vec<ServiceFacts> {
        all(self.reader.services(filter.into()))
    }

    fn count(&self, filter: Filter) -> Counts {
        let counts = self.reader.count(filter.into());
        Counts { up: counts.up, down: counts.down, unknown: counts.unknown }
    }

    fn measure(&self, server: &str, service: Option<Service>, name: &str) -> Option<Measure> {
        self.reader.measure(server, service.map(Into::into), name).map(Into::into)
    }

    fn measures(&self, name: &str) -> Vec<Measure> {
        all(self.reader.measures(name))
    }

    fn rescues(&self) -> Vec<Rescue> {
        all(self.reader.rescues())
    }

    fn changes(&self) -> Vec<Change> {
        all(self.reader.changes())
    }
}
