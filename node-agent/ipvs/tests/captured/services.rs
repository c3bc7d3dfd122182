use std::net::Ipv4Addr;

use netlink_packet_ipvs::{AddressFamily, Netmask, Request, Service, ServiceFlags};

use crate::transcript::{Expected, Step, check};
use crate::{EEXIST, ENOENT, ESRCH, SCTP, TCP, UDP, mark, service, tuple};

/// What identifies 10.0.0.1:80, TCP; with an operation on the whole service, `ipvsadm` adds an empty scheduler, no
/// flags, no timeout and a netmask.
const IDENTITY_OF_80: &str =
    "30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000";

#[test]
fn services_are_added_changed_zeroed_and_removed() {
    let mut expected = added();
    expected.extend(refused_and_changed());
    expected.extend(zeroed_and_removed());
    check(include_str!("../captures/services.txt"), expected);
}

fn added() -> Vec<Expected> {
    let add = |service| vec![Step::Asked(Request::NewService(service)), Step::Acknowledged];
    vec![
        ("ipvsadm -A -t 10.0.0.1:80 -s rr", add(service(tuple(TCP, "10.0.0.1", 80), "rr"))),
        (
            "ipvsadm -A -u 10.0.0.1:53 -s wrr -o",
            add(Service { flags: ServiceFlags::ONE_PACKET, ..service(tuple(UDP, "10.0.0.1", 53), "wrr") }),
        ),
        ("ipvsadm -A --sctp-service 10.0.0.1:90 -s lc", add(service(tuple(SCTP, "10.0.0.1", 90), "lc"))),
        (
            "ipvsadm -A -f 1234 -s wlc -p 360 -M 255.255.255.0",
            add(Service {
                flags: ServiceFlags::PERSISTENT,
                timeout: 360,
                netmask: Netmask::Ipv4(Ipv4Addr::new(255, 255, 255, 0)),
                ..service(mark(AddressFamily::Ipv4, 1234), "wlc")
            }),
        ),
        ("ipvsadm -A -f 1234 -6 -s rr", add(service(mark(AddressFamily::Ipv6, 1234), "rr"))),
        (
            "ipvsadm -A -t [fd00::1]:443 -s mh -b mh-fallback,mh-port",
            add(Service {
                flags: ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2,
                ..service(tuple(TCP, "fd00::1", 443), "mh")
            }),
        ),
        (
            "ipvsadm -A -t 10.0.0.1:81 -s sh -b sh-fallback,sh-port -p",
            add(Service {
                flags: ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2 | ServiceFlags::PERSISTENT,
                timeout: 360,
                ..service(tuple(TCP, "10.0.0.1", 81), "sh")
            }),
        ),
        (
            "ipvsadm -A -u 10.0.0.1:5060 -s rr -p 60 --pe sip",
            add(Service {
                flags: ServiceFlags::PERSISTENT,
                timeout: 60,
                persistence_engine: Some("sip".parse().unwrap()),
                ..service(tuple(UDP, "10.0.0.1", 5060), "rr")
            }),
        ),
        (
            "ipvsadm -A -t [fd00::1]:444 -s rr -p 60 -M 64",
            add(Service {
                flags: ServiceFlags::PERSISTENT,
                timeout: 60,
                netmask: Netmask::Ipv6PrefixLength(64),
                ..service(tuple(TCP, "fd00::1", 444), "rr")
            }),
        ),
    ]
}

fn refused_and_changed() -> Vec<Expected> {
    let ask = |request, answer| vec![Step::Asked(request), answer];
    vec![
        (
            "ipvsadm -A -t 10.0.0.1:80 -s rr",
            ask(Request::NewService(service(tuple(TCP, "10.0.0.1", 80), "rr")), Step::Refused(EEXIST)),
        ),
        (
            "ipvsadm -A -t 10.0.0.1:82 -s nosuch",
            ask(Request::NewService(service(tuple(TCP, "10.0.0.1", 82), "nosuch")), Step::Refused(ENOENT)),
        ),
        (
            "ipvsadm -E -t 10.0.0.1:80 -s wlc",
            ask(Request::SetService(service(tuple(TCP, "10.0.0.1", 80), "wlc")), Step::Acknowledged),
        ),
        (
            "ipvsadm -E -t 10.0.0.1:9 -s wlc",
            ask(Request::SetService(service(tuple(TCP, "10.0.0.1", 9), "wlc")), Step::Refused(ESRCH)),
        ),
    ]
}

fn zeroed_and_removed() -> Vec<Expected> {
    let identity = tuple(TCP, "10.0.0.1", 80);
    let ask = |request, command, answer| {
        vec![Step::AskedWithSurplus(request, format!("{command} {IDENTITY_OF_80}")), answer]
    };
    vec![
        ("ipvsadm -Z", vec![Step::Asked(Request::Zero(None)), Step::Acknowledged]),
        ("ipvsadm -Z -t 10.0.0.1:80", ask(Request::Zero(Some(identity)), "10010000", Step::Acknowledged)),
        ("ipvsadm -D -t 10.0.0.1:80", ask(Request::DelService(identity), "03010000", Step::Acknowledged)),
        ("ipvsadm -D -t 10.0.0.1:80", ask(Request::DelService(identity), "03010000", Step::Refused(ESRCH))),
        ("ipvsadm -C", vec![Step::Asked(Request::Flush), Step::Acknowledged]),
    ]
}
