//! Local facts: what a node's agent knows of its own node besides the part of the kernel that it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::kernel::{AddressKey, ArpSettings};
use crate::names::{BootId, Feature, LinkName, NodeName, SchedulerName};
use crate::neighbour::{Flush, TableWriter};
use crate::network::{MacAddress, Prefix};
use crate::time::Monotonic;

/// What an agent knows of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Local {
    /// The node's name.
    pub node: NodeName,
    /// The present boot.
    pub boot_id: BootId,
    /// The agent's version.
    pub agent_version: String,
    /// What this agent can do.
    pub features: BTreeSet<Feature>,
    /// The kernel's release (`uname -r`).
    pub kernel_release: String,
    /// Whether the kernel has IPVS.
    pub ipvs: bool,
    /// The schedulers that the kernel has or can load; empty where that could not be found out.
    pub schedulers: BTreeSet<SchedulerName>,
    /// The links.
    pub links: BTreeMap<LinkName, Link>,
    /// ARP settings of `net.ipv4.conf.all`.
    pub arp_all: ArpSettings,
    /// Whether IPv6 packets for others are forwarded (`net.ipv6.conf.all.forwarding`).
    pub forwards_ipv6: bool,
    /// The link of the default route, per family, the preferred one first.
    pub default_links: Vec<LinkName>,
    /// Next hops of the node's routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Addresses of the API server as the agent reaches it.
    pub api_servers: BTreeSet<IpAddr>,
    /// How the kernel would route to each address that the plan names as a RIP.
    pub paths: BTreeMap<IpAddr, Path>,
    /// Probes of VIPs since the agent started, the last of each.
    pub probes: BTreeMap<IpAddr, Probe>,
    /// The addresses that custody holds: they are ours, and so never taken for the node's own.
    pub ours: BTreeSet<AddressKey>,
    /// Who else is known to write to the IPVS table, by other marks than links.
    pub table_writers: BTreeSet<TableWriter>,
    /// That somebody has emptied the table.
    pub flush: Option<Flush>,
    /// Who decides that this node holds a VIP.
    pub claim: HoldingClaim,
}

/// A link of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// The kernel's index.
    pub index: u32,
    /// Its MAC address, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
    /// Whether it is the loopback link (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Whether it can speak ARP: neither `IFF_LOOPBACK` nor `IFF_NOARP` nor `IFF_POINTOPOINT`.
    pub arp: bool,
    /// All its addresses with their prefix lengths, ours included.
    pub addresses: BTreeSet<Prefix>,
}

/// How the kernel would route to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// The link that the packet leaves by.
    pub link: LinkName,
    /// The gateway, where the address is not on the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// The last probe of a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it ended.
    #[serde(skip)]
    pub at: Monotonic,
    /// What it found.
    #[serde(flatten)]
    pub outcome: ProbeOutcome,
}

/// What a probe of a VIP found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum ProbeOutcome {
    /// Nobody answered.
    Clean,
    /// Somebody else has the address.
    InUse {
        /// Who answered.
        mac: MacAddress,
    },
    /// It could not be made, because the agent may not send raw frames (`CAP_NET_RAW`).
    NotPermitted {
        /// What the kernel said.
        message: String,
    },
    /// It could not be made for another reason; the error, and what to do.
    Failed {
        /// What went wrong.
        message: String,
    },
}

/// Who decides that this node holds a VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldingClaim {
    /// The plan.
    #[default]
    FromPlan,
}
