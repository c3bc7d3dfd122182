//! Convergence, idempotence, no refusal, determinism.

use std::net::IpAddr;

use lvs_core::custody::Item;
use lvs_core::kernel::Kernel;
use lvs_core::network::Family;
use proptest::prelude::*;

use crate::node::{Node, View};
use crate::world::world;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Following each plan in turn, a node comes to rest where our part of its kernel is what is wanted, no operation was
    /// refused (see `Node::settle`), and it was safe all the time (see `Node::assert_safe`).
    #[test]
    fn a_node_comes_to_rest_as_wanted(world in world()) {
        let mut node = Node::new(&world);
        for plan in &world.plans {
            let view = node.settle(plan);
            prop_assert_eq!(&view.phases, &Vec::new());
            assert_as_wanted(&node.kernel, &node, &view);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(world in world()) {
        let (mut one, mut other) = (Node::new(&world), Node::new(&world));
        for plan in &world.plans {
            let bytes = |view: &View| serde_json::to_string(&(&view.wanted, &view.phases, &view.holds)).unwrap();
            prop_assert_eq!(bytes(&one.view(plan)), bytes(&other.view(plan)));
            let views = (one.settle(plan), other.settle(plan));
            let reports = (one.report(plan, &views.0), other.report(plan, &views.1));
            prop_assert_eq!(
                serde_json::to_string(&reports.0).unwrap(),
                serde_json::to_string(&reports.1).unwrap()
            );
            prop_assert_eq!(one.custody.items().collect::<Vec<_>>(), other.custody.items().collect::<Vec<_>>());
        }
    }
}

/// Everything wanted is there or held, and everything of ours is wanted or stays for a reason.
fn assert_as_wanted(have: &Kernel, node: &Node, view: &View) {
    let View { wanted, holds, .. } = view;
    let excused = |item: Item| wanted.keep.contains(&item) || holds.iter().any(|hold| hold.item == item);
    for (key, attributes) in &wanted.addresses {
        assert!(
            have.addresses.get(key) == Some(attributes) || excused(Item::Address(*key)),
            "{key} is missing"
        );
    }
    for (key, server) in &wanted.virtual_servers {
        let there = have.virtual_servers.get(key);
        let excuse = excused(Item::VirtualServer(*key));
        let same = there.is_some_and(|there| there.settings == server.settings);
        assert!(same || excuse, "{key} is not as wanted");
        for (destination, settings) in &server.destinations {
            let present = there.and_then(|there| there.destinations.get(destination));
            let excuse = excuse || excused(Item::Destination(*key, *destination));
            assert!(present == Some(settings) || excuse, "{destination} of {key} is not as wanted");
        }
    }
    for (name, device) in &wanted.tunnels {
        let local = device.local.unwrap();
        let others = have.catcher(device.kind, local).is_some_and(|(by, _)| by != *name);
        let there = have.tunnels.get(name) == Some(device);
        assert!(there || others || excused(Item::Tunnel(*name)), "{name} is missing");
        let ours = node.custody.holds(&Item::Tunnel(*name));
        assert!(!(ours && others), "{name} takes away what somebody else takes in");
    }
    for port in &wanted.gue_ports {
        assert!(have.gue_ports.contains(port), "{port} is missing");
    }
    for (key, settings) in &wanted.packet_rules {
        let there = have.packet_rules.get(key) == Some(settings);
        assert!(there || excused(Item::PacketRule(*key)), "{key} is missing");
    }
    for link in &wanted.forward {
        assert!(have.forwarding.contains(link), "{link} does not forward");
    }
    for link in &wanted.hide {
        let arp = have.arp[link].effective(have.arp_all);
        assert!(arp.hides(), "{link} does not hide: {arp:?}");
        assert!(arp.ignore == 1 || !wanted.answer.contains(link), "{link} does not answer: {arp:?}");
    }
    if let (Some(wanted), Some(there)) = (wanted.timeouts, have.timeouts) {
        let same = |wanted: u32, there: u32| wanted == 0 || wanted == there;
        assert!(same(wanted.tcp_seconds, there.tcp_seconds));
        assert!(same(wanted.tcp_fin_seconds, there.tcp_fin_seconds));
        assert!(same(wanted.udp_seconds, there.udp_seconds));
    }
    for (sysctl, value) in &wanted.sysctls {
        let same = have.sysctls.get(sysctl) == Some(value);
        assert!(same || excused(Item::Sysctl(*sysctl)), "{sysctl} is not {value}");
    }
    for (item, _) in node.custody.items() {
        let may_be_needed = item.is_for_masquerading() && !wanted.keep_vips.is_empty();
        // Which VIPs a mark stood for is not known any more.
        let family = match item {
            Item::VirtualServer(key) | Item::Destination(key, _) | Item::Counters(key)
                if key.vip().is_none() =>
            {
                Some(key.family())
            }
            _ => None,
        };
        let kept = |vip: &IpAddr| item.vip() == Some(*vip) || family == Some(Family::of(*vip));
        let stays = wanted.keep_everything || may_be_needed || wanted.keep_vips.iter().any(kept);
        let as_wanted = match item {
            Item::Address(key) => wanted.addresses.contains_key(&key),
            Item::VirtualServer(key) => wanted.virtual_servers.contains_key(&key),
            Item::Destination(key, destination) => wanted
                .virtual_servers
                .get(&key)
                .is_some_and(|server| server.destinations.contains_key(&destination)),
            Item::Counters(key) => {
                wanted.zero_counters.contains_key(&key) || excused(Item::VirtualServer(key))
            }
            Item::Arp(_) => !wanted.hide.is_empty(),
            Item::Timeouts => wanted.timeouts.is_some(),
            Item::Sysctl(sysctl) => wanted.sysctls.contains_key(&sysctl),
            Item::Tunnel(link) => wanted.tunnels.contains_key(&link),
            Item::GuePort(port) => wanted.gue_ports.contains(&port),
            Item::PacketRule(key) => wanted.packet_rules.contains_key(&key),
            Item::Forwarding(link) => wanted.forward.contains(&link),
        };
        assert!(as_wanted || stays || excused(item), "{item:?} is still ours");
    }
}
