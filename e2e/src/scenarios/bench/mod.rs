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

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize as _;
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

/// What is measured together, by the name that chooses it.
type Group = (&'static str, fn(&mut Bench) -> Result<Vec<Row>>);

/// What `bench` measures.
const GROUPS: [Group; 9] = [
    ("encoding", |_| Ok(vec![encoding::row()])),
    ("one-weight", one_weight::rows),
    ("reading", |bench| Ok(vec![reading::row(bench, 1_000, 10)?])),
    ("keepalived", |bench| Ok(vec![keepalived::row(bench, 1_000, 10)?])),
    ("programming", |bench| programming::rows(bench, 1_000, 10, 120.0)),
    ("go-library", |bench| Ok(vec![go_library::row(bench, 1_000, 10)?.at_least(20.0)])),
    ("programming-large", |bench| programming::rows(bench, 5_000, 20, 75.0)),
    ("memory", |bench| Ok(vec![memory::row(bench)?])),
    ("connection", connection::rows),
];

fn bench(bench: &mut Bench) -> Result<Value> {
    measure(bench, &GROUPS)
}

/// On a distribution's kernel, where system calls are cheap and the kernel's own work is slow, which understates what
/// batches save as much as User-Mode Linux overstates it.
fn emulated(bench: &mut Bench) -> Result<Value> {
    measure(bench, &[("programming", |bench| programming::rows(bench, 1_000, 10, 14.0))])
}

/// Measures the groups that the run's arguments name, or all, and shows each row when it is there.
fn measure(bench: &mut Bench, groups: &[Group]) -> Result<Value> {
    // As the agent itself does.
    lvs_node_agent::memory::keep();
    let chosen = Option::<Vec<String>>::deserialize(&bench.request.arguments);
    let chosen = chosen.context("the arguments are a list of groups")?.unwrap_or_default();
    for name in &chosen {
        let known = || groups.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        ensure!(
            groups.iter().any(|(group, _)| group == name),
            "there is no group {name:?}; there are: {}",
            known()
        );
    }
    let mut rows = Vec::new();
    for (name, rows_of) in groups {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            for row in rows_of(bench)? {
                bench.show(row.to_string())?;
                rows.push(row);
            }
        }
    }
    bench.case(format!("{} rows", rows.len()));
    typed(rows)
}
