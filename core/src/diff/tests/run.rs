//! What goes ahead after a failure, and what is written down.

use super::*;

/// The records and operations that a run over the holder's phases lets through when some operations are refused.
fn run(node: &Node, refuse: impl Fn(&Op) -> Option<Refusal>) -> (Vec<String>, Custody) {
    let (phases, _) = node.diff();
    let mut run = Run::new(&node.wanted, &node.kernel, &node.owned, &phases);
    let (mut done, mut owned) = (Vec::new(), node.owned.clone());
    for phase in &phases {
        let (ahead, out): (Vec<Op>, Vec<Op>) = phase.ops.iter().partition(|op| run.admits(phase.name, op));
        for op in &out {
            run.left_out(phase.name, op, None);
        }
        run.before(phase, &out).iter().for_each(|record| owned.record(record));
        for op in &ahead {
            let refusal = refuse(op);
            run.tried(phase.name, op, refusal.map_or(Ok(()), Err));
            if refusal.is_none() {
                done.push(op.to_string());
            }
        }
        run.after(phase).iter().for_each(|record| owned.record(record));
    }
    (done, owned)
}

#[test]
fn a_refusal_takes_back_what_was_written_for_it() {
    let node = holder();
    let refuse = |op: &Op| matches!(op, Op::AddVirtualServer(..)).then_some(Refusal::Exists);
    let (done, owned) = run(&node, refuse);
    assert!(!owned.holds(&Item::VirtualServer(server())), "it is somebody else's");
    assert!(done.iter().all(|op| !op.contains("real server") && !op.contains("address eth0")), "{done:?}");
    assert!(!owned.items().any(|(item, _)| matches!(item, Item::Destination(..))));
}

#[test]
fn a_refusal_that_may_have_done_it_takes_nothing_back() {
    let refuse = |op: &Op| matches!(op, Op::AddVirtualServer(..)).then_some(Refusal::Other(105));
    let (_, owned) = run(&holder(), refuse);
    assert!(owned.holds(&Item::VirtualServer(server())));
}

#[test]
fn removing_what_is_gone_counts_as_done() {
    let mut node = settled();
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    let (_, owned) = run(&node, |op| match op {
        Op::RemoveAddress(_) => Some(Refusal::NoAddress),
        Op::RemoveVirtualServer(_) => Some(Refusal::NoVirtualServer),
        _ => None,
    });
    assert!(owned.is_clean());
}

#[test]
fn a_vip_that_cannot_leave_keeps_its_virtual_servers_and_its_silence() {
    let mut node = settled();
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    let on_uplink = "eth0 192.168.10.40/32".parse().unwrap();
    let (done, owned) =
        run(&node, |op| (*op == Op::RemoveAddress(on_uplink)).then_some(Refusal::NotPermitted));
    assert_eq!((done, &owned), (Vec::new(), &node.owned));
    // The same where it has left the uplink and stays on `lo`.
    let on_lo = "lo 192.168.10.40/32".parse().unwrap();
    let (done, _) = run(&node, |op| (*op == Op::RemoveAddress(on_lo)).then_some(Refusal::NotPermitted));
    assert_eq!(done, ["remove address eth0 192.168.10.40/32"]);
}

#[test]
fn a_failure_is_nothing_to_other_vips() {
    let mut node = holder();
    let other = "TCP 192.168.10.41:80".parse().unwrap();
    let template = node.template();
    node.wanted.virtual_servers.insert(other, template);
    for on in ["lo", "eth0"] {
        let key = AddressKey::host(link(on), address("192.168.10.41"));
        node.wanted.addresses.insert(key, AddressAttributes::vip(Family::IPv4));
    }
    let refuse = |op: &Op| (op.vip() == Some(address(VIP))).then_some(Refusal::NotPermitted);
    let (done, _) = run(&node, refuse);
    let others = done.iter().filter(|op| op.contains("192.168.10.41")).count();
    assert_eq!(others, 4, "{done:?}");
}

#[test]
fn a_link_that_cannot_hide_keeps_every_ipv4_vip_away() {
    let refuse = |op: &Op| matches!(op, Op::SetArp(..)).then_some(Refusal::NotPermitted);
    let (done, owned) = run(&holder(), refuse);
    assert!(done.iter().all(|op| !op.contains("add address")), "{done:?}");
    assert_eq!(done.len(), 2, "the table needs no hiding: {done:?}");
    assert!(!owned.items().any(|(item, _)| matches!(item, Item::Address(_) | Item::Arp(_))));
}

#[test]
fn the_last_virtual_server_of_a_held_vip_stays_where_the_next_cannot_come() {
    let mut node = settled();
    let template = node.wanted.virtual_servers.remove(&server()).unwrap();
    node.wanted.virtual_servers.insert("TCP 192.168.10.40:443".parse().unwrap(), template);
    let refuse = |op: &Op| matches!(op, Op::AddVirtualServer(..)).then_some(Refusal::NoScheduler);
    let (done, owned) = run(&node, refuse);
    assert_eq!((done, owned), (Vec::new(), node.owned));
}

#[test]
fn nothing_is_masqueraded_where_forwarding_could_not_be_turned_on() {
    let mut node = holder();
    node.wanted.forward.insert(link("eth1"));
    let servers = &mut node.wanted.virtual_servers;
    for settings in servers.values_mut().flat_map(|server| server.destinations.values_mut()) {
        settings.method = crate::ipvs::ForwardingMethod::Masquerade;
    }
    let (done, owned) = run(&node, |op| matches!(op, Op::SetForwarding(..)).then_some(Refusal::NotPermitted));
    assert!(done.iter().all(|op| !op.contains("real server")), "{done:?}");
    assert!(!owned.holds(&Item::Forwarding(link("eth1"))));
    let (done, _) = run(&node, |_| None);
    assert!(done.iter().any(|op| op.contains("real server") && op.ends_with("by masquerading")), "{done:?}");
}

#[test]
fn nothing_is_sent_that_source_nat_or_tracking_is_missing_for() {
    let rip = crate::example::address(crate::example::RIP);
    let key: crate::packet_rule::PacketRuleKey = format!("SourceNat TCP {rip}:80").parse().unwrap();
    let tracking = crate::sysctl::Sysctl::Ipvs(crate::sysctl::IpvsSysctl::Conntrack);
    let mut node = holder();
    node.kernel.sysctls.insert(tracking, 0);
    node.wanted.sysctls.insert(tracking, 1);
    node.wanted.packet_rules.insert(key, crate::packet_rule::PacketRuleSettings::of(0));
    for server in node.wanted.virtual_servers.values_mut() {
        for settings in server.destinations.values_mut() {
            settings.method = crate::ipvs::ForwardingMethod::Masquerade;
        }
    }
    for refused in ["set net.ipv4.vs.conntrack to 1", "add packet rule SourceNat TCP 192.168.10.10:80"] {
        let (done, _) = run(&node, |op| (op.to_string() == refused).then_some(Refusal::NotPermitted));
        assert!(done.iter().all(|op| !op.contains("real server")), "{refused}: {done:?}");
    }
    let (done, _) = run(&node, |_| None);
    assert!(done.iter().any(|op| op.contains("real server")), "{done:?}");
}
