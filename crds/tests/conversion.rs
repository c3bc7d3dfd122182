//! Objects in the brain's terms, and objects that are nobody's mistake to lose.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;
use kube::core::ObjectMeta;
use lvs_core::addresses::Addresses;
use lvs_core::cluster::{RealServerTarget, Service};
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::names::{BootId, NodeName, PoolName};
use lvs_core::network::Protocol;
use lvs_core::reason::Reason;
use lvs_core::sysctl::IpvsSysctl;
use lvs_core::time::Time;
use lvs_crds::{DirectorGroup, DirectorGroupSpec, VirtualService, director_group, node, virtual_service};
use serde::de::DeserializeOwned;
use serde_json::json;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/lvs-notes");

fn example<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(format!("{EXAMPLE}/{file}")).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn service(text: &str) -> Service {
    let object: VirtualService = serde_saphyr::from_str(text).unwrap();
    virtual_service::service(&object.metadata, Ok(&object.spec))
}

#[test]
fn the_example_is_the_notes_own_case() {
    let object = example::<VirtualService>("virtualservice.yaml").remove(0);
    assert_eq!(virtual_service::name(&object.metadata).to_string(), "default/web");
    let spec = virtual_service::service(&object.metadata, Ok(&object.spec)).spec.unwrap();
    assert_eq!(spec.vips, BTreeSet::from([address("192.168.10.40")]));
    assert_eq!(spec.ports.into_keys().collect::<Vec<_>>(), [PortKey { protocol: Protocol::Tcp, port: 80 }]);
    assert_eq!(spec.scheduling.scheduler.as_str(), "rr");
    assert_eq!(spec.scheduling.persistence.unwrap().timeout_seconds, 20);
    for (name, entry) in &spec.real_servers {
        assert_eq!(entry.target, RealServerTarget::Node(NodeName(name.clone())));
        assert_eq!(entry.weight, 1);
    }
    assert_eq!(spec.real_servers.len(), 2);

    let object = example::<DirectorGroup>("directorgroup.yaml").remove(0);
    let spec = director_group::group(&object.metadata, Ok(&object.spec)).spec.unwrap();
    assert_eq!(spec.timeouts, Some(Timeouts { tcp_seconds: 30, tcp_fin_seconds: 5, udp_seconds: 60 }));
    let [range] = spec.pools[&PoolName::from("public")].addresses[..] else { panic!("one range") };
    assert!(range.contains(address("192.168.10.40")) && !range.contains(address("192.168.10.41")));

    let nodes: Vec<Node> = example("nodes.yaml");
    let names: Vec<_> = nodes.iter().map(|node| node.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["director-1", "rs-1", "rs-2"]);
    let (director, trouble) = node::node(&nodes[0]);
    assert!(spec.node_selector.matches(&director.labels) && trouble.is_none());
    assert_eq!(director.internal_ips, BTreeSet::from([address("192.168.10.20")]));
    assert_eq!((director.ready, director.boot_id), (None, None));
    assert!(!spec.node_selector.matches(&node::node(&nodes[1]).0.labels));
}

