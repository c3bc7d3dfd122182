//! The kernel as a node's plan and its local facts want it, and what `diff` makes of the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::counters::ZeroMark;
use crate::custody::{Item, Record};
use crate::ipvs::{Timeouts, VirtualServerKey};
use crate::kernel::{AddressAttributes, AddressKey, Op, Refusal, VirtualServer};
use crate::names::{LinkName, ServiceName};
use crate::node_report::Trouble;
use crate::packet_rule::{PacketRuleKey, PacketRuleSettings};
use crate::sysctl::Sysctl;
use crate::tunnel::{GuePort, TunnelDevice};

/// Our part of the kernel as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// The loopback link, where VIPs are bound; `None` where the node shows none: then `lo` is meant.
    pub loopback: Option<LinkName>,
    /// Virtual services with their destinations.
    pub virtual_servers: BTreeMap<VirtualServerKey, VirtualServer>,
    /// The VIPs that each virtual service of a mark serves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub marked: BTreeMap<VirtualServerKey, BTreeSet<IpAddr>>,
    /// The virtual services of marks that serve each VIP.
    #[serde(skip)]
    pub marked_by: BTreeMap<IpAddr, BTreeSet<VirtualServerKey>>,
    /// VIPs on `lo` and on uplinks.
    pub addresses: BTreeMap<AddressKey, AddressAttributes>,
    /// The links on which ARP has to be hidden: every ARP-capable one where an IPv4 VIP is accepted.
    pub hide: BTreeSet<LinkName>,
    /// Those of `hide` whose effective `arp_ignore` must be exactly 1: the uplinks that attract a VIP.
    pub answer: BTreeSet<LinkName>,
    /// IPVS's timeouts; `None`: as they were before us.
    pub timeouts: Option<Timeouts>,
    /// Sysctls; those that are not here: as they were before us.
    pub sysctls: BTreeMap<Sysctl, i32>,
    /// Tunnel devices that take in what directors send.
    pub tunnels: BTreeMap<LinkName, TunnelDevice>,
    /// The UDP ports at which GUE is taken in.
    pub gue_ports: BTreeSet<GuePort>,
    /// Rules for packets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packet_rules: BTreeMap<PacketRuleKey, PacketRuleSettings>,
    /// The links on which IPv4 packets for others must be forwarded: those by which real servers reply that are sent to by
    /// masquerading.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forward: BTreeSet<LinkName>,
    /// The services that each tunnel device, port, packet rule and forwarding link is for.
    #[serde(skip)]
    pub users: BTreeMap<Item, BTreeSet<ServiceName>>,
    /// Nothing of ours is removed and nothing restored: the plan is incomplete.
    pub keep_everything: bool,
    /// Items that stay exactly as they are, there or not: a probe is under way, or the kernel lacks a scheduler. Of a
    /// virtual service that is also wanted only the settings stay; where it exists its destinations follow.
    pub keep: BTreeSet<Item>,
    /// VIPs of which nothing is removed or changed but what is wanted: the agent lacks a feature that a service needs.
    pub keep_vips: BTreeSet<IpAddr>,
    /// Virtual services that are taken over although they are not ours and differ.
    pub adopt: BTreeSet<VirtualServerKey>,
    /// Virtual services whose counters are zeroed, unless that was done for the same token already.
    pub zero_counters: BTreeMap<VirtualServerKey, ZeroMark>,
    /// VIPs to be probed now, each on its uplink.
    pub probes: BTreeMap<IpAddr, LinkName>,
    /// VIPs that this node holds by plan and whose probe was clean, each on its uplink: these are announced.
    pub announce: BTreeMap<IpAddr, LinkName>,
    /// Which service each VIP-bound item belongs to, for reports and for holding back what depends on a failure.
    pub owners: BTreeMap<VirtualServerKey, ServiceName>,
    /// What keeps a service from being wanted as planned.
    pub troubles: BTreeMap<ServiceName, BTreeSet<Trouble>>,
    /// What is wrong for the node as a whole.
    pub node_troubles: BTreeSet<Trouble>,
}

/// What `diff` looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    #[default]
    Everything,
    /// Only a part. Node-wide settings are left out, except that ARP is hidden where it must be.
    Part(Part),
}

/// A part of a node's kernel: what belongs to some VIPs, and some virtual servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// All that belongs to these VIPs.
    pub vips: BTreeSet<IpAddr>,
    /// These virtual servers with their destinations, whatever their VIP.
    pub servers: BTreeSet<VirtualServerKey>,
}

/// Operations of which each is acknowledged before the next phase starts. Inside a phase order does not matter for
/// safety, and one refusal does not stop the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Which phase it is.
    pub name: PhaseName,
    /// Custody records that are on disk before the first operation.
    pub before: Vec<Record>,
    /// The operations.
    pub ops: Vec<Op>,
    /// Custody records that are written once the operations are acknowledged, each only where its own succeeded.
    pub after: Vec<Record>,
}

/// The phases in their order. Going comes first where it makes a node safer, last where it takes service away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PhaseName {
    /// VIPs leave uplinks.
    #[default]
    Withdraw,
    /// VIPs leave `lo`.
    Unbind,
    /// Redirects and source NAT come.
    OpenTranslations,
    /// ARP is hidden.
    Hide,
    /// VIPs come to `lo`.
    Accept,
    /// Tunnels are taken in.
    OpenTunnels,
    /// Virtual services, timeouts, sysctls and forwarding are added and changed.
    VirtualServers,
    /// Destinations are added and changed.
    Destinations,
    /// Packets get marks.
    MarkPackets,
    /// Packets get marks no more.
    UnmarkPackets,
    /// Destinations are removed.
    RemoveDestinations,
    /// Virtual services are removed; timeouts and sysctls come back.
    RemoveVirtualServers,
    /// VIPs come to uplinks.
    Attract,
    /// ARP settings and forwarding come back.
    Show,
    /// Tunnels are taken in no more.
    CloseTunnels,
    /// Redirects and source NAT go.
    CloseTranslations,
}

/// Something that is not done although it is wanted, or left although it is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is held.
    pub item: Item,
    /// Why.
    pub trouble: Trouble,
}

/// An operation that the kernel refused, or that was left out because one that it needs was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The operation.
    pub op: Op,
    /// What the kernel said; `None` where it was left out.
    pub refusal: Option<Refusal>,
}
