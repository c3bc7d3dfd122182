//! How real servers are sent to, and at which ports.

use serde_json::{Value, json};

use super::with;
use crate::case::Case;
use crate::case::Outcome::{Accepted, Refused};

pub(super) fn methods() -> Vec<Case> {
    let service = |value: Value, outcome| ("/spec/forwarding", value, outcome);
    let tunnel = |value: Value, outcome| service(json!({"method": "Tunnel", "tunnel": value}), outcome);
    let entry = |value: Value, outcome| ("/spec/realServers/0/forwarding", value, outcome);
    let port = "port is of type GUE, which needs one";
    vec![
        service(json!({"method": "DirectRouting"}), Accepted),
        service(json!({"method": "Tunnel"}), Accepted),
        service(json!({}), Refused("method: Required value")),
        service(json!({"method": "Route"}), Refused("Unsupported value")),
        service(
            json!({"method": "DirectRouting", "tunnel": {"type": "IPIP"}}),
            Refused("a tunnel is for method Tunnel"),
        ),
        tunnel(json!({}), Refused("type: Required value")),
        tunnel(json!({"type": "VXLAN"}), Refused("Unsupported value")),
        tunnel(json!({"type": "IPIP"}), Accepted),
        tunnel(json!({"type": "IPIP", "checksum": "Absent"}), Accepted),
        tunnel(json!({"type": "IPIP", "port": 6080}), Refused(port)),
        tunnel(json!({"type": "IPIP", "checksum": "Outer"}), Refused("IPIP has no checksum")),
        tunnel(json!({"type": "GUE", "port": 6080}), Accepted),
        tunnel(json!({"type": "GUE", "port": 65535, "checksum": "Outer"}), Accepted),
        tunnel(json!({"type": "GUE", "port": 1, "checksum": "Remote"}), Accepted),
        tunnel(json!({"type": "GUE"}), Refused(port)),
        tunnel(json!({"type": "GUE", "port": 0}), Refused("port: 0 is not within")),
        tunnel(json!({"type": "GUE", "port": 65536}), Refused("port: 65536 is not within")),
        tunnel(json!({"type": "GUE", "port": 6080, "checksum": "Full"}), Refused("Unsupported value")),
        tunnel(json!({"type": "GRE"}), Accepted),
        tunnel(json!({"type": "GRE", "checksum": "Outer"}), Accepted),
        tunnel(json!({"type": "GRE", "checksum": "Remote"}), Refused("checksum Remote is of type GUE")),
        tunnel(json!({"type": "GRE", "port": 6080}), Refused(port)),
        service(json!({"method": "Masquerade"}), Accepted),
        service(json!({"method": "FullNAT"}), Accepted),
        service(json!({"method": "FullNat"}), Refused("Unsupported value")),
        service(
            json!({"method": "Masquerade", "tunnel": {"type": "IPIP"}}),
            Refused("a tunnel is for method Tunnel"),
        ),
        entry(json!({"method": "Masquerade"}), Accepted),
        entry(json!({"method": "Tunnel", "tunnel": {"type": "GRE"}}), Accepted),
        entry(json!({"method": "DirectRouting"}), Accepted),
        entry(json!({"method": "Tunnel", "tunnel": {"type": "GUE"}}), Refused(port)),
    ]
}

pub(super) fn other_ports() -> Vec<Case> {
    let target = |port: i64, target: i64| json!([{"port": port, "targetPort": target}]);
    let ports = |ports: Value, outcome| with(&json!({"ports": ports, "persistence": {}}), outcome);
    let two = json!([{"port": 80}, {"port": 443, "targetPort": 8443}]);
    let servers = |ports: &Value, servers: Value, outcome| {
        with(&json!({"ports": ports, "realServers": servers, "persistence": {}}), outcome)
    };
    let node = |port: i64| json!({"name": "a", "nodeName": "rs-1", "port": port});
    let foreign = |more: Value| {
        let mut entry = json!({"name": "b", "addresses": ["10.0.0.1"]});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([entry])
    };
    let masqueraded = json!({"forwarding": {"method": "Masquerade"}});
    let (port, plain) = (json!([{"port": 80}]), json!({}));
    let alone = "another port on a host without an agent";
    let one = "is for a service with one port";
    vec![
        ports(target(80, 8080), Accepted),
        ports(target(80, 0), Refused("targetPort: 0 is not within")),
        ports(target(80, 65536), Refused("targetPort: 65536 is not within")),
        ports(target(0, 80), Refused("port 0 stands for all ports, each of which stays")),
        ports(two.clone(), Accepted),
        servers(&port, json!([node(8080)]), Accepted),
        servers(&port, json!([node(0)]), Refused("port: 0 is not within")),
        servers(&two, json!([node(8080)]), Refused(one)),
        servers(&json!([{"port": 0}]), json!([node(8080)]), Refused(one)),
        servers(&port, foreign(plain.clone()), Accepted),
        servers(&port, foreign(json!({"port": 80})), Accepted),
        servers(&port, foreign(json!({"port": 8080})), Refused(alone)),
        servers(&target(80, 8080), foreign(plain.clone()), Refused(alone)),
        servers(&target(80, 80), foreign(plain.clone()), Accepted),
        servers(&target(80, 8080), foreign(json!({"port": 80})), Accepted),
        servers(&target(80, 8080), foreign(masqueraded.clone()), Accepted),
        servers(&two, foreign(plain.clone()), Refused(alone)),
        servers(&two, foreign(json!({"forwarding": {"method": "FullNAT"}})), Accepted),
        servers(&two, foreign(json!({"forwarding": {"method": "Tunnel"}})), Refused(alone)),
        with(
            &json!({"ports": two, "forwarding": {"method": "Masquerade"}, "realServers": foreign(plain)}),
            Accepted,
        ),
    ]
}
