//! Our table of nftables: what stands in it, and by which names.
//!
//! ```text
//! table inet lvs-operator {
//!   map mark-ipv4 { type ipv4_addr . inet_proto . inet_service : mark; … }         a map for each family, and one more for
//!   map mark-all-ipv4 { type ipv4_addr . inet_proto : mark; … }                    rules for all ports
//!   chain mark-packets { type filter hook prerouting priority mangle;
//!     meta mark set ip daddr . meta l4proto . th dport map @mark-ipv4; … }         a rule for each map
//!   …                                                                              and so for each kind
//! }
//! ```
//!
//! So a packet costs a look-up per map, however many rules there are, and a changed rule is a changed element. The chain of
//! a kind, with its maps, is there while it has elements, and the table while it has chains: a node whose services need
//! marks alone gets no connection tracking, which a nat chain would bring.

use lvs_core::network::Family;
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind};

/// The table's name.
pub(super) const TABLE: &str = "lvs-operator";

// linux/netfilter.h
const NF_INET_PRE_ROUTING: u32 = 0;
const NF_INET_POST_ROUTING: u32 = 4;
// linux/netfilter_ipv4.h
const NF_IP_PRI_MANGLE: i32 = -150;
const NF_IP_PRI_NAT_DST: i32 = -100;
const NF_IP_PRI_NAT_SRC: i32 = 100;

/// Numbers by which `nft` tells what a map's keys and values are; the kernel only keeps them.
mod data_type {
    pub(super) const IPV4_ADDRESS: u32 = 7;
    pub(super) const IPV6_ADDRESS: u32 = 8;
    pub(super) const PROTOCOL: u32 = 12;
    pub(super) const PORT: u32 = 13;
    pub(super) const MARK: u32 = 19;

    /// One value after the other.
    pub(super) fn joined(types: impl IntoIterator<Item = u32>) -> u32 {
        types.into_iter().fold(0, |all, one| all << 6 | one)
    }
}

/// A chain: all that is done for one kind of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// `filter` or `nat`.
    pub(super) kind: &'static str,
    pub(super) hook: u32,
    pub(super) priority: i32,
}

impl Chain {
    pub(super) fn of(kind: PacketRuleKind) -> Self {
        let (name, kind, hook, priority) = match kind {
            PacketRuleKind::Mark => ("mark-packets", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE),
            PacketRuleKind::Redirect => ("redirect-packets", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST),
            PacketRuleKind::SourceNat => {
                ("masquerade-packets", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC)
            }
        };
        Self { name, kind, hook, priority }
    }
}

/// A map of keys to values, or of source NAT a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Map {
    pub(super) kind: PacketRuleKind,
    pub(super) family: Family,
    /// Whether its keys have no port.
    pub(super) all_ports: bool,
}

impl Map {
    /// The map in which a rule stands.
    pub(super) fn of(key: &PacketRuleKey) -> Self {
        Self { kind: key.kind, family: Family::of(key.address), all_ports: key.port == 0 }
    }

    /// The maps of a kind in the order in which packets are looked up: of marks the last one found counts, of the others
    /// the first.
    pub(super) fn of_kind(kind: PacketRuleKind) -> [Self; 4] {
        let mark_first = kind == PacketRuleKind::Mark;
        [
            (Family::IPv4, mark_first),
            (Family::IPv4, !mark_first),
            (Family::IPv6, mark_first),
            (Family::IPv6, !mark_first),
        ]
        .map(|(family, all_ports)| Self { kind, family, all_ports })
    }

    pub(super) fn name(self) -> String {
        let word = match self.kind {
            PacketRuleKind::Mark => "mark",
            PacketRuleKind::Redirect => "redirect",
            PacketRuleKind::SourceNat => "masquerade",
        };
        let all = if self.all_ports { "-all" } else { "" };
        let family = match self.family {
            Family::IPv4 => "ipv4",
            Family::IPv6 => "ipv6",
        };
        format!("{word}{all}-{family}")
    }

    /// Bytes of an address.
    pub(super) fn address_length(self) -> u32 {
        match self.family {
            Family::IPv4 => 4,
            Family::IPv6 => 16,
        }
    }

    /// The type and the length of its keys: address, protocol, port, each filled up to four bytes.
    pub(super) fn keys(self) -> (u32, u32) {
        let port = (!self.all_ports).then_some(data_type::PORT);
        let types = [self.address_type(), data_type::PROTOCOL].into_iter().chain(port);
        (data_type::joined(types), self.address_length() + if self.all_ports { 4 } else { 8 })
    }

    /// The type and the length of its values, where it has any: a mark, or the packet's own address and another port.
    pub(super) fn values(self) -> Option<(u32, u32)> {
        match self.kind {
            PacketRuleKind::Mark => Some((data_type::MARK, 4)),
            PacketRuleKind::Redirect => {
                let types = [self.address_type(), data_type::PORT];
                Some((data_type::joined(types), self.address_length() + 4))
            }
            PacketRuleKind::SourceNat => None,
        }
    }

    fn address_type(self) -> u32 {
        match self.family {
            Family::IPv4 => data_type::IPV4_ADDRESS,
            Family::IPv6 => data_type::IPV6_ADDRESS,
        }
    }
}
