//! NodePlan and NodePlanSlice: what the operator asks of a node, and what its agent says of it.

#![expect(clippy::duplicated_attributes, reason = "each column repeats the names of its properties")]

use std::collections::BTreeMap;

use kube::CustomResource;
use lvs_core::names::{BootId, NodeName};
use lvs_core::node_plan::{NodeSettings, PlannedService};
use lvs_core::node_report::{NodeFacts, ServiceReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_written::AsWritten;

/// Everything that one node has to do; what it has to do for the services is in the slices that this names.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lvs-operator.io",
    version = "v1alpha1",
    kind = "NodePlan",
    plural = "nodeplans",
    category = "lvs-operator",
    status = "NodePlanStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What lvs-operator asks of a node (spec, written by the operator) and what the node's agent says of it (status, written by the agent). It has the node's name. Users only read it.",
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".spec.epoch"),
    printcolumn(name = "Reported", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Services", type_ = "integer", json_path = ".spec.serviceCount"),
    printcolumn(name = "Clean", type_ = "boolean", json_path = ".status.clean"),
    printcolumn(name = "IPVS", type_ = "boolean", json_path = ".status.ipvs"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".status.agentVersion", priority = 1),
    printcolumn(name = "Kernel", type_ = "string", json_path = ".status.kernelRelease", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanSpec {
    /// Who wrote the plan, as a number that grows with each leading operator. An agent refuses a lower one.
    pub epoch: u64,
    /// Within what the epochs compare. Absent with an API server: there it is the NodePlan's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<String>,
    /// How many services the slices hold together.
    #[serde(default)]
    pub service_count: usize,
    /// What concerns the node as a whole.
    #[serde(default)]
    pub settings: NodeSettings,
    /// The slices. While one is missing or has another hash, the plan is incomplete and nothing is removed.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub slices: Vec<SliceReference>,
}

/// What a node's agent says of the node as a whole.
pub type NodePlanStatus = AsWritten<NodeFacts>;

/// A slice that a plan names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceReference {
    /// The name of the NodePlanSlice.
    #[schemars(length(max = 253))]
    pub name: String,
    /// A hash of its services: 32 hexadecimal digits.
    #[schemars(length(max = 32))]
    pub hash: String,
}

/// A part of a node's services.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lvs-operator.io",
    version = "v1alpha1",
    kind = "NodePlanSlice",
    plural = "nodeplanslices",
    category = "lvs-operator",
    status = "NodePlanSliceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A part of the services that lvs-operator asks of a node (spec, written by the operator) and what has become of each (status, written by the node's agent). Users only read it.",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Boot", type_ = "string", json_path = ".status.bootId", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanSliceSpec {
    /// The node, and with it the NodePlan, that the slice belongs to.
    pub node_name: NodeName,
    /// What each service, by `NAMESPACE/NAME`, asks of the node.
    #[serde(default)]
    pub services: BTreeMap<String, AsWritten<PlannedService>>,
}

/// What has become of a slice's services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanSliceStatus {
    /// The boot that the reports come from. They count only while the NodePlan's status names the same one.
    pub boot_id: BootId,
    /// What has become of each service, by `NAMESPACE/NAME`.
    #[serde(default)]
    pub services: BTreeMap<String, AsWritten<ServiceReport>>,
}
