//! The plans as a frame, and their node-wide settings.

use std::collections::{BTreeMap, BTreeSet};

use super::past::Past;
use crate::cluster::{Cluster, Group};
use crate::ipvs::Timeouts;
use crate::names::{GroupName, NodeName};
use crate::node_plan::{NodePlan, NodeSettings, PlannedVip};
use crate::sysctl::Sysctl;

/// An empty plan for each node, and the plans that have done their work.
pub(super) fn node_plans(
    cluster: &Cluster,
    past: &Past<'_>,
) -> (BTreeMap<NodeName, NodePlan>, BTreeSet<NodeName>) {
    let mut remove: BTreeSet<NodeName> =
        cluster.previous.keys().filter(|node| !cluster.nodes.contains_key(*node)).cloned().collect();
    let mut plans = BTreeMap::new();
    for node in cluster.nodes.keys() {
        let previous = cluster.previous.get(node);
        if cluster.withdraw && previous.is_none_or(|plan| withdrawn(cluster, past, node, plan)) {
            remove.extend(previous.map(|_| node.clone()));
            continue;
        }
        let lineage = previous.map(|plan| &plan.lineage).or_else(|| cluster.lineages.get(node));
        plans.insert(node.clone(), NodePlan::empty(cluster.epoch, lineage.map_or("", String::as_str)));
    }
    (plans, remove)
}

/// Whether a node has left: its plan asks nothing, and its agent says that nothing is ours. A node whose agent has
/// never reported has done nothing either.
fn withdrawn(cluster: &Cluster, past: &Past<'_>, node: &NodeName, plan: &NodePlan) -> bool {
    let silent = !cluster.reports.contains_key(node);
    plan.services.is_empty() && (silent || past.report(node).is_some_and(|report| report.node.clean))
}

/// Gives each plan the settings of the groups whose services it forwards.
pub(super) fn settle_node_settings(cluster: &Cluster, plans: &mut BTreeMap<NodeName, NodePlan>) {
    for (node, plan) in plans {
        plan.settings = NodeSettings {
            timeouts: timeouts(cluster, plan).map(|(_, timeouts)| timeouts),
            sysctls: sysctls(cluster, plan).into_iter().map(|(sysctl, (_, value))| (sysctl, value)).collect(),
            allow_arp_silence: groups_of(cluster, plan, |_| true)
                .flat_map(|(_, group)| group.allow_arp_silence.iter().copied())
                .collect(),
            uplink: cluster.nodes.get(node).and_then(|node| node.uplink),
        };
    }
}

/// The timeouts of a node and the group that they come from: the older one of those that forward there.
pub(super) fn timeouts<'a>(cluster: &'a Cluster, plan: &NodePlan) -> Option<(&'a GroupName, Timeouts)> {
    let forwarding = groups_of(cluster, plan, |duty| duty.forward);
    let wanting = forwarding
        .filter_map(|(name, group)| Some((group.created, name, group.spec.as_ref().ok()?.timeouts?)));
    wanting.min_by_key(|(created, name, _)| (*created, *name)).map(|(_, name, timeouts)| (name, timeouts))
}

/// The sysctls of a node, each with the group that it comes from: the oldest one of those that forward there and set it.
pub(super) fn sysctls<'a>(cluster: &'a Cluster, plan: &NodePlan) -> BTreeMap<Sysctl, (&'a GroupName, i32)> {
    let mut forwarding: Vec<_> = groups_of(cluster, plan, |duty| duty.forward).collect();
    forwarding.sort_by_key(|(name, group)| (group.created, *name));
    let mut sysctls = BTreeMap::new();
    for (name, group) in forwarding {
        for (sysctl, value) in group.spec.iter().flat_map(|spec| &spec.ipvs_sysctls) {
            sysctls.entry(Sysctl::Ipvs(*sysctl)).or_insert((name, *value));
        }
    }
    sysctls
}

/// The groups that have a duty of a kind on a node.
pub(super) fn groups_of<'a>(
    cluster: &'a Cluster,
    plan: &NodePlan,
    of_kind: impl Fn(&PlannedVip) -> bool,
) -> impl Iterator<Item = (&'a GroupName, &'a Group)> {
    let duties = plan.services.values().flat_map(|part| part.vips.values()).filter(|duty| of_kind(duty));
    let names: BTreeSet<&GroupName> = duties.map(|duty| &duty.group).collect();
    let found: Vec<_> = names.into_iter().filter_map(|name| cluster.groups.get_key_value(name)).collect();
    found.into_iter()
}
