use lvs_crds::{DirectorGroup, director_group, strict};
use serde_json::{Value, json};

use crate::case::Case;
use crate::case::Outcome::{Accepted, Refused, RefusedInConversion};
use crate::table::Table;

fn convert(object: &Value) -> Result<(), String> {
    let metadata = serde_json::from_value(object["metadata"].clone()).unwrap();
    let spec = strict::specification::<DirectorGroup>(object).map_err(|found| format!("{found:?}"));
    let spec = spec.as_ref().map_err(String::as_str);
    director_group::group(&metadata, spec).spec.map(drop).map_err(|trouble| trouble.message)
}

fn check(cases: &[Case]) {
    let base = json!({
        "apiVersion": "lvs-operator.io/v1alpha1",
        "kind": "DirectorGroup",
        "metadata": {"name": "edge"},
        "spec": {
            "nodeSelector": {"matchLabels": {"lvs": "director"}},
            "pools": [{"name": "public", "addresses": ["192.168.10.40/32"]}],
        },
    });
    Table { kind: "DirectorGroup", base, convert }.check(cases);
}

const RANGE: &str = "write an address (192.168.10.40), a network";
const VALUES: &str = "In and NotIn need values";

#[test]
fn what_is_refused_and_what_is_not() {
    let cases: Vec<Case> =
        [metadata(), directors(), pools(), addresses(), allowed(), timeouts(), sysctls()].concat();
    check(&cases);
}

fn metadata() -> Vec<Case> {
    let annotations =
        |key: &str, value: &str, outcome| ("/metadata/annotations", json!({key: value}), outcome);
    let force_move = |value, outcome| annotations("lvs-operator.io/force-move", value, outcome);
    let silence = |value, outcome| annotations("lvs-operator.io/allow-arp-silence", value, outcome);
    vec![
        ("/metadata/name", json!("e".repeat(63)), Accepted),
        ("/metadata/name", json!("e".repeat(64)), Refused("write at most 63 characters and no '.'")),
        ("/metadata/name", json!("edge.one"), Refused("write at most 63 characters and no '.'")),
        force_move("director-1=6d1c2a5e, director-2=7f0b", Accepted),
        force_move("director-1", RefusedInConversion("write NODE=BOOT")),
        force_move("director-1=", RefusedInConversion("write NODE=BOOT")),
        force_move("=6d1c", RefusedInConversion("write NODE=BOOT")),
        silence("192.168.10.1, 10.0.0.1", Accepted),
        silence("192.168.10.0/24", RefusedInConversion("is no IP address")),
        silence("", RefusedInConversion("is no IP address")),
    ]
}

fn directors() -> Vec<Case> {
    let selector = |value: Value, outcome| ("/spec/nodeSelector", value, outcome);
    let exists =
        |values: Value| json!({"matchExpressions": [{"key": "lvs", "operator": "Exists", "values": values}]});
    vec![
        selector(json!(null), Refused("nodeSelector: Required value")),
        selector(json!({}), Refused("would make every Node a director")),
        selector(json!({"matchLabels": {}}), Refused("would make every Node a director")),
        selector(exists(json!([])), Accepted),
        selector(exists(json!(["x"])), Refused(VALUES)),
        selector(json!({"matchLabels": {"l v s": "x"}}), Refused("not the key of a label")),
    ]
}

fn pools() -> Vec<Case> {
    let many = |count: usize| {
        (0..count)
            .map(|n| json!({"name": format!("p{n}"), "addresses": [format!("10.0.{n}.0/24")]}))
            .collect()
    };
    let interface = |text: &str, outcome| ("/spec/pools/0/interface", json!(text), outcome);
    vec![
        ("/spec/pools", json!(null), Refused("spec.pools: Required value")),
        ("/spec/pools", json!([]), Refused("spec.pools: 0 is not within")),
        ("/spec/pools", Value::Array(many(32)), Accepted),
        ("/spec/pools", Value::Array(many(33)), Refused("spec.pools: 33 is not within")),
        ("/spec/pools/-", json!({"name": "other", "addresses": ["10.0.0.0/8"]}), Accepted),
        ("/spec/pools/-", json!({"name": "public", "addresses": ["10.0.0.0/8"]}), Refused("Duplicate value")),
        ("/spec/pools/0/name", json!("Public"), Refused("not a DNS label")),
        ("/spec/pools/0/addresses", json!(null), Refused("addresses: Required value")),
        ("/spec/pools/0/addresses", json!([]), Refused("addresses: 0 is not within")),
        ("/spec/pools/0/interface", json!("bond0.100"), Accepted),
        interface("eth 0", Refused("not the name of a link")),
        interface("eth/0", Refused("not the name of a link")),
        interface("sixteen-chars-xy", Refused("is not within minLength and maxLength")),
    ]
}

