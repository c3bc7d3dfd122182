//! What masqueraded real servers need of the director.

use super::*;
use crate::forwarding::Forwarding;

/// A form whose real server is masqueraded at another port.
fn masqueraded(forwarding: Forwarding) -> NodePlan {
    with_part(|part| {
        for server in part.form.as_mut().unwrap().real_servers.values_mut() {
            server.forwarding = forwarding;
            server.ports.insert("TCP 80".parse().unwrap(), 8080);
        }
    })
}

fn by(local: &mut Local, rip: &str, on: &str, gateway: Option<&str>) {
    let path = Path { link: link(on), gateway: gateway.map(address) };
    local.paths.insert(address(rip), path);
}

#[test]
fn packets_are_forwarded_where_replies_come_in() {
    let mut local = local();
    by(&mut local, RIP, "eth1", Some("10.0.0.1"));
    let plan = masqueraded(Forwarding::Masquerade);
    let found = wanted(&plan, &local);
    assert_eq!(found.forward, BTreeSet::from([link("eth1")]));
    assert_eq!(found.users[&Item::Forwarding(link("eth1"))], BTreeSet::from([name()]));
    assert_eq!(weights(&plan, &local).keys().map(|key| key.port).collect::<Vec<_>>(), [8080]);
    // Nothing comes in by a link from the node itself, nor where there is no way.
    by(&mut local, RIP, "lo", None);
    assert!(wanted(&plan, &local).forward.is_empty());
    local.paths.clear();
    assert!(wanted(&plan, &local).forward.is_empty());
}

#[test]
fn only_masquerading_writes_another_port_and_forwards_replies() {
    let mut local = local();
    by(&mut local, RIP, "eth1", None);
    let plan = masqueraded(Forwarding::DirectRouting);
    assert!(wanted(&plan, &local).forward.is_empty());
    assert_eq!(weights(&plan, &local).keys().map(|key| key.port).collect::<Vec<_>>(), [80]);
}

#[test]
fn without_ipv6_forwarding_no_ipv6_is_masqueraded() {
    let mut plan = masqueraded(Forwarding::Masquerade);
    let part = plan.part_mut(&name()).unwrap();
    part.vips = [(address(VIP6), holder())].into();
    let key = "TCP [VIP6]:80".replace("VIP6", VIP6).parse().unwrap();
    let mut local = local();
    let found = wanted(&plan, &local);
    assert!(found.virtual_servers[&key].destinations.is_empty());
    assert_eq!(reasons(&found), [Reason::Ipv6ForwardingOff]);
    assert!(message(&found).contains("net.ipv6.conf.all.forwarding"));
    local.forwards_ipv6 = true;
    let found = wanted(&plan, &local);
    assert_eq!(found.virtual_servers[&key].destinations.len(), 1);
    assert_eq!(reasons(&found), []);
}
