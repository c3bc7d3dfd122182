//! The virtual servers of a service that is known by a firewall mark: one for each family of its VIPs.
//!
//! What is sent to a real server by a mark may be for any of these VIPs, so that it has to have them all. Where the agent
//! marks packets itself, a VIP that no real server has yet is not marked, and waits; the others go on.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Draft, table};
use crate::custody::Item;
use crate::ipvs::VirtualServerKey;
use crate::kernel::VirtualServer;
use crate::local::Local;
use crate::names::ServiceName;
use crate::network::Family;
use crate::node_plan::{PlannedService, ServiceForm};
use crate::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use crate::reason::Reason;

impl Draft<'_> {
    /// Wants a service's virtual servers of a mark for what of its VIPs is forwarded here, and the rules that mark packets.
    pub(super) fn marked(
        &mut self,
        name: &ServiceName,
        form: &ServiceForm,
        mark: u32,
        forwarded: &BTreeSet<IpAddr>,
    ) {
        let missing = table::missing(form, self.local);
        let others = forwarded.iter().flat_map(|vip| table::troubles(form, *vip, self.local));
        for trouble in missing.iter().cloned().chain(others).collect::<BTreeSet<_>>() {
            self.trouble(name, trouble);
        }
        if missing.as_ref().is_none_or(|trouble| trouble.reason != Reason::IpvsMissing) {
            for vip in forwarded {
                self.masquerade(name, form, *vip);
            }
        }
        for family in [Family::IPv4, Family::IPv6] {
            let mut vips = reached(form, family, forwarded);
            vips.retain(|vip| form.ports.is_empty() || rules(form, *vip).any(|rule| self.is_free(&rule)));
            let key = VirtualServerKey::Mark { family, mark };
            if vips.is_empty() || !self.own(name, key, form, missing.as_ref(), &vips) {
                continue;
            }
            self.wanted.virtual_servers.insert(key, virtual_server(form, family, &vips, self.local));
            for vip in &vips {
                self.wanted.marked_by.entry(*vip).or_default().insert(key);
                self.mark_packets(name, form, mark, *vip, missing.is_some());
            }
            self.wanted.marked.insert(key, vips);
        }
    }

    /// Of two services with one port the planner lets only one through; should both come, the first has it.
    fn is_free(&self, rule: &PacketRuleKey) -> bool {
        !self.wanted.packet_rules.contains_key(rule)
    }

    fn mark_packets(
        &mut self,
        name: &ServiceName,
        form: &ServiceForm,
        mark: u32,
        vip: IpAddr,
        as_before: bool,
    ) {
        for rule in rules(form, vip).filter(|rule| self.is_free(rule)).collect::<Vec<_>>() {
            let item = Item::PacketRule(rule);
            if as_before {
                self.wanted.keep.insert(item);
            }
            self.wanted.packet_rules.insert(rule, PacketRuleSettings::of(mark));
            self.wanted.users.entry(item).or_default().insert(name.clone());
        }
    }
}

/// The rules by which a director marks what comes for a VIP; none where the user marks.
fn rules(form: &ServiceForm, vip: IpAddr) -> impl Iterator<Item = PacketRuleKey> {
    let kind = PacketRuleKind::Mark;
    form.ports.iter().map(move |port| PacketRuleKey {
        kind,
        protocol: port.protocol,
        address: vip,
        port: port.port,
    })
}

/// The VIPs of a family that a mark stands for: where the agent marks, those that some real server has, or all while none
/// has any.
pub(super) fn reached(form: &ServiceForm, family: Family, forwarded: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let of_family = || forwarded.iter().copied().filter(|vip| Family::of(*vip) == family);
    let admitted: BTreeSet<IpAddr> =
        of_family().filter(|vip| table::admitted(form, *vip).next().is_some()).collect();
    let by_user = form.ports.is_empty();
    if by_user || admitted.is_empty() { of_family().collect() } else { admitted }
}

/// The virtual server of a mark for some VIPs of a family, with the real servers that have them all.
pub(super) fn virtual_server(
    form: &ServiceForm,
    family: Family,
    vips: &BTreeSet<IpAddr>,
    local: &Local,
) -> VirtualServer {
    let settings = form.scheduling.settings_of_mark(family);
    let first = vips.first().into_iter().flat_map(|vip| table::admitted(form, *vip));
    let of_all = first.filter(|(_, server, _)| vips.iter().all(|vip| server.admitted.contains(vip)));
    VirtualServer {
        settings,
        destinations: table::destinations(of_all, None, form.real_servers.len(), local),
    }
}

/// What of a kernel belongs to the mark of a part.
pub(super) fn items(part: &PlannedService) -> Vec<Item> {
    let mark = part.form.as_ref().and_then(|form| form.mark);
    let families: BTreeSet<Family> = part.vips.keys().map(|vip| Family::of(*vip)).collect();
    let key = |family| Some(Item::VirtualServer(VirtualServerKey::Mark { family, mark: mark? }));
    families.into_iter().filter_map(key).collect()
}
