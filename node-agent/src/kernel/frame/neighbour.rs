//! Neighbour discovery for IPv6 (RFC 4861) as far as a VIP needs it: the solicitation of duplicate address detection
//! (RFC 4862), and the unsolicited advertisement of a new holder.

use std::net::Ipv6Addr;

use lvs_core::network::MacAddress;

use super::{Claim, ethernet, strip_ethernet};

/// `ETH_P_IPV6`.
pub(in crate::kernel) const ETHER_TYPE: u16 = 0x86dd;

/// The next header for ICMP of IPv6.
pub(in crate::kernel) const ICMPV6: u8 = 58;
/// ICMP type of a neighbour solicitation.
pub(in crate::kernel) const SOLICITATION: u8 = 135;
/// ICMP type of a neighbour advertisement.
pub(in crate::kernel) const ADVERTISEMENT: u8 = 136;

/// All nodes of the link (`ff02::1`).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// A packet with less has passed a router, so that it is not from this link.
const HOP_LIMIT: u8 = 255;
/// The option that holds the sender's, or the target's, link-layer address.
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// Of an advertisement: the receiver is to overwrite what it knows.
const OVERRIDE: u8 = 0x20;
/// Bytes of an IPv6 header.
const IPV6_LENGTH: usize = 40;

/// Asks whether anybody has `address`, without a word of who asks (RFC 4862 5.4.2).
pub(in crate::kernel) fn solicitation(mac: MacAddress, address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    packet(mac, Ipv6Addr::UNSPECIFIED, solicited_node(address), message)
}

/// Says to all nodes of the link that `mac` has `address`, unasked, to overwrite what they know (RFC 4861 7.2.6). It
/// comes from the address itself, which is on the link when it is announced.
pub(in crate::kernel) fn advertisement(mac: MacAddress, address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    // The option's length is counted in units of 8 bytes.
    message.extend_from_slice(&[TARGET_LINK_LAYER_ADDRESS, 1]);
    message.extend_from_slice(&mac.0);
    packet(mac, address, ALL_NODES, message)
}

/// The group that a station with this address listens to (RFC 4291 2.7.1).
pub(in crate::kernel) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., low, high] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (low & 0xff), high)
}

/// The Ethernet group that a multicast address goes to (RFC 2464 7).
pub(in crate::kernel) fn multicast_mac(group: Ipv6Addr) -> MacAddress {
    let [.., a, b, c, d] = group.octets();
    MacAddress([0x33, 0x33, a, b, c, d])
}

