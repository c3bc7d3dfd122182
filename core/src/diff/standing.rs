//! Which VIPs are served while a diff is being done: by a virtual server of their own, or by one of a mark that their
//! packets get.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::custody::{Custody, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::{AddressKey, Kernel, Op};
use crate::network::Family;
use crate::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use crate::wanted::Wanted;

/// VIPs that are served, and places at which VIPs are held that lose what serves them.
#[derive(Debug)]
pub(super) struct Standing {
    /// VIPs with something that is there, serves as ours, and stays.
    served: BTreeSet<IpAddr>,
    /// The places on uplinks where we hold VIPs that lose virtual servers or marks.
    held: BTreeMap<IpAddr, BTreeSet<AddressKey>>,
    /// Virtual servers of marks that are there and stay.
    marks: BTreeSet<VirtualServerKey>,
    /// The VIPs that the virtual servers of marks serve, of those that come or change: by the user's own rules, or by rules
    /// that are there.
    serve: BTreeMap<VirtualServerKey, BTreeSet<IpAddr>>,
}

impl Standing {
    /// Before the first of some operations.
    pub(super) fn before(wanted: &Wanted, have: &Kernel, owned: &Custody, ops: &[&Op]) -> Self {
        let node = Node { wanted, have, owned, going: going(ops), unmarked: unmarked(ops) };
        let coming = ops
            .iter()
            .filter_map(|op| if let Op::AddAddress(key, _) = op { Some(key.address) } else { None });
        let losing: BTreeSet<IpAddr> = node.losing();
        let marked = ops.iter().filter_map(|op| match op {
            Op::AddVirtualServer(key, _) | Op::SetVirtualServer(key, _) => Some(*key),
            _ => None,
        });
        let serve = marked.filter_map(|key| {
            let vips = wanted.marked.get(&key)?.iter().filter(|vip| node.is_marked(**vip, key));
            Some((key, vips.copied().collect()))
        });
        let needed = ops.iter().filter_map(|op| mark_of(op));
        Self {
            served: losing.iter().copied().chain(coming).filter(|vip| node.serves(*vip)).collect(),
            held: losing.iter().map(|vip| (*vip, places_held(*vip, wanted, have, owned))).collect(),
            marks: needed.filter(|key| node.is_there(*key)).collect(),
            serve: serve.collect(),
        }
    }

    /// Whether a VIP is served.
    pub(super) fn serves(&self, vip: IpAddr) -> bool {
        self.served.contains(&vip)
    }

    /// Whether nothing speaks against taking something away that serves a VIP: another does, or nobody sends to it here.
    pub(super) fn can_lose(&self, vip: IpAddr) -> bool {
        self.serves(vip) || self.held.get(&vip).is_none_or(BTreeSet::is_empty)
    }

    /// The same for a virtual server: that of a mark may have served any VIP of its family.
    pub(super) fn can_lose_server(&self, key: &VirtualServerKey) -> bool {
        match key {
            VirtualServerKey::Tuple { address, .. } => self.can_lose(*address),
            VirtualServerKey::Mark { family, .. } => {
                self.held.keys().filter(|vip| Family::of(**vip) == *family).all(|vip| self.can_lose(*vip))
            }
        }
    }

    /// Takes note of an operation that was done.
    pub(super) fn done(&mut self, op: &Op) {
        match op {
            Op::AddVirtualServer(key, _) | Op::SetVirtualServer(key, _) => {
                self.served.extend(key.vip());
                self.served.extend(self.serve.get(key).into_iter().flatten());
                self.marks.insert(*key);
            }
            Op::AddPacketRule(rule, _) | Op::SetPacketRule(rule, _)
                if mark_of(op).is_some_and(|key| self.marks.contains(&key)) =>
            {
                self.served.insert(rule.address);
            }
            Op::RemoveAddress(key) => {
                if let Some(places) = self.held.get_mut(&key.address) {
                    places.remove(key);
                }
            }
            _ => {}
        }
    }
}

/// The virtual server to which an operation sends packets by marking them.
pub(super) fn mark_of(op: &Op) -> Option<VirtualServerKey> {
    match op {
        Op::AddPacketRule(rule, settings) | Op::SetPacketRule(rule, settings) => server_of(rule, *settings),
        _ => None,
    }
}

