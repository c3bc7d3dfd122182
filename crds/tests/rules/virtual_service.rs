use lvs_crds::{VirtualService, strict, virtual_service};
use serde_json::{Value, json};

use crate::case::Case;
use crate::case::Outcome::{Accepted, Refused, RefusedInConversion};
use crate::table::Table;

// Also where this file is somebody else's module by its path.
#[path = "virtual_service/forwarding.rs"]
mod forwarding;

fn convert(object: &Value) -> Result<(), String> {
    let metadata = serde_json::from_value(object["metadata"].clone()).unwrap();
    let spec = strict::specification::<VirtualService>(object).map_err(|found| format!("{found:?}"));
    let spec = spec.as_ref().map_err(String::as_str);
    virtual_service::service(&metadata, spec).spec.map(drop).map_err(|trouble| trouble.message)
}

fn check(cases: &[Case]) {
    Table { kind: "VirtualService", base: base(), convert }.check(cases);
}

fn base() -> Value {
    json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "vips": [{"address": "192.168.10.40"}],
            "ports": [{"port": 80, "protocol": "TCP", "name": "http"}],
            "realServers": [{"name": "a", "nodeName": "rs-1"}],
        },
    })
}

/// The valid specification with other values of some fields.
fn with(changes: &Value, outcome: crate::case::Outcome) -> Case {
    let mut spec = base()["spec"].clone();
    for (field, value) in changes.as_object().unwrap() {
        if !value.is_null() {
            spec[field] = value.clone();
        }
    }
    ("/spec", spec, outcome)
}

const HOST: &str = "write an IPv4 address such as";
const ALL_PORTS: &str = "port 0 stands for all ports and needs persistence";
const PORTS_OR_MARK: &str = "write exactly one of ports and firewallMark";
const RESERVED: &str = "are reserved: write another mark";
const FOR_PORTS: &str = "Together is for ports";
const KEEPS_PORT: &str = "with portScheduling Together a packet keeps its port";
const OTHER_SCHEDULER: &str = "a flag of another scheduler";
const LABEL: &str = "not a DNS label";
const ONE_TARGET: &str = "write exactly one of nodeName, nodeSelector and addresses";
const ONE_PER_FAMILY: &str = "write at most one address of each family";
const VALUES: &str = "In and NotIn need values";

#[test]
fn what_is_refused_and_what_is_not() {
    let cases: Vec<Case> = [
        metadata(),
        vips(),
        ports(),
        marks(),
        scheduling(),
        finer_scheduling(),
        thresholds(),
        forwarding::methods(),
        forwarding::other_ports(),
        targets(),
        selectors(),
        foreign(),
        weights(),
    ]
    .concat();
    check(&cases);
}

fn metadata() -> Vec<Case> {
    let longest = "w".repeat(63);
    vec![
        ("/metadata/name", json!(longest), Accepted),
        (
            "/metadata/name",
            json!(format!("{longest}w")),
            Refused("metadata.name: write at most 63 characters"),
        ),
        ("/metadata/annotations", json!({"lvs-operator.io/adopt": "true"}), Accepted),
        (
            "/metadata/annotations",
            json!({"lvs-operator.io/adopt": "yes"}),
            RefusedInConversion("write \"true\""),
        ),
        ("/metadata/annotations", json!({"lvs-operator.io/zero-counters": "2026-11-24T18:00:00Z"}), Accepted),
        (
            "/metadata/annotations",
            json!({"lvs-operator.io/zero-counters": ""}),
            RefusedInConversion("write a word of 1 to 63"),
        ),
        (
            "/metadata/annotations",
            json!({"lvs-operator.io/zero-counters": "two words"}),
            RefusedInConversion("write a word of 1 to 63"),
        ),
    ]
}

fn vips() -> Vec<Case> {
    let many =
        |count: usize| (0..count).map(|last| json!({"address": format!("10.0.0.{}", last + 1)})).collect();
    let address = |text: &str, outcome| ("/spec/vips/0/address", json!(text), outcome);
    let mut cases = vec![
        ("/spec/vips", json!(null), Refused("spec.vips: Required value")),
        ("/spec/vips", json!([]), Refused("spec.vips: 0 is not within")),
        ("/spec/vips", Value::Array(many(16)), Accepted),
        ("/spec/vips", Value::Array(many(17)), Refused("spec.vips: 17 is not within")),
        ("/spec/vips/-", json!({"address": "2001:db8::40"}), Accepted),
        ("/spec/vips/-", json!({"address": "192.168.10.40"}), Refused("a VIP stands here twice")),
        ("/spec/vips/0", json!({}), Refused("address: Required value")),
        ("/spec/vips/0", json!({"adress": "192.168.10.40"}), Refused("adress: unknown field")),
        address("10.0.0.1", Accepted),
        address("2001:db8::40", Accepted),
        address("", Refused("is not within minLength")),
    ];
    for wrong in [
        "web.example",
        "192.168.10",
        "192.168.10.040",
        "192.168.10.40/32",
        "2001:DB8::40",
        "2001:db8:0::40",
        "::ffff:192.168.10.40",
        "fe80::1%eth0",
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "fe80::1",
    ] {
        cases.push(address(wrong, Refused(HOST)));
    }
    cases
}

