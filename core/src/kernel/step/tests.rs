use std::collections::BTreeSet;

use super::*;
use crate::ipvs::{Persistence, Tunnel, VirtualServerSettings};
use crate::kernel::{AddressAttributes, AddressKey, ArpSettings};
use crate::names::LinkName;
use crate::tunnel::{GuePort, TunnelDevice, TunnelKind};

const TCP: &str = "TCP 192.168.10.40:80";
const RIP: &str = "192.168.10.10:80";

/// A kernel with two links, IPVS with the schedulers rr and wlc, one virtual server with one destination, and an address.
fn kernel() -> Kernel {
    let mut kernel = Kernel {
        timeouts: Some(Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 }),
        schedulers: Some(BTreeSet::from(["rr", "wlc"].map(|name| name.parse().unwrap()))),
        ..Kernel::default()
    };
    for link in ["lo", "eth0"] {
        kernel.arp.insert(link.parse().unwrap(), ArpSettings::default());
    }
    for op in [add_server(TCP, "rr"), add(TCP, RIP, direct(1)), add_address("lo 192.168.10.40/32")] {
        kernel.step(&op).unwrap();
    }
    kernel
}

fn settings(scheduler: &str) -> VirtualServerSettings {
    let scheduler = scheduler.parse().unwrap();
    VirtualServerSettings { scheduler, flags: 0, persistence: None, persistence_engine: None }
}

fn direct(weight: u32) -> DestinationSettings {
    let method = ForwardingMethod::DirectRouting;
    DestinationSettings { method, weight, upper_threshold: 0, lower_threshold: 0, tunnel: None }
}

fn add_server(key: &str, scheduler: &str) -> Op {
    Op::AddVirtualServer(key.parse().unwrap(), settings(scheduler))
}

fn set_server(key: &str, scheduler: &str) -> Op {
    Op::SetVirtualServer(key.parse().unwrap(), settings(scheduler))
}

fn add(key: &str, destination: &str, settings: DestinationSettings) -> Op {
    Op::AddDestination(key.parse().unwrap(), destination.parse().unwrap(), settings)
}

fn set(key: &str, destination: &str, settings: DestinationSettings) -> Op {
    Op::SetDestination(key.parse().unwrap(), destination.parse().unwrap(), settings)
}

fn remove(key: &str, destination: &str) -> Op {
    Op::RemoveDestination(key.parse().unwrap(), destination.parse().unwrap())
}

fn add_address(key: &str) -> Op {
    let key: AddressKey = key.parse().unwrap();
    Op::AddAddress(key, AddressAttributes::vip(Family::of(key.address)))
}

fn set_address(key: &str) -> Op {
    let key: AddressKey = key.parse().unwrap();
    Op::SetAddress(key, AddressAttributes::vip(Family::of(key.address)))
}

fn remove_address(key: &str) -> Op {
    Op::RemoveAddress(key.parse().unwrap())
}

/// What a real kernel answers to each, measured on 6.1 and 7.2.
#[test]
fn refuses_what_a_kernel_refuses_and_changes_nothing_then() {
    use Refusal::{
        Exists, InvalidAddress, NoAddress, NoDestination, NoLink, NoScheduler, NoVirtualServer, OutOfRange,
    };
    let hide = |link: &str| Op::SetArp(link.parse().unwrap(), ArpSettings { ignore: 1, announce: 2 });
    let thresholds = DestinationSettings { upper_threshold: 5, lower_threshold: 6, ..direct(1) };
    let tunnel = Some(Tunnel { kind: 1, port: 0, flags: 0 });
    let gue = DestinationSettings { method: ForwardingMethod::Tunnel, tunnel, ..direct(1) };
    for (op, refusal) in [
        (add(TCP, "192.168.10.11:80", gue), InvalidAddress),
        (set(TCP, RIP, gue), InvalidAddress),
        (add_server(TCP, "rr"), Exists),
        (add_server(TCP, "nosuch"), Exists),
        (add_server("TCP 192.168.10.41:80", "nosuch"), NoScheduler),
        (set_server(TCP, "nosuch"), NoScheduler),
        (set_server("UDP 192.168.10.40:80", "rr"), NoVirtualServer),
        (Op::RemoveVirtualServer("FWM 7 IPv4".parse().unwrap()), NoVirtualServer),
        (add(TCP, RIP, direct(1)), Exists),
        (add("TCP 192.168.10.41:80", RIP, direct(1)), NoVirtualServer),
        (set("TCP 192.168.10.41:80", RIP, direct(1)), NoVirtualServer),
        (remove("TCP 192.168.10.41:80", RIP), NoVirtualServer),
        (set(TCP, "192.168.10.11:80", direct(1)), NoDestination),
        (remove(TCP, "192.168.10.10:81"), NoDestination),
        (add(TCP, "192.168.10.11:80", direct(1 << 31)), OutOfRange),
        (set(TCP, RIP, direct(1 << 31)), OutOfRange),
        (add(TCP, "192.168.10.11:80", thresholds), OutOfRange),
        (add(TCP, "224.0.0.1:80", direct(1)), InvalidAddress),
        (add(TCP, "255.255.255.255:80", direct(1)), InvalidAddress),
        (add(TCP, "0.0.0.0:80", direct(1)), InvalidAddress),
        (add(TCP, "[fd00::10]:80", direct(1)), InvalidAddress),
        (hide("eth9"), NoLink),
        (add_address("eth9 192.168.10.40/32"), NoLink),
        (remove_address("eth9 192.168.10.40/32"), NoLink),
        (add_address("lo 192.168.10.40/32"), Exists),
        (set_address("eth0 192.168.10.40/32"), NoAddress),
        (remove_address("lo 192.168.10.40/24"), NoAddress),
    ] {
        let mut kernel = kernel();
        assert_eq!(kernel.step(&op), Err(refusal), "{op}");
        assert_eq!(kernel, self::kernel(), "{op}");
    }
}

