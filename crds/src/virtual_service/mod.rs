//! VirtualService: VIPs, ports, a scheduler, and the real servers behind them.

mod forwarding;
mod parse;
mod scheduling;

use kube::{CustomResource, KubeSchema};
use lvs_core::cluster::ThresholdSplit;
use lvs_core::marking::PortScheduling;
use lvs_core::network::Protocol;
use lvs_core::scheduling::{SchedulerFlag, UdpScheduling};
use lvs_core::status::ServiceStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use forwarding::{ForwardingSpec, TunnelSpec};
pub use parse::{name, service};

use crate::address::{LONGEST_ADDRESS, host_rule, hosts_rule};
use crate::as_written::AsWritten;
use crate::label_selector::{LabelSelector, NOT_EMPTY};

/// What a user wants of an LVS virtual service.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "lvs-operator.io",
    version = "v1alpha1",
    kind = "VirtualService",
    plural = "virtualservices",
    shortname = "lvs",
    category = "lvs-operator",
    namespaced,
    status = "VirtualServiceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "An LVS virtual service: directors take connections to its VIPs and ports and hand each to a real server. By direct routing and through a tunnel the reply goes from the real server straight to the client.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: write at most 63 characters"),
    printcolumn(name = "VIPs", type_ = "string", json_path = ".status.summary.vips"),
    printcolumn(name = "Ports", type_ = "string", json_path = ".status.summary.ports"),
    printcolumn(name = "Holders", type_ = "string", json_path = ".status.summary.holders"),
    printcolumn(name = "Real-Servers", type_ = "string", json_path = ".status.summary.realServers"),
    printcolumn(name = "Accepted", type_ = "string", json_path = r#".status.conditions[?(@.type=="Accepted")].status"#),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ports) != has(self.firewallMark)").message("write exactly one of ports and firewallMark"),
    validation = Rule::new("!has(self.portScheduling) || self.portScheduling == 'Separate' || has(self.ports)").message("portScheduling Together is for ports: packets with a firewall mark are scheduled together anyway"),
    validation = Rule::new("!has(self.ports) || self.ports.all(port, port.port != 0) || has(self.persistence)").message("port 0 stands for all ports and needs persistence: write spec.persistence too"),
    validation = Rule::new("!has(self.schedulerFlags) || self.schedulerFlags.all(flag, has(self.scheduler) && flag.startsWith(self.scheduler + '-'))").message("a flag of another scheduler: sh-port and sh-fallback need scheduler sh, mh-port and mh-fallback need mh"),
    validation = Rule::new("!has(self.portScheduling) || self.portScheduling == 'Separate' || !has(self.ports) || (self.ports.all(port, !has(port.targetPort) || port.targetPort == port.port) && (!has(self.realServers) || self.realServers.all(server, !has(server.port))))").message("with portScheduling Together a packet keeps its port: leave targetPort and port of real servers out, or write Separate"),
    validation = Rule::new("!has(self.udpScheduling) || self.udpScheduling != 'PerPacket' || !has(self.ports) || self.ports.exists(port, has(port.protocol) && port.protocol == 'UDP')").message("udpScheduling PerPacket is for UDP: write a port with protocol UDP, or leave it out"),
    validation = Rule::new("!has(self.persistence) || !has(self.persistence.engine) || !has(self.ports) || self.ports.all(port, has(port.protocol) && port.protocol == 'UDP')").message("the persistence engine sip reads UDP only: write UDP ports only, or leave the engine out"),
    validation = Rule::new("!has(self.realServers) || self.realServers.all(server, !has(server.port)) || (has(self.ports) && self.ports.size() == 1 && self.ports[0].port != 0)").message("port of a real server is for a service with one port, which is not 0: write targetPort at each port instead"),
    validation = Rule::new(OTHER_PORTS_NEED_AN_AGENT).message("another port on a host without an agent: write method Masquerade or FullNAT for it, or make it a Node with an agent and write nodeName")
)]
pub struct VirtualServiceSpec {
    /// The virtual IP addresses that clients connect to, each once. Each must lie in a pool of exactly one
    /// DirectorGroup, and be no address of a node.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new("self.all(vip, self.exists_one(other, other.address == vip.address))").message("a VIP stands here twice: write each once"))]
    pub vips: Vec<Vip>,
    /// The ports of every VIP, each protocol and port once. The real servers listen on these same ports where nothing else
    /// is written. Either these or a firewallMark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["protocol".into(), "port".into()]),
        validation = Rule::new("self.all(port, !has(port.name) || self.exists_one(other, has(other.name) && other.name == port.name))").message("two ports have the same name: give each its own")
    )]
    pub ports: Vec<Port>,
    /// A firewall mark instead of ports, 1 to 4294967295: all packets to the VIPs that have it are scheduled together. You
    /// see to it that packets get it on every director before they are routed (nftables `meta mark set`, iptables
    /// `-j MARK`, tc `skbedit mark`), and those for the VIPs only. A real server gets connections once it has all VIPs of a
    /// family. One VirtualService has it; 1275068416 to 1275084799 are reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    #[x_kube(validation = Rule::new("self < 1275068416 || self > 1275084799").message("1275068416 to 1275084799 are reserved: write another mark"))]
    pub firewall_mark: Option<i64>,
    /// `Separate`: each port is scheduled by itself, and persistence holds for one port. `Together`: with persistence a
    /// client gets the same real server on all ports. For that the directors mark the packets, with a mark of their own, so
    /// their kernels need nftables. Changing it ends the connections of the service. Default `Separate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PortScheduling")]
    pub port_scheduling: Option<PortScheduling>,
    /// How a director chooses the real server of a new connection, by the kernel's own name: rr, wrr, lc, wlc, fo,
    /// ovf, lblc, lblcr, dh, sh, mh, sed, nq, twos. Default wlc, as for ipvsadm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9_-]+$')").message("not the name of a scheduler: write the kernel's own, such as rr, wlc or sh"))]
    pub scheduler: Option<String>,
    /// What the scheduler does besides, as for `ipvsadm --sched-flags`: sh-port and mh-port hash the client's port too;
    /// sh-fallback and mh-fallback go on to another real server where the chosen one is overloaded or has weight 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub scheduler_flags: Vec<SchedulerFlag>,
    /// What of UDP is scheduled: `PerConnection`, all datagrams from a client's address and port together; `PerPacket`,
    /// each datagram anew, for protocols of one question and one answer such as DNS. Default `PerConnection`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UdpScheduling")]
    pub udp_scheduling: Option<UdpScheduling>,
    /// Keeps all connections of a client with one real server. Absent: each connection is scheduled anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceSpec>,
    /// How many connections real servers may have. Absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_thresholds: Option<ConnectionThresholdsSpec>,
    /// How directors send to the real servers, where an entry does not say otherwise. Absent: by direct routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<ForwardingSpec>,
    /// The real servers, each entry with a name of its own. With none, no connection is answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub real_servers: Vec<RealServer>,
}

