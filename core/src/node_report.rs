//! What a node says of itself: the agent's report, an input of the next plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::ZeroToken;
use crate::forwarding::Reception;
use crate::names::{BootId, Feature, LinkName, SchedulerName, ServiceName};
use crate::network::{MacAddress, Prefix};
use crate::node_plan::Revision;
use crate::reason::Reason;
use crate::redirection::Redirection;

/// A node's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// What concerns the node as a whole.
    #[serde(flatten)]
    pub node: NodeFacts,
    /// What has become of each planned service.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceReport>,
}

/// A node as its agent sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    /// The epoch of the plan that the report speaks of.
    pub epoch: u64,
    /// The lineage of that plan.
    #[serde(default)]
    pub lineage: String,
    /// The boot that the report comes from.
    pub boot_id: BootId,
    /// The agent's version.
    pub agent_version: String,
    /// What the agent can do.
    #[serde(default)]
    #[schemars(with = "Vec<Feature>")]
    pub features: BTreeSet<Feature>,
    /// The kernel's release (`uname -r`).
    #[serde(default)]
    pub kernel_release: String,
    /// Whether the kernel has IPVS.
    #[serde(default)]
    pub ipvs: bool,
    /// The schedulers that the kernel has or can load, as far as the agent knows.
    #[serde(default)]
    #[schemars(with = "Vec<SchedulerName>")]
    pub schedulers: BTreeSet<SchedulerName>,
    /// The links with their addresses, without the VIPs that are ours.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ReportedLink>")]
    pub links: BTreeMap<LinkName, ReportedLink>,
    /// Next hops of the node's routes: no VIP may be one of these.
    #[serde(default)]
    #[schemars(schema_with = "crate::ipvs::address_list_schema")]
    pub gateways: BTreeSet<IpAddr>,
    /// Whether nothing on the node is ours: it is as it was found.
    pub clean: bool,
    /// What is wrong with the node as a whole.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Trouble>")]
    pub troubles: BTreeSet<Trouble>,
}

/// A link in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportedLink {
    /// Its MAC address, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses with their prefix lengths.
    #[serde(default)]
    #[schemars(with = "Vec<Prefix>")]
    pub addresses: BTreeSet<Prefix>,
}

/// What has become of one service on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// The revision that the report speaks of.
    pub revision: Revision,
    /// Whether the kernel is as that revision wants it, holds excepted.
    pub applied: bool,
    /// The VIPs, those included that have yet to leave.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, VipReport>")]
    pub vips: BTreeMap<IpAddr, VipReport>,
    /// The planned tunnels that the node takes in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Reception>")]
    pub receives: BTreeSet<Reception>,
    /// The planned redirections that are in place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Redirection>")]
    pub redirects: BTreeSet<Redirection>,
    /// The token for which the counters of its virtual servers were zeroed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_zeroed: Option<ZeroToken>,
    /// What keeps the service from being as planned.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<Trouble>")]
    pub troubles: BTreeSet<Trouble>,
}

/// The state of a VIP on a node, read back from the kernel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts of the kernel")]
pub struct VipReport {
    /// It is on `lo`.
    pub bound: bool,
    /// No ARP-capable link answers for it (IPv6 needs no setting for that).
    pub hidden: bool,
    /// It is on the uplink.
    pub held: bool,
    /// The kernel has IPVS entries for it.
    pub forwarding: bool,
}

/// Something that is wrong, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// What kind of thing it is.
    pub reason: Reason,
    /// What it is about and what to do next, in a sentence.
    pub message: String,
}

/// Why a node without IPVS cannot forward, and what to do.
pub(crate) const NO_IPVS: &str = "the kernel has no IPVS: load the module ip_vs";

impl Trouble {
    /// A trouble from its parts.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
