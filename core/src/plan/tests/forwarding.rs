//! How directors send, and how that changes. `World::assert_safe` looks after every step that no director sends by a
//! tunnel that the real server does not take in.

use super::world::{World, service_name, vip};
use crate::cluster::{RealServerSpec, RealServerTarget, ServiceSpec};
use crate::forwarding::{Encapsulation, Forwarding, GueChecksum};
use crate::names::{Feature, NodeName, RealServerKey};
use crate::network::Family;
use crate::node_plan::{PlannedService, StageName};
use crate::reason::Reason;

const IPIP: Forwarding = Forwarding::Tunnel(Encapsulation::Ipip);
const GUE: Forwarding = Forwarding::Tunnel(Encapsulation::Gue { port: 6080, checksum: GueChecksum::Absent });
const GRE: Forwarding = Forwarding::Tunnel(Encapsulation::Gre { checksum: false });

fn world(forwarding: Forwarding) -> World {
    let mut world = World::new();
    world.forwarding = forwarding;
    world.apply("web", &[40], &["c", "d"]);
    world.settle();
    world
}

fn part<'a>(world: &'a World, node: &str) -> &'a PlannedService {
    &world.last.nodes[&NodeName::from(node)].services[&service_name("web")]
}

fn edit(world: &mut World, change: impl FnOnce(&mut ServiceSpec)) {
    let service = world.cluster.services.get_mut(&service_name("web")).unwrap();
    change(service.spec.as_mut().unwrap());
}

#[test]
fn a_real_server_takes_the_tunnel_in_before_anybody_sends_by_it() {
    let mut world = world(IPIP);
    let holder = world.holder(40).unwrap();
    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"]);
    assert_eq!(part(&world, "c").receive.len(), 1);
    for (node, features) in [("c", vec!["Tunnel"]), (holder.as_str(), vec!["Tunnel"])] {
        let features: Vec<Feature> = features.into_iter().map(Into::into).collect();
        assert_eq!(part(&world, node).requires.iter().cloned().collect::<Vec<_>>(), features, "{node}");
    }
    world.delete("web");
    world.settle();
    assert!(world.agents.values().all(super::agent::Agent::is_untouched));
}

#[test]
fn another_method_comes_without_a_gap_and_the_old_one_leaves_last() {
    for (from, to) in
        [(Forwarding::DirectRouting, IPIP), (IPIP, Forwarding::DirectRouting), (IPIP, GUE), (GUE, GRE)]
    {
        // Whether directors or real servers are the first to do what a plan says.
        change(from, to, ["a", "b", "c", "d"]);
        change(from, to, ["d", "c", "b", "a"]);
    }
}

fn change(from: Forwarding, to: Forwarding, order: [&str; 4]) {
    let mut world = world(from);
    let holder = world.holder(40).unwrap();
    edit(&mut world, |spec| spec.forwarding = to);
    let mut settled = false;
    for _ in 0..16 {
        let changed = world.operate();
        for node in order {
            world.take(node);
            world.report(node);
            world.assert_safe();
            assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"], "{from} to {to}");
        }
        settled = !changed;
    }
    assert!(settled);
    let rip = world.agents[&NodeName::from("c")].rip();
    let key = "TCP 192.168.10.40:80".parse().unwrap();
    let settings = world.agents[&NodeName::from(holder.as_str())].settings(&key, rip).unwrap();
    assert_eq!((settings.method, settings.tunnel), to.settings());
    assert_eq!(part(&world, "c").receive, to.receptions(&[rip], [Family::IPv4]));
    let left = world.agents[&NodeName::from("c")].kernel.tunnels.len();
    assert_eq!(left, usize::from(to != Forwarding::DirectRouting), "{from} to {to}");
}

#[test]
fn the_old_way_goes_on_while_the_agent_cannot_have_the_new_one() {
    let mut world = world(Forwarding::DirectRouting);
    let holder = world.holder(40).unwrap();
    world.agents.get_mut(&NodeName::from("c")).unwrap().forget(&"Tunnel".into());
    edit(&mut world, |spec| spec.forwarding = IPIP);
    world.settle();
    let form = part(&world, &holder).form.as_ref().unwrap();
    let server = |node: &str| &form.real_servers[&RealServerKey::Node(node.into())];
    assert_eq!(server("c").forwarding, Forwarding::DirectRouting);
    assert_eq!(server("d").forwarding, IPIP);
    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"]);
}

#[test]
fn an_entry_has_its_own_method_and_a_tunnel_crosses_families() {
    let mut world = world(Forwarding::DirectRouting);
    let v6 = "fd00::99".parse().unwrap();
    edit(&mut world, |spec| spec.real_servers.get_mut("c").unwrap().forwarding = Some(GRE));
    world.cluster.nodes.get_mut(&NodeName::from("c")).unwrap().real_server_addresses = [v6].into();
    world.settle();
    let holder = world.holder(40).unwrap();
    let form = part(&world, &holder).form.as_ref().unwrap();
    let server = &form.real_servers[&RealServerKey::Node("c".into())];
    assert_eq!((server.forwarding, &server.addresses), (GRE, &[v6].into()));
    assert_eq!((server.stage.name, &server.admitted), (StageName::Serving, &[vip(40)].into()));
    assert!(part(&world, "d").receive.is_empty());
}

#[test]
fn foreign_hosts_are_sent_to_by_tunnel_unverified() {
    let mut world = world(IPIP);
    let group = world.cluster.groups.get_mut(&"edge".into()).unwrap().spec.as_mut().unwrap();
    group.allowed_real_servers.get_or_insert_default().cidrs.push("fd09::/64".parse().unwrap());
    edit(&mut world, |spec| {
        let target = RealServerTarget::Foreign(["fd09::1".parse().unwrap()].into());
        let entry = RealServerSpec { target, weight: 1, thresholds: None, forwarding: None };
        spec.real_servers.insert("far".to_owned(), entry);
    });
    world.settle();
    let rows = &world.last.verdicts[&service_name("web")].real_servers;
    let far = rows.iter().find(|row| row.entry == "far").unwrap();
    assert_eq!((far.stage, far.reason), (StageName::Serving, Reason::Unverified));
}

#[test]
fn a_tunnel_that_is_taken_in_no_more_is_not_sent_by() {
    let mut world = world(IPIP);
    let holder = world.holder(40).unwrap();
    let before = world.cluster.reports.get_mut(&NodeName::from("c")).unwrap();
    before.services.get_mut(&service_name("web")).unwrap().receives.clear();
    world.operate();
    world.take(&holder);
    assert_eq!(world.destinations(&holder, "web", 40), ["d"]);
}
