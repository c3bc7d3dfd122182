//! From a node's plan and its local facts to the kernel as it should be.

mod duty;
mod marked;
mod nat;
mod neighbour;
mod node;
mod other_form;
mod posture;
mod probe;
mod table;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::custody::Item;
use crate::ipvs::VirtualServerKey;
use crate::kernel::AddressKey;
use crate::local::Local;
use crate::names::{LinkName, ServiceName};
use crate::node_plan::{NodePlan, PlannedService, ServiceForm};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::time::Monotonic;
use crate::wanted::Wanted;

use duty::Duty;
use node::Node;
pub use other_form::{Before, changed_parts, other_forms};
pub(crate) use table::keys;

/// The kernel as the plan wants it on this node, and when to ask again even if nothing changes.
///
/// What cannot be had is a trouble of the services that it concerns and of no other.
#[must_use]
pub fn render(plan: &NodePlan, local: &Local, now: Monotonic) -> (Wanted, Option<Monotonic>) {
    let mut draft = Draft::new(plan, local, now);
    draft.keep_unsupported();
    draft.neighbours();
    let vips = draft.usable_vips();
    draft.tables(&vips);
    draft.receive();
    draft.redirect();
    for (vip, place) in &vips {
        draft.posture(*vip, place);
    }
    draft.hide();
    (draft.wanted, draft.next)
}

/// A VIP that nothing speaks against, with the node's duties for it.
struct Place<'a> {
    duty: Duty<'a>,
    uplink: Result<LinkName, Trouble>,
}

struct Draft<'a> {
    plan: &'a NodePlan,
    local: &'a Local,
    now: Monotonic,
    node: Node<'a>,
    /// What would fall silent if ARP were hidden.
    silenced: Option<Trouble>,
    wanted: Wanted,
    next: Option<Monotonic>,
    /// VIPs with a virtual server that is wanted.
    forwarded: BTreeSet<IpAddr>,
    /// VIPs with a virtual server that is kept where there is one, because its scheduler is missing.
    forwarded_as_before: BTreeSet<IpAddr>,
    /// Whether an IPv4 VIP is or stays bound on `lo`.
    bound: bool,
}

impl<'a> Draft<'a> {
    fn new(plan: &'a NodePlan, local: &'a Local, now: Monotonic) -> Self {
        let node = Node::new(plan, local);
        let mut wanted = Wanted {
            loopback: node.loopback,
            timeouts: plan.settings.timeouts,
            sysctls: plan.settings.sysctls.clone(),
            keep_everything: !plan.complete,
            ..Wanted::default()
        };
        if !plan.complete {
            let message =
                "a slice of the plan is missing or of another hash: nothing is removed until it is whole";
            wanted.node_troubles.insert(Trouble::new(Reason::IncompletePlan, message));
        }
        Self {
            plan,
            local,
            now,
            silenced: node.silenced(plan),
            node,
            wanted,
            next: None,
            forwarded: BTreeSet::new(),
            forwarded_as_before: BTreeSet::new(),
            bound: false,
        }
    }

    /// Leaves everything of the services' VIPs as it is where the agent cannot do what the service requires.
    fn keep_unsupported(&mut self) {
        let local = self.local;
        for (name, part) in self.plan.services.iter().filter(|(_, part)| !duty::is_supported(part, local)) {
            let missing: Vec<&str> =
                part.requires.difference(&local.features).map(|feature| feature.0.as_str()).collect();
            let message = format!(
                "the agent {} on node {} lacks {}: upgrade it; until then the service stays as it is there",
                local.agent_version,
                local.node,
                missing.join(", ")
            );
            self.trouble(name, Trouble::new(Reason::FeatureMissing, message));
            self.wanted.keep_vips.extend(part.vips.keys());
            self.wanted.keep.extend(part.receive.iter().flat_map(tunnel::items));
            self.wanted.keep.extend(marked::items(part));
            self.bound |= part.vips.keys().any(|vip| self.is_bound(*vip));
        }
    }

