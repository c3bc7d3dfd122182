//! From a table to manifests: what belongs together becomes one VirtualService.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::ipvs::PortKey;
use lvs_core::network::Family;
use lvs_core::scheduling::Thresholds;
use lvs_crds::{VirtualService, strict, virtual_service};
use serde_json::{Map, Value, json};

use super::table::{Packets, RealServer, RealServers, Scheduling, Table, VirtualServer};

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
    /// The VIPs to which packets with a firewall mark go.
    pub(super) mark_vips: BTreeMap<u32, BTreeSet<IpAddr>>,
}

/// A DirectorGroup that allows all of it, and the VirtualServices in order. What would be no valid VirtualService is left
/// out, and its lines are noted.
pub(super) fn manifests(table: &mut Table, naming: &Naming) -> Vec<Value> {
    let mut manifests = Vec::new();
    let mut left = Vec::new();
    let by_port = together(&table.servers).into_iter().map(|(kin, servers)| {
        let ports: Vec<PortKey> = servers.iter().map(|(_, port)| *port).collect();
        let servers: Vec<&VirtualServer> = servers.into_iter().map(|(server, _)| server).collect();
        (Ok(service(&kin, &ports, naming)), servers)
    });
    for (manifest, servers) in by_port.chain(marked(&table.servers, naming)) {
        match manifest.and_then(|manifest| valid(&manifest).map(|()| manifest)) {
            Ok(manifest) => manifests.push(manifest),
            Err(why) => left.extend(servers.iter().map(|server| (server.line, server.packets, why.clone()))),
        }
    }
    for (line, packets, why) in left {
        table.leave(line, format!("the virtual server of {packets}"), why);
    }
    if !manifests.is_empty() {
        manifests.insert(0, group(table, naming));
    }
    manifests
}

/// The virtual servers that can be ports of one VirtualService, by VIP and first port.
fn together(servers: &[VirtualServer]) -> Vec<(Kin<'_>, Vec<(&VirtualServer, PortKey)>)> {
    let mut together: BTreeMap<Kin<'_>, Vec<(&VirtualServer, PortKey)>> = BTreeMap::new();
    for server in servers {
        if let Packets::To(vip, port) = server.packets {
            together.entry(Kin::of(server, vip, port)).or_default().push((server, port));
        }
    }
    let mut services = Vec::new();
    for (kin, servers) in &together {
        services.extend(servers.chunks(LONGEST_LIST).map(|some| (kin.clone(), some.to_vec())));
    }
    services.sort_by_key(|(kin, servers)| (kin.vip, servers.first().map(|(_, port)| *port)));
    services
}

/// A VirtualService for each firewall mark, of both families, or why there can be none.
fn marked<'a>(
    servers: &'a [VirtualServer],
    naming: &Naming,
) -> Vec<(Result<Value, String>, Vec<&'a VirtualServer>)> {
    let mut marks: BTreeMap<u32, Vec<&VirtualServer>> = BTreeMap::new();
    for server in servers {
        if let Packets::Marked(_, mark) = server.packets {
            marks.entry(mark).or_default().push(server);
        }
    }
    marks.into_iter().map(|(mark, servers)| (marked_service(mark, &servers, naming), servers)).collect()
}

fn marked_service(mark: u32, servers: &[&VirtualServer], naming: &Naming) -> Result<Value, String> {
    let families: BTreeSet<Family> = servers.iter().map(|server| server.packets.family()).collect();
    let vips: Vec<IpAddr> = naming.mark_vips.get(&mark).into_iter().flatten().copied().collect();
    if vips.iter().map(|vip| Family::of(*vip)).collect::<BTreeSet<_>>() != families {
        let families: Vec<String> = families.iter().map(|family| format!("{family:?}")).collect();
        let families = families.join(" and ");
        return Err(format!(
            "a mark does not say for which VIPs it is: name them, {families}, with --mark-vip {mark}=VIP"
        ));
    }
    let mut scheduling = servers[0].scheduling.clone();
    let mut real_servers = RealServers::new();
    for server in servers {
        if let (Some(all), Some(one)) = (&mut scheduling.persistence, server.scheduling.persistence) {
            all.ipv4_prefix_length = all.ipv4_prefix_length.min(one.ipv4_prefix_length);
            all.ipv6_prefix_length = all.ipv6_prefix_length.min(one.ipv6_prefix_length);
        }
        real_servers.extend(server.real_servers.iter().map(|(key, server)| (*key, *server)));
    }
    let alike = |server: &&VirtualServer| {
        let bare = |scheduling: &Scheduling| {
            let mut bare = scheduling.clone();
            if let Some(persistence) = &mut bare.persistence {
                (persistence.ipv4_prefix_length, persistence.ipv6_prefix_length) = (32, 128);
            }
            bare
        };
        bare(&server.scheduling) == bare(&scheduling)
    };
    if !servers.iter().all(alike) {
        return Err("a mark is scheduled in one way for both families in a VirtualService".to_owned());
    }
    let mut spec = Map::new();
    let vips: Vec<Value> = vips.iter().map(|vip| json!({"address": vip})).collect();
    spec.insert("vips".to_owned(), Value::Array(vips));
    spec.insert("firewallMark".to_owned(), json!(mark));
    complete(&mut spec, &scheduling, &real_servers, naming);
    Ok(manifest(&format!("mark-{mark}"), &spec, naming))
}

