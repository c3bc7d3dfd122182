//! `diff`: what is left to do, in order.

use std::fmt::Write as _;

use lvs_core::wanted::{Hold, Phase, Wanted};
use serde::Serialize;

use super::stand::Standing;
use super::{print, text};
use crate::arguments;
use crate::plan_source::once;
use crate::run::look::View;

/// What `diff` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference<'a> {
    phases: &'a [Phase],
    holds: &'a [Hold],
    troubles: Vec<NamedTrouble<'a>>,
}

/// A trouble, and what it belongs to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedTrouble<'a> {
    /// The service; absent for the node as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(flatten)]
    trouble: &'a lvs_core::node_report::Trouble,
}

/// Prints what is left to do. Whether nothing is held, and nothing in the way; that something is left to do is no
/// trouble.
///
/// # Errors
/// Where the plan or the stand of the node cannot be had.
pub fn run(arguments: &arguments::Diff) -> anyhow::Result<bool> {
    let written = Standing::written_node(&arguments.stand)?;
    let (node, plan) = once::plan(&arguments.origin, &arguments.node, written)?;
    let standing = Standing::of(&arguments.stand, &arguments.folders, &node, &plan)?;
    let mut engine = standing.engine();
    let view = engine.look(&plan)?;
    let left = Difference::of(view);
    print::print(arguments.output, &left, || difference(view))?;
    Ok(left.holds.is_empty() && left.troubles.is_empty())
}

impl<'a> Difference<'a> {
    fn of(view: &'a View) -> Self {
        Self { phases: &view.phases, holds: &view.holds, troubles: troubles(&view.wanted) }
    }
}

/// The troubles of the node and of each service.
pub(super) fn troubles(wanted: &Wanted) -> Vec<NamedTrouble<'_>> {
    let of_node = wanted.node_troubles.iter().map(|trouble| NamedTrouble { service: None, trouble });
    let of_services = wanted.troubles.iter().flat_map(|(service, troubles)| {
        troubles.iter().map(|trouble| NamedTrouble { service: Some(service.to_string()), trouble })
    });
    of_node.chain(of_services).collect()
}

/// The difference for people.
fn difference(view: &View) -> String {
    let mut text = String::new();
    for phase in &view.phases {
        let _ = writeln!(text, "{:?}", phase.name);
        for op in &phase.ops {
            let _ = writeln!(text, "  {op}");
        }
        if phase.ops.is_empty() {
            text.push_str("  nothing in the kernel, only in custody\n");
        }
    }
    text.push_str(&held(&view.holds, &view.wanted));
    if text.is_empty() { "nothing to do\n".to_owned() } else { text }
}

/// Probes that are due, holds and troubles for people.
pub(super) fn held(holds: &[Hold], wanted: &Wanted) -> String {
    let mut text = String::new();
    for (vip, link) in &wanted.probes {
        let _ = writeln!(text, "probe {vip} on {link} before it is attracted");
    }
    for hold in holds {
        let Hold { item, trouble } = hold;
        let _ = writeln!(text, "held: {}: {}: {}", text::item(item), trouble.reason, trouble.message);
    }
    for NamedTrouble { service, trouble } in troubles(wanted) {
        let whose = service.map_or_else(|| "node".to_owned(), |service| format!("service {service}"));
        let _ = writeln!(text, "trouble: {whose}: {}: {}", trouble.reason, trouble.message);
    }
    text
}
