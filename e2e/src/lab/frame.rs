//! Frames as the lab asks and reads them: ARP (RFC 826) and neighbour discovery (RFC 4861) over Ethernet.
//!
//! Written apart from what the agent uses: a test that read with the eyes of what it tests would see no mistake of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A hardware address. In a result it is written as everywhere: `02:00:c0:a8:0a:0a`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&parts.join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes: Vec<u8> =
            text.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>()?;
        Ok(Self(bytes.try_into().map_err(|_| anyhow::anyhow!("{text} is no hardware address"))?))
    }
}

const BROADCAST: Mac = Mac([0xff; 6]);
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;

/// What a frame says about who has which address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address that is claimed.
    pub address: IpAddr,
    /// Who claims it.
    pub mac: Mac,
    /// Whom an answer is for: the address that asked. An announcement names the claimed address (ARP) or a group.
    pub to: IpAddr,
    /// Whether it is an answer (ARP reply, neighbour advertisement), not a question whose sender claims an address.
    pub is_answer: bool,
}

/// The question who has `target`, asked by a host that has `sender` and `mac`. Nothing where the families differ.
#[must_use]
pub fn question(mac: Mac, sender: IpAddr, target: IpAddr) -> Option<Vec<u8>> {
    match (sender, target) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => Some(who_has(mac, sender, target)),
        (IpAddr::V6(sender), IpAddr::V6(target)) => Some(solicitation(mac, sender, target)),
        _ => None,
    }
}

/// The claim in a frame, where it has one.
#[must_use]
pub fn claim(frame: &[u8]) -> Option<Claim> {
    let payload = frame.get(14..)?;
    match <[u8; 2]>::try_from(frame.get(12..14)?).ok()? {
        ETHERTYPE_ARP => claim_in_arp(payload),
        ETHERTYPE_IPV6 => claim_in_advertisement(payload, Mac(frame.get(6..12)?.try_into().ok()?)),
        _ => None,
    }
}

/// Who asks whether an address is free, and which: an ARP probe (RFC 5227 2.1.1), or a neighbour solicitation of somebody
/// who has no address yet (RFC 4862 5.4.2).
#[must_use]
pub fn probe(frame: &[u8]) -> Option<(Mac, IpAddr)> {
    let payload = frame.get(14..)?;
    match <[u8; 2]>::try_from(frame.get(12..14)?).ok()? {
        ETHERTYPE_ARP if payload.get(6..8)? == [0, 1] && payload.get(14..18)? == [0; 4] => {
            Some((Mac(payload.get(8..14)?.try_into().ok()?), ipv4(payload.get(24..28)?)?.into()))
        }
        ETHERTYPE_IPV6
            if *payload.get(6)? == ICMPV6 && *payload.get(40)? == 135 && payload.get(8..24)? == [0; 16] =>
        {
            Some((Mac(frame.get(6..12)?.try_into().ok()?), ipv6(payload.get(48..64)?)?.into()))
        }
        _ => None,
    }
}

/// Source and destination of the TCP segment in a frame, where it is one.
#[must_use]
pub fn tcp(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    const TCP: u8 = 6;
    let payload = frame.get(14..)?;
    match <[u8; 2]>::try_from(frame.get(12..14)?).ok()? {
        ETHERTYPE_IPV4 if *payload.get(9)? == TCP => {
            Some((ipv4(payload.get(12..16)?)?.into(), ipv4(payload.get(16..20)?)?.into()))
        }
        ETHERTYPE_IPV6 if *payload.get(6)? == TCP => {
            Some((ipv6(payload.get(8..24)?)?.into(), ipv6(payload.get(24..40)?)?.into()))
        }
        _ => None,
    }
}

