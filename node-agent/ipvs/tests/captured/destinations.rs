use netlink_packet_ipvs::{
    AddressFamily, Destination, DestinationIdentity, ForwardingMethod, Request, ServiceIdentity, Tunnel,
    TunnelType,
};

use crate::transcript::{Expected, Step, check};
use crate::{EEXIST, EINVAL, ENOENT, ESRCH, TCP, ip, mark, tuple};

// With a destination, `ipvsadm` sends in the service's nest an empty scheduler, no flags, no timeout and a netmask
// too; and to remove a destination all of its attributes. What follows is what we send: first the service …
const SERVICE_80: &str =
    "30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000";
const SERVICE_80_OF_ANOTHER: &str =
    "30000180 0600010002000000 0600020006000000 140003000a000009000000000000000000000000 0600040000500000";
const SERVICE_IPV6: &str =
    "30000180 060001000a000000 0600020006000000 14000300fd000000000000000000000000000001 0600040001bb0000";
const SERVICE_MARK: &str = "14000180 0600010002000000 08000500d2040000";
// … then the destination's address and port …
const TO_2: &str = "06000b0002000000 140001000a000002000000000000000000000000 0600020000500000";
const TO_2_ANY_PORT: &str = "06000b0002000000 140001000a000002000000000000000000000000 0600020000000000";
const TO_3: &str = "06000b0002000000 140001000a000003000000000000000000000000 0600020000500000";
const TO_4_8080: &str = "06000b0002000000 140001000a000004000000000000000000000000 060002001f900000";
const TO_5: &str = "06000b0002000000 140001000a000005000000000000000000000000 0600020000500000";
const TO_6: &str = "06000b0002000000 140001000a000006000000000000000000000000 0600020000500000";
const TO_99: &str = "06000b0002000000 140001000a000063000000000000000000000000 0600020000500000";
const TO_IPV6: &str = "06000b000a000000 14000100fd000000000000000000000000000002 0600020001bb0000";
const TO_MULTICAST: &str = "06000b0002000000 14000100e0000001000000000000000000000000 0600020000500000";
// … then its forwarding method and weight, the tunnel, and the thresholds.
const DIRECT_1: &str = "0800030003000000 0800040001000000";
const DIRECT_0: &str = "0800030003000000 0800040000000000";
const TUNNEL_1: &str = "0800030002000000 0800040001000000";
const TUNNEL_100: &str = "0800030002000000 0800040064000000";
const MASQUERADE_65535: &str = "0800030000000000 08000400ffff0000";
const IP_IN_IP: &str = "05000d0000000000 06000e0000000000 06000f0000000000";
const GUE_6080: &str = "05000d0001000000 06000e0017c00000 06000f0001000000";
const GRE: &str = "05000d0002000000 06000e0000000000 06000f0000000000";
const NO_THRESHOLDS: &str = "0800050000000000 0800060000000000";
const THRESHOLDS_100_50: &str = "0800050064000000 0800060032000000";

#[test]
fn destinations_are_added_changed_and_removed() {
    let mut expected = added();
    expected.extend(refused());
    expected.extend(changed_and_removed());
    check(include_str!("../captures/destinations.txt"), expected);
}

fn http() -> ServiceIdentity {
    tuple(TCP, "10.0.0.1", 80)
}

/// A destination under direct routing, with weight 1.
fn direct(address: &str, port: u16) -> Destination {
    Destination {
        identity: DestinationIdentity { address: ip(address), port },
        forwarding: ForwardingMethod::DirectRouting,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: Tunnel::default(),
    }
}

fn tunnelled(address: &str, weight: i32, tunnel: Tunnel) -> Destination {
    Destination { forwarding: ForwardingMethod::Tunnel, weight, tunnel, ..direct(address, 80) }
}

/// One request, our bytes for it, and the kernel's answer. `60000280` starts a nest of 96 bytes.
fn ask(request: Request, command: &str, service: &str, destination: [&str; 4], answer: Step) -> Vec<Step> {
    let destination = destination.join(" ");
    vec![Step::AskedWithSurplus(request, format!("{command} {service} 60000280 {destination}")), answer]
}

fn add(
    service: ServiceIdentity,
    new: Destination,
    service_bytes: &str,
    bytes: [&str; 4],
    answer: Step,
) -> Vec<Step> {
    ask(Request::NewDest(service, new), "05010000", service_bytes, bytes, answer)
}

