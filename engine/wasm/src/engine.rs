//! How wasmtime is set up, and why.
//!
//! - Epochs, not fuel, bound a guest's time: they cost a tenth, fuel a tenth more.
//! - Instances come from a pool that is reserved once: a fresh instance then costs microseconds.
//!   Where address space is limited, or the pool cannot be had, instances are made on demand, with
//!   reservations just large enough for the limits.
//! - NaNs are canonical and relaxed SIMD is deterministic, so that a replay on another processor
//!   comes to the same result.
//! - What no guest needs is off: concurrency, 64-bit memories.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use crate::limits::Limits;

/// How many core modules, memories and tables a component may be made of. A Rust component has
/// four modules (its own and the adapters between), a Python one some twenty.
pub(crate) const PARTS: u32 = 64;

/// How many memories. Rust and Python have one or two, JavaScript three: QuickJS's, that of its library, and one of the
/// stand-ins for WASI that its tools put in.
const MEMORIES: u32 = 4;

/// Bytes of a memory that stay mapped between instances, where the kernel tells which pages were
/// touched (`PAGEMAP_SCAN`, Linux 6.7) and where it does not.
const KEPT_WITH_SCAN: usize = 256 << 10;
const KEPT_BLINDLY: usize = 16 << 10;

/// An engine for `slots` calls at once, and whether it has a pool.
pub(crate) fn new(limits: &Limits, slots: u32) -> wasmtime::Result<(Engine, bool)> {
    if address_space_is_unlimited() {
        match Engine::new(&pooled(limits, slots)) {
            Ok(engine) => return Ok((engine, true)),
            Err(error) => tracing::warn!(
                error = %format!("{error:#}"),
                "no pool of instances could be reserved; guests are instantiated on demand"
            ),
        }
    }
    Engine::new(&on_demand(limits)).map(|engine| (engine, false))
}

fn common(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(limits.stack_bytes)
        .memory_init_cow(true)
        // A panic message tells an author more than addresses in a stripped component.
        .wasm_backtrace_max_frames(None);
    config
}

fn pooled(limits: &Limits, slots: u32) -> Config {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let kept = if scan { KEPT_WITH_SCAN } else { KEPT_BLINDLY };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(PARTS))
        .total_memories(slots.saturating_mul(MEMORIES))
        .total_tables(slots.saturating_mul(8))
        .max_core_instances_per_component(PARTS)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(8)
        .max_tables_per_module(4)
        .table_elements(limits.table_elements)
        .max_memory_size(limits.memory_bytes)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No })
        .linear_memory_keep_resident(kept)
        .table_keep_resident(KEPT_BLINDLY);
    let mut config = common(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn on_demand(limits: &Limits) -> Config {
    let memory = u64::try_from(limits.memory_bytes).unwrap_or(u64::MAX);
    let mut config = common(limits);
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(memory)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(64 << 10);
    config
}

/// Whether this process may reserve as much address space as it likes (`RLIMIT_AS`). What cannot
/// be found out counts as no: making instances on demand works everywhere.
fn address_space_is_unlimited() -> bool {
    let Ok(limits) = std::fs::read_to_string("/proc/self/limits") else {
        return false;
    };
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))
        .and_then(|rest| rest.split_whitespace().next())
        == Some("unlimited")
}
