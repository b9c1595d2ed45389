//! The cases of vantage-quorum, by itself and together with the policy that it is made for.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use data_mover_ha::DataMoverHa;
use vantage_quorum::{Settings, VantageQuorum};
use watchkeeper_sdk::policy::{Policy as _, Service};
use watchkeeper_sdk::testkit::core::proposal::Evaluation;
use watchkeeper_sdk::testkit::core::snapshot::Read;
use watchkeeper_sdk::testkit::{self, Seen};

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<VantageQuorum>) {
        panic!("{error}");
    }
}

/// Both are heard as the engine hears them: the proposals of one, the holds and alerts of both.
#[test]
fn together_with_data_mover_ha_every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/together");
    let played = testkit::cases::run(&folder, |snapshot, given, state| {
        let acts = testkit::evaluate::<DataMoverHa>(snapshot, given, state)?;
        let guards = testkit::evaluate::<VantageQuorum>(snapshot, &BTreeMap::new(), &[])?;
        Ok(Evaluation {
            holds: [acts.holds, guards.holds].concat(),
            alerts: [acts.alerts, guards.alerts].concat(),
            look_again_ms: acts.look_again_ms.into_iter().chain(guards.look_again_ms).min(),
            notes: guards.notes,
            ..acts
        })
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn while_the_active_server_answers_others_are_not_asked() {
    let kit = testkit::cluster().down("dm1", Service::Daemon).confirmed(3).snapshot();
    let evaluation = VantageQuorum::evaluate(&kit, &Settings::default(), &[]).unwrap();
    assert!(evaluation.holds.is_empty() && evaluation.alerts.is_empty());
    let asked = kit.into_reads();
    let not_asked = |read: &Read| !matches!(read, Read::Time | Read::Measure(..) | Read::Servers);
    assert!(asked.iter().all(not_asked), "{asked:?}");
}

/// It would hold for ever once it matters, so it is said while there is time.
#[test]
fn more_vantages_than_there_are_servers_are_a_mistake() {
    for (vantages, accepted) in [(2, true), (3, false)] {
        let settings = Settings { vantages, ..Settings::default() };
        let kit = testkit::cluster().confirmed(1).snapshot();
        let answer = VantageQuorum::evaluate(&kit, &settings, &[]);
        assert_eq!(answer.is_ok(), accepted, "{vantages}");
    }
}

/// A testimony counts up to the age that is set, to the millisecond.
#[test]
fn a_testimony_is_judged_by_its_own_time() {
    let found = testkit::cluster()
        .unreachable("dm1")
        .seen("dm1", "dm2", Seen::Gone)
        .seen("dm1", "dm3", Seen::Gone)
        .confirmed(1);
    let holds = |fresh: u64| {
        let settings = Settings { fresh: Duration::from_millis(fresh), ..Settings::default() };
        // They looked for the last time, and then their server could be reached no more.
        let kit = found.clone().no_longer_seen("dm1").after(Duration::from_secs(5)).snapshot();
        VantageQuorum::evaluate(&kit, &settings, &[]).unwrap().holds
    };
    assert_eq!(holds(5_000), Vec::<String>::new());
    assert_eq!(holds(4_999).len(), 1);
}
