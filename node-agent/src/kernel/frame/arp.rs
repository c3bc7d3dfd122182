//! ARP over Ethernet for IPv4 (RFC 826), its probes and announcements (RFC 5227).

use std::net::Ipv4Addr;

use lvs_core::network::MacAddress;

use super::{BROADCAST, Claim, ethernet, strip_ethernet};

/// `ETH_P_ARP`.
pub(in crate::kernel) const ETHER_TYPE: u16 = 0x0806;

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const ETHERNET_AND_IPV4: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const NOBODY: MacAddress = MacAddress([0; 6]);

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arp {
    operation: u16,
    sender: (MacAddress, Ipv4Addr),
    target: (MacAddress, Ipv4Addr),
}

/// Asks whether anybody has `address`, without a word of who asks (RFC 5227 2.1.1): nobody's cache changes by it.
pub(in crate::kernel) fn probe(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    let arp = Arp { operation: REQUEST, sender: (mac, Ipv4Addr::UNSPECIFIED), target: (NOBODY, address) };
    arp.broadcast()
}

/// Says that `mac` has `address`, in the form of a request (RFC 5227 2.3).
pub(in crate::kernel) fn announcement(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    Arp { operation: REQUEST, sender: (mac, address), target: (NOBODY, address) }.broadcast()
}

/// The same in the form of a reply, which some stations heed alone (RFC 5944 4.6).
pub(in crate::kernel) fn announcement_as_reply(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    Arp { operation: REPLY, sender: (mac, address), target: (mac, address) }.broadcast()
}

/// Who claims an address by this frame: a station that sends from it, or one that probes for it.
pub(super) fn claim(frame: &[u8]) -> Option<Claim> {
    let (source, packet) = strip_ethernet(frame, ETHER_TYPE)?;
    let arp = Arp::parse(packet)?;
    let (mac, sender) = arp.sender;
    let probing = sender.is_unspecified() && arp.operation == REQUEST;
    let address = if probing { arp.target.1 } else { sender };
    Some(Claim { address: address.into(), mac, source })
}

impl Arp {
    fn broadcast(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(42);
        ethernet(&mut frame, BROADCAST, self.sender.0, ETHER_TYPE);
        frame.extend_from_slice(&ETHERNET_AND_IPV4);
        frame.extend_from_slice(&self.operation.to_be_bytes());
        for (mac, address) in [self.sender, self.target] {
            frame.extend_from_slice(&mac.0);
            frame.extend_from_slice(&address.octets());
        }
        frame
    }

    /// Reads a packet, which may be followed by the padding of a short frame.
    fn parse(packet: &[u8]) -> Option<Self> {
        let (kind, rest) = packet.split_first_chunk::<6>()?;
        let (operation, rest) = rest.split_first_chunk::<2>()?;
        let (sender, rest) = rest.split_first_chunk::<10>()?;
        let (target, _) = rest.split_first_chunk::<10>()?;
        let party = |&[a, b, c, d, e, f, w, x, y, z]: &[u8; 10]| {
            (MacAddress([a, b, c, d, e, f]), Ipv4Addr::new(w, x, y, z))
        };
        (*kind == ETHERNET_AND_IPV4).then(|| Self {
            operation: u16::from_be_bytes(*operation),
            sender: party(sender),
            target: party(target),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 0x15]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 40);

    /// `arping -D -c 1 -I eth0 192.168.10.40`
    #[test]
    fn a_probe_names_no_sender() {
        let bytes = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x15\x08\x06\
            \0\x01\x08\0\x06\x04\0\x01\
            \x02\0\0\0\0\x15\0\0\0\0\
            \0\0\0\0\0\0\xc0\xa8\x0a\x28";
        assert_eq!(probe(OURS, VIP), bytes);
        assert_eq!(claim(bytes), Some(Claim { address: VIP.into(), mac: OURS, source: OURS }));
    }

    /// `arping -U -c 1 -I eth0 192.168.10.40`, but for the target's MAC, which nobody reads
    #[test]
    fn an_announcement_is_a_request_for_ones_own_address() {
        let bytes = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x15\x08\x06\
            \0\x01\x08\0\x06\x04\0\x01\
            \x02\0\0\0\0\x15\xc0\xa8\x0a\x28\
            \0\0\0\0\0\0\xc0\xa8\x0a\x28";
        assert_eq!(announcement(OURS, VIP), bytes);
        assert_eq!(claim(bytes), Some(Claim { address: VIP.into(), mac: OURS, source: OURS }));
    }

    /// `arping -A -c 1 -I eth0 192.168.10.40`
    #[test]
    fn or_a_reply_that_nobody_asked_for() {
        let bytes = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x15\x08\x06\
            \0\x01\x08\0\x06\x04\0\x02\
            \x02\0\0\0\0\x15\xc0\xa8\x0a\x28\
            \x02\0\0\0\0\x15\xc0\xa8\x0a\x28";
        assert_eq!(announcement_as_reply(OURS, VIP), bytes);
    }

    #[test]
    fn an_answer_is_a_claim_and_a_question_claims_the_askers_own_address() {
        let theirs = MacAddress([0x02, 0, 0, 0, 0, 0x99]);
        let asker = Ipv4Addr::new(192, 168, 10, 1);
        let answer = Arp { operation: REPLY, sender: (theirs, VIP), target: (OURS, Ipv4Addr::UNSPECIFIED) };
        // As it comes on the wire: padded to the shortest frame.
        let mut frame = answer.broadcast();
        frame.resize(60, 0);
        assert_eq!(claim(&frame), Some(Claim { address: VIP.into(), mac: theirs, source: theirs }));
        let question = Arp { operation: REQUEST, sender: (theirs, asker), target: (NOBODY, VIP) };
        assert_eq!(claim(&question.broadcast()).unwrap().address, std::net::IpAddr::from(asker));
    }

    #[test]
    fn what_is_cut_short_or_of_another_kind_says_nothing() {
        let frame = probe(OURS, VIP);
        for length in 0..frame.len() {
            assert_eq!(claim(&frame[..length]), None);
        }
        // Hardware type, protocol type and lengths of something else.
        for position in 14..20 {
            let mut other = frame.clone();
            other[position] ^= 0x10;
            assert_eq!(claim(&other), None);
        }
    }
}