fn who_has(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    // Ethernet, IPv4, their lengths, request.
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

fn claim_in_arp(packet: &[u8]) -> Option<Claim> {
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    Some(Claim {
        is_answer: packet.get(6..8)? == [0, 2],
        mac: Mac(packet.get(8..14)?.try_into().ok()?),
        address: ipv4(packet.get(14..18)?)?.into(),
        to: ipv4(packet.get(24..28)?)?.into(),
    })
}

fn solicitation(mac: Mac, sender: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&[a, b, c]);
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([1, 1]);
    message.extend(mac.0);
    let sum = icmpv6_checksum(sender.octets(), group, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet(Mac([0x33, 0x33, 0xff, a, b, c]), mac, ETHERTYPE_IPV6);
    // Version 6, 32 bytes of ICMPv6, hop limit 255 as RFC 4861 7.1 demands.
    frame.extend([0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    frame.extend(sender.octets());
    frame.extend(group);
    frame.extend(message);
    frame
}

/// A neighbour advertisement; its link-layer option may be absent, then its sender speaks for itself.
fn claim_in_advertisement(packet: &[u8], source: Mac) -> Option<Claim> {
    if *packet.get(6)? != ICMPV6 || *packet.get(40)? != 136 {
        return None;
    }
    let option = packet.get(64..72).filter(|option| option.starts_with(&[2, 1]));
    let mac = option.and_then(|option| option.get(2..8)?.try_into().ok()).map_or(source, Mac);
    let address = ipv6(packet.get(48..64)?)?.into();
    Some(Claim { address, mac, to: ipv6(packet.get(24..40)?)?.into(), is_answer: true })
}

fn ethernet(to: Mac, from: Mac, kind: [u8; 2]) -> Vec<u8> {
    [&to.0[..], &from.0, &kind].concat()
}

/// The Internet checksum over the pseudo header of RFC 8200 8.1 and a message of even length.
fn icmpv6_checksum(from: [u8; 16], to: [u8; 16], message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let all = [&from[..], &to, &length, &[0, 0, 0, ICMPV6], message].concat();
    let mut sum: u32 =
        all.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes).ok()?.into())
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(bytes).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Mac = Mac([2, 0, 192, 168, 10, 101]);

    #[test]
    fn an_arp_question_claims_its_sender() {
        let frame =
            question(ASKER, "192.168.10.101".parse().unwrap(), "192.168.10.40".parse().unwrap()).unwrap();
        assert_eq!(frame.len(), 42);
        let claim = claim(&frame).unwrap();
        assert_eq!((claim.mac, claim.is_answer), (ASKER, false));
        assert_eq!(claim.address, "192.168.10.101".parse::<IpAddr>().unwrap());
        assert_eq!(claim.to, "192.168.10.40".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_solicitation_sums_to_zero_with_its_checksum() {
        let frame = question(ASKER, "fd00:10::101".parse().unwrap(), "fd00:10::40".parse().unwrap()).unwrap();
        let (from, to) = (frame[22..38].try_into().unwrap(), frame[38..54].try_into().unwrap());
        assert_eq!(icmpv6_checksum(from, to, &frame[54..]), 0);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0, 0, 0x40]);
        assert_eq!(tcp(&frame), None);
    }

    #[test]
    fn a_frame_cut_anywhere_claims_nothing_and_does_not_panic() {
        let pairs = [("192.168.10.101", "192.168.10.40"), ("fd00:10::101", "fd00:10::40")];
        for (sender, target) in pairs {
            let frame = question(ASKER, sender.parse().unwrap(), target.parse().unwrap()).unwrap();
            for length in 0..42 {
                assert_eq!(claim(&frame[..length]), None);
            }
        }
    }

    #[test]
    fn a_question_without_a_sender_is_a_probe() {
        for (none, own, target) in
            [("0.0.0.0", "192.168.10.101", "192.168.10.40"), ("::", "fd00:10::101", "fd00:10::40")]
        {
            let target: IpAddr = target.parse().unwrap();
            let frame = question(ASKER, none.parse().unwrap(), target).unwrap();
            assert_eq!(probe(&frame), Some((ASKER, target)));
            assert_eq!(probe(&question(ASKER, own.parse().unwrap(), target).unwrap()), None);
            assert!((0..42).all(|length| probe(&frame[..length]).is_none()));
        }
    }

    #[test]
    fn families_do_not_mix() {
        assert_eq!(question(ASKER, "192.168.10.101".parse().unwrap(), "fd00:10::40".parse().unwrap()), None);
    }
}
