//! `observe`: this node's kernel, local facts and custody.

use super::stand::Standing;
use super::{print, text};
use crate::arguments;
use lvs_core::node_plan::NodePlan;

/// Prints this node as it is. What is ours is told apart as far as the custody journal can be read.
///
/// # Errors
/// Where the kernel cannot be read.
pub fn run(arguments: &arguments::Observe) -> anyhow::Result<()> {
    let node = arguments.node.named_or_host()?;
    let standing = Standing::here(&arguments.folders, &node, &NodePlan::empty(0, ""))?;
    print::print(arguments.output, &standing, || describe(&standing))
}

/// A node for people.
fn describe(standing: &Standing) -> String {
    let ours: String =
        standing.custody.claims.keys().map(|item| format!("  {}\n", text::item(item))).collect();
    let ours = if ours.is_empty() { "  nothing\n".to_owned() } else { ours };
    format!("{}{}Ours\n{ours}", text::local(&standing.local), text::kernel(&standing.kernel))
}
