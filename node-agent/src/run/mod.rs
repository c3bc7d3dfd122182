//! `run`: from the plan source to the kernel and back to the report, until stopped.
//!
//! ```text
//!  plan source (task) --Seen--> plans (task) --Wake--> worker (thread, owns the kernel) --NodeReport--> reports (task)
//!                                                         ^
//!                                  rtnetlink (thread) ----+  and every 2 s
//! ```
//!
//! Stopping changes nothing in the kernel: it ends between two phases, each of which is complete in itself.

mod account;
pub mod announcer;
pub mod backoff;
pub mod health;
pub mod host;
pub mod ledger;
pub mod live;
pub mod look;
pub mod pass;
pub mod phase;
pub mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use lvs_core::epoch::SeenEpochs;
use lvs_core::local::Local;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;
use lvs_core::node_report::{NodeFacts, NodeReport};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments;
use crate::custody::{Journal, Subject};
use crate::kernel::Watch;
use crate::local::{api_servers, privileges};
use crate::plan_source::{self, Source};
use crate::report::{self, Sink};
use crate::state::lock::Lock;
use crate::state::plan_copy;
use announcer::Announcer;
use health::Health;
use ledger::Ledger;
use live::{Live, Purpose};
use look::News;
use pass::Engine;
use worker::{Wake, Worker};

/// How long a phase under way may take to end once the agent is told to stop.
const LAST_PHASE: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where another agent runs here, the custody journal cannot be opened, or the worker has failed.
pub fn run(arguments: &arguments::Run) -> anyhow::Result<()> {
    let _lock = Lock::take()?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    runtime.block_on(supervise(arguments))
}

async fn supervise(arguments: &arguments::Run) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (source, node) = Source::open(&arguments.origin, &arguments.node).await?;
    let lasting = crate::local::lasting(&node)?;
    tracing::info!(%node, boot = %lasting.boot_id, version = lasting.agent_version, "starting");
    let health = Arc::new(Health::default());
    if let Some(address) = arguments.health {
        health::serve(address, health.clone()).await?;
    }
    let (wake, wakes) = std::sync::mpsc::channel();
    let (reports, reported) = watch::channel(None);
    let worker = worker(lasting, arguments, &source, reports, health)?;
    let stop = worker.engine.stop.clone();
    let routes_changed = worker.engine.host.routes_changed();
    let mut thread = tokio::task::spawn_blocking(move || worker.run(&wakes));
    let looks = wake.clone();
    Watch::open()?.spawn(move || {
        routes_changed.store(true, Ordering::Relaxed);
        looks.send(Wake::Kernel).is_ok()
    })?;
    let seen = source.follow(node.clone());
    let plans = wake.clone();
    tokio::spawn(plan_source::plans(seen.clone(), move |plan| {
        plans.send(Wake::Plan(Box::new(plan))).is_ok()
    }));
    tokio::spawn(report::write(Sink::of(&source, &node), seen, reported));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut thread => {
            ended.context("the thread that works on the kernel has failed")?;
            anyhow::bail!("the thread that works on the kernel has ended");
        }
    }
    stop.store(true, Ordering::Relaxed);
    // This fails where the worker is gone already.
    let _ = wake.send(Wake::Stop);
    if tokio::time::timeout(LAST_PHASE, thread).await.is_err() {
        tracing::warn!("stopped in the middle of a phase; the next start goes on from what is in custody");
    }
    tracing::info!("stopped; the kernel stays as it is");
    Ok(())
}

/// The worker, with what lies on disk.
fn worker(
    lasting: Local,
    arguments: &arguments::Run,
    source: &Source,
    reports: watch::Sender<Option<NodeReport>>,
    health: Arc<Health>,
) -> anyhow::Result<Worker<Live>> {
    let troubles = privileges::troubles();
    for trouble in &troubles {
        tracing::error!(reason = %trouble.reason, "{}", trouble.message);
    }
    let node = lasting.node.clone();
    let known = unseen(&lasting);
    let folders = &arguments.folders;
    let ledger = Ledger::on_disk(Journal::open(&folders.custody(), &Subject::here(&lasting.boot_id)?)?);
    let copy = folders.plan_copy();
    let (plan, seen) = kept_plan(&copy, &node);
    let api_servers = match source {
        Source::Api(clients) => api_servers::follow(clients.server.clone()),
        Source::Folder(_) | Source::File(_) | Source::Given(_) => Arc::default(),
    };
    let live = Live::open(lasting, api_servers, Purpose::Change)?;
    let engine = Engine::new(live.with_sysctls_in(&arguments.kernel_files.host_sysctls), ledger);
    let announcer = Announcer::default();
    let (refused, failing, news, unpublished) = (None, None, News::Everything, true);
    Ok(Worker {
        engine,
        node,
        copy,
        plan,
        news,
        seen,
        troubles,
        reports,
        health,
        announcer,
        known,
        refused,
        failing,
        unpublished,
    })
}

/// The last good plan and the epochs seen, as far as the disk has them.
fn kept_plan(copy: &Path, node: &NodeName) -> (Option<NodePlan>, SeenEpochs) {
    match plan_copy::read(copy, node) {
        Ok(Some(kept)) => {
            tracing::info!(
                epoch = kept.plan.epoch,
                "going on with the last good plan until its source speaks"
            );
            (Some(kept.plan), kept.seen)
        }
        Ok(None) => (None, SeenEpochs::default()),
        Err(error) => {
            tracing::error!("{:#}", anyhow::Error::new(error));
            (None, SeenEpochs::default())
        }
    }
}

/// What can be said of a node whose kernel has never been read.
fn unseen(lasting: &Local) -> NodeReport {
    let node = NodeFacts {
        boot_id: lasting.boot_id.clone(),
        agent_version: lasting.agent_version.clone(),
        features: lasting.features.clone(),
        kernel_release: lasting.kernel_release.clone(),
        ..NodeFacts::default()
    };
    NodeReport { node, ..NodeReport::default() }
}

#[cfg(test)]
mod tests;