fn marks() -> Vec<Case> {
    let mark = |mark: i64, outcome| {
        let spec = json!({"vips": [{"address": "192.168.10.40"}], "firewallMark": mark});
        ("/spec", spec, outcome)
    };
    let marked = |more: &Value, outcome| {
        let mut spec = json!({"vips": [{"address": "192.168.10.40"}], "firewallMark": 7});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("/spec", spec, outcome)
    };
    vec![
        ("/spec/firewallMark", json!(7), Refused(PORTS_OR_MARK)),
        mark(1, Accepted),
        mark(4_294_967_295, Accepted),
        mark(0, Refused("firewallMark: 0 is not within")),
        mark(4_294_967_296, Refused("firewallMark: 4294967296 is not within")),
        mark(1_275_068_415, Accepted),
        mark(1_275_068_416, Refused(RESERVED)),
        mark(1_275_084_799, Refused(RESERVED)),
        mark(1_275_084_800, Accepted),
        marked(&json!({"portScheduling": "Together"}), Refused(FOR_PORTS)),
        marked(&json!({"portScheduling": "Separate"}), Accepted),
        marked(&json!({"udpScheduling": "PerPacket"}), Accepted),
        marked(&json!({"persistence": {"engine": "sip"}}), Accepted),
        ("/spec/portScheduling", json!("Together"), Accepted),
        ("/spec/portScheduling", json!("Separate"), Accepted),
        ("/spec/portScheduling", json!("Both"), Refused("Unsupported value")),
        with(
            &json!({"portScheduling": "Together", "ports": [{"port": 80, "targetPort": 8080}]}),
            Refused(KEEPS_PORT),
        ),
        with(&json!({"portScheduling": "Together", "ports": [{"port": 80, "targetPort": 80}]}), Accepted),
        with(
            &json!({"portScheduling": "Together", "realServers": [{"name": "a", "nodeName": "rs-1", "port": 80}]}),
            Refused(KEEPS_PORT),
        ),
        marked(&json!({"realServers": [{"name": "a", "addresses": ["10.0.0.1"]}]}), Accepted),
    ]
}

fn ports() -> Vec<Case> {
    let many = |count: i32| (1..=count).map(|port| json!({"port": port})).collect();
    let port = |number: i64, outcome| ("/spec/ports/0/port", json!(number), outcome);
    let name = |text: &str, outcome| ("/spec/ports/0/name", json!(text), outcome);
    vec![
        ("/spec/ports", json!(null), Refused(PORTS_OR_MARK)),
        ("/spec/ports", json!([]), Refused("spec.ports: 0 is not within")),
        ("/spec/ports", Value::Array(many(64)), Accepted),
        ("/spec/ports", Value::Array(many(65)), Refused("spec.ports: 65 is not within")),
        port(1, Accepted),
        port(65535, Accepted),
        port(0, Refused(ALL_PORTS)),
        with(&json!({"ports": [{"port": 0}], "persistence": {}}), Accepted),
        port(-1, Refused("port: -1 is not within")),
        port(65536, Refused("port: 65536 is not within")),
        port(4_294_967_376, Refused("port: 4294967376 is no int32")),
        ("/spec/ports/0/port", json!("80"), Refused("must be of type integer")),
        ("/spec/ports/-", json!({"port": 80, "protocol": "UDP"}), Accepted),
        ("/spec/ports/-", json!({"port": 80, "protocol": "SCTP"}), Accepted),
        ("/spec/ports/-", json!({"port": 81, "name": "https"}), Accepted),
        ("/spec/ports/-", json!({"port": 80, "protocol": "TCP"}), Refused("ports[1]: Duplicate value")),
        ("/spec/ports/-", json!({"port": 80}), Refused("ports[1]: Duplicate value")),
        ("/spec/ports/-", json!({"port": 81, "name": "http"}), Refused("two ports have the same name")),
        ("/spec/ports/0/protocol", json!("tcp"), Refused("Unsupported value")),
        ("/spec/ports/0/protocol", json!("ICMP"), Refused("Unsupported value")),
        name("h2", Accepted),
        name("HTTP", Refused(LABEL)),
        name("-http", Refused(LABEL)),
        name("", Refused("is not within minLength")),
    ]
}

