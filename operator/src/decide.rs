//! From what was read to what is to be: the brain's functions in their order, and nothing that does IO.

use std::collections::BTreeMap;

use lvs_core::names::{GroupName, ServiceName};
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
        (name.clone(), status::service(name, verdict, reports, snapshot.service_statuses.get(name), now))
    };
    let group = |(name, verdict)| {
        let name: &GroupName = name;
        (name.clone(), status::group(verdict, reports, snapshot.group_statuses.get(name), now))
    };
    let services = plan.verdicts.iter().map(service).collect();
    let groups = plan.groups.iter().map(group).collect();
    Decision { plan, services, groups, next }
}
