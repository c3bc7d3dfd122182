//! `make bench`: how near the agent comes to what the kernel allows.
//!
//! Each row is a ratio of two things that are measured in turn in the same run, so that a noisy machine disturbs both
//! alike; it says what it must reach. The clock of the agent's own path runs from the parsed NodePlan in memory to the
//! last acknowledgement: look, render, diff, custody on disk, bytes, kernel.

mod connection;
mod encoding;
mod go_library;
mod keepalived;
mod memory;
mod one_weight;
mod plan;
mod programming;
mod raw;
mod reading;
mod row;
mod stand;

pub use row::Row;

use anyhow::Result;
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};

/// The scenarios of this module; they are no tests and count for no row of `make test`.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "bench", rows: &[], needs_ipvs: true, kernel: KernelNeeds::Common, run: bench },
    Scenario {
        name: "bench-emulated",
        rows: &[],
        needs_ipvs: true,
        kernel: KernelNeeds::Distribution { cpus: 1 },
        run: emulated,
    },
];

/// How often each of a pair is measured.
const TURNS: usize = 5;

fn bench(bench: &mut Bench) -> Result<Value> {
    // As the agent itself does.
    lvs_node_agent::memory::keep();
    let mut rows = vec![encoding::row()];
    rows.extend(one_weight::rows(bench)?);
    rows.push(reading::row(bench, 1_000, 10)?);
    rows.push(keepalived::row(bench, 1_000, 10)?);
    rows.extend(programming::rows(bench, 1_000, 10, 120.0)?);
    rows.push(go_library::row(bench, 1_000, 10)?.at_least(20.0));
    rows.extend(programming::rows(bench, 5_000, 20, 75.0)?);
    rows.push(memory::row(bench)?);
    rows.extend(connection::rows(bench)?);
    bench.case(format!("{} rows", rows.len()));
    typed(rows)
}

/// On a distribution's kernel, where system calls are cheap and the kernel's own work is slow, which understates what
/// batches save as much as User-Mode Linux overstates it.
fn emulated(bench: &mut Bench) -> Result<Value> {
    lvs_node_agent::memory::keep();
    let rows = programming::rows(bench, 1_000, 10, 14.0)?;
    bench.case(format!("{} rows", rows.len()));
    typed(rows)
}