fn scheduling() -> Vec<Case> {
    let scheduler = |text: &str, outcome| ("/spec/scheduler", json!(text), outcome);
    let timeout = |seconds: i64, outcome| ("/spec/persistence", json!({"timeoutSeconds": seconds}), outcome);
    vec![
        scheduler("rr", Accepted),
        scheduler("", Refused("is not within minLength")),
        scheduler("sixteen-chars-xy", Refused("is not within minLength and maxLength")),
        scheduler("round robin", Refused("not the name of a scheduler")),
        scheduler("RR", Refused("not the name of a scheduler")),
        ("/spec/persistence", json!({}), Accepted),
        timeout(1, Accepted),
        timeout(2_678_400, Accepted),
        timeout(0, Refused("timeoutSeconds: 0 is not within")),
        timeout(-5, Refused("timeoutSeconds: -5 is not within")),
        timeout(2_678_401, Refused("timeoutSeconds: 2678401 is not within")),
    ]
}

fn finer_scheduling() -> Vec<Case> {
    let udp = json!([{"port": 5060, "protocol": "UDP"}]);
    let both = json!([{"port": 53}, {"port": 53, "protocol": "UDP"}]);
    let flags = |scheduler: Option<&str>, flags: Value, outcome| {
        with(&json!({"scheduler": scheduler, "schedulerFlags": flags}), outcome)
    };
    let persistence = |value: Value, outcome| ("/spec/persistence", value, outcome);
    vec![
        flags(Some("sh"), json!(["sh-port", "sh-fallback"]), Accepted),
        flags(Some("mh"), json!(["mh-fallback"]), Accepted),
        flags(Some("sh"), json!([]), Accepted),
        flags(Some("sh"), json!(["mh-port"]), Refused(OTHER_SCHEDULER)),
        flags(None, json!(["sh-port"]), Refused(OTHER_SCHEDULER)),
        flags(Some("sh"), json!(["flag-1"]), Refused("Unsupported value")),
        with(&json!({"udpScheduling": "PerPacket", "ports": both}), Accepted),
        with(&json!({"udpScheduling": "PerConnection"}), Accepted),
        with(&json!({"udpScheduling": "PerPacket"}), Refused("udpScheduling PerPacket is for UDP")),
        with(&json!({"udpScheduling": "per-packet", "ports": both}), Refused("Unsupported value")),
        persistence(json!({"ipv4PrefixLength": 24, "ipv6PrefixLength": 64}), Accepted),
        persistence(json!({"ipv4PrefixLength": 0}), Refused("ipv4PrefixLength: 0 is not within")),
        persistence(json!({"ipv4PrefixLength": 33}), Refused("ipv4PrefixLength: 33 is not within")),
        persistence(json!({"ipv6PrefixLength": 129}), Refused("ipv6PrefixLength: 129 is not within")),
        with(&json!({"persistence": {"engine": "sip"}, "ports": udp}), Accepted),
        with(&json!({"persistence": {"engine": "sip"}, "ports": both}), Refused("engine sip reads UDP only")),
        persistence(json!({"engine": "http"}), Refused("Unsupported value")),
    ]
}

fn thresholds() -> Vec<Case> {
    let service = |value: Value, outcome| ("/spec/connectionThresholds", value, outcome);
    let entry = |value: Value, outcome| ("/spec/realServers/0/connectionThresholds", value, outcome);
    vec![
        service(json!({"upper": 1000, "lower": 800, "split": "ByWeight"}), Accepted),
        service(json!({"upper": 2_147_483_647}), Accepted),
        service(json!({"upper": 10, "lower": 10}), Accepted),
        service(json!({"upper": 10, "lower": 11}), Refused("lower is above upper")),
        service(json!({"upper": 0}), Refused("upper: 0 is not within")),
        service(json!({"upper": 10, "lower": 0}), Refused("lower: 0 is not within")),
        service(json!({"lower": 10}), Refused("upper: Required value")),
        service(json!({"upper": 10, "split": "Evenly"}), Refused("Unsupported value")),
        entry(json!({"upper": 10, "lower": 5}), Accepted),
        entry(json!({"upper": 10, "lower": 11}), Refused("lower is above upper")),
        entry(json!({"upper": 10, "split": "ByWeight"}), Refused("split: unknown field")),
    ]
}

