//! `cleanup`: the node as it was found.

use std::io;

use anyhow::Context as _;
use lvs_core::node_plan::NodePlan;

use super::stand::Standing;
use super::{apply, text};
use crate::arguments;
use crate::state::lock::Lock;

/// Gives back everything that custody holds, in the order that is safe. Whether nothing of ours is left.
///
/// The last good plan is removed first, so that no agent brings back from disk what is taken away here.
///
/// # Errors
/// Where the kernel cannot be read, custody cannot be written, or an agent runs here.
pub fn run(arguments: &arguments::Cleanup) -> anyhow::Result<bool> {
    let node = arguments.node.named_or_host()?;
    let nothing = NodePlan::empty(0, "");
    if arguments.dry_run {
        let mut engine = Standing::here(&arguments.folders, &node, &nothing)?.engine();
        let outcome = engine.pass(&nothing)?;
        return apply::report(arguments.output, &engine.view, &outcome, true);
    }
    let _lock = Lock::take()?;
    let copy = arguments.folders.plan_copy();
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("the last good plan {} cannot be removed", copy.display()));
        }
        _ => {}
    }
    let mut engine = apply::here(&arguments.folders, &arguments.kernel_files, crate::local::lasting(&node)?)?;
    let outcome = engine.pass(&nothing)?;
    apply::report(arguments.output, &engine.view, &outcome, false)?;
    let left = engine.ledger.custody();
    for (item, _) in left.items() {
        tracing::error!("still ours: {}", text::item(&item));
    }
    Ok(left.is_clean())
}
