//! Everything that the planner may know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::addresses::Addresses;
use crate::counters::ZeroToken;
use crate::forwarding::Forwarding;
use crate::ipvs::{PortKey, Timeouts};
use crate::marking::Marking;
use crate::names::{BootId, GroupName, LinkName, NodeName, PoolName, ServiceName};
use crate::network::{AddressRange, Prefix};
use crate::node_plan::NodePlan;
use crate::node_report::{NodeReport, Trouble};
use crate::scheduling::{Scheduling, Thresholds};
use crate::selector::Selector;
use crate::sysctl::IpvsSysctl;
use crate::time::Time;

/// The input of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The epoch that this operator writes under.
    pub epoch: u64,
    /// Whether every manifest could be read. Where not, a planned service without a manifest stays as it is.
    pub complete: bool,
    /// Whether everything is to leave, because the operator is being uninstalled.
    pub withdraw: bool,
    /// The VirtualServices.
    pub services: BTreeMap<ServiceName, Service>,
    /// The DirectorGroups.
    pub groups: BTreeMap<GroupName, Group>,
    /// The Nodes.
    pub nodes: BTreeMap<NodeName, Node>,
    /// The previous plans, for each node that has one.
    pub previous: BTreeMap<NodeName, NodePlan>,
    /// Lineages of plans not yet written: the uid of a NodePlan, or the folder's id; see [`NodePlan::lineage`].
    pub lineages: BTreeMap<NodeName, String>,
    /// The agents' reports.
    pub reports: BTreeMap<NodeName, NodeReport>,
}

/// A VirtualService.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub created: Time,
    /// Its generation, which the verdict speaks of.
    pub generation: i64,
    /// Annotation `lvs-operator.io/adopt: "true"`: a different IPVS entry that is not ours is taken over.
    pub adopt: bool,
    /// Annotation `lvs-operator.io/zero-counters: TOKEN`: the counters are zeroed once per token on each director.
    pub zero_counters: Option<ZeroToken>,
    /// What the user wants, or why that could not be read.
    pub spec: Result<ServiceSpec, Trouble>,
}

/// What a user wants of a service, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The VIPs.
    pub vips: BTreeSet<IpAddr>,
    /// The ports.
    pub ports: BTreeMap<PortKey, PortSpec>,
    /// How its packets come to virtual servers; with a mark of the user's own there are no ports.
    pub marking: Marking,
    /// How a real server is chosen.
    pub scheduling: Scheduling,
    /// How many connections each real server may have, where its entry does not say otherwise.
    pub thresholds: ConnectionThresholds,
    /// How directors send to the real servers, where an entry does not say otherwise.
    pub forwarding: Forwarding,
    /// The real servers by the name of their entry.
    pub real_servers: BTreeMap<String, RealServerSpec>,
}

/// What a user says of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSpec {
    /// A name for people.
    pub name: Option<String>,
    /// The port on which real servers listen, where an entry does not say otherwise; `None`: the same.
    pub target: Option<u16>,
}

/// An entry of `spec.realServers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServerSpec {
    /// Which hosts it means.
    pub target: RealServerTarget,
    /// 0 to 65535.
    pub weight: u32,
    /// How many connections each of the hosts may have; `None`: as the service says.
    pub thresholds: Option<Thresholds>,
    /// How directors send to each of the hosts; `None`: as the service says.
    pub forwarding: Option<Forwarding>,
    /// The port on which each of the hosts listens; `None`: as the service says.
    pub port: Option<u16>,
}

/// Limits of connections as a user writes them for a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionThresholds {
    /// The limits.
    pub limits: Thresholds,
    /// Whose they are.
    pub split: ThresholdSplit,
}

/// Whose the limits of a service are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ThresholdSplit {
    /// Each real server's.
    #[default]
    PerServer,
    /// All real servers' together; each has a share by its weight.
    ByWeight,
}

/// The hosts that an entry of `spec.realServers` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealServerTarget {
    /// One node.
    Node(NodeName),
    /// The nodes that a selector matches; an entry that names one of them beats it.
    Nodes(Selector),
    /// A host without an agent, by its addresses, at most one per family.
    Foreign(Addresses),
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its InternalIPs.
    pub internal_ips: BTreeSet<IpAddr>,
    /// Whether it is Ready; `None` where nobody says (a folder).
    pub ready: Option<bool>,
    /// Its present boot; `None` where nobody says (a folder): then the report's own is believed.
    pub boot_id: Option<BootId>,
    /// Annotation `lvs-operator.io/real-server-addresses`: RIPs, at most one per family, before any other.
    pub real_server_addresses: Addresses,
    /// Annotation `lvs-operator.io/uplink`: the uplink, before that of any pool.
    pub uplink: Option<LinkName>,
}

/// A DirectorGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// When it was created.
    pub created: Time,
    /// Its generation, which the verdict speaks of.
    pub generation: i64,
    /// Annotation `lvs-operator.io/force-move: NODE=BOOT[,…]`: these boots are vouched to be over.
    pub force_move: BTreeMap<NodeName, BootId>,
    /// Annotation `lvs-operator.io/allow-arp-silence: ADDRESS[,…]`.
    pub allow_arp_silence: BTreeSet<IpAddr>,
    /// What the user wants, or why that could not be read.
    pub spec: Result<GroupSpec, Trouble>,
}

/// What a user wants of a DirectorGroup, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Which nodes are directors.
    pub node_selector: Selector,
    /// The pools of VIPs.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Which real servers are allowed; `None`: any node and no foreign address.
    pub allowed_real_servers: Option<AllowedRealServers>,
    /// IPVS's timeouts on the directors; `None`: left alone.
    pub timeouts: Option<Timeouts>,
    /// IPVS's sysctls on the directors; those that are not here: left alone.
    pub ipvs_sysctls: BTreeMap<IpvsSysctl, i32>,
}

/// A pool of VIPs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// The addresses.
    pub addresses: Vec<AddressRange>,
    /// The uplink on every director.
    pub interface: Option<LinkName>,
}

/// Which real servers a group allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedRealServers {
    /// Nodes; `None`: any node.
    pub node_selector: Option<Selector>,
    /// Networks of foreign addresses.
    pub cidrs: Vec<Prefix>,
}
