//! `observe`: this node's kernel, local facts and custody.

use std::fmt::Write as _;

use super::stand::Standing;
use super::{ipvsadm, print, text};
use crate::arguments::{self, Format, ObserveFormat};
use lvs_core::node_plan::NodePlan;

/// Prints this node as it is. What is ours is told apart as far as the custody journal can be read.
///
/// # Errors
/// Where the kernel cannot be read.
pub fn run(arguments: &arguments::Observe) -> anyhow::Result<()> {
    let node = arguments.node.named_or_host()?;
    let standing = Standing::here(&arguments.folders, &node, &NodePlan::empty(0, ""))?;
    match arguments.output {
        ObserveFormat::Ipvsadm => print::write(&ipvsadm::rules(&standing.kernel)),
        ObserveFormat::Text => print::write(&describe(&standing)),
        ObserveFormat::Yaml => print::print(Format::Yaml, &standing, String::new),
        ObserveFormat::Json => print::print(Format::Json, &standing, String::new),
    }
}

/// A node for people.
fn describe(standing: &Standing) -> String {
    let mut ours = String::new();
    for (item, _) in standing.custody.items() {
        let _ = writeln!(ours, "  {}", text::item(&item));
    }
    if ours.is_empty() {
        ours.push_str("  nothing\n");
    }
    format!("{}{}Ours\n{ours}", text::local(&standing.local), text::kernel(&standing.kernel))
}
