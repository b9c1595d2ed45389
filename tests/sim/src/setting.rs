//! What differs from run to run, beside what goes wrong.

use fastrand::Rng;
use watchkeeper_core::plan::Proof;

/// What a run's site is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// What counts as proof that a server is inactive.
    pub proof: Proof,
    /// Whether the duty is shared through etcd; else the monitors hand it to each other.
    pub etcd: bool,
    /// How long after a change of side none is begun without being asked for, in milliseconds.
    pub cooldown_ms: u64,
    /// Whether the primary takes over again by itself.
    pub failback: bool,
    /// A policy that asks for anything at any time sits beside the others: its seed.
    pub rogue: Option<u64>,
    /// After how many changes of side of other clusters within a minute none is begun; 0: no limit.
    pub storm_limit: u32,
}

impl Setting {
    /// As most sites are, with this proof.
    pub const fn of(proof: Proof) -> Self {
        Self {
            proof,
            etcd: false,
            cooldown_ms: 60_000,
            failback: false,
            rogue: None,
            storm_limit: 0,
        }
    }

    /// What a seed says.
    pub fn drawn(rng: &mut Rng) -> Self {
        let proof = match rng.u32(0..6) {
            0 => Proof::Operator,
            1 => Proof::Witnesses(1),
            2 | 3 => Proof::Fence { within_ms: 20_000 },
            _ => Proof::Witnesses(2),
        };
        Self {
            proof,
            etcd: rng.u32(0..3) == 0,
            cooldown_ms: [5_000, 60_000, 600_000][rng.usize(0..3)],
            failback: rng.u32(0..3) == 0,
            rogue: (rng.u32(0..4) == 0).then(|| rng.u64(..)),
            storm_limit: rng.u32(0..3),
        }
    }
}