/// What a user reads of a VirtualService.
pub type VirtualServiceStatus = AsWritten<ServiceStatus>;

/// A virtual IP address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vip {
    /// An IPv4 or IPv6 address in its canonical form, such as `192.168.10.40` or `2001:db8::40`.
    #[schemars(length(min = 2, max = LONGEST_ADDRESS))]
    #[x_kube(validation = host_rule())]
    pub address: String,
}

/// What CEL says of foreign hosts that get packets as the client sent them, and so at the service's port.
const OTHER_PORTS_NEED_AN_AGENT: &str = "!has(self.realServers) || !has(self.ports) || self.realServers.all(server, !has(server.addresses) \
    || (has(server.forwarding) ? server.forwarding.method in ['Masquerade', 'FullNAT'] \
        : has(self.forwarding) && self.forwarding.method in ['Masquerade', 'FullNAT']) \
    || (has(server.port) ? server.port == self.ports[0].port \
        : self.ports.all(port, !has(port.targetPort) || port.targetPort == port.port)))";

/// A port of every VIP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.port != 0 || !has(self.targetPort)").message("port 0 stands for all ports, each of which stays as it is: leave targetPort out"))]
pub struct Port {
    /// The port, 1 to 65535; or 0 for all ports that no other VirtualService has, which needs persistence.
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// TCP, UDP or SCTP. Default TCP.
    #[serde(default = "tcp")]
    pub protocol: Protocol,
    /// A name for people, a DNS label of at most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("not a DNS label: write lower-case letters, digits and '-', such as http"))]
    pub name: Option<String>,
    /// The port on which the real servers listen, 1 to 65535, where an entry does not write its own. By direct routing and
    /// through a tunnel packets arrive at the service's port, and the agent on the real server's Node redirects them to
    /// this one. Default the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub target_port: Option<i32>,
}

