//! Any value of each kind, the kernel's limits aside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use netlink_packet_ipvs::{
    AddressFamily, Daemon, DaemonState, Destination, DestinationEntry, DestinationIdentity, ForwardingMethod,
    Info, Nest, Netmask, ReplyBody, Request, Service, ServiceEntry, ServiceFlags, ServiceIdentity, Stats,
    Timeouts, Tunnel, TunnelType, UnknownAttribute,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Ipv4Addr::from(octets).into()),
        any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).into()),
    ]
}

fn identity() -> impl Strategy<Value = ServiceIdentity> {
    let family = prop_oneof![Just(AddressFamily::Ipv4), Just(AddressFamily::Ipv6)];
    prop_oneof![
        (any::<u16>(), address(), any::<u16>())
            .prop_map(|(protocol, address, port)| ServiceIdentity::Tuple { protocol, address, port }),
        (family, any::<NonZeroU32>())
            .prop_map(|(family, mark)| ServiceIdentity::FirewallMark { family, mark }),
    ]
}

prop_compose! {
    fn service()(
        identity in identity(),
        scheduler in "[!-~]{0,15}",
        engine in of("[!-~]{0,16}"),
        [flags, mask, timeout, netmask] in any::<[u32; 4]>(),
    ) -> Service {
        Service {
            identity,
            scheduler: scheduler.parse().unwrap(),
            flags: ServiceFlags(flags),
            flags_mask: ServiceFlags(mask),
            timeout,
            netmask: match identity.family() {
                AddressFamily::Ipv4 => Netmask::Ipv4(netmask.into()),
                AddressFamily::Ipv6 => Netmask::Ipv6PrefixLength(netmask),
            },
            persistence_engine: engine.map(|engine| engine.parse().unwrap()),
        }
    }
}

prop_compose! {
    fn destination()(
        address in address(),
        [port, tunnel_port, tunnel_flags] in any::<[u16; 3]>(),
        forwarding in prop_oneof![0u32..8, any::<u32>()],
        weight in any::<i32>(),
        [upper_threshold, lower_threshold] in any::<[u32; 2]>(),
        kind in any::<u8>(),
    ) -> Destination {
        Destination {
            identity: DestinationIdentity { address, port },
            forwarding: ForwardingMethod::from(forwarding),
            weight,
            upper_threshold,
            lower_threshold,
            tunnel: Tunnel { kind: TunnelType::from(kind), port: tunnel_port, flags: tunnel_flags },
        }
    }
}

prop_compose! {
    fn daemon()(
        state in prop_oneof![0u32..4, any::<u32>()],
        interface in "[!-~]{0,15}",
        sync_id in any::<u32>(),
        maximum_length in of(any::<u16>()),
        multicast_port in of(any::<u16>()),
        multicast_ttl in of(any::<u8>()),
        multicast_group in of(address()),
    ) -> Daemon {
        Daemon {
            state: DaemonState::from(state),
            interface: interface.parse().unwrap(),
            sync_id,
            maximum_length,
            multicast_port,
            multicast_ttl,
            multicast_group,
        }
    }
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    [of(any::<u32>()), of(any::<u32>()), of(any::<u32>())].prop_map(|[tcp, tcp_fin, udp]| Timeouts {
        tcp,
        tcp_fin,
        udp,
    })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        service().prop_map(Request::NewService),
        service().prop_map(Request::SetService),
        identity().prop_map(Request::DelService),
        identity().prop_map(Request::GetService),
        Just(Request::GetServices),
        (identity(), destination()).prop_map(|(service, destination)| Request::NewDest(service, destination)),
        (identity(), destination()).prop_map(|(service, destination)| Request::SetDest(service, destination)),
        (identity(), destination())
            .prop_map(|(service, destination)| Request::DelDest(service, destination.identity)),
        identity().prop_map(Request::GetDests),
        daemon().prop_map(Request::NewDaemon),
        daemon().prop_map(|daemon| Request::DelDaemon(daemon.state)),
        Just(Request::GetDaemons),
        timeouts().prop_map(Request::SetConfig),
        Just(Request::GetConfig),
        Just(Request::GetInfo),
        of(identity()).prop_map(Request::Zero),
        Just(Request::Flush),
    ]
}

fn stats<N: Arbitrary + Clone>() -> impl Strategy<Value = Stats<N>> {
    (any::<[N; 8]>(), any::<[u64; 2]>()).prop_map(|(numbers, [incoming_bytes, outgoing_bytes])| {
        let [connections, packets_in, packets_out, new, packet_rate_in, packet_rate_out, rate_in, rate_out] =
            numbers;
        Stats {
            connections,
            incoming_packets: packets_in,
            outgoing_packets: packets_out,
            incoming_bytes,
            outgoing_bytes,
            connections_per_second: new,
            incoming_packets_per_second: packet_rate_in,
            outgoing_packets_per_second: packet_rate_out,
            incoming_bytes_per_second: rate_in,
            outgoing_bytes_per_second: rate_out,
        }
    })
}

pub(crate) fn body() -> impl Strategy<Value = ReplyBody> {
    let counts = any::<[u32; 3]>();
    prop_oneof![
        (service(), of(stats()), of(stats())).prop_map(|(service, stats, stats64)| ReplyBody::Service(
            ServiceEntry { service, stats, stats64 }
        )),
        (destination(), counts, of(stats()), of(stats())).prop_map(
            |(
                destination,
                [active_connections, inactive_connections, persistent_connections],
                stats,
                stats64,
            )| {
                ReplyBody::Destination(DestinationEntry {
                    destination,
                    active_connections,
                    inactive_connections,
                    persistent_connections,
                    stats,
                    stats64,
                })
            }
        ),
        daemon().prop_map(ReplyBody::Daemon),
        timeouts().prop_map(ReplyBody::Config),
        any::<[u32; 2]>()
            .prop_map(|[version, size]| ReplyBody::Info(Info { version, connection_table_size: size })),
    ]
}

/// Numbers that no attribute of the family has.
pub(crate) fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let attribute = (100u16..0x4000, vec(any::<u8>(), 0..40));
    vec(attribute.prop_map(|(kind, value)| UnknownAttribute { within: Nest::Message, kind, value }), 0..4)
}
