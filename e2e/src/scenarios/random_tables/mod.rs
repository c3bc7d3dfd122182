//! (h) Random tables with random edits: after each, the agent's reading of the kernel, `ipvsadm -Sn` and core's
//! `Kernel::step` agree, refusals included.

mod draw;

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_node_agent::kernel::{IpvsModule, Linux};
use lvs_node_agent::verbs::ipvsadm;
use serde::Serialize;
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::lab::{Lab, Topology};
use draw::Draw;

/// The scenarios of this module: two halves, so that two guests share the work.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "random-tables-1",
        rows: &["h"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: |bench| random_tables(bench, 1),
    },
    Scenario {
        name: "random-tables-2",
        rows: &["h"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: |bench| random_tables(bench, 2),
    },
];

const TABLES: u64 = 100;
const EDITS: usize = 50;

/// What a half returns.
#[derive(Debug, Serialize)]
struct Agreed {
    seed: u64,
    tables: u64,
    edits: usize,
    refusals: usize,
    kinds_of_refusals: BTreeSet<Refusal>,
}

fn random_tables(bench: &mut Bench, half: u64) -> Result<Value> {
    let lab = Lab::new(&Topology::lan().only(&["director-1"]))?;
    let host = lab.host("director-1")?;
    let seed = bench.request.seed.wrapping_mul(2).wrapping_add(half);
    let mut agreed = Agreed { seed, tables: 0, edits: 0, refusals: 0, kinds_of_refusals: BTreeSet::new() };
    for number in 0..TABLES {
        let mut draw = Draw::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        host.inside(|| table(&mut draw, &mut agreed))?
            .with_context(|| format!("seed {seed}, table {number}"))?;
        agreed.tables += 1;
        bench.case(format!("table {number} and its {EDITS} edits"));
    }
    ensure!(agreed.refusals > 0, "no edit was refused: the draw is too tame");
    typed(agreed)
}

/// One table, its edits, and its end, on the host of this thread.
fn table(draw: &mut Draw, agreed: &mut Agreed) -> Result<()> {
    let mut linux = Linux::open().context("open the kernel")?;
    let mut model = observe(&mut linux)?;
    ensure!(model.virtual_servers.is_empty(), "the table of before is not gone");
    let first = draw.table();
    step(&mut linux, &mut model, &first, agreed)?;
    for edit in 0..EDITS {
        let op = draw.edit(&model);
        step(&mut linux, &mut model, &[op], agreed).with_context(|| format!("edit {edit}: {op}"))?;
        agreed.edits += 1;
    }
    let all: Vec<Op> = model.virtual_servers.keys().map(|key| Op::RemoveVirtualServer(*key)).collect();
    step(&mut linux, &mut model, &all, agreed)
}

/// Does operations to the kernel and to the model, and compares all that can be compared.
fn step(linux: &mut Linux, model: &mut Kernel, ops: &[Op], agreed: &mut Agreed) -> Result<()> {
    let refused = linux.apply(ops);
    let expected: Vec<(usize, Refusal)> = ops
        .iter()
        .enumerate()
        .filter_map(|(place, op)| model.step(op).err().map(|refusal| (place, refusal)))
        .collect();
    ensure!(refused == expected, "the kernel refused {refused:?}, the model {expected:?}");
    agreed.refusals += refused.len();
    agreed.kinds_of_refusals.extend(refused.iter().map(|(_, refusal)| *refusal));

    let observed = observe(linux)?;
    ensure!(
        observed.virtual_servers == model.virtual_servers,
        "the agent reads {:#?}, the model has {:#?}",
        observed.virtual_servers,
        model.virtual_servers
    );
    let saved = saved()?;
    let rules = ipvsadm::rules(model);
    ensure!(saved == rules, "ipvsadm says {saved:#?}, the model {rules:#?}");
    Ok(())
}

fn observe(linux: &mut Linux) -> Result<Kernel> {
    let observation = linux.observe(IpvsModule::Load).context("observe")?;
    ensure!(observation.left_out.is_empty(), "left out: {:?}", observation.left_out);
    Ok(observation.kernel)
}

/// What `ipvsadm -Sn` prints.
fn saved() -> Result<String> {
    let output = Command::new("ipvsadm").arg("-Sn").output().context("run ipvsadm")?;
    ensure!(output.status.success(), "ipvsadm -Sn: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("ipvsadm -Sn prints text")
}
