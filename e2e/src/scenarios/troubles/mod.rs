//! (j) Each trouble has one clear reason; nothing is lost by it, and the other service goes on.
//!
//! Every scenario has the same two services ([`site`]): `web`, which gets into trouble, and `other`, which must not
//! notice.

mod agents;
mod manifests;
mod nodes;
mod plans;
mod reboots;
mod site;

use super::{KernelNeeds, Scenario};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "trouble-manifests",
        rows: &["j"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: manifests::manifests,
    },
    Scenario {
        name: "trouble-plans",
        rows: &["j"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: plans::plans,
    },
    Scenario {
        name: "trouble-nodes",
        rows: &["j"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: nodes::nodes,
    },
    Scenario {
        name: "trouble-agents",
        rows: &["j"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: agents::agents,
    },
    Scenario {
        name: "trouble-reboots",
        rows: &["j"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: reboots::reboots,
    },
];
