//! What is to be written: differences between a decision and what is stored, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lvs_core::names::{GroupName, NodeName, ServiceName};
use lvs_core::node_plan::NodePlan;
use lvs_core::status::{GroupStatus, ServiceStatus};
use lvs_crds::NodePlanSlice;

use crate::decide::Decision;
use crate::snapshot::{Orphan, Snapshot, Stored};

/// One thing to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// A node's plan is another one.
    Plan(Box<PlanChange>),
    /// A node's plan has done its work.
    RemovePlan {
        /// The node.
        node: NodeName,
        /// The slices to go with it.
        slices: BTreeSet<String>,
    },
    /// A service's status is another one.
    ServiceStatus(Box<ServiceStatusChange>),
    /// A group's status is another one.
    GroupStatus {
        /// The group.
        name: GroupName,
        /// The status.
        status: GroupStatus,
    },
    /// A stored status has no object any more.
    RemoveStatus(Orphan),
}

/// A node's plan as it shall be stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanChange {
    /// The node.
    pub(crate) node: NodeName,
    /// The plan.
    pub(crate) plan: lvs_crds::NodePlan,
    /// Its slices.
    pub(crate) slices: Vec<NodePlanSlice>,
    /// The names of the slices that are not stored in this form. They are written before the plan.
    pub(crate) new_slices: BTreeSet<String>,
    /// The names of stored slices that the plan does not name. They are deleted after it was written.
    pub(crate) old_slices: BTreeSet<String>,
}

/// A service's status as it shall be stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceStatusChange {
    /// The service.
    pub(crate) name: ServiceName,
    /// Its uid, for events.
    pub(crate) uid: String,
    /// The status that it had.
    pub(crate) before: Option<ServiceStatus>,
    /// The status.
    pub(crate) status: ServiceStatus,
}

/// The object that is written, as it stands in a message.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(change) => write!(formatter, "NodePlan {}", change.node),
            Self::RemovePlan { node, .. } => {
                write!(formatter, "NodePlan {node}")
            }
            Self::ServiceStatus(change) => write!(formatter, "the status of VirtualService {}", change.name),
            Self::RemoveStatus(Orphan::Service(name)) => {
                write!(formatter, "the status of VirtualService {name}")
            }
            Self::GroupStatus { name, .. } | Self::RemoveStatus(Orphan::Group(name)) => {
                write!(formatter, "the status of DirectorGroup {name}")
            }
        }
    }
}

/// What is left to write after a decision.
pub(crate) fn changes(snapshot: &Snapshot, decision: &Decision) -> Vec<Change> {
    let nothing = Stored::default();
    let mut changes = Vec::new();
    for (node, plan) in &decision.plan.nodes {
        let stored = snapshot.stored.get(node).unwrap_or(&nothing);
        changes.extend(plan_change(node, plan, stored).map(|change| Change::Plan(Box::new(change))));
    }
    for node in &decision.plan.remove {
        let slices = snapshot.stored.get(node).map(|stored| stored.slices.keys().cloned().collect());
        changes.push(Change::RemovePlan { node: node.clone(), slices: slices.unwrap_or_default() });
    }
    changes.extend(leftovers(snapshot, decision));
    changes.extend(service_statuses(snapshot, &decision.services));
    changes.extend(group_statuses(snapshot, &decision.groups));
    changes.extend(snapshot.orphans.iter().cloned().map(Change::RemoveStatus));
    changes
}

/// The difference between a plan and what is stored of it.
fn plan_change(node: &NodeName, plan: &NodePlan, stored: &Stored) -> Option<PlanChange> {
    let (mut plan, slices) = lvs_crds::plan::split(node, plan);
    if uid(stored) == plan.spec.lineage.as_deref() {
        // With an API server the lineage is the object's uid, and is not written.
        plan.spec.lineage = None;
    }
    let same = |slice: &&NodePlanSlice| {
        stored.slices.get(slice_name(slice)).is_some_and(|there| there.spec == slice.spec)
    };
    let names: BTreeSet<String> = slices.iter().map(|slice| slice_name(slice).to_owned()).collect();
    let unchanged: BTreeSet<String> =
        slices.iter().filter(same).map(|slice| slice_name(slice).to_owned()).collect();
    let new_slices: BTreeSet<String> = names.difference(&unchanged).cloned().collect();
    let old_slices: BTreeSet<String> =
        stored.slices.keys().filter(|name| !names.contains(*name)).cloned().collect();
    let plan_is_stored = stored.plan.as_ref().is_some_and(|there| there.spec == plan.spec);
    let nothing_left = plan_is_stored && new_slices.is_empty() && old_slices.is_empty();
    (!nothing_left).then(|| PlanChange { node: node.clone(), plan, slices, new_slices, old_slices })
}

fn uid(stored: &Stored) -> Option<&str> {
    stored.plan.as_ref()?.metadata.uid.as_deref()
}

/// Slices of nodes without a plan: an earlier removal was cut short after the plan had gone.
fn leftovers(snapshot: &Snapshot, decision: &Decision) -> Vec<Change> {
    let planned =
        |node: &NodeName| decision.plan.nodes.contains_key(node) || decision.plan.remove.contains(node);
    let left = snapshot
        .stored
        .iter()
        .filter(|(node, stored)| !planned(node) && stored.plan.is_none() && !stored.slices.is_empty());
    left.map(|(node, stored)| Change::RemovePlan {
        node: node.clone(),
        slices: stored.slices.keys().cloned().collect(),
    })
    .collect()
}

fn service_statuses(snapshot: &Snapshot, statuses: &BTreeMap<ServiceName, ServiceStatus>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, status) in statuses {
        let before = snapshot.service_statuses.get(name);
        if before != Some(status) {
            let uid =
                snapshot.cluster.services.get(name).map(|service| service.uid.clone()).unwrap_or_default();
            let change = ServiceStatusChange {
                name: name.clone(),
                uid,
                before: before.cloned(),
                status: status.clone(),
            };
            changes.push(Change::ServiceStatus(Box::new(change)));
        }
    }
    changes
}

fn group_statuses(snapshot: &Snapshot, statuses: &BTreeMap<GroupName, GroupStatus>) -> Vec<Change> {
    let differs =
        |(name, status): &(&GroupName, &GroupStatus)| snapshot.group_statuses.get(*name) != Some(*status);
    let changed = statuses.iter().filter(differs);
    changed.map(|(name, status)| Change::GroupStatus { name: name.clone(), status: status.clone() }).collect()
}

/// The name of a slice as an object; one that was made here always has it.
pub(crate) fn slice_name(slice: &NodePlanSlice) -> &str {
    slice.metadata.name.as_deref().unwrap_or_default()
}
