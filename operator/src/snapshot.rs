//! Everything that was read at one moment: the input of a decision, and what its outcome is compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::core::ObjectMeta;
use lvs_core::cluster::Cluster;
use lvs_core::names::{GroupName, NodeName, ServiceName};
use lvs_core::node_report::NodeReport;
use lvs_core::status::{GroupStatus, ServiceStatus};
use lvs_crds::plan::Fault;
use lvs_crds::{
    DirectorGroupSpec, DirectorGroupStatus, NodePlan, NodePlanSlice, NodePlanSliceStatus, NodePlanStatus,
    VirtualServiceSpec, VirtualServiceStatus, director_group, node, plan, report, virtual_service,
};

use crate::memory::Memory;

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The planner's input. The loop sets its epoch.
    pub(crate) cluster: Cluster,
    /// The statuses that the VirtualServices have.
    pub(crate) service_statuses: BTreeMap<ServiceName, ServiceStatus>,
    /// The statuses that the DirectorGroups have.
    pub(crate) group_statuses: BTreeMap<GroupName, GroupStatus>,
    /// The plans as they are stored.
    pub(crate) stored: BTreeMap<NodeName, Stored>,
    /// Stored statuses of objects that are no more; in a folder they do not go by themselves.
    pub(crate) orphans: Vec<Orphan>,
    /// What is not as it should be and counts as absent, for the log.
    pub(crate) remarks: Vec<String>,
}

/// A node's plan and report as they are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// The plan; `None` where only slices or a report were found.
    pub(crate) plan: Option<Arc<NodePlan>>,
    /// The slices that name the node, by name.
    pub(crate) slices: BTreeMap<String, Arc<NodePlanSlice>>,
    /// What the agent says of the node, where that does not stand in the plan itself.
    pub(crate) node_status: Option<NodePlanStatus>,
    /// What it says of the services, where that does not stand in the slices themselves.
    pub(crate) slice_statuses: Vec<NodePlanSliceStatus>,
}

impl Stored {
    fn previous(&self) -> Option<(lvs_core::node_plan::NodePlan, Vec<Fault>)> {
        let plan = self.plan.as_ref()?;
        Some(plan::assemble(plan, self.slices.values().map(Arc::as_ref)))
    }

    fn report(&self) -> Option<NodeReport> {
        let node = self.node_status.as_ref().or_else(|| self.plan.as_ref()?.status.as_ref());
        let slices = self.slices.values().filter_map(|slice| slice.status.as_ref());
        report::assemble(node, self.slice_statuses.iter().chain(slices))
    }
}

/// A status without an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Orphan {
    /// Of a VirtualService.
    Service(ServiceName),
    /// Of a DirectorGroup.
    Group(GroupName),
}

impl Snapshot {
    /// The highest epoch of any stored plan; 0 where there is none.
    pub(crate) fn highest_epoch(&self) -> u64 {
        self.cluster.previous.values().map(|plan| plan.epoch).max().unwrap_or(0)
    }

    /// Adds a VirtualService.
    pub(crate) fn add_service(&mut self, metadata: &ObjectMeta, spec: Result<&VirtualServiceSpec, &str>) {
        self.cluster
            .services
            .insert(virtual_service::name(metadata), virtual_service::service(metadata, spec));
    }

    /// Adds the status of a VirtualService. One that this version cannot read is written anew.
    pub(crate) fn add_service_status(&mut self, metadata: &ObjectMeta, status: &VirtualServiceStatus) {
        if let Ok(status) = status.read() {
            self.service_statuses.insert(virtual_service::name(metadata), status);
        }
    }

    /// Adds a DirectorGroup.
    pub(crate) fn add_group(&mut self, metadata: &ObjectMeta, spec: Result<&DirectorGroupSpec, &str>) {
        self.cluster.groups.insert(director_group::name(metadata), director_group::group(metadata, spec));
    }

    /// Adds the status of a DirectorGroup. One that this version cannot read is written anew.
    pub(crate) fn add_group_status(&mut self, metadata: &ObjectMeta, status: &DirectorGroupStatus) {
        if let Ok(status) = status.read() {
            self.group_statuses.insert(director_group::name(metadata), status);
        }
    }

    /// Adds a Node.
    pub(crate) fn add_node(&mut self, object: &Node) {
        let name = NodeName(object.metadata.name.clone().unwrap_or_default());
        let (node, trouble) = node::node(object);
        self.remarks.extend(trouble.map(|trouble| format!("Node {name}: {}", trouble.message)));
        self.cluster.nodes.insert(name, node);
    }

    /// Adds a NodePlan with the status that it has.
    pub(crate) fn add_plan(&mut self, plan: &Arc<NodePlan>) {
        let node = NodeName(plan.metadata.name.clone().unwrap_or_default());
        self.stored.entry(node).or_default().plan = Some(Arc::clone(plan));
    }

    /// Adds a NodePlanSlice with the status that it has.
    pub(crate) fn add_slice(&mut self, slice: &Arc<NodePlanSlice>) {
        let stored = self.stored.entry(slice.spec.node_name.clone()).or_default();
        stored.slices.insert(slice.metadata.name.clone().unwrap_or_default(), Arc::clone(slice));
    }

    /// Makes the previous plans and the reports of what was stored, once everything was added.
    pub(crate) fn assemble(&mut self, memory: &Memory) {
        let corrected = memory.correct(&self.stored);
        for node in corrected.keys() {
            self.remarks
                .push(format!("the stored plan of {node} is not what was written: it is written anew"));
        }
        let untouched = self.stored.iter().filter(|(node, _)| !corrected.contains_key(*node));
        for (node, stored) in untouched.chain(&corrected) {
            if let Some((previous, faults)) = stored.previous() {
                let why: Vec<String> = faults.iter().map(Fault::to_string).collect();
                if !why.is_empty() {
                    self.remarks.push(format!("the plan of {node} is not whole: {}", why.join("; ")));
                }
                self.cluster.previous.insert(node.clone(), previous);
            }
            if let Some(report) = stored.report() {
                self.cluster.reports.insert(node.clone(), report);
            }
        }
        self.remarks.sort();
    }
}