fn tcp() -> Protocol {
    Protocol::Tcp
}

/// Persistence: a client's connections stay with one real server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersistenceSpec {
    /// How long a client stays with its real server after its last connection, in seconds, 1 to 2678400 (31 days, the
    /// most that ipvsadm takes). Default 300, as for ipvsadm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub timeout_seconds: Option<i32>,
    /// How much of an IPv4 client's address counts, in bits, 1 to 32: with 24 all clients of a /24 network stay
    /// together. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4_prefix_length: Option<i32>,
    /// How much of an IPv6 client's address counts, in bits, 1 to 128. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: Option<i32>,
    /// What is kept together besides the client's address: sip, the Call-ID of SIP over UDP. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PersistenceEngine")]
    pub engine: Option<PersistenceEngine>,
}

/// What a persistence engine of the kernel goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PersistenceEngine {
    /// The Call-ID of SIP over UDP (module `ip_vs_pe_sip`).
    Sip,
}

/// Limits of the connections of real servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.lower) || self.lower <= self.upper").message("lower is above upper: write at most upper"))]
pub struct ConnectionThresholdsSpec {
    /// From this many connections on a real server gets no new ones, 1 to 2147483647.
    #[schemars(range(min = 1))]
    pub upper: i32,
    /// Below this many it gets new ones again, 1 to upper. Default three quarters of upper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lower: Option<i32>,
    /// Whose limits these are: `PerServer`, each real server's; `ByWeight`, all real servers' together, each with a
    /// share by its weight, rounded down but at least 1. Default `PerServer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ThresholdSplit")]
    pub split: Option<ThresholdSplit>,
}

/// Limits of the connections of each host of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.lower) || self.lower <= self.upper").message("lower is above upper: write at most upper"))]
pub struct RealServerThresholds {
    /// From this many connections on it gets no new ones, 1 to 2147483647.
    #[schemars(range(min = 1))]
    pub upper: i32,
    /// Below this many it gets new ones again, 1 to upper. Default three quarters of upper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lower: Option<i32>,
}

/// An entry of the real servers: one node, the nodes that a selector matches, or a host without an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.nodeName), has(self.nodeSelector), has(self.addresses)].filter(given, given).size() == 1").message("write exactly one of nodeName, nodeSelector and addresses"))]
pub struct RealServer {
    /// The name of the entry, a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("not a DNS label: write lower-case letters, digits and '-', such as web-1"))]
    pub name: String,
    /// One Node of the cluster, by its name. It wins over a selector that matches the same Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("not the name of a Node: write it as kubectl get nodes shows it"))]
    pub node_name: Option<String>,
    /// The Nodes whose labels meet at least one requirement, and all that are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(NOT_EMPTY).message("matches every Node: write at least one requirement"))]
    pub node_selector: Option<LabelSelector>,
    /// A host without an agent, by its own addresses (RIPs), at most one of each family. It must bind the VIPs, keep
    /// silent on ARP for them, take tunnels in, and reply by the director where it is masqueraded, all by itself. A Node's address is refused: write nodeName instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), inner(length(max = LONGEST_ADDRESS)))]
    #[x_kube(
        validation = hosts_rule(),
        validation = Rule::new("self.size() < 2 || !self.all(address, isIP(address)) || ip(self[0]).family() != ip(self[1]).family()").message("write at most one address of each family")
    )]
    pub addresses: Option<Vec<String>>,
    /// The share of new connections that it gets, in proportion to the others' weights, 0 to 2147483647. With 0 it
    /// gets no new ones and keeps those that it has. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub weight: Option<i32>,
    /// How many connections each host of the entry may have, instead of the service's connectionThresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_thresholds: Option<RealServerThresholds>,
    /// How directors send to the hosts of the entry, instead of the service's forwarding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<ForwardingSpec>,
    /// The port on which the hosts of the entry listen, 1 to 65535, of a service with one port only. Default the port's
    /// targetPort, else the port itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}
