//! A plan in which some services have another form and everything else is as before: the most frequent change, and one
//! that concerns nothing but their virtual servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{duty, marked, nat, table};
use crate::ipvs::{PortKey, VirtualServerKey};
use crate::kernel::VirtualServer;
use crate::local::Local;
use crate::names::ServiceName;
use crate::network::Family;
use crate::node_plan::{NodePlan, PlannedService, ServiceForm};
use crate::wanted::Wanted;

/// Services as they were planned before.
pub type Before = BTreeMap<ServiceName, Arc<PlannedService>>;

/// The services whose part is another in `plan`, as `before` has them; who wrote the plan does not count. `None` where
/// anything else differs: a service comes or goes, the settings of the node, the lineage, whether it is whole.
///
/// Parts that both plans share are not looked at.
#[must_use]
pub fn changed_parts(before: &NodePlan, plan: &NodePlan) -> Option<Before> {
    let NodePlan { epoch: _, lineage, complete, settings, services } = plan;
    let same_node =
        before.lineage == *lineage && before.complete == *complete && before.settings == *settings;
    if !same_node || before.services.len() != services.len() {
        return None;
    }
    let mut changed = Before::new();
    for ((name, part), (other, now)) in before.services.iter().zip(services) {
        if name != other {
            return None;
        }
        if !Arc::ptr_eq(part, now) && part != now {
            changed.insert(name.clone(), part.clone());
        }
    }
    Some(changed)
}

/// Brings `wanted`, which [`render`](super::render) made of the plan before and the same local facts, up to date after
/// some services got another form, and yields their virtual servers. The result is what `render` would make of the
/// whole.
///
/// `None`, and nothing is touched, where more than virtual servers may be concerned: VIPs, duties, ports, tunnels to
/// be received, redirections, forwarding or requirements differ, an address is new to the plan, or the kernel lacks what one of the forms needs.
#[must_use]
pub fn other_forms(
    plan: &NodePlan,
    local: &Local,
    before: &Before,
    wanted: &mut Wanted,
) -> Option<BTreeSet<VirtualServerKey>> {
    let changes: Vec<Change> = before
        .iter()
        .map(|(name, before)| Change::of(name, before, plan.services.get(name)?, local))
        .collect::<Option<_>>()?;
    let mut keys = BTreeSet::new();
    for change in changes {
        keys.extend(change.follow(local, wanted));
    }
    Some(keys)
}

/// One service with its forms.
struct Change<'a> {
    name: &'a ServiceName,
    part: &'a PlannedService,
    before: &'a ServiceForm,
    after: &'a ServiceForm,
}

impl<'a> Change<'a> {
    fn of(
        name: &'a ServiceName,
        before: &'a PlannedService,
        part: &'a PlannedService,
        local: &Local,
    ) -> Option<Self> {
        let same = before.vips == part.vips
            && before.requires == part.requires
            && before.receive == part.receive
            && before.redirect == part.redirect;
        let (before, after) = (before.form.as_ref()?, part.form.as_ref()?);
        let simple = before.ports == after.ports
            && before.mark == after.mark
            && marked_alike(part, before, after)
            && before.adopt == after.adopt
            && addresses(after).is_subset(&addresses(before))
            && table::missing(before, local).is_none()
            && table::missing(after, local).is_none();
        let vips = || part.vips.keys();
        let forwards = vips().all(|vip| nat::needs(before, *vip, local) == nat::needs(after, *vip, local));
        let simple = simple && forwards;
        (same && simple && duty::is_supported(part, local)).then_some(Self { name, part, before, after })
    }

    fn follow(&self, local: &Local, wanted: &mut Wanted) -> Vec<VirtualServerKey> {
        let mut keys = Vec::new();
        let (mut gone, mut come) = (BTreeSet::new(), BTreeSet::new());
        for (vip, _) in self.part.vips.iter().filter(|(_, planned)| planned.forward) {
            let mut forwarded = false;
            for key in table::keys(self.after, *vip) {
                // Another service has it, or the VIP cannot be one here.
                let Some(owner) = wanted.owners.get(&key) else { continue };
                forwarded = true;
                // Of a mark there is one for several VIPs.
                if owner == self.name
                    && !keys.contains(&key)
                    && let Some(server) = self.virtual_server(&key, local, wanted)
                {
                    wanted.virtual_servers.insert(key, server);
                    match &self.after.zero_counters {
                        Some(token) => _ = wanted.zero_counters.insert(key, token.mark()),
                        None => _ = wanted.zero_counters.remove(&key),
                    }
                    keys.push(key);
                }
            }
            if forwarded {
                gone.extend(table::troubles(self.before, *vip, local));
                come.extend(table::troubles(self.after, *vip, local));
            }
        }
        if gone != come {
            let troubles = wanted.troubles.entry(self.name.clone()).or_default();
            troubles.retain(|trouble| !gone.contains(trouble));
            troubles.append(&mut come);
            if troubles.is_empty() {
                wanted.troubles.remove(self.name);
            }
        }
        keys
    }

    fn virtual_server(
        &self,
        key: &VirtualServerKey,
        local: &Local,
        wanted: &Wanted,
    ) -> Option<VirtualServer> {
        match *key {
            VirtualServerKey::Tuple { protocol, address, port } => {
                Some(table::virtual_server(self.after, address, PortKey { protocol, port }, local))
            }
            VirtualServerKey::Mark { family, .. } => {
                let vips = wanted.marked.get(key)?;
                Some(marked::virtual_server(self.after, family, vips, local))
            }
        }
    }
}

/// Whether a mark stands for the same VIPs with both forms.
fn marked_alike(part: &PlannedService, before: &ServiceForm, after: &ServiceForm) -> bool {
    let forwarded = part.vips.iter().filter(|(_, planned)| planned.forward).map(|(vip, _)| *vip).collect();
    let reached = |form, family| marked::reached(form, family, &forwarded);
    before.mark.is_none()
        || [Family::IPv4, Family::IPv6]
            .into_iter()
            .all(|family| reached(before, family) == reached(after, family))
}

fn addresses(form: &ServiceForm) -> BTreeSet<IpAddr> {
    form.real_servers.values().flat_map(|server| server.addresses.iter().copied()).collect()
}
