use netlink_packet_ipvs::{
    AddressFamily, Destination, DestinationEntry, DestinationIdentity, ForwardingMethod, MessageHeader, Nest,
    Padding, Reply, ReplyBody, ServiceFlags, Stats, Tunnel, UnknownAttribute,
};

use crate::{bytes, ip};

/// A destination of 10.0.0.2:80 without family, tunnel and statistics, as kernels before 3.18 tell it; an address
/// of four bytes instead of sixteen comes from none, and is taken.
const OLD_DESTINATION: &str =
    "05010000 4c000200 080001000a000002 0600020000500000 0800030003000000 0800040001000000
     0800050000000000 0800060000000000 080007000b000000 080008000c000000 080009000d000000";

fn old_destination() -> DestinationEntry {
    DestinationEntry {
        destination: Destination {
            identity: DestinationIdentity { address: ip("10.0.0.2"), port: 80 },
            forwarding: ForwardingMethod::DirectRouting,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
        },
        active_connections: 11,
        inactive_connections: 12,
        persistent_connections: 13,
        stats: None,
        stats64: None,
    }
}

#[test]
fn destination_without_family_has_its_services() {
    let payload = bytes(OLD_DESTINATION);
    let reply = Reply::parse(&payload, Some(AddressFamily::Ipv4)).unwrap();
    assert_eq!(reply.body, ReplyBody::Destination(old_destination()));

    let unspecified = [&bytes("05010000 54000200 06000b0000000000"), &payload[8..]].concat();
    assert_eq!(Reply::parse(&unspecified, Some(AddressFamily::Ipv4)).unwrap(), reply);
}

#[test]
fn destination_without_any_family_is_an_error_that_says_so() {
    let error = Reply::parse(&bytes(OLD_DESTINATION), None).unwrap_err().to_string();
    assert_eq!(error, "IPVS_DEST_ATTR_ADDR_FAMILY is missing and the service's family is not known");
}

/// Its own family counts, wherever it stands.
#[test]
fn destination_of_another_family_than_its_service() {
    let payload = bytes(
        "05010000 60000200 14000100fd000000000000000000000000000002 0600020000500000 0800030002000000 0800040001000000
         0800050000000000 0800060000000000 0800070000000000 0800080000000000 0800090000000000 06000b000a000000",
    );
    let reply = Reply::parse(&payload, Some(AddressFamily::Ipv4)).unwrap();
    let ReplyBody::Destination(entry) = reply.body else { panic!("not a destination: {reply:?}") };
    assert_eq!(entry.destination.identity.address, ip("fd00::2"));
}

/// A service with a different number in each statistic, and attributes that nobody knows in every nest.
const STRANGE_SERVICE: &str = "01010000 28010100
     060001000a000000 08000500d2040000 0700060072720000 0c00070003000000ffffffff 080008003c000000 0800090080000000
     64000a00 0800010001000000 0800020002000000 0800030003000000
              0c0004000400000000000000 0c0005000500000000000000
              0800060006000000 0800070007000000 0800080008000000 0800090009000000 08000a000a000000
              05000c00aa000000
     84000c00 0c0001000b00000001000000 0c0002000c00000001000000 0c0003000d00000001000000
              0c0004000e00000001000000 0c0005000f00000001000000
              0c0006001000000001000000 0c0007001100000001000000 0c0008001200000001000000
              0c0009001300000001000000 0c000a001400000001000000
              08006300bbbbbbbb
     07006400 cccccc00
     04004800";

#[test]
fn statistics_and_unknown_attributes_are_kept_in_their_places() {
    let payload = bytes(STRANGE_SERVICE);
    let reply = Reply::parse(&payload, None).unwrap();
    let ReplyBody::Service(entry) = reply.body else { panic!("not a service: {reply:?}") };
    assert!(entry.service.flags.contains(ServiceFlags::HASHED));
    assert_eq!(entry.service.flags.without(ServiceFlags::HASHED), ServiceFlags::PERSISTENT);
    assert_eq!(
        entry.stats,
        Some(Stats {
            connections: 1,
            incoming_packets: 2,
            outgoing_packets: 3,
            incoming_bytes: 4,
            outgoing_bytes: 5,
            connections_per_second: 6,
            incoming_packets_per_second: 7,
            outgoing_packets_per_second: 8,
            incoming_bytes_per_second: 9,
            outgoing_bytes_per_second: 10,
        })
    );
    let above_32_bits = 1 << 32;
    assert_eq!(
        entry.stats64,
        Some(Stats {
            connections: above_32_bits + 11,
            incoming_packets: above_32_bits + 12,
            outgoing_packets: above_32_bits + 13,
            incoming_bytes: above_32_bits + 14,
            outgoing_bytes: above_32_bits + 15,
            connections_per_second: above_32_bits + 16,
            incoming_packets_per_second: above_32_bits + 17,
            outgoing_packets_per_second: above_32_bits + 18,
            incoming_bytes_per_second: above_32_bits + 19,
            outgoing_bytes_per_second: above_32_bits + 20,
        })
    );
    let unknown = |within, kind, value: &[u8]| UnknownAttribute { within, kind, value: value.to_vec() };
    // What stands beside the nest is met first: the nest is read once all of the message was seen.
    assert_eq!(
        reply.unknown,
        [
            unknown(Nest::Message, 0x48, &[]),
            unknown(Nest::Stats, 12, &[0xaa]),
            unknown(Nest::Stats64, 99, &[0xbb; 4]),
            unknown(Nest::Service, 100, &[0xcc; 3]),
        ]
    );

    let mut encoded = Vec::new();
    let header = MessageHeader { message_type: 30, flags: 2, sequence: 1, port: 2 };
    reply.encode(header, Padding::Unpadded, &mut encoded);
    assert_eq!(encoded[16..], payload);
}

/// As the kernel reads: of an attribute that comes twice, the last counts.
#[test]
fn last_of_two_counts() {
    let payload = bytes("0e010000 0800010001000000 0800020000100000 0800010002000000");
    let ReplyBody::Info(info) = Reply::parse(&payload, None).unwrap().body else { panic!("not an info") };
    assert_eq!((info.version_parts(), info.connection_table_size), ([0, 0, 2], 4096));
}
