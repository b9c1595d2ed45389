//! Questions to a snapshot, and the memory of what was asked.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Change, ClusterFacts, Counts, Filter, Measure, Rescue, ServerFacts, ServiceFacts, Snapshot,
};
use crate::facts::Value;
use crate::model::{Service, Timestamp};

/// One question that was asked of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read {
    /// The cluster as a whole.
    Cluster,
    /// The snapshot's time.
    Time,
    /// The snapshot's number, or something that follows from it, as randomness does. No fact, and
    /// never the same again.
    Number,
    /// All servers.
    Servers,
    /// One server.
    Server(Arc<str>),
    /// One service.
    Service(Arc<str>, Service),
    /// All services that a filter finds.
    Services(Filter),
    /// How many services a filter finds.
    Count(Filter),
    /// One measured value.
    Measure(Arc<str>, Option<Service>, Arc<str>),
    /// The values of that name on all servers.
    Measures(Arc<str>),
    /// Recent rescues.
    Rescues,
    /// Recent changes of side.
    Changes,
}

impl Snapshot {
    /// Whether this snapshot gives the same answer as `earlier` to each of these questions: then
    /// whoever asked nothing else comes to the same result.
    pub fn answers_like(&self, earlier: &Self, reads: &BTreeSet<Read>) -> bool {
        reads.iter().all(|read| self.answers_one_like(earlier, read))
    }

    fn answers_one_like(&self, earlier: &Self, read: &Read) -> bool {
        let (now, then) = (&self.facts, &earlier.facts);
        match read {
            Read::Cluster => now.cluster == then.cluster,
            Read::Time => now.at == then.at,
            Read::Number => now.number == then.number,
            Read::Servers => now.servers == then.servers,
            Read::Server(name) => self.server(name) == earlier.server(name),
            Read::Service(server, service) => {
                self.service(server, *service) == earlier.service(server, *service)
            }
            Read::Services(filter) => self.services(*filter) == earlier.services(*filter),
            Read::Count(filter) => self.count(*filter) == earlier.count(*filter),
            Read::Measure(server, service, name) => {
                let find = |snapshot: &Self| snapshot.measure(server, *service, name).cloned();
                match (find(self), find(earlier)) {
                    (Some(now), Some(then)) => alike(&now, &then),
                    (now, then) => now.is_none() && then.is_none(),
                }
            }
            Read::Measures(name) => {
                let (now, then) = (self.measures(name), earlier.measures(name));
                now.len() == then.len() && now.iter().zip(then).all(|(now, then)| alike(now, then))
            }
            Read::Rescues => now.rescues == then.rescues,
            Read::Changes => now.changes == then.changes,
        }
    }
}

/// Whether two measures are the same to the last bit: 0.0 and -0.0 are equal, and not the same.
fn alike(one: &Measure, two: &Measure) -> bool {
    let same_bits = match (&one.value, &two.value) {
        (Value::Number(one), Value::Number(two)) => one.to_bits() == two.to_bits(),
        _ => true,
    };
    same_bits && one == two
}

/// Answers questions about a snapshot, and remembers what was asked.
#[derive(Debug)]
pub struct Reader {
    snapshot: Arc<Snapshot>,
    reads: RefCell<Vec<Read>>,
}

impl Reader {
    /// A reader that has not been asked anything yet.
    pub const fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, reads: RefCell::new(Vec::new()) }
    }

    /// What was asked, each question once, in a defined order.
    pub fn into_reads(self) -> BTreeSet<Read> {
        self.reads.into_inner().into_iter().collect()
    }

    fn note(&self, read: Read) {
        let mut reads = self.reads.borrow_mut();
        if reads.last() != Some(&read) {
            reads.push(read);
        }
    }

    /// The snapshot's number.
    pub fn number(&self) -> u64 {
        self.note(Read::Number);
        self.snapshot.facts.number
    }

    /// When the snapshot was taken.
    pub fn time(&self) -> Timestamp {
        self.note(Read::Time);
        self.snapshot.facts.at
    }

    /// The cluster as a whole.
    pub fn cluster(&self) -> &ClusterFacts {
        self.note(Read::Cluster);
        &self.snapshot.facts.cluster
    }

    /// All servers.
    pub fn servers(&self) -> &[ServerFacts] {
        self.note(Read::Servers);
        &self.snapshot.facts.servers
    }

    /// One server.
    pub fn server(&self, name: &str) -> Option<&ServerFacts> {
        self.note(Read::Server(Arc::from(name)));
        self.snapshot.server(name)
    }

    /// One service.
    pub fn service(&self, server: &str, service: Service) -> Option<&ServiceFacts> {
        self.note(Read::Service(Arc::from(server), service));
        self.snapshot.service(server, service)
    }

    /// The services that `filter` finds.
    pub fn services(&self, filter: Filter) -> Vec<&ServiceFacts> {
        self.note(Read::Services(filter));
        self.snapshot.services(filter)
    }

    /// How many services `filter` finds in each status.
    pub fn count(&self, filter: Filter) -> Counts {
        self.note(Read::Count(filter));
        self.snapshot.count(filter)
    }

    /// One measured value.
    pub fn measure(&self, server: &str, service: Option<Service>, name: &str) -> Option<&Measure> {
        self.note(Read::Measure(Arc::from(server), service, Arc::from(name)));
        self.snapshot.measure(server, service, name)
    }

    /// The values of that name on all servers.
    pub fn measures(&self, name: &str) -> Vec<&Measure> {
        self.note(Read::Measures(Arc::from(name)));
        self.snapshot.measures(name)
    }

    /// Recent rescues, oldest first.
    pub fn rescues(&self) -> &[Rescue] {
        self.note(Read::Rescues);
        &self.snapshot.facts.rescues
    }

    /// Recent changes of side, oldest first.
    pub fn changes(&self) -> &[Change] {
        self.note(Read::Changes);
        &self.snapshot.facts.changes
    }
}