/// What the operator itself would say of a VirtualService.
fn valid(manifest: &Value) -> Result<(), String> {
    let spec = strict::specification::<VirtualService>(manifest);
    let spec = spec.map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let metadata = serde_json::from_value(manifest["metadata"].clone()).map_err(|error| error.to_string())?;
    virtual_service::service(&metadata, Ok(&spec)).spec.map(drop).map_err(|trouble| trouble.message)
}

/// What virtual servers must have in common to be ports of one VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kin<'a> {
    vip: IpAddr,
    scheduling: &'a Scheduling,
    real_servers: &'a RealServers,
    /// Where a real server listens on another port the port, because only a service with one port can say that.
    port: Option<PortKey>,
}

impl<'a> Kin<'a> {
    fn of(server: &'a VirtualServer, vip: IpAddr, port: PortKey) -> Self {
        let elsewhere = server.real_servers.keys().any(|(_, port)| port.is_some());
        Self {
            vip,
            scheduling: &server.scheduling,
            real_servers: &server.real_servers,
            port: elsewhere.then_some(port),
        }
    }
}

fn service(kin: &Kin<'_>, ports: &[PortKey], naming: &Naming) -> Value {
    let mut spec = Map::new();
    spec.insert("vips".to_owned(), json!([{"address": kin.vip}]));
    let port = |port: &PortKey| json!({"port": port.port, "protocol": port.protocol});
    spec.insert("ports".to_owned(), ports.iter().map(port).collect());
    complete(&mut spec, kin.scheduling, kin.real_servers, naming);
    manifest(&service_name(kin.vip, ports), &spec, naming)
}

/// Adds how real servers are chosen, and which there are.
fn complete(
    spec: &mut Map<String, Value>,
    scheduling: &Scheduling,
    real_servers: &RealServers,
    naming: &Naming,
) {
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
    if !real_servers.is_empty() {
        let real_servers = real_servers
            .iter()
            .map(|((address, port), server)| real_server(*address, *port, *server, naming));
        spec.insert("realServers".to_owned(), real_servers.collect());
    }
}

fn manifest(name: &str, spec: &Map<String, Value>, naming: &Naming) -> Value {
    json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": naming.namespace},
        "spec": spec,
    })
}

fn real_server(address: IpAddr, port: Option<u16>, server: RealServer, naming: &Naming) -> Value {
    let mut entry = Map::new();
    if let Some(node) = naming.nodes.get(&address) {
        entry.insert("name".to_owned(), json!(label(node)));
        entry.insert("nodeName".to_owned(), json!(node));
    } else {
        let port = port.map(|port| format!("-{port}")).unwrap_or_default();
        entry.insert("name".to_owned(), json!(format!("rs-{}{port}", label(&address.to_string()))));
        entry.insert("addresses".to_owned(), json!([address]));
    }
    entry.insert("weight".to_owned(), json!(server.weight));
    if server.thresholds != Thresholds::NONE {
        let Thresholds { upper, lower } = server.thresholds;
        let limits =
            if lower == 0 { json!({"upper": upper}) } else { json!({"upper": upper, "lower": lower}) };
        entry.insert("connectionThresholds".to_owned(), limits);
    }
    if !server.forwarding.is_default() {
        entry.insert("forwarding".to_owned(), json!(server.forwarding));
    }
    if let Some(port) = port {
        entry.insert("port".to_owned(), json!(port));
    }
    Value::Object(entry)
}

/// Everything that the VirtualServices need of a DirectorGroup.
fn group(table: &Table, naming: &Naming) -> Value {
    let host = |address: &IpAddr| format!("{address}/{}", Family::of(*address).host_length());
    let vips_of = |server: &VirtualServer| match server.packets {
        Packets::To(vip, _) => BTreeSet::from([vip]),
        Packets::Marked(_, mark) => naming.mark_vips.get(&mark).cloned().unwrap_or_default(),
    };
    let vips: BTreeSet<IpAddr> = table.servers.iter().flat_map(vips_of).collect();
    let rips: BTreeSet<IpAddr> = table
        .servers
        .iter()
        .flat_map(|server| server.real_servers.keys())
        .map(|(address, _)| *address)
        .collect();
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

#[cfg(test)]
mod tests;
