use std::sync::Arc;

use watchkeeper_core::facts::Value;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Service, Status};
use watchkeeper_core::snapshot::{Counts, Facts, Filter, Place, Read, Reader, Snapshot, Statuses};

use crate::world::{Dice, World};

fn filters() -> Vec<Filter> {
    let mut all = vec![];
    let options =
        |bits: usize| Statuses { up: bits & 1 > 0, down: bits & 2 > 0, unknown: bits & 4 > 0 };
    for place in [None, Some(Place::Active), Some(Place::Standby), Some(Place::Additional)] {
        for service in Service::ALL.into_iter().map(Some).chain([None]) {
            for expected in [None, Some(true), Some(false)] {
                for bits in 0..8 {
                    all.push(Filter { place, service, statuses: options(bits), expected });
                }
            }
        }
    }
    all
}

#[test]
fn the_index_finds_what_looking_at_every_service_finds() {
    let filters = filters();
    for seed in 1..60 {
        let dice = &mut Dice::new(seed);
        let mut world = World::new();
        world.phase = *dice.pick(&Phase::ALL);
        for server in ["dm1", "dm2", "dm3"] {
            for service in Service::ALL {
                let status = *dice.pick(&[Status::Up, Status::Down, Status::Unknown]);
                match dice.below(4) {
                    0 => world.uninstall(server, service),
                    1 => world.never_probed(server, Some(service)),
                    _ => world.saw(server, Some(service), status),
                }
            }
        }
        // A snapshot from a file may say what the engine's own rule would not.
        let mut facts = Facts::from(world.snapshot());
        for service in &mut facts.services {
            service.expected ^= dice.one_in(5);
            service.maintenance = dice.one_in(5);
        }
        let snapshot = Snapshot::from(facts.clone());
        for filter in &filters {
            let wanted: Vec<_> = facts
                .services
                .iter()
                .filter(|one| filter.place.is_none_or(|place| place == one.place))
                .filter(|one| filter.service.is_none_or(|service| service == one.id.service))
                .filter(|one| filter.statuses.contains(one.state.status))
                .filter(|one| filter.expected.is_none_or(|expected| expected == one.expected))
                .collect();
            assert_eq!(snapshot.services(*filter), wanted, "seed {seed}, {filter:?}");
            let of = |status| {
                let n = wanted.iter().filter(|one| one.state.status == status).count();
                u32::try_from(n).unwrap()
            };
            let counts =
                Counts { up: of(Status::Up), down: of(Status::Down), unknown: of(Status::Unknown) };
            assert_eq!(snapshot.count(*filter), counts, "seed {seed}, {filter:?}");
        }
    }
}

#[test]
fn a_snapshot_survives_json_in_every_phase() {
    for phase in Phase::ALL {
        let mut world = World::new();
        world.phase = phase;
        world.measured("dm1", "replay-lag-bytes", Value::Integer(12));
        let snapshot = world.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    }
}

#[test]
fn what_was_asked_is_remembered_once_and_in_order() {
    let reader = Reader::new(Arc::new(World::new().snapshot()));
    let ask = |reader: &Reader| {
        reader.number();
        reader.time();
        reader.cluster();
        assert_eq!(reader.servers().len(), 3);
        assert!(reader.server("dm1").is_some() && reader.server("dm9").is_none());
        assert!(reader.service("dm1", Service::Rest).is_some());
        assert_eq!(reader.services(Filter::default()).len(), 15);
        assert_eq!(reader.count(Filter::default()).unknown, 0);
        assert!(reader.measure("dm1", None, "x").is_none());
        assert!(reader.measures("x").is_empty());
        assert!(reader.rescues().is_empty() && reader.changes().is_empty());
    };
    ask(&reader);
    ask(&reader);
    let reads: Vec<Read> = reader.into_reads().into_iter().collect();
    assert_eq!(
        reads,
        [
            Read::Cluster,
            Read::Time,
            Read::Number,
            Read::Servers,
            Read::Server(Arc::from("dm1")),
            Read::Server(Arc::from("dm9")),
            Read::Service(Arc::from("dm1"), Service::Rest),
            Read::Services(Filter::default()),
            Read::Count(Filter::default()),
            Read::Measure(Arc::from("dm1"), None, Arc::from("x")),
            Read::Measures(Arc::from("x")),
            Read::Rescues,
            Read::Changes,
        ]
    );
}