/// The wanted rules by which packets for a VIP get to the virtual server of a mark; none where the user marks.
pub(super) fn rules(
    wanted: &Wanted,
    vip: IpAddr,
    server: VirtualServerKey,
) -> impl Iterator<Item = (&PacketRuleKey, &PacketRuleSettings)> {
    let ranges = PacketRuleKey::marks_of(vip).into_iter();
    let rules = ranges.flat_map(|range| wanted.packet_rules.range(range));
    rules.filter(move |(rule, settings)| server_of(rule, **settings) == Some(server))
}

/// The virtual server to which a rule sends packets by marking them.
pub(super) fn server_of(rule: &PacketRuleKey, settings: PacketRuleSettings) -> Option<VirtualServerKey> {
    let family = Family::of(rule.address);
    (rule.kind == PacketRuleKind::Mark).then_some(VirtualServerKey::Mark { family, mark: settings.value })
}

fn going(ops: &[&Op]) -> BTreeSet<VirtualServerKey> {
    ops.iter()
        .filter_map(|op| if let Op::RemoveVirtualServer(key) = op { Some(*key) } else { None })
        .collect()
}

/// Rules that mark packets and are taken away or changed.
fn unmarked(ops: &[&Op]) -> BTreeSet<PacketRuleKey> {
    let rules = ops.iter().filter_map(|op| match op {
        Op::RemovePacketRule(rule) | Op::SetPacketRule(rule, _) => Some(*rule),
        _ => None,
    });
    rules.filter(|rule| rule.kind == PacketRuleKind::Mark).collect()
}

struct Node<'a> {
    wanted: &'a Wanted,
    have: &'a Kernel,
    owned: &'a Custody,
    going: BTreeSet<VirtualServerKey>,
    unmarked: BTreeSet<PacketRuleKey>,
}

impl Node<'_> {
    /// VIPs that lose something that serves them, or may.
    fn losing(&self) -> BTreeSet<IpAddr> {
        let mut losing: BTreeSet<IpAddr> = self.going.iter().filter_map(VirtualServerKey::vip).collect();
        losing.extend(self.unmarked.iter().map(|rule| rule.address));
        let families: BTreeSet<Family> =
            self.going.iter().filter(|key| key.vip().is_none()).map(VirtualServerKey::family).collect();
        if !families.is_empty() {
            let ours = self.owned.addresses().into_iter().map(|key| key.address);
            losing.extend(ours.filter(|vip| families.contains(&Family::of(*vip))));
        }
        losing
    }

    /// Whether a virtual server is there, is ours or serves as ours, and is not going.
    fn is_there(&self, key: VirtualServerKey) -> bool {
        let Some(there) = self.have.virtual_servers.get(&key) else { return false };
        let item = Item::VirtualServer(key);
        let same =
            || self.wanted.virtual_servers.get(&key).is_some_and(|wanted| wanted.settings == there.settings);
        !self.going.contains(&key) && (self.owned.holds(&item) || self.wanted.keep.contains(&item) || same())
    }

    /// Whether a VIP has something that serves it, and stays.
    fn serves(&self, vip: IpAddr) -> bool {
        let of_vip = VirtualServerKey::of_vip(vip).into_iter();
        let mut own = of_vip.flat_map(|range| self.have.virtual_servers.range(range)).map(|(key, _)| *key);
        let mut marks = self.wanted.marked_by.get(&vip).into_iter().flatten().copied();
        own.any(|key| self.is_there(key)) || marks.any(|key| self.is_there(key) && self.is_marked(vip, key))
    }

    /// Whether packets for a VIP get to the virtual server of a mark: by rules that are not ours to make, or by one of ours
    /// that is there and stays.
    fn is_marked(&self, vip: IpAddr, server: VirtualServerKey) -> bool {
        let mut rules = rules(self.wanted, vip, server).peekable();
        rules.peek().is_none()
            || rules.any(|(rule, settings)| {
                self.have.packet_rules.get(rule) == Some(settings) && !self.unmarked.contains(rule)
            })
    }
}

/// Where on uplinks we hold a VIP.
fn places_held(vip: IpAddr, wanted: &Wanted, have: &Kernel, owned: &Custody) -> BTreeSet<AddressKey> {
    let places = have.arp.keys().map(|link| AddressKey::host(*link, vip)).filter(|key| !wanted.binds(key));
    places.filter(|key| have.addresses.contains_key(key) && owned.holds(&Item::Address(*key))).collect()
}
