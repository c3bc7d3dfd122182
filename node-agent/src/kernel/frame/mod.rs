//! Ethernet frames that ask for a VIP and announce one: bytes to values and back, without any socket.

pub(super) mod arp;
pub(super) mod neighbour;

use std::net::IpAddr;

use lvs_core::network::MacAddress;

/// Every station (`ff:ff:ff:ff:ff:ff`).
pub(super) const BROADCAST: MacAddress = MacAddress([0xff; 6]);

/// Bytes of an Ethernet header: destination, source, type.
const ETHERNET_LENGTH: usize = 14;

/// Writes an Ethernet header.
fn ethernet(frame: &mut Vec<u8>, destination: MacAddress, source: MacAddress, ether_type: u16) {
    frame.extend_from_slice(&destination.0);
    frame.extend_from_slice(&source.0);
    frame.extend_from_slice(&ether_type.to_be_bytes());
}

/// What follows the Ethernet header, and the frame's source, where the frame is of this type.
fn strip_ethernet(frame: &[u8], ether_type: u16) -> Option<(MacAddress, &[u8])> {
    let (header, rest) = frame.split_first_chunk::<ETHERNET_LENGTH>()?;
    let source = header[6..12].try_into().ok()?;
    (header[12..] == ether_type.to_be_bytes()).then_some((MacAddress(source), rest))
}

/// A station that has an address, or that is about to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The address.
    pub(super) address: IpAddr,
    /// The station.
    pub(super) mac: MacAddress,
    /// The frame's source, where it is another one.
    pub(super) source: MacAddress,
}

/// The claim that a frame makes to an address, if it makes one.
pub(super) fn claim(frame: &[u8]) -> Option<Claim> {
    arp::claim(frame).or_else(|| neighbour::claim(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            claim(&bytes);
        }

        /// Arbitrary bytes rarely get past the first check: these are of the right type.
        #[test]
        fn nor_are_those_of_the_right_type(
            ether_type in proptest::sample::select(vec![0x0806_u16, 0x86dd]),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
        ) {
            let mut frame = Vec::new();
            ethernet(&mut frame, BROADCAST, BROADCAST, ether_type);
            frame.extend_from_slice(&bytes);
            claim(&frame);
        }

        #[test]
        fn nor_is_a_real_one_with_a_byte_changed_or_cut_short(
            position in 0..86_usize,
            byte in proptest::num::u8::ANY,
            length in 0..87_usize,
        ) {
            let mac = MacAddress([2, 0, 0, 0, 0, 1]);
            let mut frame = neighbour::advertisement(mac, "fd00::40".parse().unwrap());
            frame[position] = byte;
            frame.truncate(length);
            claim(&frame);
        }
    }
}