#[test]
fn what_is_left_out_has_its_default() {
    let service = service(
        "metadata: {name: web, uid: u-1, generation: 3, creationTimestamp: '2026-11-24T07:00:00Z'}
spec: {vips: [{address: '2001:db8::40'}], ports: [{port: 53}], persistence: {}, realServers: [{name: a, nodeName: n}]}",
    );
    assert_eq!((service.uid.as_str(), service.generation, service.adopt), ("u-1", 3, false));
    assert_eq!(service.created, Time(1_795_503_600_000));
    let spec = service.spec.unwrap();
    assert_eq!(spec.ports.into_keys().collect::<Vec<_>>(), [PortKey { protocol: Protocol::Tcp, port: 53 }]);
    assert_eq!(spec.scheduling.scheduler.as_str(), "wlc");
    let persistence = spec.scheduling.persistence.unwrap();
    assert_eq!((persistence.timeout_seconds, persistence.ipv4_prefix_length), (300, 32));
    assert_eq!(persistence.ipv6_prefix_length, 128);
    assert_eq!(spec.real_servers["a"].weight, 1);
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_where() {
    let service = service(
        "metadata: {name: web}
spec: {vips: [{address: here}], ports: [{port: -1}], realServers: [{name: a, weight: -1}]}",
    );
    let trouble = service.spec.unwrap_err();
    assert_eq!(trouble.reason, Reason::InvalidSpec);
    for path in [
        "spec.vips[0].address:",
        "spec.ports[0].port:",
        "spec.realServers[0].weight:",
        "spec.realServers[0]:",
    ] {
        assert!(trouble.message.contains(path), "{path} is not in {}", trouble.message);
    }
}

#[test]
fn a_spec_that_could_not_be_read_is_still_a_service_and_a_group() {
    let metadata = serde_json::from_str(r#"{"name": "web", "uid": "u-1"}"#).unwrap();
    let service = virtual_service::service(&metadata, Err("unknown field: realServer"));
    assert_eq!(service.uid, "u-1");
    assert_eq!(service.spec.unwrap_err().message, "unknown field: realServer");
    let group = director_group::group(&metadata, Err("no spec"));
    assert_eq!(group.spec.unwrap_err().reason, Reason::InvalidSpec);
}

#[test]
fn a_node_is_what_its_status_and_annotations_say() {
    let text = r#"
metadata:
  name: rs-1
  labels: {role: web}
  annotations: {lvs-operator.io/real-server-addresses: "10.0.0.1, 2001:db8::1", lvs-operator.io/uplink: bond0.100}
status:
  addresses:
  - {type: Hostname, address: rs-1}
  - {type: InternalIP, address: 192.168.10.10}
  - {type: InternalIP, address: "2001:db8::10"}
  - {type: InternalIP, address: not-an-address}
  - {type: ExternalIP, address: 203.0.113.1}
  conditions:
  - {type: MemoryPressure, status: "False"}
  - {type: Ready, status: "STATUS"}
  nodeInfo: {architecture: "", bootID: 7f0b, containerRuntimeVersion: "", kernelVersion: "", kubeProxyVersion: "",
    kubeletVersion: "", machineID: "", operatingSystem: "", osImage: "", systemUUID: ""}
"#;
    for (status, ready) in [("True", true), ("False", false), ("Unknown", false)] {
        let (node, trouble) = node::node(&serde_saphyr::from_str(&text.replace("STATUS", status)).unwrap());
        assert_eq!(node.ready, Some(ready));
        assert_eq!(trouble, None);
        assert_eq!(node.internal_ips, BTreeSet::from([address("192.168.10.10"), address("2001:db8::10")]));
        assert_eq!(node.boot_id, Some(BootId::from("7f0b")));
        assert_eq!(
            node.real_server_addresses,
            Addresses::from([address("10.0.0.1"), address("2001:db8::1")])
        );
        assert_eq!(node.uplink.unwrap().as_str(), "bond0.100");
        assert_eq!(node.labels["role"], "web");
    }
}

#[test]
fn an_annotation_that_cannot_be_read_is_named_and_counts_as_absent() {
    for (key, value) in [
        ("real-server-addresses", "10.0.0.1,10.0.0.2"),
        ("real-server-addresses", "rs-1"),
        ("real-server-addresses", ""),
        ("uplink", "no such/link"),
    ] {
        let key = format!("lvs-operator.io/{key}");
        let object = serde_json::json!({"metadata": {"name": "rs-1", "annotations": {&key: value}}});
        let (node, trouble) = node::node(&serde_json::from_value(object).unwrap());
        assert!(node.real_server_addresses.is_empty() && node.uplink.is_none(), "{value}");
        assert!(trouble.unwrap().message.contains(&key), "{value}");
    }
}

#[test]
fn sysctls_are_the_numbers_that_the_kernel_takes() {
    let spec = json!({
        "nodeSelector": {"matchLabels": {"lvs": "director"}},
        "pools": [{"name": "public", "addresses": ["192.168.10.40"]}],
        "ipvsSysctls": {
            "conntrack": "Enabled",
            "pmtuDisc": "Disabled",
            "secureTcp": "Always",
            "connReuseMode": "FinWait",
            "estimationNiceness": -5,
        },
    });
    let spec: DirectorGroupSpec = serde_json::from_value(spec).unwrap();
    let metadata = ObjectMeta { name: Some("edge".to_owned()), ..ObjectMeta::default() };
    let found = director_group::group(&metadata, Ok(&spec)).spec.unwrap().ipvs_sysctls;
    let expected = [
        (IpvsSysctl::ConnReuseMode, 2),
        (IpvsSysctl::Conntrack, 1),
        (IpvsSysctl::EstNice, -5),
        (IpvsSysctl::PmtuDisc, 0),
        (IpvsSysctl::SecureTcp, 3),
    ];
    assert_eq!(found, expected.into());
}
