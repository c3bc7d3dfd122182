//! From what was read to what is to be: the brain's functions in their order, and nothing that does IO.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::names::{GroupName, NodeName, ServiceName};
use lvs_core::plan::{Plan, plan};
use lvs_core::status::{self, GroupStatus, ServiceStatus};
use lvs_core::time::Time;

use crate::snapshot::Snapshot;

/// What is to be.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// The plans and verdicts.
    pub(crate) plan: Plan,
    /// The statuses of the services.
    pub(crate) services: BTreeMap<ServiceName, ServiceStatus>,
    /// The statuses of the groups.
    pub(crate) groups: BTreeMap<GroupName, GroupStatus>,
    /// When to decide again although nothing has changed.
    pub(crate) next: Option<Time>,
}

/// Decides.
pub(crate) fn decide(snapshot: &Snapshot, now: Time) -> Decision {
    let (plan, next) = plan(&snapshot.cluster, now);
    let reports = &snapshot.cluster.reports;
    let service = |(name, verdict)| {
        let name: &ServiceName = name;
        (name.clone(), status::service(verdict, reports, snapshot.service_statuses.get(name), now))
    };
    let group = |(name, verdict)| {
        let name: &GroupName = name;
        (name.clone(), status::group(verdict, reports, snapshot.group_statuses.get(name), now))
    };
    let services = plan.verdicts.iter().map(service).collect();
    let groups = plan.groups.iter().map(group).collect();
    Decision { plan, services, groups, next }
}

/// Why nothing must be decided from a snapshot: something could not be read, and plans speak of nodes or groups that
/// may stand in just that. Their absence would move VIPs and remove plans.
pub(crate) fn unsafe_to_decide(snapshot: &Snapshot) -> Option<String> {
    let cluster = &snapshot.cluster;
    if cluster.complete {
        return None;
    }
    let nodes: BTreeSet<&NodeName> =
        cluster.previous.keys().filter(|node| !cluster.nodes.contains_key(*node)).collect();
    let vips =
        cluster.previous.values().flat_map(|plan| plan.services.values()).flat_map(|part| part.vips.values());
    let groups: BTreeSet<&GroupName> =
        vips.map(|vip| &vip.group).filter(|group| !cluster.groups.contains_key(*group)).collect();
    let list = |kind: &str, names: Vec<&String>| {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{kind} {}", names.join(", ")))
    };
    let missing = [
        list("Node", nodes.into_iter().map(|node| &node.0).collect()),
        list("DirectorGroup", groups.into_iter().map(|group| &group.0).collect()),
    ];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    (!missing.is_empty()).then(|| {
        format!(
            "not every manifest can be read, and {} may stand in one that cannot: plans stay as they are until it can",
            missing.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use lvs_core::node_plan::NodePlan;

    use super::*;

    #[test]
    fn a_planned_node_that_may_stand_in_an_unreadable_file_holds_everything() {
        let mut snapshot = Snapshot::default();
        snapshot.cluster.previous.insert("director-1".into(), NodePlan::empty(1, ""));
        snapshot.cluster.complete = true;
        assert_eq!(unsafe_to_decide(&snapshot), None);
        snapshot.cluster.complete = false;
        assert!(unsafe_to_decide(&snapshot).is_some_and(|why| why.contains("Node director-1")));
        snapshot.cluster.nodes.insert("director-1".into(), lvs_core::cluster::Node::default());
        assert_eq!(unsafe_to_decide(&snapshot), None);
    }
}
