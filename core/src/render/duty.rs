//! What a node has to do for each VIP, all services together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::local::{HoldingClaim, Local};
use crate::names::{LinkName, ServiceName};
use crate::node_plan::{NodePlan, PlannedService};

/// The duties of a node for one VIP: the union of what its services ask.
#[derive(Debug, Default)]
pub(super) struct Duty<'a> {
    /// To bind it on `lo`.
    pub(super) accept: bool,
    /// To hold it on the uplink.
    pub(super) attract: bool,
    /// The uplink that its pool names.
    pub(super) interface: Option<LinkName>,
    /// The services that have the VIP.
    pub(super) services: Vec<&'a ServiceName>,
}

/// Whether the agent can do everything that a part requires.
pub(super) fn is_supported(part: &PlannedService, local: &Local) -> bool {
    part.requires.is_subset(&local.features)
}

/// The duties of the services that the agent can serve, by VIP.
pub(super) fn of<'a>(plan: &'a NodePlan, local: &Local) -> BTreeMap<IpAddr, Duty<'a>> {
    let mut duties = BTreeMap::<IpAddr, Duty<'a>>::new();
    for (name, part) in plan.services.iter().filter(|(_, part)| is_supported(part, local)) {
        for (vip, planned) in part.vips.iter().filter(|(_, planned)| planned.has_duty()) {
            let duty = duties.entry(*vip).or_default();
            let attract = match local.claim {
                HoldingClaim::FromPlan => planned.attract,
            };
            duty.accept |= planned.accept || attract;
            duty.attract |= attract;
            duty.interface = duty.interface.or(planned.interface);
            duty.services.push(name);
        }
    }
    duties
}
