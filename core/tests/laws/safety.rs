//! What holds on a node whatever went wrong and whenever its agent was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::custody::Item;
use lvs_core::flat_map::FlatMap;
use lvs_core::ipvs::{ForwardingMethod, VirtualServerKey};
use lvs_core::kernel::{AddressKey, Kernel, Op};
use lvs_core::local::ProbeOutcome;
use lvs_core::network::Family;
use lvs_core::packet_rule::PacketRuleKey;

use crate::node::{Node, View};
use crate::world::{OWN_MARKS, link};

/// On an incomplete plan nothing is taken away.
pub(crate) fn assert_nothing_lost(view: &View) {
    let takes_away = |op: &&Op| {
        matches!(
            op,
            Op::RemoveAddress(_)
                | Op::RemoveVirtualServer(_)
                | Op::RemoveDestination(..)
                | Op::RemoveTunnel(_)
                | Op::CloseGuePort(_)
                | Op::RemovePacketRule(_)
                | Op::SetForwarding(_, false)
        )
    };
    let lost = view.phases.iter().flat_map(|phase| &phase.ops).find(takes_away);
    assert!(view.complete || lost.is_none(), "{lost:?} on an incomplete plan");
}

impl Node {
    /// A VIP comes to an uplink only after a probe just now to which nobody answered.
    pub(crate) fn assert_allowed(&self, op: &Op) {
        if let Op::AddAddress(key, _) = op
            && key.link != link("lo")
        {
            let probe = &self.probes[&key.address];
            assert_eq!(probe.outcome, ProbeOutcome::Clean, "{op}");
            assert!(self.now - probe.at < 5000, "{op} after an old probe");
        }
    }

    /// A VIP of ours on `lo` is hidden, one on an uplink has a virtual server, and nothing of anybody else has changed.
    pub(crate) fn assert_safe(&self) {
        let ours = |key: &AddressKey| self.custody.holds(&Item::Address(*key));
        for key in self.kernel.addresses.keys().filter(|key| ours(key)) {
            if key.link == link("lo") && key.address.is_ipv4() {
                for name in ["eth0", "eth1"] {
                    let arp = self.kernel.arp[&link(name)].effective(self.kernel.arp_all);
                    assert!(arp.hides(), "{key} is ours and {name} answers for it: {arp:?}");
                }
            }
            if key.link != link("lo") {
                assert!(self.is_served(key.address), "{key} attracts packets that nothing takes");
            }
        }
        self.assert_replies_are_forwarded();
        self.assert_foreign_untouched();
    }

    /// Where a masqueraded real server of ours replies by, packets of others are forwarded.
    fn assert_replies_are_forwarded(&self) {
        let paths = self.local().paths;
        for (server, there) in &self.kernel.virtual_servers {
            for (key, settings) in &there.destinations {
                let ours = self.custody.holds(&Item::Destination(*server, *key));
                let Some(path) = paths.get(&key.address).filter(|path| path.link != link("lo")) else {
                    continue;
                };
                let lost = ours
                    && settings.method == ForwardingMethod::Masquerade
                    && !self.kernel.forwarding.contains(&path.link);
                assert!(!lost, "{key} of {server} replies by {}, which does not forward", path.link);
            }
        }
    }

    /// Whether a virtual server of its own, or one of a mark that its packets may get, serves a VIP.
    fn is_served(&self, vip: IpAddr) -> bool {
        let mut marks = PacketRuleKey::marks_of(vip)
            .into_iter()
            .flat_map(|range| self.kernel.packet_rules.range(range))
            .filter(|(_, settings)| settings.reached)
            .map(|(_, settings)| settings.value)
            .chain(OWN_MARKS);
        let family = Family::of(vip);
        self.kernel.virtual_servers.keys().any(|server| server.vip() == Some(vip))
            || marks.any(|mark| {
                self.kernel.virtual_servers.contains_key(&VirtualServerKey::Mark { family, mark })
            })
    }