fn addresses() -> Vec<Case> {
    let address = |text: &str, outcome| ("/spec/pools/0/addresses/-", json!(text), outcome);
    let mut cases = vec![address("192.168.10.41-192.168.10.40", RefusedInConversion("FIRST not above LAST"))];
    for right in [
        "192.168.10.41",
        "2001:db8::40",
        "192.168.10.64/28",
        "2001:db8::/64",
        "192.168.10.64-192.168.10.95",
        "192.168.10.64-192.168.10.64",
        "2001:db8::1-2001:db8::ff",
    ] {
        cases.push(address(right, Accepted));
    }
    for wrong in [
        "public",
        "192.168.10",
        "192.168.10.65/28",
        "192.168.10.64/33",
        "192.168.10.64/",
        "2001:DB8::/64",
        "192.168.10.64-",
        "192.168.10.64-95",
        "192.168.10.1-192.168.10.2-192.168.10.3",
        "192.168.10.1-2001:db8::1",
        "127.0.0.0/8",
        "224.0.0.0/4",
        "fe80::1",
        "::ffff:10.0.0.1",
        "192.168.10.64/28-192.168.10.95",
        "192.168.10.1 - 192.168.10.2",
    ] {
        cases.push(address(wrong, Refused(RANGE)));
    }
    cases
}

fn allowed() -> Vec<Case> {
    let allowed = |value: Value, outcome| ("/spec/allowedRealServers", value, outcome);
    let network = |text: &str, outcome| allowed(json!({"cidrs": [text]}), outcome);
    vec![
        allowed(json!({}), Accepted),
        allowed(json!({"nodeSelector": {}}), Accepted),
        allowed(json!({"nodeSelector": {"matchLabels": {"role": "web"}}}), Accepted),
        allowed(
            json!({"nodeSelector": {"matchLabels": {"ro le": "web"}}}),
            Refused("not the key of a label"),
        ),
        network("192.168.10.0/24", Accepted),
        network("2001:db8::/64", Accepted),
        network("0.0.0.0/0", Accepted),
        network("192.168.10.10", Refused("not a network")),
        network("192.168.10.10/24", Refused("not a network")),
        network("2001:DB8::/64", Refused("not a network")),
        network("somewhere", Refused("not a network")),
    ]
}

fn timeouts() -> Vec<Case> {
    let timeouts = |tcp: i64, fin: i64, udp: i64, outcome| {
        let value = json!({"tcpSeconds": tcp, "tcpFinSeconds": fin, "udpSeconds": udp});
        ("/spec/timeouts", value, outcome)
    };
    vec![
        timeouts(30, 5, 60, Accepted),
        timeouts(1, 1, 2_678_400, Accepted),
        timeouts(0, 5, 60, Refused("tcpSeconds: 0 is not within")),
        timeouts(30, -5, 60, Refused("tcpFinSeconds: -5 is not within")),
        timeouts(30, 5, 2_678_401, Refused("udpSeconds: 2678401 is not within")),
        ("/spec/timeouts", json!({"tcpSeconds": 30}), Refused("Required value")),
    ]
}

fn sysctls() -> Vec<Case> {
    let sysctl = |field: &str, value: Value, outcome| ("/spec/ipvsSysctls", json!({field: value}), outcome);
    vec![
        sysctl("conntrack", json!("Enabled"), Accepted),
        sysctl("conntrack", json!(true), Refused("conntrack")),
        sysctl("conntrack", json!("On"), Refused("conntrack")),
        sysctl("dropEntry", json!("Automatic"), Accepted),
        sysctl("dropEntry", json!("Enabled"), Refused("dropEntry")),
        sysctl("connReuseMode", json!("FinWait"), Accepted),
        sysctl("syncPersistMode", json!("Templates"), Accepted),
        sysctl("estimationNiceness", json!(-20), Accepted),
        sysctl("estimationNiceness", json!(20), Refused("estimationNiceness: 20 is not within")),
        sysctl("packetsPerDrop", json!(0), Refused("packetsPerDrop: 0 is not within")),
        sysctl(
            "availableMemoryThresholdPages",
            json!(-1),
            Refused("availableMemoryThresholdPages: -1 is not within"),
        ),
        sysctl("syncPorts", json!(64), Accepted),
        sysctl("syncPorts", json!(3), Refused("syncPorts is no power of 2")),
        sysctl("syncPorts", json!(128), Refused("syncPorts: 128 is not within")),
        sysctl("syncQueueMessages", json!(0), Refused("syncQueueMessages: 0 is not within")),
        sysctl("syncRefreshPeriodSeconds", json!(-1), Refused("syncRefreshPeriodSeconds: -1 is not within")),
        sysctl("syncRetries", json!(4), Refused("syncRetries: 4 is not within")),
        sysctl("syncSocketBytes", json!(-1), Refused("syncSocketBytes: -1 is not within")),
        sysctl("syncVersion", json!(2), Refused("syncVersion: 2 is not within")),
        sysctl("conn_reuse_mode", json!(1), Refused("conn_reuse_mode")),
    ]
}
