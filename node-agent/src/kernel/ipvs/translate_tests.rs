use proptest::prelude::*;

use super::*;

/// What the kernel would list after this request: the service itself, known to it as hashed.
fn listed(service: wire::Service) -> wire::ServiceEntry {
    let flags = ServiceFlags(service.flags.0 & service.flags_mask.0) | ServiceFlags::HASHED;
    wire::ServiceEntry { service: wire::Service { flags, ..service }, stats: None, stats64: None }
}

fn key() -> impl Strategy<Value = VirtualServerKey> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    prop_oneof![
        (protocol, any::<std::net::IpAddr>(), any::<u16>())
            .prop_map(|(protocol, address, port)| VirtualServerKey::Tuple { protocol, address, port }),
        (prop::sample::select(vec![Family::IPv4, Family::IPv6]), 1..=u32::MAX)
            .prop_map(|(family, mark)| VirtualServerKey::Mark { family, mark }),
    ]
}

fn server() -> impl Strategy<Value = (VirtualServerKey, VirtualServerSettings)> {
    let settings = (
        prop::sample::select(vec!["rr", "wlc", "mh", "none"]),
        prop::option::of((any::<u32>(), 1..=128_u8)),
        prop::option::of(Just("sip")),
        any::<u32>(),
    );
    (key(), settings).prop_map(|(key, (scheduler, persistence, engine, flags))| {
        let longest = key.family().host_length();
        let settings = VirtualServerSettings {
            scheduler: scheduler.parse().unwrap(),
            // Without the two that have a place of their own.
            flags: flags & !3,
            persistence: persistence.map(|(timeout_seconds, length)| Persistence {
                timeout_seconds,
                prefix_length: length.min(longest),
            }),
            persistence_engine: engine.map(|name| name.parse().unwrap()),
        };
        (key, settings)
    })
}

fn destination_settings() -> impl Strategy<Value = DestinationSettings> {
    let method = prop::sample::select(vec![
        ForwardingMethod::Masquerade,
        ForwardingMethod::LocalNode,
        ForwardingMethod::Tunnel,
        ForwardingMethod::DirectRouting,
        ForwardingMethod::Bypass,
        ForwardingMethod::Other(6),
    ]);
    (method, 0..=i32::MAX.unsigned_abs(), any::<u32>(), any::<u32>(), any::<(u8, u16, u16)>()).prop_map(
        |(method, weight, upper_threshold, lower_threshold, (kind, port, flags))| DestinationSettings {
            method,
            weight,
            upper_threshold,
            lower_threshold,
            tunnel: (method == ForwardingMethod::Tunnel).then_some(Tunnel { kind, port, flags }),
        },
    )
}

proptest! {
    #[test]
    fn a_virtual_server_comes_back_as_it_was((key, settings) in server()) {
        let Some(Request::NewService(service)) = request(&Op::AddVirtualServer(key, settings)) else {
            panic!("no request for {key}")
        };
        prop_assert_eq!(virtual_server(&listed(service)), Ok((key, settings)));
    }

    #[test]
    fn a_destination_comes_back_as_it_was(
        server in key(),
        (address, port) in any::<(std::net::IpAddr, u16)>(),
        settings in destination_settings(),
    ) {
        let place = DestinationKey { address, port };
        let Some(Request::NewDest(_, wire)) = request(&Op::AddDestination(server, place, settings)) else {
            panic!("no request for {place}")
        };
        prop_assert_eq!(destination(&wire), (place, settings));
    }
}

fn service() -> wire::Service {
    wire::Service {
        identity: ServiceIdentity::Tuple { protocol: 6, address: "192.168.10.40".parse().unwrap(), port: 80 },
        scheduler: "rr".parse().unwrap(),
        flags: ServiceFlags::NONE,
        flags_mask: ServiceFlags::ALL,
        timeout: 0,
        netmask: Netmask::Ipv4(Ipv4Addr::BROADCAST),
        persistence_engine: None,
    }
}

#[test]
fn what_core_has_no_form_for_is_left_out_with_a_reason() {
    let mut odd_protocol = service();
    odd_protocol.identity =
        ServiceIdentity::Tuple { protocol: 50, address: "192.168.10.40".parse().unwrap(), port: 80 };
    let reason = virtual_server(&listed(odd_protocol)).unwrap_err();
    assert_eq!(reason, "IPVS service 192.168.10.40 port 80: protocol 50");
    let mut odd_netmask = service();
    odd_netmask.flags = ServiceFlags::PERSISTENT;
    odd_netmask.netmask = Netmask::Ipv4(Ipv4Addr::new(255, 0, 255, 0));
    let reason = virtual_server(&listed(odd_netmask)).unwrap_err();
    assert!(reason.starts_with("IPVS service TCP 192.168.10.40:80: its netmask"), "{reason}");
}

#[test]
fn without_persistence_its_timeout_and_netmask_mean_nothing() {
    let mut stale = service();
    (stale.timeout, stale.netmask) = (360, Netmask::Ipv4(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!(virtual_server(&listed(stale)), virtual_server(&listed(service())));
}

#[test]
fn a_mark_of_0_is_never_asked_for() {
    // The kernel would make a service for TCP 0.0.0.0:0 of it.
    let key = VirtualServerKey::Mark { family: Family::IPv4, mark: 0 };
    assert_eq!(request(&Op::RemoveVirtualServer(key)), None);
}

#[test]
fn a_weight_that_the_kernel_would_refuse_reaches_it_as_negative() {
    let settings = DestinationSettings {
        method: ForwardingMethod::DirectRouting,
        weight: 1 << 31,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: None,
    };
    let place = DestinationKey { address: "192.168.10.10".parse().unwrap(), port: 80 };
    assert_eq!(destination_request(place, &settings).weight, i32::MIN);
}
