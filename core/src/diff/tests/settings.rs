//! Settings of links and of IPVS: what they become, and what comes back.

use super::*;

#[test]
fn arp_settings_come_back_value_by_value_where_they_are_still_ours() {
    let mut node = settled();
    // Somebody hides even more, and knows better about announcing on the other link.
    node.kernel.arp.insert(link("eth1"), ArpSettings { ignore: 8, announce: 2 });
    assert_eq!(node.left(), [""; 0]);
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    node.work();
    assert_eq!(node.kernel.arp[&link("eth0")], ArpSettings { ignore: 0, announce: 0 });
    assert_eq!(node.kernel.arp[&link("eth1")], ArpSettings { ignore: 8, announce: 0 });
    assert!(node.owned.is_clean());
}

#[test]
fn what_somebody_else_made_of_arp_settings_of_ours_stays_his() {
    let mut node = settled();
    node.wanted.answer.clear();
    // He hides in his own way, and undoes our announcing, which we do again.
    node.kernel.arp.insert(link("eth1"), ArpSettings { ignore: 2, announce: 0 });
    assert_eq!(node.left(), ["set ARP of eth1 to arp_ignore 2 arp_announce 2"]);
    node.work();
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    node.work();
    assert_eq!(node.kernel.arp[&link("eth1")], ArpSettings { ignore: 2, announce: 0 });
}

#[test]
fn arp_settings_that_hide_already_are_used_as_they_are() {
    for (present, all, op) in [
        ((1, 2), (0, 0), None),
        ((0, 0), (1, 2), None),
        ((2, 2), (0, 0), Some((1, 2))),
        ((8, 0), (0, 0), Some((1, 2))),
        ((1, 0), (0, 0), Some((1, 2))),
        ((0, 0), (1, 0), Some((0, 2))),
        ((5, 3), (0, 0), Some((1, 3))),
    ] {
        let settings = |(ignore, announce)| ArpSettings { ignore, announce };
        let mut node = holder();
        node.kernel.arp.insert(link("eth0"), settings(present));
        node.kernel.arp_all = settings(all);
        let (phases, _) = node.diff();
        let mut ops = phases.iter().flat_map(|phase| &phase.ops);
        let found = ops.find_map(|op| match op {
            Op::SetArp(name, settings) if *name == link("eth0") => Some(*settings),
            _ => None,
        });
        assert_eq!(found, op.map(settings), "{present:?} {all:?}");
    }
    // A link that attracts nothing may keep silent altogether.
    let mut node = holder();
    node.wanted.answer.clear();
    node.kernel.arp.insert(link("eth0"), ArpSettings { ignore: 8, announce: 2 });
    assert!(node.left().iter().all(|op| !op.contains("eth0 to")));
}

#[test]
fn a_link_that_is_gone_leaves_custody() {
    let mut node = settled();
    node.kernel.arp.remove(&link("eth1"));
    node.wanted.hide.remove(&link("eth1"));
    node.work();
    assert!(!node.owned.holds(&Item::Arp(link("eth1"))));
    assert!(node.diff().0.is_empty());
}

#[test]
fn a_link_that_needs_no_hiding_keeps_it_while_a_vip_is_bound() {
    let mut node = settled();
    node.wanted.hide.remove(&link("eth1"));
    assert!(node.diff().0.is_empty());
}

#[test]
fn a_vip_for_a_link_that_is_gone_is_held() {
    let mut node = holder();
    node.kernel.arp.remove(&link("eth0"));
    let item = Item::Address("eth0 192.168.10.40/32".parse().unwrap());
    assert_eq!(node.held(), [(item, Reason::UnknownInterface)]);
}

#[test]
fn timeouts_come_back_value_by_value_where_they_are_still_ours() {
    let ours = Timeouts { tcp_seconds: 30, tcp_fin_seconds: 0, udp_seconds: 60 };
    let mut node = settled();
    node.wanted.timeouts = Some(ours);
    assert_eq!(node.left(), ["set IPVS timeouts to tcp 30 tcpfin 120 udp 60"]);
    node.work();
    assert!(node.diff().0.is_empty());
    // What was there before us is remembered through every later change.
    node.wanted.timeouts = Some(Timeouts { tcp_seconds: 40, ..ours });
    node.work();
    // Somebody else sets one of them.
    node.kernel.timeouts = Some(Timeouts { tcp_seconds: 40, tcp_fin_seconds: 120, udp_seconds: 77 });
    node.wanted.timeouts = None;
    node.work();
    assert_eq!(node.kernel.timeouts, Some(Timeouts { udp_seconds: 77, ..FRESH }));
    assert!(!node.owned.holds(&Item::Timeouts));
}

#[test]
fn equal_timeouts_are_used_and_a_missing_module_is_no_error() {
    let mut node = settled();
    node.wanted.timeouts = Some(FRESH);
    assert!(node.diff().0.is_empty());
    node.kernel.timeouts = None;
    assert!(node.diff().0.is_empty());
}

