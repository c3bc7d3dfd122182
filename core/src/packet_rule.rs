//! Rules for packets that do not stand in the IPVS table: firewall marks, redirects on real servers, source NAT on
//! directors.
//!
//! Each rule is one entry of a table that the kernel looks a packet up in, by its protocol, its destination and its
//! port; a packet's own entry counts before one for all ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kernel::{Kernel, Op, Refusal};
use crate::names::{InvalidKey, as_text};
use crate::network::Protocol;

/// What a rule does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketRuleKind {
    /// It gets a firewall mark before it is routed, and so before IPVS sees it; in the address is a VIP.
    Mark,
    /// It comes to another port of the same address, and the reply leaves from the first; in the address is a VIP.
    Redirect,
    /// It leaves with the address of the link that it leaves by; in the address is a RIP.
    SourceNat,
}

impl PacketRuleKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Mark, Self::Redirect, Self::SourceNat];

    /// The kind as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mark => "Mark",
            Self::Redirect => "Redirect",
            Self::SourceNat => "SourceNat",
        }
    }

    /// The modules that have what its rules are made of, besides that of nftables itself.
    #[must_use]
    pub fn modules(self) -> &'static str {
        match self {
            Self::Mark => "nf_tables",
            Self::Redirect => "nf_tables, nft_chain_nat and nft_nat",
            Self::SourceNat => "nf_tables, nft_chain_nat and nft_masq",
        }
    }
}

/// The identity of a rule, written `Mark TCP 192.168.10.40:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketRuleKey {
    /// What it does.
    pub kind: PacketRuleKind,
    /// The protocol of the packets.
    pub protocol: Protocol,
    /// Their destination.
    pub address: IpAddr,
    /// Their destination's port; 0 for all ports.
    pub port: u16,
}

impl PacketRuleKey {
    /// No key is less.
    pub(crate) const LEAST: Self = Self {
        kind: PacketRuleKind::Mark,
        protocol: Protocol::Tcp,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 0,
    };

    /// The rules that mark packets to a VIP, as one range of keys per protocol.
    #[must_use]
    pub fn marks_of(vip: IpAddr) -> [RangeInclusive<Self>; 3] {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| {
            let key = |port| Self { kind: PacketRuleKind::Mark, protocol, address: vip, port };
            key(0)..=key(u16::MAX)
        })
    }

    /// The VIP, where the packets go to one.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        (self.kind != PacketRuleKind::SourceNat).then_some(self.address)
    }
}

impl fmt::Display for PacketRuleKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = SocketAddr::new(self.address, self.port);
        write!(formatter, "{} {} {to}", self.kind.as_str(), self.protocol)
    }
}

impl FromStr for PacketRuleKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey { text: text.to_owned(), wanted: "KIND PROTOCOL ADDRESS:PORT" };
        let mut words = text.split(' ');
        let (Some(kind), Some(protocol), Some(to), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong());
        };
        let kind = PacketRuleKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(wrong)?;
        let to: SocketAddr = to.parse().map_err(|_| wrong())?;
        Ok(Self { kind, protocol: protocol.parse()?, address: to.ip(), port: to.port() })
    }
}

as_text!(PacketRuleKey);

/// What a rule has besides its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PacketRuleSettings {
    /// The mark (1 to 2^32 − 1), or the port (1 to 65535); 0 for source NAT.
    pub value: u32,
    /// Whether packets get to it: somebody may have taken away what looks them up.
    #[serde(default = "reached", skip_serializing_if = "is_reached")]
    pub reached: bool,
}

impl PacketRuleSettings {
    /// A rule that packets get to.
    #[must_use]
    pub fn of(value: u32) -> Self {
        Self { value, reached: true }
    }
}

fn reached() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands skip_serializing_if a reference")]
fn is_reached(reached: &bool) -> bool {
    *reached
}

/// A rule as a person would say it.
pub(crate) struct Described(pub(crate) PacketRuleKey, pub(crate) PacketRuleSettings);

impl fmt::Display for Described {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key, PacketRuleSettings { value, .. }) = self;
        match key.kind {
            PacketRuleKind::Mark => write!(formatter, "{key} with {value}"),
            PacketRuleKind::Redirect => write!(formatter, "{key} to port {value}"),
            PacketRuleKind::SourceNat => write!(formatter, "{key}"),
        }
    }
}

impl Kernel {
    /// What a kernel does with an operation on packet rules.
    pub(crate) fn step_packet_rule(&mut self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::AddPacketRule(key, _) if self.packet_rules.contains_key(key) => return Err(Refusal::Exists),
            Op::AddPacketRule(key, settings) => _ = self.packet_rules.insert(*key, *settings),
            Op::SetPacketRule(key, settings) => {
                *self.packet_rules.get_mut(key).ok_or(Refusal::NoPacketRule)? = *settings;
            }
            Op::RemovePacketRule(key) => {
                self.packet_rules.remove(key).ok_or(Refusal::NoPacketRule)?;
            }
            // The other operations are not about packet rules (see `step`).
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_write() {
        for text in ["Mark TCP 192.168.10.40:80", "Redirect UDP [fd00::40]:53", "SourceNat SCTP 10.0.0.1:0"] {
            assert_eq!(text.parse::<PacketRuleKey>().unwrap().to_string(), text);
        }
        for text in ["", "Mark", "Mark TCP", "Mark TCP 1.2.3.4", "Drop TCP 1.2.3.4:1", "Mark TCP 1.2.3.4:1 x"]
        {
            assert!(text.parse::<PacketRuleKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_kernel_refuses_what_is_there_and_what_is_not() {
        let key = "Mark TCP 192.168.10.40:80".parse().unwrap();
        let mut kernel = Kernel::default();
        let (seven, eight) = (PacketRuleSettings::of(7), PacketRuleSettings::of(8));
        assert_eq!(kernel.step(&Op::SetPacketRule(key, seven)), Err(Refusal::NoPacketRule));
        assert_eq!(kernel.step(&Op::AddPacketRule(key, seven)), Ok(()));
        assert_eq!(kernel.step(&Op::AddPacketRule(key, seven)), Err(Refusal::Exists));
        assert_eq!(kernel.step(&Op::SetPacketRule(key, eight)), Ok(()));
        assert_eq!(kernel.packet_rules[&key], eight);
        assert_eq!(kernel.step(&Op::RemovePacketRule(key)), Ok(()));
        assert_eq!(kernel.step(&Op::RemovePacketRule(key)), Err(Refusal::NoPacketRule));
    }
}