    /// The VIPs that the node has duties for, without those that are addresses of the node.
    fn usable_vips(&mut self) -> BTreeMap<IpAddr, Place<'a>> {
        let mut vips = BTreeMap::new();
        for (vip, duty) in duty::of(self.plan, self.local) {
            let uplink = self.node.uplink(vip, duty.interface);
            if let Some(trouble) = self.node.address_of_node(vip, uplink.as_ref().ok().copied()) {
                self.trouble_all(&duty, &trouble);
            } else {
                vips.insert(vip, Place { duty, uplink });
            }
        }
        vips
    }

    fn tables(&mut self, vips: &BTreeMap<IpAddr, Place<'a>>) {
        let local = self.local;
        for (name, part) in self.plan.services.iter().filter(|(_, part)| duty::is_supported(part, local)) {
            let forwarded =
                part.vips.iter().filter(|(vip, planned)| planned.forward && vips.contains_key(vip));
            let forwarded: BTreeSet<IpAddr> = forwarded.map(|(vip, _)| *vip).collect();
            match part.form.as_ref().and_then(|form| Some((form, form.mark?))) {
                Some((form, mark)) => self.marked(name, form, mark, &forwarded),
                None => {
                    for vip in forwarded {
                        self.table(name, part, vip);
                    }
                }
            }
        }
    }

    /// The virtual servers of one service for one VIP.
    fn table(&mut self, name: &ServiceName, part: &PlannedService, vip: IpAddr) {
        let Some(form) = &part.form else { return };
        let missing = table::missing(form, self.local);
        for trouble in missing.iter().cloned().chain(table::troubles(form, vip, self.local)) {
            self.trouble(name, trouble);
        }
        if missing.as_ref().is_none_or(|trouble| trouble.reason != Reason::IpvsMissing) {
            self.masquerade(name, form, vip);
        }
        for port in &form.ports {
            let key = table::key(vip, *port);
            if self.own(name, key, form, missing.as_ref(), &BTreeSet::from([vip])) {
                let server = table::virtual_server(form, vip, *port, self.local);
                self.wanted.virtual_servers.insert(key, server);
            }
        }
    }

    /// Gives a virtual server to a service, with the VIPs that it serves. Whether it is to be wanted.
    fn own(
        &mut self,
        name: &ServiceName,
        key: VirtualServerKey,
        form: &ServiceForm,
        missing: Option<&Trouble>,
        vips: &BTreeSet<IpAddr>,
    ) -> bool {
        // Of two services with one port the planner lets only one through; should both come, the first has it.
        if self.wanted.owners.contains_key(&key) {
            return false;
        }
        self.wanted.owners.insert(key, name.clone());
        match missing.map(|trouble| trouble.reason) {
            None => self.forwarded.extend(vips),
            // Without the module there is no table, and so nothing to attract packets for.
            Some(Reason::IpvsMissing) => {
                self.wanted.keep.insert(Item::VirtualServer(key));
                return false;
            }
            Some(_) => {
                self.wanted.keep.insert(Item::VirtualServer(key));
                self.forwarded_as_before.extend(vips);
            }
        }
        if form.adopt {
            self.wanted.adopt.insert(key);
        }
        if let Some(token) = &form.zero_counters {
            self.wanted.zero_counters.insert(key, token.mark());
        }
        true
    }

    /// Whether an IPv4 VIP is bound by us at present.
    fn is_bound(&self, vip: IpAddr) -> bool {
        let bound = |loopback| {
            let ours = self.local.ours.contains(&AddressKey::host(loopback, vip));
            ours && self.node.has_host_address(loopback, vip)
        };
        vip.is_ipv4() && self.node.loopback.is_some_and(bound)
    }

    fn ask_again(&mut self, at: Option<Monotonic>) {
        self.next = self.next.into_iter().chain(at).min();
    }

    fn trouble(&mut self, service: &ServiceName, trouble: Trouble) {
        self.wanted.troubles.entry(service.clone()).or_default().insert(trouble);
    }

    fn trouble_all(&mut self, duty: &Duty<'a>, trouble: &Trouble) {
        for service in &duty.services {
            self.trouble(service, trouble.clone());
        }
    }
}

#[cfg(test)]
mod tests;
