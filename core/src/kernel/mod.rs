//! A node's kernel as a value: the part of it that this software observes and changes.

mod op;
mod step;
mod step_tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use op::Op;
pub use step::Refusal;

use crate::flat_map::FlatMap;
use crate::ipvs::{DestinationKey, DestinationSettings, Timeouts, VirtualServerKey, VirtualServerSettings};
use crate::names::{InvalidKey, LinkName, SchedulerName, as_text};
use crate::network::Family;
use crate::packet_rule::{PacketRuleKey, PacketRuleSettings};
use crate::sysctl::Sysctl;
use crate::tunnel::{GuePort, TunnelDevice};

/// What is in the kernel, ours and everybody else's. An empty one is a node where nothing has been set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kernel {
    /// The IPVS table of the network namespace.
    pub virtual_servers: BTreeMap<VirtualServerKey, VirtualServer>,
    /// IPVS's timeouts; `None` where the module is not loaded.
    pub timeouts: Option<Timeouts>,
    /// Settings under `/proc/sys/net`, as far as the kernel has them.
    pub sysctls: BTreeMap<Sysctl, i32>,
    /// The addresses of all links.
    pub addresses: BTreeMap<AddressKey, AddressAttributes>,
    /// The ARP settings of all links, loopback included (`net.ipv4.conf.LINK`).
    pub arp: BTreeMap<LinkName, ArpSettings>,
    /// `net.ipv4.conf.all`: the effective setting is the greater of this and the link's.
    pub arp_all: ArpSettings,
    /// The tunnel devices.
    pub tunnels: BTreeMap<LinkName, TunnelDevice>,
    /// The UDP ports at which the kernel takes GUE in.
    pub gue_ports: BTreeSet<GuePort>,
    /// `net.ipv4.conf.all.rp_filter`: the effective filter is the greater of this and the link's.
    pub rp_filter_all: u32,
    /// The rules for packets in the table that is ours alone; read only where there may be any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packet_rules: BTreeMap<PacketRuleKey, PacketRuleSettings>,
    /// The links on which IPv4 packets come in that are for others and are forwarded (`net.ipv4.conf.LINK.forwarding`).
    pub forwarding: BTreeSet<LinkName>,
    /// `net.ipv4.conf.all.forwarding`, which is `net.ipv4.ip_forward`: writing it sets all links', and afterwards each
    /// link's counts.
    pub forwarding_all: bool,
    /// The schedulers that the kernel has or can load; `None` where that is not known.
    pub schedulers: Option<BTreeSet<SchedulerName>>,
}

/// A virtual service with its destinations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Scheduler, flags, persistence.
    #[serde(flatten)]
    pub settings: VirtualServerSettings,
    /// The destinations by RIP and port.
    #[serde(default)]
    pub destinations: FlatMap<DestinationKey, DestinationSettings>,
}

/// The identity of an address on a node, written `lo 192.168.10.40/32`. The kernel takes one address with two
/// prefix lengths for two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// The link.
    pub link: LinkName,
    /// The address.
    pub address: IpAddr,
    /// The prefix length.
    pub prefix_length: u8,
}

impl AddressKey {
    /// A single address (/32 or /128) on a link: the only form in which a VIP is ever bound.
    #[must_use]
    pub fn host(link: LinkName, address: IpAddr) -> Self {
        Self { link, address, prefix_length: Family::of(address).host_length() }
    }

    /// Whether the prefix holds this one address only.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.prefix_length == Family::of(self.address).host_length()
    }
}

/// What an address has besides its identity (rtnetlink(7), `struct ifaddrmsg` and `IFA_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressAttributes {
    /// `rt_scope_t`: 0 global, 253 link, 254 host.
    #[serde(default)]
    pub scope: u8,
    /// `IFA_F_NODAD`: no duplicate address detection (IPv6).
    #[serde(default)]
    pub no_dad: bool,
    /// How long the address is preferred as a source, in seconds; `None` for ever, 0 never (deprecated).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_seconds: Option<u32>,
    /// How long it is valid, in seconds; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_seconds: Option<u32>,
}

impl AddressAttributes {
    /// What we give a VIP: scope global and valid for ever; IPv6 without duplicate address detection and
    /// deprecated, so that it is never chosen as a source address.
    #[must_use]
    pub fn vip(family: Family) -> Self {
        let v6 = family == Family::IPv6;
        Self { scope: 0, no_dad: v6, preferred_seconds: v6.then_some(0), valid_seconds: None }
    }
}

/// `arp_ignore` and `arp_announce` of a link or of `all` (Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArpSettings {
    /// To which requests the node answers: 0 any local address, 1 only those of the link, …, 8 none.
    pub ignore: u32,
    /// Which source address it puts in its own requests: 2 the best of the link towards the target.
    pub announce: u32,
}

impl ArpSettings {
    /// The setting in force on a link: the greater of the link's and that of `all`, each for itself.
    #[must_use]
    pub fn effective(self, all: Self) -> Self {
        Self { ignore: self.ignore.max(all.ignore), announce: self.announce.max(all.announce) }
    }

    /// Whether a VIP on `lo` stays unanswered and unannounced with this effective setting: `arp_ignore` 1, 2 or 8
    /// (0 answers, 3 answers for scope global, 4 to 7 are reserved and answer), `arp_announce` 2.
    #[must_use]
    pub fn hides(self) -> bool {
        matches!(self.ignore, 1 | 2 | 8) && self.announce >= 2
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.link, self.address, self.prefix_length)
    }
}

impl FromStr for AddressKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey { text: text.to_owned(), wanted: "LINK ADDRESS/LENGTH" };
        let (link, prefix) = text.split_once(' ').ok_or_else(wrong)?;
        let prefix: crate::network::Prefix = prefix.parse()?;
        let link = link.parse().map_err(|_| wrong())?;
        Ok(Self { link, address: prefix.address, prefix_length: prefix.length })
    }
}

as_text!(AddressKey);
