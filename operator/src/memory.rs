//! What this leader wrote, against what others make of it.
//!
//! Plans have one writer. Where a stored plan is not what the leader wrote, somebody deleted or changed it by hand, or
//! a write got only half through. Were that taken for the previous plan, drains would be forgotten and VIPs would move
//! although nothing has happened on any node. So while it leads, a leader goes on from what it knows, and puts the
//! stored plan right. It is no state that anything depends on: a leader that starts knows nothing and believes what
//! is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_core::names::NodeName;
use lvs_crds::{NodePlan, NodePlanSlice};

use crate::change::{Change, slice_name};
use crate::snapshot::{Snapshot, Stored};

/// The plans as this leader knows them.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<NodeName, Known>);

/// A plan with the status that it had when it was last seen whole.
#[derive(Debug)]
struct Known {
    plan: Arc<NodePlan>,
    slices: BTreeMap<String, Arc<NodePlanSlice>>,
}

impl Memory {
    /// The plans to go on from: those that are stored, and where one is not what was written, what was.
    pub(crate) fn correct(&self, stored: &BTreeMap<NodeName, Stored>) -> BTreeMap<NodeName, Stored> {
        let nothing = Stored::default();
        let wrong = self.0.iter().filter_map(|(node, known)| {
            let stored = stored.get(node).unwrap_or(&nothing);
            (!known.is(stored)).then(|| (node.clone(), known.put_right(stored)))
        });
        wrong.collect()
    }

    /// Takes note of what is stored: of plans that are as they were written with the status that they have now, and
    /// of plans that are seen for the first time and whole.
    pub(crate) fn learn(&mut self, snapshot: &Snapshot) {
        for (node, stored) in &snapshot.stored {
            let Some(plan) = &stored.plan else { continue };
            let whole = || snapshot.cluster.previous.get(node).is_some_and(|plan| plan.complete);
            if self.0.get(node).map_or_else(whole, |known| known.is(stored)) {
                let known = Known { plan: Arc::clone(plan), slices: stored.slices.clone() };
                self.0.insert(node.clone(), known);
            }
        }
    }

    /// Takes note of a change that was written.
    pub(crate) fn wrote(&mut self, change: &Change) {
        match change {
            Change::Plan(change) => {
                let slices =
                    change.slices.iter().map(|slice| (slice_name(slice).to_owned(), Arc::new(slice.clone())));
                let known = Known { plan: Arc::new(change.plan.clone()), slices: slices.collect() };
                self.0.insert(change.node.clone(), known);
            }
            Change::RemovePlan { node, .. } => _ = self.0.remove(node),
            Change::ServiceStatus(_) | Change::GroupStatus { .. } | Change::RemoveStatus(_) => {}
        }
    }

    /// Forgets everything: another may write now.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Known {
    /// Whether a plan is stored as it is known.
    fn is(&self, stored: &Stored) -> bool {
        let same = |(name, slice): (&String, &Arc<NodePlanSlice>)| {
            stored.slices.get(name).is_some_and(|stored| stored.spec == slice.spec)
        };
        stored.plan.as_ref().is_some_and(|plan| plan.spec == self.plan.spec)
            && stored.slices.len() == self.slices.len()
            && self.slices.iter().all(same)
    }

    /// The known plan, with what the agent has last said of it.
    fn put_right(&self, stored: &Stored) -> Stored {
        let mut plan = (*self.plan).clone();
        if let Some(present) = &stored.plan {
            plan.metadata.uid.clone_from(&present.metadata.uid);
            plan.status = present.status.clone().or(plan.status);
        }
        let slice = |(name, slice): (&String, &Arc<NodePlanSlice>)| {
            let mut slice = (**slice).clone();
            let status = stored.slices.get(name).and_then(|present| present.status.clone());
            slice.status = status.or(slice.status);
            (name.clone(), Arc::new(slice))
        };
        Stored {
            plan: Some(Arc::new(plan)),
            slices: self.slices.iter().map(slice).collect(),
            node_status: stored.node_status.clone(),
            slice_statuses: stored.slice_statuses.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lvs_core::names::ServiceName;
    use lvs_core::node_plan::{NodePlan as Plan, PlannedService};

    use super::*;

    fn plan(services: &[&str]) -> Plan {
        let mut plan = Plan::empty(3, "");
        for name in services {
            plan.services.insert(ServiceName::new("shop", name), PlannedService::idle("uid").into());
        }
        plan
    }

    fn stored(services: &[&str]) -> Snapshot {
        let (plan, slices) = lvs_crds::plan::split(&"rs-1".into(), &plan(services));
        let mut snapshot = Snapshot::default();
        snapshot.add_plan(&Arc::new(plan));
        for slice in slices {
            snapshot.add_slice(&Arc::new(slice));
        }
        snapshot
    }

    fn services(memory: &Memory, mut snapshot: Snapshot) -> usize {
        snapshot.assemble(memory);
        snapshot.cluster.previous[&"rs-1".into()].services.len()
    }

    #[test]
    fn a_slice_that_somebody_deleted_is_remembered() {
        let mut memory = Memory::default();
        let mut whole = stored(&["web"]);
        whole.assemble(&memory);
        memory.learn(&whole);
        let mut cut = stored(&["web"]);
        cut.stored.get_mut(&"rs-1".into()).unwrap().slices.clear();
        assert_eq!(services(&memory, cut.clone()), 1);
        memory.clear();
        assert_eq!(services(&memory, cut), 0, "a leader that starts believes what is stored");
    }

    #[test]
    fn a_plan_that_somebody_changed_or_deleted_is_remembered_and_not_learnt() {
        let mut memory = Memory::default();
        let mut whole = stored(&["web", "mail"]);
        whole.assemble(&memory);
        memory.learn(&whole);
        for mut other in [stored(&[]), Snapshot::default()] {
            other.assemble(&memory);
            memory.learn(&other);
            assert_eq!(other.cluster.previous[&"rs-1".into()].services.len(), 2);
            assert!(!other.remarks.is_empty());
        }
    }

    #[test]
    fn a_plan_that_was_not_whole_at_first_sight_is_not_learnt() {
        let mut memory = Memory::default();
        let mut cut = stored(&["web"]);
        cut.stored.get_mut(&"rs-1".into()).unwrap().slices.clear();
        cut.assemble(&memory);
        memory.learn(&cut);
        assert_eq!(services(&memory, stored(&["web"])), 1);
        assert!(memory.0.is_empty());
    }
}
