use std::net::Ipv4Addr;

use netlink_packet_ipvs::{
    AddressFamily, Destination, DestinationEntry, DestinationIdentity, ForwardingMethod, Netmask, ReplyBody,
    Request, Service, ServiceEntry, ServiceFlags, ServiceIdentity, Stats, Tunnel, TunnelType,
};

use crate::transcript::{Step, check};
use crate::{SCTP, TCP, UDP, ip, mark, service, tuple};

#[test]
fn services_and_destinations_are_listed() {
    check(
        include_str!("../captures/listings.txt"),
        vec![
            ("ipvsadm -Ln", everything()),
            ("ipvsadm -Ln -t 10.0.0.1:80 --stats", one_service()),
            ("ipvsadm -Sn", everything()),
        ],
    );
}

/// All services, then the destinations of three of them, where the capture ends.
fn everything() -> Vec<Step> {
    let mut steps = vec![Step::Asked(Request::GetServices)];
    steps.extend(services().map(told_service));
    steps.push(Step::Done);
    steps.extend(destinations_of_http());
    for without_any in [tuple(TCP, "10.0.0.1", 81), tuple(UDP, "10.0.0.1", 53)] {
        steps.extend([Step::Asked(Request::GetDests(without_any)), Step::Done]);
    }
    steps
}

/// In the question ipvsadm adds an empty scheduler, no flags, no timeout and the netmask 0.
fn one_service() -> Vec<Step> {
    let ours = "04010000 30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 \
                0600040000500000";
    let mut steps = vec![
        Step::AskedWithSurplus(Request::GetService(http()), ours.into()),
        told_service(listed(http(), "wlc", ServiceFlags::NONE)),
        Step::Acknowledged,
    ];
    steps.extend(destinations_of_http());
    steps
}

fn http() -> ServiceIdentity {
    tuple(TCP, "10.0.0.1", 80)
}

fn told_service(service: Service) -> Step {
    let (stats, stats64) = (Some(Stats::default()), Some(Stats::default()));
    Step::Told(ReplyBody::Service(ServiceEntry { service, stats, stats64 }))
}

/// A service as the kernel tells it: in its table, with no flag left out.
fn listed(identity: ServiceIdentity, scheduler: &str, flags: ServiceFlags) -> Service {
    Service { flags: flags | ServiceFlags::HASHED, ..service(identity, scheduler) }
}

fn services() -> impl Iterator<Item = Service> {
    let persistent = ServiceFlags::PERSISTENT;
    let hash_flags = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2;
    [
        listed(tuple(SCTP, "10.0.0.1", 90), "lc", ServiceFlags::NONE),
        Service {
            timeout: 60,
            persistence_engine: Some("sip".parse().unwrap()),
            ..listed(tuple(UDP, "10.0.0.1", 5060), "rr", persistent)
        },
        Service {
            timeout: 60,
            netmask: Netmask::Ipv6PrefixLength(64),
            ..listed(tuple(TCP, "fd00::1", 444), "rr", persistent)
        },
        listed(tuple(TCP, "fd00::1", 443), "mh", hash_flags),
        Service { timeout: 360, ..listed(tuple(TCP, "10.0.0.1", 81), "sh", hash_flags | persistent) },
        listed(http(), "wlc", ServiceFlags::NONE),
        listed(tuple(UDP, "10.0.0.1", 53), "wrr", ServiceFlags::ONE_PACKET),
        listed(mark(AddressFamily::Ipv6, 1234), "rr", ServiceFlags::NONE),
        Service {
            timeout: 360,
            netmask: Netmask::Ipv4(Ipv4Addr::new(255, 255, 255, 0)),
            ..listed(mark(AddressFamily::Ipv4, 1234), "wlc", persistent)
        },
    ]
    .into_iter()
}

fn destinations_of_http() -> Vec<Step> {
    let gue = Tunnel { kind: TunnelType::GenericUdp, port: 6080, flags: 1 };
    let gre = Tunnel { kind: TunnelType::GenericRouting, port: 0, flags: 0 };
    let destination = |address, port, forwarding, weight, tunnel| Destination {
        identity: DestinationIdentity { address: ip(address), port },
        forwarding,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel,
    };
    let mut steps = vec![Step::Asked(Request::GetDests(http()))];
    steps.extend(
        [
            destination("10.0.0.6", 80, ForwardingMethod::Tunnel, 1, gre),
            destination("10.0.0.5", 80, ForwardingMethod::Tunnel, 1, gue),
            Destination {
                upper_threshold: 100,
                lower_threshold: 50,
                ..destination("10.0.0.4", 8080, ForwardingMethod::Masquerade, 65_535, Tunnel::default())
            },
            destination("10.0.0.2", 80, ForwardingMethod::DirectRouting, 0, Tunnel::default()),
        ]
        .map(told_destination),
    );
    steps.push(Step::Done);
    steps
}

fn told_destination(destination: Destination) -> Step {
    Step::Told(ReplyBody::Destination(DestinationEntry {
        destination,
        active_connections: 0,
        inactive_connections: 0,
        persistent_connections: 0,
        stats: Some(Stats::default()),
        stats64: Some(Stats::default()),
    }))
}
