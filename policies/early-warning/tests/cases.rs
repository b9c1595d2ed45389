//! The cases of early-warning, and what holds for invented histories: a steady fill is told of before its
//! end, once; what goes to and fro is not told of; and what is remembered changes with samples only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Duration;

use early_warning::{EarlyWarning, Settings};
use watchkeeper_sdk::policy::{Evaluation, Policy as _, Value};
use watchkeeper_sdk::testkit::{self, Cluster};

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<EarlyWarning>) {
        panic!("{error}");
    }
}

/// Numbers that are the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Between 0 and 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.roll()
    }
}

/// One disk, sample after sample.
struct Disk {
    cluster: Cluster,
    state: Vec<u8>,
    told: bool,
    /// How often it was told of anew.
    times: u32,
}

impl Disk {
    fn new() -> Self {
        Self { cluster: testkit::cluster(), state: Vec::new(), told: false, times: 0 }
    }

    fn see(&mut self, percent: f64) -> Evaluation {
        self.cluster = std::mem::replace(&mut self.cluster, testkit::cluster())
            .measures_of("dm1", None, "disk-used-percent", Value::Number(percent))
            .after(Duration::from_mins(10));
        self.look()
    }

    fn look(&mut self) -> Evaluation {
        let kit = self.cluster.clone().snapshot();
        let evaluation = EarlyWarning::evaluate(&kit, &Settings::default(), &self.state).unwrap();
        self.state.clone_from(&evaluation.state);
        let told = !evaluation.alerts.is_empty();
        self.times += u32::from(told && !self.told);
        self.told = told;
        evaluation
    }
}

#[test]
fn a_steady_fill_is_told_of_before_it_is_full_and_once() {
    for seed in 1..=40 {
        let mut dice = Dice::new(seed);
        let (mut level, mut disk) = (dice.between(5.0, 80.0), Disk::new());
        let calm = dice.between(0.0, 40.0);
        // From three hours to sixty until the limit.
        let rate = (95.0 - level) / dice.between(18.0, 360.0);
        let noise = rate * 0.3;
        let mut before = 0.0;
        while before < calm {
            disk.see(level + dice.between(-noise, noise));
            assert!(!disk.told, "seed {seed}: nothing has begun");
            before += 1.0;
        }
        while level < 94.0 {
            level += rate;
            disk.see(level + dice.between(-noise, noise));
        }
        assert!(disk.told, "seed {seed}: {rate} % per sample");
        assert_eq!(disk.times, 1, "seed {seed}: told again and again");
    }
}

#[test]
fn what_goes_to_and_fro_is_not_told_of() {
    for seed in 1..=12 {
        let mut dice = Dice::new(seed);
        let (level, noise) = (dice.between(10.0, 80.0), dice.between(0.0, 12.0));
        let mut disk = Disk::new();
        // Three days.
        for sample in 0..432 {
            disk.see(level + dice.between(-noise, noise));
            assert!(!disk.told, "seed {seed}, sample {sample}: {level} and {noise} around it");
        }
    }
}

/// What is remembered is recorded, so it must not be other bytes at each look.
#[test]
fn between_two_samples_nothing_is_other_than_at_the_last() {
    let mut disk = Disk::new();
    for step in 0..14 {
        disk.see(50.0 + 2.0 * f64::from(step));
    }
    let sampled = disk.look();
    assert_eq!(sampled.alerts.len(), 1, "{:?}", sampled.alerts);
    for _ in 0..5 {
        disk.cluster = disk
            .cluster
            .clone()
            .measures_of("dm1", None, "disk-used-percent", Value::Number(12.0))
            .after(Duration::from_mins(1));
        let between = disk.look();
        assert_eq!(between.state, sampled.state);
        assert_eq!(between.alerts[0].summary, sampled.alerts[0].summary);
    }
    let look_again = disk.look().look_again.unwrap();
    assert_eq!(look_again, 300_000, "at the next sample");
}

#[test]
fn a_clock_that_was_put_back_and_bytes_of_another_begin_anew() {
    let mut disk = Disk::new();
    for step in 0..14 {
        disk.see(50.0 + 2.0 * f64::from(step));
    }
    let late = disk.state.clone();
    for state in [late, b"nonsense".to_vec(), vec![b'w', 1, 0]] {
        let mut early = Disk { state, ..Disk::new() };
        early.see(50.0);
        assert!(!early.told);
        assert!(early.state.len() < 200, "{}", early.state.len());
    }
}

#[test]
fn an_unknown_name_is_a_mistake() {
    let settings = Settings { watch: vec!["disks".to_owned()], ..Settings::default() };
    let kit = testkit::cluster().snapshot();
    let error = EarlyWarning::evaluate(&kit, &settings, &[]).unwrap_err();
    assert!(error.contains("\"disks\""), "{error}");
}
