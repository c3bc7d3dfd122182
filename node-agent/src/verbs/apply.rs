//! `apply`: once, what is left to do.

use std::fmt::Write as _;

use lvs_core::kernel::Kernel;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;
use lvs_core::wanted::{Failure, Hold, PhaseName, Wanted};
use serde::Serialize;

use super::diff::{NamedTrouble, held, troubles};
use super::stand::Standing;
use super::{print, text};
use crate::arguments;
use crate::arguments::{KernelFiles, StateFolders};
use crate::custody::{Journal, Subject};
use crate::local::api_servers::Known;
use crate::plan_source::once;
use crate::run::announcer::Announcer;
use crate::run::ledger::Ledger;
use crate::run::live::{Live, Purpose};
use crate::run::look::View;
use crate::run::pass::{Engine, Outcome};
use crate::run::phase::Tried;
use crate::state::lock::Lock;
use crate::state::plan_copy;

/// What `apply` and `cleanup` print.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Applied<'a> {
    operations: Vec<Tried>,
    failures: &'a [Failure],
    holds: &'a [Hold],
    troubles: Vec<NamedTrouble<'a>>,
    /// The kernel that a dry run leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_state: Option<&'a Kernel>,
}

/// Applies the plan once, or says what that would do. Whether everything is as planned now.
///
/// # Errors
/// Where the plan or the kernel cannot be read, custody cannot be written, or another agent runs here.
pub fn run(arguments: &arguments::Apply) -> anyhow::Result<bool> {
    anyhow::ensure!(
        arguments.dry_run || arguments.stand.kernel.is_none(),
        "--kernel and --local stand for a node that nothing can be applied to: add --dry-run"
    );
    let written = Standing::written_node(&arguments.stand)?;
    let (node, plan) = once::plan(&arguments.origin, &arguments.node, written)?;
    if arguments.dry_run {
        let mut engine = Standing::of(&arguments.stand, &arguments.folders, &node, &plan)?.engine();
        let outcome = engine.pass(&plan)?;
        return report(arguments.output, &engine.view, &outcome, true);
    }
    once::require_this_host(&arguments.origin, &arguments.node, &node)?;
    let _lock = Lock::take()?;
    require_present(&arguments.folders, &node, &plan)?;
    let mut engine = here(&arguments.folders, &arguments.kernel_files, crate::local::lasting(&node)?)?;
    let outcome = engine.pass(&plan)?;
    Announcer::default().announce(&engine.view, &mut engine.host);
    report(arguments.output, &engine.view, &outcome, false)
}

/// A plan of a lower epoch than the agent of this node has followed comes from an operator that leads no more.
fn require_present(folders: &StateFolders, node: &NodeName, plan: &NodePlan) -> anyhow::Result<()> {
    // A copy that is damaged or another node's says nothing of this.
    let copy = plan_copy::read(&folders.plan_copy(), node).ok().flatten();
    let stale = copy.and_then(|mut copy| copy.seen.admit(plan).err());
    match stale {
        None => Ok(()),
        Some(trouble) => anyhow::bail!(
            "{}: {}; where the older plan is really meant, remove {} first",
            trouble.reason,
            trouble.message,
            folders.plan_copy().display()
        ),
    }
}

/// An engine for this node, with its custody.
pub(super) fn here(
    folders: &StateFolders,
    kernel_files: &KernelFiles,
    lasting: lvs_core::local::Local,
) -> anyhow::Result<Engine<Live>> {
    let ledger = Ledger::on_disk(Journal::open(&folders.custody(), &Subject::here(&lasting.boot_id)?)?);
    let live = Live::open(lasting, Known::default(), Purpose::Change)?;
    Ok(Engine::new(live.with_sysctls_in(&kernel_files.host_sysctls), ledger))
}

/// Prints an outcome. Whether nothing failed, is held, or is in the way.
pub(super) fn report(
    format: arguments::Format,
    view: &View,
    outcome: &Outcome,
    supposed: bool,
) -> anyhow::Result<bool> {
    let applied = Applied {
        operations: outcome.tried().collect(),
        failures: &outcome.outstanding.failures,
        holds: &view.holds,
        troubles: troubles(&view.wanted),
        end_state: supposed.then_some(&view.kernel),
    };
    print::print(format, &applied, || describe(&applied, &view.wanted))?;
    Ok(applied.failures.is_empty() && applied.holds.is_empty() && applied.troubles.is_empty())
}

fn describe(applied: &Applied, wanted: &Wanted) -> String {
    let mut text = String::new();
    let mut phase: Option<PhaseName> = None;
    for tried in &applied.operations {
        if phase != Some(tried.phase) {
            let _ = writeln!(text, "{:?}", tried.phase);
            phase = Some(tried.phase);
        }
        match tried.refusal {
            None => _ = writeln!(text, "  {}", tried.op),
            Some(refusal) => _ = writeln!(text, "  refused ({refusal:?}): {}", tried.op),
        }
    }
    for Failure { op, refusal } in applied.failures {
        if refusal.is_none() {
            let _ = writeln!(text, "left out: {op}");
        }
    }
    text.push_str(&held(applied.holds, wanted));
    if text.is_empty() {
        text.push_str("nothing to do\n");
    }
    if let Some(kernel) = applied.end_state {
        let _ = write!(text, "\nThe kernel would then be\n{}", text::kernel(kernel));
    }
    text
}
