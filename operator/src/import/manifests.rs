//! From a table to manifests: what belongs together becomes one VirtualService.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::ipvs::PortKey;
use lvs_core::network::Family;
use lvs_core::scheduling::Thresholds;
use lvs_crds::{VirtualService, strict, virtual_service};
use serde_json::{Map, Value, json};

use super::table::{RealServer, RealServers, Scheduling, Table, VirtualServer};

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

/// A DirectorGroup that allows all of it, and the VirtualServices in order. What would be no valid VirtualService is left
/// out, and its lines are noted.
pub(super) fn manifests(table: &mut Table, naming: &Naming) -> Vec<Value> {
    let mut manifests = Vec::new();
    let mut left = Vec::new();
    for (kin, servers) in together(&table.servers) {
        let ports: Vec<PortKey> = servers.iter().map(|server| server.port).collect();
        let manifest = service(&kin, &ports, naming);
        match valid(&manifest) {
            Ok(()) => manifests.push(manifest),
            Err(why) => left.extend(servers.iter().map(|server| (server.line, server.port, why.clone()))),
        }
    }
    for (line, port, why) in left {
        table.leave(line, format!("the virtual server of {port}"), why);
    }
    if !manifests.is_empty() {
        manifests.insert(0, group(table, naming));
    }
    manifests
}

/// The virtual servers that can be ports of one VirtualService, by VIP and first port.
fn together(servers: &[VirtualServer]) -> Vec<(Kin<'_>, Vec<&VirtualServer>)> {
    let mut together: BTreeMap<Kin<'_>, Vec<&VirtualServer>> = BTreeMap::new();
    for server in servers {
        together.entry(Kin::of(server)).or_default().push(server);
    }
    let mut services = Vec::new();
    for (kin, servers) in &together {
        services.extend(servers.chunks(LONGEST_LIST).map(|some| (kin.clone(), some.to_vec())));
    }
    services.sort_by_key(|(kin, servers)| (kin.vip, servers.first().map(|server| server.port)));
    services
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
    fn of(server: &'a VirtualServer) -> Self {
        let elsewhere = server.real_servers.keys().any(|(_, port)| port.is_some());
        Self {
            vip: server.vip,
            scheduling: &server.scheduling,
            real_servers: &server.real_servers,
            port: elsewhere.then_some(server.port),
        }
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
        let real_servers = kin
            .real_servers
            .iter()
            .map(|((address, port), server)| real_server(*address, *port, *server, naming));
        spec.insert("realServers".to_owned(), real_servers.collect());
    }
    json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "VirtualService",
        "metadata": {"name": service_name(kin.vip, ports), "namespace": naming.namespace},
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
    let vips: BTreeSet<IpAddr> = table.servers.iter().map(|server| server.vip).collect();
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
mod tests {
    use super::super::ipvsadm;
    use super::*;

    fn naming() -> Naming {
        Naming { namespace: "default".to_owned(), group: "imported".to_owned(), nodes: BTreeMap::new() }
    }

    #[test]
    fn virtual_servers_that_differ_in_the_port_alone_are_one_service() {
        let mut table = ipvsadm::read(
            "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1\n\
             -A -t 10.0.0.1:443 -s rr\n-a -t 10.0.0.1:443 -r 10.0.1.1:443 -g -w 1\n\
             -A -t 10.0.0.1:22 -s wlc\n",
        );
        let manifests = manifests(&mut table, &naming());
        let names: Vec<&str> =
            manifests.iter().filter_map(|manifest| manifest["metadata"]["name"].as_str()).collect();
        assert_eq!(names, ["imported", "tcp-10-0-0-1-22", "tcp-10-0-0-1-80"]);
        assert_eq!(manifests[2]["spec"]["ports"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_tunnel_is_what_the_operator_takes() {
        for tunnel in ["ipip", "gue --tun-port 6080 --tun-csum", "gre --tun-nocsum"] {
            let mut table = ipvsadm::read(&format!(
                "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -i -w 1 --tun-type {tunnel}\n"
            ));
            let manifests = manifests(&mut table, &naming());
            assert_eq!(table.left, []);
            assert_eq!(manifests[1]["spec"]["realServers"][0]["forwarding"]["method"], "Tunnel");
        }
    }

    #[test]
    fn a_masqueraded_real_server_is_what_the_operator_takes_and_keeps_its_port() {
        let mut table = ipvsadm::read(
            "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 1\n\
             -a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1\n\
             -A -t 10.0.0.1:443 -s rr\n-a -t 10.0.0.1:443 -r 10.0.1.1:8080 -m -w 1\n",
        );
        let manifests = manifests(&mut table, &naming());
        assert_eq!(table.left, []);
        assert_eq!(
            manifests.len(),
            3,
            "another port is written at the real server, of a service with one port"
        );
        let servers = manifests[2]["spec"]["realServers"].as_array().unwrap();
        let ports: Vec<_> = servers.iter().map(|server| (&server["name"], &server["port"])).collect();
        assert_eq!(
            ports,
            [(&json!("rs-10-0-1-1"), &Value::Null), (&json!("rs-10-0-1-1-8080"), &json!(8080))]
        );
    }

    #[test]
    fn what_the_operator_would_refuse_is_left_with_its_line() {
        for (line, why) in [
            ("-A -t 10.0.0.1:0 -s rr", "needs persistence"),
            ("-A -t 10.0.0.1:53 -s rr -o", "PerPacket is for UDP"),
            ("-A -t 10.0.0.1:53 -s rr -p 10 --pe sip", "reads UDP only"),
            ("-A -t 10.0.0.1:53 -s rr -b sh-port", "flag of scheduler sh"),
            ("-A -t 10.0.0.1:53 -s rr -p 0", "write 1 to"),
        ] {
            let mut table = ipvsadm::read(&format!("# first\n{line}\n"));
            assert!(table.left.is_empty(), "{line}: {:?}", table.left);
            assert!(manifests(&mut table, &naming()).is_empty(), "{line}");
            let [left] = &table.left[..] else { panic!("{line}: {:?}", table.left) };
            assert!(left.line == 2 && left.why.contains(why), "{line}: {left:?}");
        }
    }
}
