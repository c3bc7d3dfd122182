//! A node's report as statuses of its NodePlan and slices, and back.

use std::collections::BTreeMap;

use lvs_core::names::{NodeName, ServiceName};
use lvs_core::node_report::{NodeFacts, NodeReport, ServiceReport};

use crate::as_written::AsWritten;
use crate::node_plan::{NodePlan, NodePlanSlice, NodePlanSliceStatus, NodePlanStatus};
use crate::read_slice::SliceKeys;
use crate::status_only::StatusOnly;

/// A report as statuses: of the NodePlan, and of each slice with the services that it plans. A service that no slice
/// plans has no place and is left out.
#[must_use]
pub fn split<'a>(
    node: &NodeName,
    report: &NodeReport,
    slices: impl IntoIterator<Item: Into<SliceKeys<'a>>>,
) -> (StatusOnly<NodePlan>, Vec<StatusOnly<NodePlanSlice>>) {
    let reports: BTreeMap<String, &ServiceReport> =
        report.services.iter().map(|(name, report)| (name.to_string(), report)).collect();
    let statuses = slices.into_iter().map(|slice| {
        let SliceKeys { name, services } = slice.into();
        let planned = services.into_iter();
        let services =
            planned.filter_map(|key| Some((key.to_owned(), AsWritten::of(*reports.get(key)?)))).collect();
        let status = NodePlanSliceStatus { boot_id: report.node.boot_id.clone(), services };
        StatusOnly::new(name, status)
    });
    (StatusOnly::new(&node.0, AsWritten::of(&report.node)), statuses.collect())
}

/// The report that the statuses of a NodePlan and of its slices make; `None` where the node has not reported, or in
/// terms that this version cannot read. Reports of another boot than the NodePlan's status names, and services whose
/// report cannot be read, count as absent.
#[must_use]
pub fn assemble<'a>(
    plan: Option<&NodePlanStatus>,
    slices: impl IntoIterator<Item = &'a NodePlanSliceStatus>,
) -> Option<NodeReport> {
    let node: NodeFacts = plan?.read().ok()?;
    let present = slices.into_iter().filter(|slice| slice.boot_id == node.boot_id);
    let reports = present.flat_map(|slice| &slice.services);
    let services =
        reports.filter_map(|(name, report)| Some((name.parse::<ServiceName>().ok()?, report.read().ok()?)));
    Some(NodeReport { services: services.collect(), node })
}