#[test]
fn a_sysctl_comes_back_where_it_is_still_ours() {
    let [conntrack, sloppy] = [IpvsSysctl::Conntrack, IpvsSysctl::SloppyTcp].map(Sysctl::Ipvs);
    let mut node = settled();
    node.kernel.sysctls = [(conntrack, 0), (sloppy, 0)].into();
    node.wanted.sysctls = [(conntrack, 1), (sloppy, 1)].into();
    assert_eq!(node.left(), ["set net.ipv4.vs.conntrack to 1", "set net.ipv4.vs.sloppy_tcp to 1"]);
    node.work();
    assert!(node.diff().0.is_empty());
    node.wanted.sysctls = [(conntrack, 2), (sloppy, 1)].into();
    node.work();
    node.kernel.sysctls.insert(sloppy, 7);
    node.wanted.sysctls.clear();
    node.work();
    assert_eq!(node.kernel.sysctls, [(conntrack, 0), (sloppy, 7)].into());
    assert!(!node.owned.holds(&Item::Sysctl(conntrack)));
}

#[test]
fn a_sysctl_whose_change_was_only_written_down_comes_back_too() {
    let sysctl = Sysctl::Ipvs(IpvsSysctl::SyncRetries);
    let mut node = settled();
    node.kernel.sysctls = [(sysctl, 0)].into();
    node.wanted.sysctls = [(sysctl, 1)].into();
    node.work();
    // Killed between the journal and the kernel.
    let claim = Claim::Sysctl { prior: 0, ours: 2, earlier: Some(1) };
    node.owned.record(&Record::Take(Item::Sysctl(sysctl), claim));
    node.wanted.sysctls.clear();
    node.work();
    assert_eq!(node.kernel.sysctls[&sysctl], 0);
}

#[test]
fn a_sysctl_that_the_kernel_lacks_is_named_and_the_others_are_set() {
    let [conntrack, nice] = [IpvsSysctl::Conntrack, IpvsSysctl::EstNice].map(Sysctl::Ipvs);
    let mut node = settled();
    node.kernel.sysctls = [(conntrack, 0)].into();
    node.wanted.sysctls = [(conntrack, 1), (nice, 5)].into();
    assert_eq!(node.held(), [(Item::Sysctl(nice), Reason::SysctlMissing)]);
    assert_eq!(node.left(), ["set net.ipv4.vs.conntrack to 1"]);
    // Before the module is there none is missing.
    node.kernel.timeouts = None;
    node.kernel.sysctls.clear();
    assert_eq!(node.held(), []);
}

#[test]
fn forwarding_is_turned_off_again_unless_somebody_has_turned_it_on_for_all() {
    for (of_all_now, left_on) in [(false, false), (true, true)] {
        let mut node = settled();
        node.wanted.forward.insert(link("eth1"));
        assert_eq!(node.left(), ["turn IPv4 forwarding of eth1 on"]);
        node.work();
        assert!(node.diff().0.is_empty());
        // Somebody else turns it off on the link, and it is needed still.
        node.kernel.forwarding.clear();
        node.work();
        assert!(node.kernel.forwarding.contains(&link("eth1")));
        node.kernel.forwarding_all = of_all_now;
        node.wanted.forward.clear();
        node.work();
        assert_eq!(node.kernel.forwarding.contains(&link("eth1")), left_on);
        assert!(!node.owned.holds(&Item::Forwarding(link("eth1"))));
    }
}

#[test]
fn forwarding_that_is_on_already_is_nobodys_but_its_owners() {
    let mut node = settled();
    node.kernel.forwarding.insert(link("eth1"));
    node.wanted.forward.insert(link("eth1"));
    assert!(node.diff().0.is_empty());
    node.wanted.forward.clear();
    assert!(node.diff().0.is_empty());
    // Off for this one link although it is on for all others: that was somebody's will, and comes back.
    node.kernel = Kernel { forwarding_all: true, ..settled().kernel };
    node.wanted.forward.insert(link("eth1"));
    node.work();
    node.wanted.forward.clear();
    node.work();
    assert!(node.kernel.forwarding.is_empty());
}

#[test]
fn forwarding_stays_while_a_service_stays_that_the_agent_cannot_serve() {
    let mut node = settled();
    node.wanted.forward.insert(link("eth1"));
    node.work();
    node.wanted.forward.clear();
    node.wanted.keep_vips.insert(crate::example::address(crate::example::VIP));
    assert!(node.diff().0.is_empty());
}

#[test]
fn counters_are_zeroed_once_for_each_token() {
    let [one, two] = ["one", "two"].map(|token| ZeroToken(token.to_owned()).mark());
    let zero = "zero the counters of TCP 192.168.10.40:80";
    let mut node = settled();
    node.wanted.zero_counters.insert(server(), one);
    assert_eq!(node.left(), [zero]);
    node.work();
    assert!(node.diff().0.is_empty());
    // What comes anew after a flush has counted nothing.
    let flushed = std::mem::take(&mut node.kernel.virtual_servers);
    assert!(!node.left().contains(&zero.to_owned()));
    node.kernel.virtual_servers = flushed;
    node.wanted.zero_counters.insert(server(), two);
    assert_eq!(node.left(), [zero]);
    node.work();
    node.wanted.zero_counters.clear();
    node.work();
    assert!(!node.owned.holds(&Item::Counters(server())));
}

#[test]
fn counters_of_somebody_elses_service_are_not_zeroed() {
    let mut node = settled();
    node.wanted.zero_counters.insert(server(), ZeroToken("one".to_owned()).mark());
    node.owned.record(&Record::Release(Item::VirtualServer(server())));
    assert_eq!(node.left(), [""; 0]);
}
