use std::collections::BTreeSet;

use super::*;
use crate::forwarding::{Encapsulation, Forwarding, GueChecksum};

fn reception(encapsulation: Encapsulation, at: &str, carries: Family) -> Reception {
    let addresses = [at.parse().unwrap()];
    *Forwarding::Tunnel(encapsulation).receptions(&addresses, [carries]).first().unwrap()
}

#[test]
fn each_mix_of_families_has_its_device() {
    let gue = Encapsulation::Gue { port: 6080, checksum: GueChecksum::Absent };
    let gre = Encapsulation::Gre { checksum: true };
    for (encapsulation, at, carries, kind) in [
        (Encapsulation::Ipip, "10.0.0.1", Family::IPv4, TunnelKind::Ipip),
        (Encapsulation::Ipip, "10.0.0.1", Family::IPv6, TunnelKind::Sit),
        (Encapsulation::Ipip, "fd00::1", Family::IPv4, TunnelKind::Ip6tnl),
        (gue, "fd00::1", Family::IPv6, TunnelKind::Ip6tnl),
        (gue, "10.0.0.1", Family::IPv6, TunnelKind::Sit),
        (gre, "10.0.0.1", Family::IPv6, TunnelKind::Gre),
        (gre, "fd00::1", Family::IPv4, TunnelKind::Ip6gre),
    ] {
        assert_eq!(device(&reception(encapsulation, at, carries)).kind, kind);
    }
}

#[test]
fn a_device_is_named_after_its_kind_and_address() {
    let name = |kind, at: &str| link_name(kind, at.parse().unwrap()).to_string();
    assert_eq!(name(TunnelKind::Ipip, "192.168.10.10"), "lvs-ip-c0a80a0a");
    let names: BTreeSet<String> = TunnelKind::ALL
        .into_iter()
        .flat_map(|kind| ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"].map(|at| name(kind, at)))
        .collect();
    assert_eq!(names.len(), 20);
    assert!(names.iter().all(|name| name.len() == 15));
}

/// Measured on Linux 6.1: a packet out of a tunnel is kept or dropped by these three.
#[test]
fn what_comes_out_of_a_tunnel_is_kept_where_the_filter_lets_it() {
    let at: IpAddr = "10.0.0.1".parse().unwrap();
    for (all, own, addressed, kept) in [
        (0, 0, false, true),
        (0, 2, false, false),
        (0, 2, true, true),
        (1, 0, true, false),
        (1, 2, false, false),
        (1, 2, true, true),
        (2, 0, false, false),
        (2, 0, true, true),
    ] {
        let ours = TunnelDevice::receiving(TunnelKind::Ipip, at, false);
        let device = TunnelDevice { rp_filter: own, addressed, ..ours };
        assert_eq!(device.keeps_ipv4(all), kept, "all {all} own {own} addressed {addressed}");
    }
}

#[test]
fn a_tunnel_is_received_where_device_and_port_are_there() {
    let gue = Encapsulation::Gue { port: 6080, checksum: GueChecksum::Udp };
    let wanted = reception(gue, "10.0.0.1", Family::IPv4);
    let mut kernel = Kernel::default();
    assert!(!kernel.receives(&wanted));
    let ours = device(&wanted);
    kernel.tunnels.insert("x".parse().unwrap(), TunnelDevice { local: None, ..ours });
    assert!(!kernel.receives(&wanted));
    kernel.gue_ports.insert(gue_port(&wanted).unwrap());
    assert!(kernel.receives(&wanted));
    // One for just this address comes first, and its filter counts.
    kernel.tunnels.insert("y".parse().unwrap(), TunnelDevice { rp_filter: 1, ..ours });
    assert!(!kernel.receives(&wanted));
    // It does not count for IPv6.
    let gre = Encapsulation::Gre { checksum: true };
    let wanted = reception(gre, "10.0.0.1", Family::IPv6);
    let strict = TunnelDevice { rp_filter: 1, ..device(&wanted) };
    kernel.tunnels.insert("z".parse().unwrap(), strict);
    assert!(kernel.receives(&wanted));
    kernel.tunnels.insert("z".parse().unwrap(), TunnelDevice { checksum: false, ..strict });
    assert!(!kernel.receives(&wanted), "a device takes GRE with a checksum or without");
}
