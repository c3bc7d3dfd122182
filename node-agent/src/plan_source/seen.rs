//! The objects of one node as a plan source shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_core::node_plan;
use lvs_crds::plan::Fault;
use lvs_crds::{NodePlan, ReadSlice};

/// A node's NodePlan and slices, as they were last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The NodePlan; `None` where there is none (yet, or any more).
    pub node_plan: Option<NodePlan>,
    /// The slices by name; what was seen before and what is seen now share those that stay.
    pub slices: BTreeMap<String, Arc<ReadSlice>>,
}

impl Seen {
    /// The plan that the objects make together, and what keeps it from being complete; `None` without a NodePlan, which
    /// changes nothing on the node.
    #[must_use]
    pub fn plan(&self) -> Option<(node_plan::NodePlan, Vec<Fault>)> {
        let node_plan = self.node_plan.as_ref()?;
        Some(lvs_crds::plan::assemble_read(node_plan, self.slices.values().map(Arc::as_ref)))
    }

    /// The slices that the NodePlan names.
    pub fn named_slices(&self) -> impl Iterator<Item = &ReadSlice> {
        let named = self.node_plan.iter().flat_map(|plan| &plan.spec.slices);
        named.filter_map(|reference| self.slices.get(&reference.name).map(Arc::as_ref))
    }
}
