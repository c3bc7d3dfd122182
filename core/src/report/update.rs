//! A report brought up to date after something that concerned the virtual servers of some services alone.

use std::collections::{BTreeMap, BTreeSet};

use super::concern::Concern;
use crate::custody::{Custody, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::Kernel;
use crate::names::ServiceName;
use crate::node_plan::{NodePlan, PlannedService};
use crate::node_report::{NodeReport, ServiceReport, Trouble};
use crate::wanted::{Hold, Wanted};

/// Makes of `report`, which was right for the plan and the kernel before, the report on the plan and the kernel now,
/// where only virtual servers of `services` have changed, nothing is left to do for them, and nothing has failed.
///
/// Whether it could: one of them was not settled before, or is not reported on yet, so that more than its virtual
/// servers may count. Then nothing is touched, and [`report`](super::report) tells.
#[must_use]
pub fn update(
    report: &mut NodeReport,
    plan: &NodePlan,
    wanted: &Wanted,
    have: &Kernel,
    owned: &Custody,
    holds: &[Hold],
    services: &BTreeSet<ServiceName>,
) -> bool {
    // Of an incomplete plan more is left to do than may be done.
    if wanted.keep_everything {
        return false;
    }
    let mut updated = BTreeMap::new();
    for name in services {
        let (Some(part), Some(before)) = (plan.services.get(name), report.services.get(name)) else {
            return false;
        };
        // Of what takes in tunnels or redirects ports more than virtual servers is told.
        let more = !part.receive.is_empty() || !part.redirect.is_empty();
        if !before.applied || more || !before.receives.is_empty() || !before.redirects.is_empty() {
            return false;
        }
        let service = Service { name, part, wanted };
        let Some(mut after) = service.vips(before, have, owned) else { return false };
        after.revision = part.revision;
        after.troubles = service.troubles(holds);
        after.counters_zeroed = super::zeroed::zeroed(name, part, wanted, owned);
        updated.insert(name.clone(), after);
    }
    report.services.extend(updated);
    report.node.epoch = plan.epoch;
    true
}

struct Service<'a> {
    name: &'a ServiceName,
    part: &'a PlannedService,
    wanted: &'a Wanted,
}

impl Service<'_> {
    /// The report before with what is forwarded now; `None` where a VIP is not reported on yet, or may have entries
    /// that are none of the service's ports.
    fn vips(&self, before: &ServiceReport, have: &Kernel, owned: &Custody) -> Option<ServiceReport> {
        let mut after = before.clone();
        for (vip, reported) in &mut after.vips {
            self.part.vips.get(vip)?;
            let there = |key: &VirtualServerKey| {
                let Some(there) = have.virtual_servers.get(key) else { return false };
                let wanted = self.wanted.virtual_servers.get(key);
                wanted.is_some_and(|wanted| wanted.settings == there.settings)
                    || owned.holds(&Item::VirtualServer(*key))
            };
            let keys = self.part.form.iter().flat_map(|form| crate::render::keys(form, *vip));
            let serves = |key: &VirtualServerKey| {
                self.wanted.marked.get(key).is_none_or(|marked| marked.contains(vip))
            };
            let mut own = keys.filter(|key| self.wanted.owners.get(key) == Some(self.name) && serves(key));
            let forwarding = own.any(|key| there(&key));
            // What stopped being forwarded may still be so by an entry of another port.
            if reported.forwarding && !forwarding {
                return None;
            }
            reported.forwarding = forwarding;
        }
        Some(after)
    }

    fn troubles(&self, holds: &[Hold]) -> BTreeSet<Trouble> {
        let mut troubles = self.wanted.troubles.get(self.name).cloned().unwrap_or_default();
        let concerned =
            holds.iter().filter(|hold| Concern::of(&hold.item, self.wanted).is(self.name, self.part));
        troubles.extend(concerned.map(|hold| hold.trouble.clone()));
        troubles
    }
}