    /// Everything that differs from before us is in custody.
    fn assert_foreign_untouched(&self) {
        let ours = |item: Item| self.custody.holds(&item) || self.adopted.contains(&item);
        for key in keys(&self.initial.addresses, &self.kernel.addresses) {
            let same = self.initial.addresses.get(&key) == self.kernel.addresses.get(&key);
            let on_ours = ours(Item::Tunnel(key.link));
            assert!(same || on_ours || ours(Item::Address(key)), "{key} is not ours and has changed");
        }
        for key in keys(&self.initial.virtual_servers, &self.kernel.virtual_servers) {
            let (before, after) =
                (self.initial.virtual_servers.get(&key), self.kernel.virtual_servers.get(&key));
            let same = before.map(|server| server.settings) == after.map(|server| server.settings);
            assert!(same || ours(Item::VirtualServer(key)), "{key} is not ours and has changed");
            let none = FlatMap::new();
            let before = before.map_or(&none, |server| &server.destinations);
            let after = after.map_or(&none, |server| &server.destinations);
            let destinations: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
            for destination in destinations {
                let same = before.get(&destination) == after.get(&destination);
                let item = Item::Destination(key, destination);
                assert!(same || ours(item), "{destination} of {key} is not ours and has changed");
            }
        }
        for (name, before) in &self.initial.arp {
            let same = self.kernel.arp.get(name) == Some(before);
            assert!(
                same || ours(Item::Arp(*name)),
                "the ARP settings of {name} are not ours and have changed"
            );
        }
        for name in keys(&self.initial.tunnels, &self.kernel.tunnels) {
            let same = self.initial.tunnels.get(&name) == self.kernel.tunnels.get(&name);
            assert!(same || ours(Item::Tunnel(name)), "the tunnel {name} is not ours and has changed");
        }
        for port in self.initial.gue_ports.symmetric_difference(&self.kernel.gue_ports) {
            assert!(ours(Item::GuePort(*port)), "{port} is not ours and has changed");
        }
        for key in keys(&self.initial.packet_rules, &self.kernel.packet_rules) {
            let same = self.initial.packet_rules.get(&key) == self.kernel.packet_rules.get(&key);
            assert!(same || ours(Item::PacketRule(key)), "{key} is not ours and has changed");
        }
        for link in self.initial.forwarding.symmetric_difference(&self.kernel.forwarding) {
            let ours = ours(Item::Forwarding(*link)) || ours(Item::Tunnel(*link));
            assert!(ours, "the forwarding of {link} is not ours and has changed");
        }
        let same = self.initial.timeouts == self.kernel.timeouts;
        assert!(same || ours(Item::Timeouts), "the timeouts are not ours and have changed");
        for sysctl in keys(&self.initial.sysctls, &self.kernel.sysctls) {
            let same = self.initial.sysctls.get(&sysctl) == self.kernel.sysctls.get(&sysctl);
            assert!(same || ours(Item::Sysctl(sysctl)), "{sysctl} is not ours and has changed");
        }
        assert_eq!(self.initial.arp_all, self.kernel.arp_all);
    }

    /// What the kernel is like once everything of ours has left: as before us, without what was taken over.
    pub(crate) fn expected_in_the_end(&self) -> Kernel {
        let mut kernel = self.initial.clone();
        for item in &self.adopted {
            match item {
                Item::VirtualServer(key) => {
                    kernel.virtual_servers.remove(key);
                }
                Item::Destination(key, destination) => {
                    if let Some(server) = kernel.virtual_servers.get_mut(key) {
                        server.destinations.remove(destination);
                    }
                }
                _ => {}
            }
        }
        kernel
    }
}

fn keys<K: Ord + Copy, V, W>(one: &BTreeMap<K, V>, other: &BTreeMap<K, W>) -> BTreeSet<K> {
    one.keys().chain(other.keys()).copied().collect()
}
