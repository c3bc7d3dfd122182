//! `make bench`: how near the agent comes to what the kernel allows. Each row is a ratio of two things that are measured
//! in turn in the same run, so that a noisy machine disturbs both alike.
//!
//! The clock of the agent's own path runs from the parsed NodePlan in memory to the last acknowledgement: observe,
//! render, diff, custody on disk, bytes, kernel.

mod plan;
mod row;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_core::kernel::{Kernel, Op};
use lvs_core::node_plan::NodePlan;
use lvs_node_agent::custody::{Journal, Subject};
use lvs_node_agent::kernel::{IpvsModule, Linux};
use lvs_node_agent::local::api_servers::Known;
use lvs_node_agent::run::ledger::Ledger;
use lvs_node_agent::run::live::{Live, Purpose};
use lvs_node_agent::run::pass::Engine;
use lvs_node_agent::verbs::ipvsadm;
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::lab::{Lab, Topology};
use row::{Row, Times};

/// The scenarios of this module; they are no tests and count for no row.
pub const SCENARIOS: &[Scenario] =
    &[Scenario { name: "bench", rows: &[], needs_ipvs: true, kernel: KernelNeeds::Common, run: bench }];

/// How often each of a pair is measured.
const TURNS: usize = 5;

fn bench(bench: &mut Bench) -> Result<Value> {
    let lab = Lab::new(&Topology::lan().only(&["director-1"]))?;
    let rows = lab.host("director-1")?.inside(|| {
        let mut rows = Vec::new();
        rows.extend(programming(bench, 1_000, 10)?);
        rows.extend(programming(bench, 5_000, 20)?);
        rows.push(reading(bench, 1_000, 10)?);
        rows.extend(one_weight(bench)?);
        rows.push(row::encoding());
        anyhow::Ok(rows)
    })??;
    for row in &rows {
        bench.show(row.to_string())?;
    }
    bench.case(format!("{} rows", rows.len()));
    typed(rows)
}

/// The whole table, by the agent's own path, by `ipvsadm --restore`, and by the operations alone, in turn.
fn programming(bench: &mut Bench, services: u16, real_servers: u8) -> Result<Vec<Row>> {
    let what = format!("{services} services x {real_servers} real servers");
    bench.show(format!("programming {what} …"))?;
    let plan = plan::of(services, real_servers, 1);
    let (ops, wanted) = operations(&plan)?;
    let dump = Path::new("/run/dump");
    std::fs::write(dump, ipvsadm::rules(&wanted)).context("write the dump")?;
    let (mut agent, mut restore, mut bare) = (Times::default(), Times::default(), Times::default());
    for turn in 0..TURNS {
        let mut engine = engine(turn)?;
        agent.add(timed(|| engine.pass(&plan).map(drop).map_err(Into::into))?);
        expect(&wanted)?;
        clear()?;
        restore.add(timed(|| ipvsadm_restore(dump))?);
        expect(&wanted)?;
        clear()?;
        let mut linux = Linux::open()?;
        bare.add(timed(|| {
            let refused = linux.apply(&ops);
            ensure!(refused.is_empty(), "refused: {:?}", &refused[..refused.len().min(3)]);
            Ok(())
        })?);
        expect(&wanted)?;
        clear()?;
    }
    Ok(vec![
        Row::faster(format!("program {what}: the agent, against ipvsadm --restore"), &agent, &restore),
        Row::slower(format!("program {what}: the agent, against its operations alone"), &agent, &bare),
    ])
}

/// The whole table read, by the agent and by `ipvsadm -Sn`.
fn reading(bench: &mut Bench, services: u16, real_servers: u8) -> Result<Row> {
    let entries = usize::from(services) * usize::from(real_servers);
    bench.show(format!("reading {entries} destinations …"))?;
    let (ops, wanted) = operations(&plan::of(services, real_servers, 1))?;
    let mut linux = Linux::open()?;
    ensure!(linux.apply(&ops).is_empty(), "the table cannot be made");
    expect(&wanted)?;
    let (mut agent, mut save) = (Times::default(), Times::default());
    for _ in 0..TURNS {
        agent.add(timed(|| Ok(linux.observe(IpvsModule::AsFound).map(drop)?))?);
        save.add(timed(|| {
            let status = Command::new("ipvsadm").arg("-Sn").stdout(Stdio::null()).status()?;
            ensure!(status.success(), "ipvsadm -Sn failed");
            Ok(())
        })?);
    }
    clear()?;
    Ok(Row::faster(format!("read {entries} destinations: the agent, against ipvsadm -Sn"), &agent, &save))
}

/// One weight of many entries: from the changed plan to the kernel.
fn one_weight(bench: &mut Bench) -> Result<Vec<Row>> {
    let mut of_size = Vec::new();
    for (services, real_servers) in [(1_000, 10), (5_000, 20)] {
        let entries = usize::from(services) * usize::from(real_servers);
        bench.show(format!("changing one weight among {entries} …"))?;
        let mut engine = engine(100)?;
        engine.pass(&plan::of(services, real_servers, 1))?;
        let mut times = Times::default();
        for turn in 0..TURNS {
            let weight = u32::try_from(turn)? + 2;
            let changed = plan::with_one_weight(services, real_servers, weight);
            times.add(timed(|| engine.pass(&changed).map(drop).map_err(Into::into))?);
        }
        clear()?;
        of_size.push((entries, times));
    }
    let [(small, of_small), (large, of_large)] = &of_size[..] else { return Ok(Vec::new()) };
    Ok(vec![
        Row::alone(format!("change one weight among {large} entries"), of_large),
        Row::slower(format!("change one weight: among {large} entries, against {small}"), of_large, of_small),
    ])
}

/// An engine without a past, its custody in memory as on a node.
fn engine(turn: usize) -> Result<Engine<Live>> {
    let lasting = lvs_node_agent::local::lasting(&"director-1".into())?;
    let path = PathBuf::from(format!("/run/bench-{turn}/custody.jsonl"));
    // What an earlier row left would be taken for ours.
    let _ = std::fs::remove_file(&path);
    let journal = Journal::open(&path, &Subject::here(&lasting.boot_id)?)?;
    let live = Live::open(lasting, Known::default(), Purpose::Change)?;
    Ok(Engine::new(live, Ledger::on_disk(journal)))
}

/// What the plan asks of an empty kernel, and the table that it leads to.
fn operations(plan: &NodePlan) -> Result<(Vec<Op>, Kernel)> {
    let mut engine = engine(99)?;
    let view = engine.look(plan)?;
    let ops: Vec<Op> = view.phases.iter().flat_map(|phase| &phase.ops).copied().collect();
    let mut wanted = view.kernel;
    for op in &ops {
        wanted.step(op).map_err(|refusal| anyhow::anyhow!("{op}: {refusal}"))?;
    }
    Ok((ops, wanted))
}

fn expect(wanted: &Kernel) -> Result<()> {
    let found = Linux::open()?.observe(IpvsModule::AsFound)?.kernel.virtual_servers;
    ensure!(found == wanted.virtual_servers, "the table is another: {} services", found.len());
    Ok(())
}

fn ipvsadm_restore(dump: &Path) -> Result<()> {
    let input = std::fs::File::open(dump)?;
    let status = Command::new("ipvsadm").arg("--restore").stdin(input).status().context("run ipvsadm")?;
    ensure!(status.success(), "ipvsadm --restore failed");
    Ok(())
}

fn clear() -> Result<()> {
    let status = Command::new("ipvsadm").arg("-C").status().context("run ipvsadm")?;
    ensure!(status.success(), "ipvsadm -C failed");
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
