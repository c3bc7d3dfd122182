//! From a table to manifests: what belongs together becomes one VirtualService.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::ipvs::PortKey;
use lvs_core::network::{Family, Protocol};
use lvs_core::scheduling::Thresholds;
use serde_json::{Map, Value, json};

use super::table::{RealServer, Scheduling, Table, VirtualServer};

/// The longest list of ports, of a pool's addresses, and of allowed networks that the definitions take.
const LONGEST_LIST: usize = 64;

/// Names that the user gives to what is imported.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    /// The namespace of the VirtualServices.
    pub(super) namespace: String,
    /// The DirectorGroup.
    pub(super) group: String,
    /// Real servers that are Nodes, by their address.
    pub(super) nodes: BTreeMap<IpAddr, String>,
}

/// A DirectorGroup that allows all of it, and the VirtualServices in order.
pub(super) fn manifests(table: &Table, naming: &Naming) -> Vec<Value> {
    let mut together: BTreeMap<Kin<'_>, Vec<PortKey>> = BTreeMap::new();
    for server in &table.servers {
        together.entry(Kin::of(server)).or_default().push(server.port);
    }
    let mut services: Vec<(IpAddr, Vec<PortKey>, &Kin<'_>)> = Vec::new();
    for (kin, ports) in &together {
        services.extend(ports.chunks(LONGEST_LIST).map(|some| (kin.vip, some.to_vec(), kin)));
    }
    services.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    let services = services.iter().map(|(_, ports, kin)| service(kin, ports, naming));
    std::iter::once(group(table, naming)).chain(services).collect()
}

/// What virtual servers must have in common to be ports of one VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kin<'a> {
    vip: IpAddr,
    scheduling: &'a Scheduling,
    real_servers: &'a BTreeMap<IpAddr, RealServer>,
    /// Port 0 takes what no other has; the engine sip and one-packet scheduling are of UDP alone.
    alone: Option<Protocol>,
}

impl<'a> Kin<'a> {
    fn of(server: &'a VirtualServer) -> Self {
        let scheduling = &server.scheduling;
        let engine = scheduling.persistence.is_some_and(|persistence| persistence.engine.is_some());
        let alone = (engine || scheduling.one_packet).then_some(server.port.protocol);
        Self { vip: server.vip, scheduling, real_servers: &server.real_servers, alone }
    }
}

fn service(kin: &Kin<'_>, ports: &[PortKey], naming: &Naming) -> Value {
    let scheduling = kin.scheduling;
    let mut spec = Map::new();
    spec.insert("vips".to_owned(), json!([{"address": kin.vip}]));
    let port = |port: &PortKey| json!({"port": port.port, "protocol": port.protocol});
    spec.insert("ports".to_owned(), ports.iter().map(port).collect());
    spec.insert("scheduler".to_owned(), json!(scheduling.scheduler));
    if !scheduling.flags.is_empty() {
        spec.insert("schedulerFlags".to_owned(), json!(scheduling.flags));
    }
    if scheduling.one_packet {
        spec.insert("udpScheduling".to_owned(), json!("PerPacket"));
    }
    if let Some(persistence) = scheduling.persistence {
        let mut fields = Map::from_iter([("timeoutSeconds".to_owned(), json!(persistence.timeout_seconds))]);
        if persistence.ipv4_prefix_length != 32 {
            fields.insert("ipv4PrefixLength".to_owned(), json!(persistence.ipv4_prefix_length));
        }
        if persistence.ipv6_prefix_length != 128 {
            fields.insert("ipv6PrefixLength".to_owned(), json!(persistence.ipv6_prefix_length));
        }
        if let Some(engine) = persistence.engine {
            fields.insert("engine".to_owned(), json!(engine));
        }
        spec.insert("persistence".to_owned(), Value::Object(fields));
    }
    if !kin.real_servers.is_empty() {
        let real_servers =
            kin.real_servers.iter().map(|(address, server)| real_server(*address, *server, naming));
        spec.insert("realServers".to_owned(), real_servers.collect());
    }
    json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "VirtualService",
        "metadata": {"name": service_name(kin.vip, ports), "namespace": naming.namespace},
        "spec": spec,
    })
}

fn real_server(address: IpAddr, server: RealServer, naming: &Naming) -> Value {
    let mut entry = Map::new();
    if let Some(node) = naming.nodes.get(&address) {
        entry.insert("name".to_owned(), json!(label(node)));
        entry.insert("nodeName".to_owned(), json!(node));
    } else {
        entry.insert("name".to_owned(), json!(format!("rs-{}", label(&address.to_string()))));
        entry.insert("addresses".to_owned(), json!([address]));
    }
    entry.insert("weight".to_owned(), json!(server.weight));
    if server.thresholds != Thresholds::NONE {
        let Thresholds { upper, lower } = server.thresholds;
        let limits =
            if lower == 0 { json!({"upper": upper}) } else { json!({"upper": upper, "lower": lower}) };
        entry.insert("connectionThresholds".to_owned(), limits);
    }
    Value::Object(entry)
}

/// Everything that the VirtualServices need of a DirectorGroup.
fn group(table: &Table, naming: &Naming) -> Value {
    let host = |address: &IpAddr| format!("{address}/{}", Family::of(*address).host_length());
    let vips: BTreeSet<IpAddr> = table.servers.iter().map(|server| server.vip).collect();
    let rips: BTreeSet<IpAddr> =
        table.servers.iter().flat_map(|server| server.real_servers.keys()).copied().collect();
    let foreign: BTreeSet<IpAddr> =
        rips.into_iter().filter(|address| !naming.nodes.contains_key(address)).collect();
    let mut networks: Vec<String> = foreign.iter().map(host).collect();
    if networks.len() > LONGEST_LIST {
        networks = foreign.iter().map(network).collect::<BTreeSet<_>>().into_iter().collect();
    }
    let mut spec = Map::new();
    spec.insert("nodeSelector".to_owned(), json!({"matchLabels": {"lvs": "director"}}));
    let vips: Vec<String> = vips.iter().map(host).collect();
    let pools = vips.chunks(LONGEST_LIST).enumerate();
    let pools = pools.map(|(place, some)| json!({"name": format!("imported-{place}"), "addresses": some}));
    spec.insert("pools".to_owned(), pools.collect());
    if !networks.is_empty() {
        spec.insert("allowedRealServers".to_owned(), json!({"cidrs": networks}));
    }
    if let Some(timeouts) = table.timeouts {
        spec.insert("timeouts".to_owned(), json!(timeouts));
    }
    json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "DirectorGroup",
        "metadata": {"name": naming.group},
        "spec": spec,
    })
}

/// The network about a real server, for lists that would else be too long.
fn network(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let network = std::net::Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
            format!("{network}/64")
        }
    }
}

/// `tcp-192-168-10-40-80`, by the first of the ports.
fn service_name(vip: IpAddr, ports: &[PortKey]) -> String {
    let first = ports.first().map(|port| (port.protocol.as_str().to_lowercase(), port.port));
    let (protocol, port) = first.unwrap_or_default();
    format!("{protocol}-{}-{port}", label(&vip.to_string()))
}

fn label(text: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    text.chars().map(letter).collect::<String>().trim_matches('-').to_owned()
}
