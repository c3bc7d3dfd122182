//! Laws over every value and every input: what is written is read back, and nothing panics.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions that it calls too"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use netlink_packet_ipvs::{
    AddressFamily, Command, Content, Daemon, DaemonState, Destination, DestinationEntry, DestinationIdentity,
    ForwardingMethod, Info, Message, MessageHeader, Messages, Nest, Netmask, Padding, Reply, ReplyBody,
    Request, RequestHeader, Service, ServiceEntry, ServiceFlags, ServiceIdentity, Stats, Timeouts, Tunnel,
    TunnelType, UnknownAttribute,
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

fn request() -> impl Strategy<Value = Request> {
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

fn body() -> impl Strategy<Value = ReplyBody> {
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
fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let attribute = (100u16..0x4000, vec(any::<u8>(), 0..40));
    vec(attribute.prop_map(|(kind, value)| UnknownAttribute { within: Nest::Message, kind, value }), 0..4)
}

/// Any message of the family's size, with a sound start so that the damage is deep: the length is right, or not.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (request(), body(), vec(change, 0..6), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(request, body, changes, cut, as_reply)| {
            let mut bytes = Vec::new();
            if as_reply {
                Reply { body, unknown: Vec::new() }.encode(REPLY_HEADER, Padding::Aligned, &mut bytes);
            } else {
                request.encode(REQUEST_HEADER, &mut bytes);
            }
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let kept = cut.index(bytes.len() * 2);
            bytes.truncate(kept.max(1));
            bytes
        },
    )
}

const REPLY_HEADER: MessageHeader = MessageHeader { message_type: 28, flags: 2, sequence: 5, port: 6 };
const REQUEST_HEADER: RequestHeader = RequestHeader { family_id: 28, sequence: 5, acknowledge: true };

fn only_message(bytes: &[u8]) -> Message<'_> {
    let messages: Vec<_> = Messages::new(bytes).collect::<Result<_, _>>().unwrap();
    let [message] = messages[..] else { panic!("not one message") };
    message
}

/// Reads the bytes in every way that there is.
fn read_all(bytes: &[u8]) {
    for message in Messages::new(bytes).flatten() {
        if let Ok(Content::Family(payload)) = message.content() {
            read_payload(payload);
        }
    }
    read_payload(bytes);
    for number in 0..=u8::MAX {
        if let Ok(command) = Command::try_from(number) {
            let _ = Request::parse(command, bytes);
            let payload = [&[number, 1, 0, 0], bytes].concat();
            read_payload(&payload);
        }
    }
}

/// What can be read can also be written, and then read again as the same.
fn read_payload(payload: &[u8]) {
    let _ = Reply::parse(payload, None);
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let Ok(reply) = Reply::parse(payload, Some(family)) else { continue };
        let mut bytes = Vec::new();
        reply.encode(REPLY_HEADER, Padding::Unpadded, &mut bytes);
        let again = Reply::parse(only_message(&bytes).payload, None).unwrap();
        assert_eq!(again.body, reply.body);
    }
    if let Some((&[command, ..], attributes)) = payload.split_first_chunk::<4>()
        && let Ok(command) = Command::try_from(command)
        && let Ok(request) = Request::parse(command, attributes)
    {
        let mut bytes = Vec::new();
        request.encode(REQUEST_HEADER, &mut bytes);
        assert_eq!(Request::parse(command, &only_message(&bytes).payload[4..]).unwrap(), request);
    }
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(request in request(), before in vec(any::<[u8; 4]>(), 0..3)) {
        let mut buffer = before.concat();
        let start = buffer.len();
        request.encode(REQUEST_HEADER, &mut buffer);
        prop_assert_eq!(&buffer[..start], before.concat());
        prop_assert_eq!(buffer.len() % 4, 0);
        let message = only_message(&buffer[start..]);
        prop_assert_eq!(message.payload[0], request.command() as u8);
        prop_assert_eq!(Request::parse(request.command(), &message.payload[4..]).unwrap(), request);
    }

    #[test]
    fn replies_are_read_as_they_were_written(
        body in body(),
        unknown in unknown(),
        padding in prop_oneof![Just(Padding::Unpadded), Just(Padding::Aligned)],
    ) {
        let reply = Reply { body, unknown };
        let mut buffer = Vec::new();
        reply.encode(REPLY_HEADER, padding, &mut buffer);
        let message = only_message(&buffer);
        prop_assert_eq!(message.header, REPLY_HEADER);
        prop_assert_eq!(Reply::parse(message.payload, None).unwrap(), reply);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..256)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_messages_do_not_panic(bytes in damaged()) {
        read_all(&bytes);
    }

    /// Nests of a valid shape with values of any length: deeper than bytes by themselves would get.
    #[test]
    fn attributes_of_any_size_do_not_panic(
        nest in 1u16..4,
        attributes in vec((1u16..17, vec(any::<u8>(), 0..20)), 0..12),
    ) {
        let inner = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect::<Vec<_>>();
        read_all(&attribute(nest, &inner));
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The longest attributes there can be: of what would not fit into a nest the rest is left out, none is damaged.
#[test]
fn unknown_attributes_that_do_not_fit_are_left_out() {
    let long = |kind, within| UnknownAttribute { within, kind, value: vec![1; 10_000] };
    let daemon = Daemon {
        state: DaemonState::Master,
        interface: "eth0".parse().unwrap(),
        sync_id: 0,
        maximum_length: None,
        multicast_port: None,
        multicast_ttl: None,
        multicast_group: None,
    };
    let too_much = [long(100, Nest::Daemon), long(101, Nest::Daemon)].to_vec();
    let reply = Reply { body: ReplyBody::Daemon(daemon), unknown: too_much };
    let mut buffer = Vec::new();
    reply.encode(REPLY_HEADER, Padding::Unpadded, &mut buffer);
    let read = Reply::parse(only_message(&buffer).payload, None).unwrap();
    assert_eq!(read, Reply { unknown: vec![long(100, Nest::Daemon)], ..reply });
}