fn targets() -> Vec<Case> {
    let many =
        |count: usize| (0..count).map(|n| json!({"name": format!("a{n}"), "nodeName": "rs-1"})).collect();
    let entry = |value, outcome| ("/spec/realServers/0", value, outcome);
    let node = |text: &str, outcome| ("/spec/realServers/0/nodeName", json!(text), outcome);
    vec![
        ("/spec/realServers", json!(null), Accepted),
        ("/spec/realServers", json!([]), Accepted),
        ("/spec/realServers", Value::Array(many(256)), Accepted),
        ("/spec/realServers", Value::Array(many(257)), Refused("spec.realServers: 257 is not within")),
        ("/spec/realServers/-", json!({"name": "b", "nodeName": "rs-2"}), Accepted),
        (
            "/spec/realServers/-",
            json!({"name": "a", "nodeName": "rs-2"}),
            Refused("realServers[1]: Duplicate value"),
        ),
        entry(json!({"nodeName": "rs-1"}), Refused("name: Required value")),
        entry(json!({"name": "A", "nodeName": "rs-1"}), Refused(LABEL)),
        entry(json!({"name": "a.b", "nodeName": "rs-1"}), Refused(LABEL)),
        entry(json!({"name": "a"}), Refused(ONE_TARGET)),
        entry(json!({"name": "a", "addresses": ["10.0.0.1"]}), Accepted),
        entry(json!({"name": "a", "nodeName": "rs-1", "addresses": ["10.0.0.1"]}), Refused(ONE_TARGET)),
        entry(
            json!({"name": "a", "nodeName": "x", "nodeSelector": {"matchLabels": {"x": "y"}}}),
            Refused(ONE_TARGET),
        ),
        node("rs-1.example.com", Accepted),
        node("RS-1", Refused("not the name of a Node")),
        node("rs 1", Refused("not the name of a Node")),
        node("", Refused("is not within minLength")),
        node("rs..1", RefusedInConversion("is not the name of a Node")),
    ]
}

fn selectors() -> Vec<Case> {
    let selector =
        |value: Value, outcome| ("/spec/realServers/0", json!({"name": "a", "nodeSelector": value}), outcome);
    let expression = |value: Value, outcome| selector(json!({"matchExpressions": [value]}), outcome);
    vec![
        selector(json!({"matchLabels": {"role": "web"}}), Accepted),
        selector(json!({"matchLabels": {"example.com/role": ""}}), Accepted),
        selector(json!({}), Refused("matches every Node")),
        selector(json!({"matchLabels": {}}), Refused("matches every Node")),
        selector(json!({"matchExpressions": []}), Refused("matches every Node")),
        selector(json!({"matchLabels": {"role of": "web"}}), Refused("not the key of a label")),
        selector(json!({"matchLabels": {"role": "web server"}}), Refused("should match")),
        selector(json!({"matchLabels": {"role": "-web"}}), Refused("should match")),
        expression(json!({"key": "role", "operator": "In", "values": ["web"]}), Accepted),
        expression(json!({"key": "role", "operator": "NotIn", "values": ["web", "db"]}), Accepted),
        expression(json!({"key": "example.com/role", "operator": "Exists"}), Accepted),
        expression(json!({"key": "role", "operator": "DoesNotExist", "values": []}), Accepted),
        expression(json!({"key": "role", "operator": "In"}), Refused(VALUES)),
        expression(json!({"key": "role", "operator": "NotIn", "values": []}), Refused(VALUES)),
        expression(json!({"key": "role", "operator": "Exists", "values": ["web"]}), Refused(VALUES)),
        expression(json!({"key": "role", "operator": "Gt", "values": ["1"]}), Refused("Unsupported value")),
        expression(json!({"key": "a/b/c", "operator": "Exists"}), Refused("should match")),
        expression(json!({"key": "role", "operator": "In", "values": ["a b"]}), Refused("should match")),
    ]
}

fn foreign() -> Vec<Case> {
    let addresses =
        |value: Value, outcome| ("/spec/realServers/0", json!({"name": "a", "addresses": value}), outcome);
    vec![
        addresses(json!(["192.168.10.10"]), Accepted),
        addresses(json!(["192.168.10.10", "2001:db8::10"]), Accepted),
        addresses(json!(["2001:db8::10", "192.168.10.10"]), Accepted),
        addresses(json!([]), Refused("addresses: 0 is not within")),
        addresses(json!(["192.168.10.10", "192.168.10.11"]), Refused(ONE_PER_FAMILY)),
        addresses(json!(["2001:db8::10", "2001:db8::11"]), Refused(ONE_PER_FAMILY)),
        addresses(json!(["192.168.10.10", "192.168.10.10"]), Refused(ONE_PER_FAMILY)),
        addresses(
            json!(["192.168.10.10", "2001:db8::10", "10.0.0.1"]),
            Refused("addresses: 3 is not within"),
        ),
        addresses(json!(["rs-1"]), Refused(HOST)),
        addresses(json!(["127.0.0.1"]), Refused(HOST)),
        addresses(json!(["::ffff:10.0.0.1"]), Refused(HOST)),
        addresses(json!(["fe80::1%eth0"]), Refused(HOST)),
    ]
}

fn weights() -> Vec<Case> {
    let weight = |number: i64, outcome| ("/spec/realServers/0/weight", json!(number), outcome);
    vec![
        weight(0, Accepted),
        weight(2_147_483_647, Accepted),
        weight(-1, Refused("weight: -1 is not within")),
    ]
}
