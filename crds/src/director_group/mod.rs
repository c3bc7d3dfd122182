//! DirectorGroup: the directors, and the pools of VIPs that they hold.

mod parse;
mod sysctls;

use kube::{CustomResource, KubeSchema};
use lvs_core::status::GroupStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use parse::{group, name};
pub use sysctls::{ConnectionReuse, Defence, IpvsSysctlsSpec, Switch, SyncPersistence};

use crate::address::{networks_rule, ranges_rule};
use crate::as_written::AsWritten;
use crate::label_selector::{LabelSelector, NOT_EMPTY};

/// What a user wants of a group of directors.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "lvs-operator.io",
    version = "v1alpha1",
    kind = "DirectorGroup",
    plural = "directorgroups",
    category = "lvs-operator",
    status = "DirectorGroupStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The Nodes that are LVS directors, and the pools of VIPs that they may hold. One director of the group holds each VIP that a VirtualService asks for.",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("metadata.name: write at most 63 characters and no '.'"),
    printcolumn(name = "Directors", type_ = "string", json_path = ".status.summary.directors"),
    printcolumn(name = "VIPs", type_ = "string", json_path = ".status.summary.vips"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DirectorGroupSpec {
    /// The Nodes that are directors: those whose labels meet at least one requirement, and all that are written.
    #[x_kube(validation = Rule::new(NOT_EMPTY).message("would make every Node a director: write at least one requirement"))]
    pub node_selector: LabelSelector,
    /// The VIPs that VirtualServices may ask for. A VIP must lie in exactly one pool of exactly one DirectorGroup.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolSpec>,
    /// The real servers that VirtualServices may name. Absent: any Node, and no host without an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_real_servers: Option<AllowedRealServersSpec>,
    /// IPVS's connection timeouts on the directors (ipvsadm --set). They count for the whole node: where DirectorGroups
    /// that share a director differ, the older one's are in force. Absent: left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsSpec>,
    /// IPVS's sysctls (net.ipv4.vs.*) on the directors. They count for the whole node: where DirectorGroups that share a
    /// director differ in one, the older one's is in force. The agents need a writable /proc/sys/net for it (the chart's
    /// agent.hostSysctls). What is absent is left as it is; what was there before comes back at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipvs_sysctls: Option<IpvsSysctlsSpec>,
}

/// What a user reads of a DirectorGroup.
pub type DirectorGroupStatus = AsWritten<GroupStatus>;

/// A pool of VIPs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolSpec {
    /// The name of the pool, a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("not a DNS label: write lower-case letters, digits and '-', such as public"))]
    pub name: String,
    /// Addresses (192.168.10.40), networks (192.168.10.64/28) and ranges (192.168.10.64-192.168.10.95), IPv4 or IPv6.
    #[schemars(length(min = 1, max = 64), inner(length(min = 2, max = 79)))]
    #[x_kube(validation = ranges_rule())]
    pub addresses: Vec<String>,
    /// The link that holds the VIPs on every director, such as bond0.100. Absent: the link whose subnet holds the VIP,
    /// else that of the default route. The Node's annotation lvs-operator.io/uplink goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = Rule::new("self.matches('^[!-.0-~]+$')").message("not the name of a link: write it as ip link shows it, such as eth0"))]
    pub interface: Option<String>,
}

/// Which real servers VirtualServices may name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedRealServersSpec {
    /// The Nodes that may be real servers. Absent or without a requirement: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Networks in which a host without an agent may lie, such as 192.168.10.0/24. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 43)))]
    #[x_kube(validation = networks_rule())]
    pub cidrs: Vec<String>,
}

/// IPVS's connection timeouts, all three in seconds, each 1 to 2678400 (31 days, the most that ipvsadm takes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutsSpec {
    /// How long the director remembers an established TCP connection without packets, in seconds. The kernel's own
    /// value is 900.
    #[schemars(range(min = 1, max = 2_678_400))]
    pub tcp_seconds: i32,
    /// How long it remembers a TCP connection after a FIN, in seconds. The kernel's own value is 120.
    #[schemars(range(min = 1, max = 2_678_400))]
    pub tcp_fin_seconds: i32,
    /// How long it remembers a UDP flow without packets, in seconds. The kernel's own value is 300.
    #[schemars(range(min = 1, max = 2_678_400))]
    pub udp_seconds: i32,
}
