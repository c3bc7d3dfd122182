//! `plan`: who does what, for the whole cluster.
//!
//! A plan is one step of a conversation with the nodes: it is made of the manifests, of the previous plans and of the
//! agents' reports, and asks only for what is safe after what has been reported. What must be remembered between two
//! steps stands in the plan itself, so an operator that restarts has lost nothing.
//!
//! ```text
//! coming   real servers accept -> report -> directors send to them;  directors accept and forward, the holder attracts
//! going    quiesced -> no entry on any director, reported -> real server unbinds -> reported -> forgotten
//! moving   new holder programmed, reported -> old one withdraws, reported -> new one attracts, reported -> old one leaves
//! ```

mod accept;
mod claims;
mod draft;
mod group;
mod holder;
mod marks;
mod part;
mod past;
mod real_server;
mod return_path;
mod settle;
mod stage;
mod unseen;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use settle::settled;
pub use unseen::{Unseen, unseen};

use crate::cluster::Cluster;
use crate::names::{GroupName, NodeName, ServiceName};
use crate::node_plan::NodePlan;
use crate::time::Time;
use crate::verdict::{GroupVerdict, Verdict};

/// What every node has to do, and what was found of every service and group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// A plan for each node, empty where the node has no role, so that every agent can report.
    pub nodes: BTreeMap<NodeName, NodePlan>,
    /// Plans that have done their work: their node is gone, or has left clean while everything is withdrawn.
    pub remove: BTreeSet<NodeName>,
    /// The verdict on each VirtualService that has a manifest.
    pub verdicts: BTreeMap<ServiceName, Verdict>,
    /// The verdict on each DirectorGroup.
    pub groups: BTreeMap<GroupName, GroupVerdict>,
}

/// Makes the next plan. Total and deterministic: equal inputs give equal plans.
///
/// The second value is when the plan wants to be made again although nothing has changed: the end of a drain.
#[must_use]
pub fn plan(cluster: &Cluster, now: Time) -> (Plan, Option<Time>) {
    let past = past::Past::of(cluster);
    let drafts = draft::drafts(cluster, &past);
    let marks = marks::marks(&past, &drafts);
    let holders = holder::holders(cluster, &past, &drafts);
    let (mut nodes, remove) = group::node_plans(cluster, &past);
    let mut next = None;
    let mut forms = BTreeMap::new();
    for name in drafts.keys().chain(past.departed(cluster)) {
        let draft = drafts.get(name).and_then(|draft| draft.in_force.as_ref());
        let (form, wake) = stage::form(&past, name, draft, &holders, now);
        next = [next, wake].into_iter().flatten().min();
        let service = part::Service { name, draft, mark: marks.get(name).copied() };
        for (node, part) in part::parts(cluster, &past, &service, &form, &holders) {
            if let Some(plan) = nodes.get_mut(&node) {
                plan.services.insert(name.clone(), Arc::new(part));
            }
        }
        forms.insert(name, form);
    }
    group::settle_node_settings(cluster, &mut nodes);
    let verdicts = verdict::services(cluster, &past, &drafts, &forms, &holders, &nodes);
    let groups = verdict::groups(cluster, &past, &nodes);
    (Plan { nodes, remove, verdicts, groups }, next)
}
