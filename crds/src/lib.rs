//! The custom resources of lvs-operator, group `lvs-operator.io`, version `v1alpha1`.
//!
//! ```text
//!  what users write                                       what programs write
//!  VirtualService, DirectorGroup, Node                    NodePlan, NodePlanSlice
//!        | virtual_service::service, director_group::group,     ^  | plan::split, plan::assemble
//!        v node::node                                           |  v report::split, report::assemble
//!  lvs_core::cluster::{Service, Group, Node} ---------> lvs_core::{node_plan::NodePlan, node_report::NodeReport}
//! ```
//!
//! What a user writes may be wrong in any way: the schema and the CEL rules refuse it at `kubectl apply`, and the
//! conversion finds the same again, because manifests of a folder never saw an API server. A wrong object is a value
//! (`spec: Err(Trouble)`), never an error for the others. There is no client and no IO here.

pub mod address;
pub mod as_written;
#[expect(unreachable_pub, reason = "KubeSchema copies the struct, with its `pub`, into a function")]
pub mod director_group;
pub mod field;
#[expect(unreachable_pub, reason = "KubeSchema copies the struct, with its `pub`, into a function")]
pub mod label_selector;

mod metadata;
pub mod names;
pub mod node;
pub mod node_plan;
pub mod plan;
pub mod read_slice;
pub mod report;

pub mod schema;
pub mod status_only;
pub mod strict;
#[expect(unreachable_pub, reason = "KubeSchema copies the struct, with its `pub`, into a function")]
pub mod virtual_service;

pub use as_written::AsWritten;
pub use director_group::{DirectorGroup, DirectorGroupSpec, DirectorGroupStatus};
pub use node_plan::{
    NodePlan, NodePlanSlice, NodePlanSliceSpec, NodePlanSliceStatus, NodePlanSpec, NodePlanStatus,
};
pub use read_slice::ReadSlice;
pub use status_only::StatusOnly;
pub use virtual_service::{VirtualService, VirtualServiceSpec, VirtualServiceStatus};