/// A whole frame around an ICMP message whose checksum is still 0.
fn packet(mac: MacAddress, source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(source, destination, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    // A solicitation has 24 bytes, an advertisement 32.
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(super::ETHERNET_LENGTH + IPV6_LENGTH + message.len());
    ethernet(&mut frame, multicast_mac(destination), mac, ETHER_TYPE);
    // Version 6, no traffic class, no flow label.
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    frame.extend_from_slice(&message);
    frame
}

/// The internet checksum over the pseudo-header and a message of an even number of bytes (RFC 4443 2.3, RFC 1071).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let addresses = source.segments().into_iter().chain(destination.segments()).map(u32::from);
    let words = message.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = addresses.chain(words).sum::<u32>() + length + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop has left 16 bits.
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Who claims an address by this frame: a station that advertises it, or one that detects duplicates of it.
///
/// The checksum is not looked at: a network device may fill it in after the frame was seen here, and a claim that was
/// overheard is worse than one too many.
pub(super) fn claim(frame: &[u8]) -> Option<Claim> {
    let (ethernet_source, packet) = strip_ethernet(frame, ETHER_TYPE)?;
    let (header, message) = packet.split_first_chunk::<IPV6_LENGTH>()?;
    if header[0] >> 4 != 6 || header[6] != ICMPV6 || header[7] != HOP_LIMIT {
        return None;
    }
    let source: [u8; 16] = header[8..24].try_into().ok()?;
    let (fixed, options) = message.split_first_chunk::<24>()?;
    let [kind, 0, ..] = *fixed else { return None };
    let target: [u8; 16] = fixed[8..].try_into().ok()?;
    let mac = match kind {
        ADVERTISEMENT => target_link_layer_address(options).unwrap_or(ethernet_source),
        // Any other solicitation only asks for the way to the target.
        SOLICITATION if Ipv6Addr::from(source).is_unspecified() => ethernet_source,
        _ => return None,
    };
    Some(Claim { address: Ipv6Addr::from(target).into(), mac, source: ethernet_source })
}

/// Looks through the options of an advertisement.
fn target_link_layer_address(mut options: &[u8]) -> Option<MacAddress> {
    while let [kind, units, ..] = *options {
        // A length of 0 would never end.
        let length = usize::from(units.max(1)) * 8;
        let option = options.get(..length)?;
        if kind == TARGET_LINK_LAYER_ADDRESS {
            return option.get(2..8)?.try_into().ok().map(MacAddress);
        }
        options = &options[length..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x15]);

    fn vip() -> Ipv6Addr {
        "fd00::1:40".parse().unwrap()
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_the_address_from_nobody() {
        let bytes = b"\x33\x33\xff\x01\0\x40\x02\0\0\0\0\x15\x86\xdd\
            \x60\0\0\0\0\x18\x3a\xff\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\x01\0\x40\
            \x87\0\x7d\x25\0\0\0\0\
            \xfd\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x40";
        assert_eq!(solicitation(OURS, vip()), bytes);
        assert_eq!(claim(bytes), Some(Claim { address: vip().into(), mac: OURS, source: OURS }));
    }

    #[test]
    fn an_advertisement_goes_to_all_nodes_and_overrides() {
        let bytes = b"\x33\x33\0\0\0\x01\x02\0\0\0\0\x15\x86\xdd\
            \x60\0\0\0\0\x20\x3a\xff\
            \xfd\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x40\
            \xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
            \x88\0\x5a\x07\x20\0\0\0\
            \xfd\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x40\
            \x02\x01\x02\0\0\0\0\x15";
        assert_eq!(advertisement(OURS, vip()), bytes);
        assert_eq!(claim(bytes), Some(Claim { address: vip().into(), mac: OURS, source: OURS }));
    }

    /// RFC 1071: the sum over everything, the checksum included, is all ones.
    #[test]
    fn the_checksum_cancels_out() {
        for frame in [solicitation(OURS, vip()), advertisement(OURS, vip())] {
            let (source, destination): ([u8; 16], [u8; 16]) =
                (frame[22..38].try_into().unwrap(), frame[38..54].try_into().unwrap());
            assert_eq!(checksum(source.into(), destination.into(), &frame[54..]), 0);
        }
    }

    #[test]
    fn a_question_for_the_way_claims_nothing() {
        let mut frame = solicitation(OURS, vip());
        frame[37] = 1;
        assert_eq!(claim(&frame), None);
    }

    #[test]
    fn the_station_is_the_one_that_the_advertisement_names() {
        let mut frame = advertisement(OURS, vip());
        frame[85] = 0x99;
        let theirs = MacAddress([2, 0, 0, 0, 0, 0x99]);
        assert_eq!(claim(&frame), Some(Claim { address: vip().into(), mac: theirs, source: OURS }));
        // Without the option it is the sender.
        frame.truncate(78);
        assert_eq!(claim(&frame).unwrap().mac, OURS);
    }

    #[test]
    fn what_has_passed_a_router_or_is_cut_short_says_nothing() {
        let frame = solicitation(OURS, vip());
        let mut routed = frame.clone();
        routed[21] = 254;
        assert_eq!(claim(&routed), None);
        for length in 0..frame.len() {
            assert_eq!(claim(&frame[..length]), None);
        }
    }
}
