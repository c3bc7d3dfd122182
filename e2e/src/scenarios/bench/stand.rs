//! What is measured on: a network namespace without a past, an engine without a past, and the kernel behind them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_core::kernel::{Kernel, Op};
use lvs_core::node_plan::NodePlan;
use lvs_core::render::changed_parts;
use lvs_node_agent::custody::{Journal, Subject};
use lvs_node_agent::kernel::{IpvsModule, Linux};
use lvs_node_agent::local::api_servers::Known;
use lvs_node_agent::run::ledger::Ledger;
use lvs_node_agent::run::live::{Live, Purpose};
use lvs_node_agent::run::look::News;
use lvs_node_agent::run::pass::Engine;

use crate::lab::Namespace;
use crate::lab::namespace::Isolation;

/// Runs `work` in a network namespace of its own. What was deleted in another one lies there in IPVS's trash for two
/// minutes and makes every addition slow.
pub(super) fn fresh<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = namespace()?;
    let done = namespace.inside(work)?;
    leave(namespace)?;
    done
}

/// A network namespace without a past.
pub(super) fn namespace() -> Result<Namespace> {
    Namespace::new(Isolation::Network, || {
        // Without its local table the kernel takes every RIP for no unicast address.
        let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("run ip")?;
        ensure!(status.success(), "lo cannot be set up");
        Ok(())
    })
}

/// Ends a namespace so that the kernel has little left to clean up while the next one is measured.
pub(super) fn leave(namespace: Namespace) -> Result<()> {
    namespace.inside(|| Command::new("ipvsadm").arg("-C").status())?.context("run ipvsadm")?;
    drop(namespace);
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// How long the agent takes for a whole plan, in a namespace of its own: from the plan in memory to the last answer.
pub(super) fn by_agent(plan: &NodePlan, wanted: &Kernel) -> Result<Duration> {
    fresh(|| {
        let mut engine = engine()?;
        let took = timed(|| {
            engine.look(plan)?;
            let failures = engine.act()?.outstanding.failures;
            ensure!(failures.is_empty(), "refused: {:?}", failures.first());
            Ok(())
        })?;
        expect(wanted).map(|()| took)
    })
}

/// How long the agent takes from one plan to another that differs by one operation.
pub(super) fn one_change(engine: &mut Engine<Live>, before: &NodePlan, plan: &NodePlan) -> Result<Duration> {
    timed(|| {
        engine.plan_changed();
        let news = changed_parts(before, plan).map_or(News::Plan, News::Forms);
        let tried = engine.follow(plan, news)?.tried().count();
        ensure!(tried == 1, "{tried} operations instead of one");
        Ok(())
    })
}

/// An engine without a past, its custody in memory as on a node.
pub(super) fn engine() -> Result<Engine<Live>> {
    let lasting = lvs_node_agent::local::lasting(&"director-1".into())?;
    let path = PathBuf::from("/run/bench/custody.jsonl");
    // What an earlier row left would be taken for ours.
    let _ = std::fs::remove_file(&path);
    let journal = Journal::open(&path, &Subject::here(&lasting.boot_id)?)?;
    let live = Live::open(lasting, Known::default(), Purpose::Change)?;
    Ok(Engine::new(live, Ledger::on_disk(journal)))
}

/// What the plan asks of an empty kernel, and the table that it leads to.
pub(super) fn operations(plan: &NodePlan) -> Result<(Vec<Op>, Kernel)> {
    fresh(|| {
        let mut engine = engine()?;
        engine.look(plan)?;
        let ops: Vec<Op> = engine.view.phases.iter().flat_map(|phase| &phase.ops).copied().collect();
        let mut wanted = engine.view.kernel;
        for op in &ops {
            wanted.step(op).map_err(|refusal| anyhow::anyhow!("{op}: {refusal}"))?;
        }
        Ok((ops, wanted))
    })
}

/// Fails where the table of this namespace is another than that of `wanted`.
pub(super) fn expect(wanted: &Kernel) -> Result<()> {
    let found = Linux::open()?.observe(IpvsModule::AsFound)?.kernel.virtual_servers;
    ensure!(found == wanted.virtual_servers, "the table is another: {} services", found.len());
    Ok(())
}

/// How long `work` takes.
pub(super) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