#[test]
fn refuses_ipv6_destinations_that_are_no_unicast() {
    let key = "TCP [fd00::40]:80";
    let mut kernel = kernel();
    kernel.step(&add_server(key, "rr")).unwrap();
    for destination in ["[fe80::1]:80", "[ff02::1]:80", "[::]:80", "192.168.10.10:80"] {
        assert_eq!(
            kernel.step(&add(key, destination, direct(1))),
            Err(Refusal::InvalidAddress),
            "{destination}"
        );
    }
    kernel.step(&add(key, "[fd00::10]:80", direct(1))).unwrap();
}

#[test]
fn without_the_module_timeouts_are_refused() {
    let mut kernel = Kernel::default();
    let timeouts = Timeouts { tcp_seconds: 1, tcp_fin_seconds: 1, udp_seconds: 1 };
    assert_eq!(kernel.step(&Op::SetTimeouts(timeouts)), Err(Refusal::NoIpvs));
}

#[test]
fn takes_what_a_kernel_takes() {
    let mut kernel = kernel();
    let tunnel = Tunnel { kind: 1, port: 6080, flags: 0 };
    let tunnelled =
        DestinationSettings { method: ForwardingMethod::Tunnel, tunnel: Some(tunnel), ..direct(1) };
    let heaviest = direct((1 << 31) - 1);
    let persistence = Some(Persistence { timeout_seconds: 20, prefix_length: 32 });
    let persistent = VirtualServerSettings { persistence, ..settings("wlc") };
    for op in [
        // A port that is not the service's, an address that leads nowhere, the VIP itself, loopback.
        add(TCP, "192.168.10.11:8080", direct(1)),
        add(TCP, "203.0.113.1:80", heaviest),
        add(TCP, "192.168.10.40:80", direct(1)),
        add(TCP, "127.0.0.1:80", direct(0)),
        // Another family only through a tunnel.
        add(TCP, "[fd00::10]:80", tunnelled),
        // No scheduler at all, to be set later.
        add_server("UDP 192.168.10.40:53", "none"),
        Op::SetVirtualServer(TCP.parse().unwrap(), persistent),
        // One address with two prefix lengths is two addresses.
        add_address("lo 192.168.10.40/24"),
        set_address("lo 192.168.10.40/32"),
    ] {
        assert_eq!(kernel.step(&op), Ok(()), "{op}");
    }
    let there = &kernel.virtual_servers[&TCP.parse().unwrap()];
    assert_eq!((there.settings, there.destinations.len()), (persistent, 6));
}

#[test]
fn where_schedulers_are_not_known_any_may_be_there() {
    let mut kernel = Kernel { schedulers: None, ..kernel() };
    assert_eq!(kernel.step(&set_server(TCP, "mh")), Ok(()));
}

#[test]
fn a_virtual_server_takes_its_destinations_along() {
    let mut kernel = kernel();
    kernel.step(&Op::RemoveVirtualServer(TCP.parse().unwrap())).unwrap();
    kernel.step(&add_server(TCP, "rr")).unwrap();
    assert!(kernel.virtual_servers[&TCP.parse().unwrap()].destinations.is_empty());
}

#[test]
fn a_timeout_of_0_keeps_what_is_there() {
    let mut kernel = kernel();
    kernel.step(&Op::SetTimeouts(Timeouts { tcp_seconds: 30, tcp_fin_seconds: 0, udp_seconds: 60 })).unwrap();
    assert_eq!(kernel.timeouts, Some(Timeouts { tcp_seconds: 30, tcp_fin_seconds: 120, udp_seconds: 60 }));
}

#[test]
fn a_tunnel_device_comes_and_goes_with_its_address_and_has_no_double() {
    let mut kernel = kernel();
    let before = kernel.clone();
    let (one, other): (LinkName, LinkName) = ("lvs-1".parse().unwrap(), "lvs-2".parse().unwrap());
    let device = TunnelDevice::receiving(TunnelKind::Ipip, [10, 0, 0, 1].into(), false);
    let port = GuePort { family: Family::IPv4, port: 6080 };
    for (op, result) in [
        (Op::SetTunnel(one, device), Err(Refusal::NoLink)),
        (Op::RemoveTunnel(one), Err(Refusal::NoLink)),
        (Op::AddTunnel(one, device), Ok(())),
        (Op::AddTunnel(one, device), Err(Refusal::Exists)),
        (Op::AddTunnel(other, device), Err(Refusal::Exists)),
        (Op::OpenGuePort(port), Ok(())),
        (Op::OpenGuePort(port), Err(Refusal::PortTaken)),
    ] {
        assert_eq!(kernel.step(&op), result, "{op}");
    }
    assert!(kernel.addresses.keys().any(|key| key.link == one));
    kernel.step(&Op::RemoveTunnel(one)).unwrap();
    kernel.step(&Op::CloseGuePort(port)).unwrap();
    assert_eq!(kernel, before);
}