fn added() -> Vec<Expected> {
    let gue = Tunnel { kind: TunnelType::GenericUdp, port: 6080, flags: 1 };
    let gre = Tunnel { kind: TunnelType::GenericRouting, port: 0, flags: 0 };
    let masquerade = Destination {
        forwarding: ForwardingMethod::Masquerade,
        weight: 65_535,
        upper_threshold: 100,
        lower_threshold: 50,
        ..direct("10.0.0.4", 8080)
    };
    let to_80 = |destination, bytes| add(http(), destination, SERVICE_80, bytes, Step::Acknowledged);
    vec![
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2 -g -w 1",
            to_80(direct("10.0.0.2", 80), [TO_2, DIRECT_1, IP_IN_IP, NO_THRESHOLDS]),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.3 -i -w 100",
            to_80(tunnelled("10.0.0.3", 100, Tunnel::default()), [TO_3, TUNNEL_100, IP_IN_IP, NO_THRESHOLDS]),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.4:8080 -m -w 65535 -x 100 -y 50",
            to_80(masquerade, [TO_4_8080, MASQUERADE_65535, IP_IN_IP, THRESHOLDS_100_50]),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.5 -i --tun-type gue --tun-port 6080 --tun-csum",
            to_80(tunnelled("10.0.0.5", 1, gue), [TO_5, TUNNEL_1, GUE_6080, NO_THRESHOLDS]),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.6 -i --tun-type gre --tun-nocsum",
            to_80(tunnelled("10.0.0.6", 1, gre), [TO_6, TUNNEL_1, GRE, NO_THRESHOLDS]),
        ),
        // ipvsadm refuses this itself and sends nothing.
        ("ipvsadm -a -t 10.0.0.1:80 -r [fd00::2] -i", vec![]),
        (
            "ipvsadm -a -t [fd00::1]:443 -r [fd00::2]:443 -g -w 1",
            add(
                tuple(TCP, "fd00::1", 443),
                direct("fd00::2", 443),
                SERVICE_IPV6,
                [TO_IPV6, DIRECT_1, IP_IN_IP, NO_THRESHOLDS],
                Step::Acknowledged,
            ),
        ),
        (
            "ipvsadm -a -f 1234 -r 10.0.0.2 -g",
            add(
                mark(AddressFamily::Ipv4, 1234),
                direct("10.0.0.2", 0),
                SERVICE_MARK,
                [TO_2_ANY_PORT, DIRECT_1, IP_IN_IP, NO_THRESHOLDS],
                Step::Acknowledged,
            ),
        ),
    ]
}

fn refused() -> Vec<Expected> {
    let second = direct("10.0.0.2", 80);
    let bytes = [TO_2, DIRECT_1, IP_IN_IP, NO_THRESHOLDS];
    vec![
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2 -g -w 1",
            add(http(), second, SERVICE_80, bytes, Step::Refused(EEXIST)),
        ),
        (
            "ipvsadm -a -t 10.0.0.9:80 -r 10.0.0.2 -g -w 1",
            add(tuple(TCP, "10.0.0.9", 80), second, SERVICE_80_OF_ANOTHER, bytes, Step::Refused(ESRCH)),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 224.0.0.1 -g -w 1",
            add(
                http(),
                direct("224.0.0.1", 80),
                SERVICE_80,
                [TO_MULTICAST, DIRECT_1, IP_IN_IP, NO_THRESHOLDS],
                Step::Refused(EINVAL),
            ),
        ),
    ]
}

fn changed_and_removed() -> Vec<Expected> {
    let quiesce = |address, bytes, answer| {
        let request = Request::SetDest(http(), Destination { weight: 0, ..direct(address, 80) });
        ask(request, "06010000", SERVICE_80, [bytes, DIRECT_0, IP_IN_IP, NO_THRESHOLDS], answer)
    };
    let remove = |address, bytes, answer| {
        let request = Request::DelDest(http(), direct(address, 80).identity);
        vec![Step::AskedWithSurplus(request, format!("07010000 {SERVICE_80} 28000280 {bytes}")), answer]
    };
    vec![
        ("ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.2 -g -w 0", quiesce("10.0.0.2", TO_2, Step::Acknowledged)),
        (
            "ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.99 -g -w 0",
            quiesce("10.0.0.99", TO_99, Step::Refused(ENOENT)),
        ),
        ("ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.3", remove("10.0.0.3", TO_3, Step::Acknowledged)),
        ("ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.99", remove("10.0.0.99", TO_99, Step::Refused(ENOENT))),
    ]
}
