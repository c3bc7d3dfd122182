//! How directors send, and how that changes. `World::assert_safe` looks after every step that no director sends by a
//! tunnel that the real server does not take in.

use super::world::{World, service_name, vip};
use crate::cluster::{RealServerSpec, RealServerTarget, ServiceSpec};
use crate::forwarding::{Encapsulation, Forwarding, GueChecksum};
use crate::names::{Feature, NodeName, RealServerKey};
use crate::network::{Family, Protocol};
use crate::node_plan::{PlannedService, StageName};
use crate::reason::Reason;
use crate::redirection::Redirection;
use crate::sysctl::{IpvsSysctl, Sysctl};

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

/// Lets nodes do, in this order, what each next plan says, until nothing changes any more; both real servers are sent to
/// all the while.
fn settle_without_a_gap(world: &mut World, holder: &str, order: [&str; 4], what: &str) {
    let mut settled = false;
    for _ in 0..16 {
        let changed = world.operate();
        for node in order {
            world.take(node);
            world.report(node);
            world.assert_safe();
            assert_eq!(world.destinations(holder, "web", 40), ["c", "d"], "{what}");
        }
        settled = !changed;
    }
    assert!(settled);
}

fn change(from: Forwarding, to: Forwarding, order: [&str; 4]) {
    let mut world = world(from);
    let holder = world.holder(40).unwrap();
    edit(&mut world, |spec| spec.forwarding = to);
    settle_without_a_gap(&mut world, &holder, order, &format!("{from} to {to}"));
    let rip = world.agents[&NodeName::from("c")].rip();
    let key = "TCP 192.168.10.40:80".parse().unwrap();
    let settings = world.agents[&NodeName::from(holder.as_str())].settings(&key, rip).unwrap();
    assert_eq!((settings.method, settings.tunnel), to.settings());
    assert_eq!(part(&world, "c").receive, to.receptions(&[rip], [Family::IPv4]));
    let left = world.agents[&NodeName::from("c")].kernel.tunnels.len();
    assert_eq!(left, usize::from(to != Forwarding::DirectRouting), "{from} to {to}");
}

/// `c` and `d` have routes by both directors.
fn with_routes(mut world: World) -> World {
    let directors = ["a", "b"].map(|name| world.agents[&NodeName::from(name)].rip());
    for server in ["c", "d"] {
        let agent = world.agents.get_mut(&NodeName::from(server)).unwrap();
        for director in directors {
            agent.route_by(director, true);
        }
    }
    world.settle();
    world
}

#[test]
fn a_masqueraded_real_server_has_no_part_and_another_port() {
    let mut world = World::new();
    world.forwarding = Forwarding::Masquerade;
    world.apply("web", &[40], &["c", "d"]);
    edit(&mut world, |spec| spec.ports.values_mut().for_each(|port| port.target = Some(8080)));
    let world = with_routes(world);
    let holder = world.holder(40).unwrap();
    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"]);
    assert!(world.last.nodes[&NodeName::from("c")].services.is_empty());
    assert!(part(&world, &holder).requires.contains(&"Masquerade".into()));
    let table = &world.agents[&NodeName::from(holder.as_str())].kernel.virtual_servers;
    let ports: Vec<u16> =
        table.values().flat_map(|server| server.destinations.keys().map(|key| key.port)).collect();
    assert_eq!(ports, [8080, 8080]);
}

#[test]
fn without_a_route_by_the_holder_nothing_is_masqueraded_and_a_sentence_says_so() {
    let mut world = World::new();
    world.forwarding = Forwarding::Masquerade;
    world.apply("web", &[40], &["c", "d"]);
    world.settle();
    let holder = world.holder(40).unwrap();
    assert!(world.destinations(&holder, "web", 40).is_empty());
    let verdict = &world.last.verdicts[&service_name("web")];
    assert_eq!((verdict.resolved.holds, verdict.resolved.reason), (false, Reason::NoReturnPath));
    for word in ["Node c", "FullNAT", &holder] {
        assert!(verdict.resolved.message.contains(word), "{}", verdict.resolved.message);
    }
    let rows = verdict.real_servers.iter().map(|row| (row.stage, row.reason));
    assert_eq!(rows.collect::<Vec<_>>(), [(StageName::Pending, Reason::NoReturnPath); 2]);
    // A route by a director that does not hold the VIP is none.
    let rip = |name: &str| world.agents[&NodeName::from(name)].rip();
    let other = if holder == "a" { rip("b") } else { rip("a") };
    let holders = rip(&holder);
    world.agents.get_mut(&NodeName::from("c")).unwrap().route_by(other, true);
    world.agents.get_mut(&NodeName::from("d")).unwrap().route_by(holders, true);
    world.settle();
    assert_eq!(world.destinations(&holder, "web", 40), ["d"]);
    world.agents.get_mut(&NodeName::from("d")).unwrap().route_by(holders, false);
    world.report("d");
    world.operate();
    world.take(&holder);
    assert!(world.destinations(&holder, "web", 40).is_empty());
}

#[test]
fn a_holder_that_masquerades_to_itself_needs_no_route() {
    let mut world = World::new();
    world.forwarding = Forwarding::Masquerade;
    world.apply("web", &[40], &["a", "b"]);
    world.settle();
    let holder = world.holder(40).unwrap();
    assert_eq!(world.destinations(&holder, "web", 40), [holder.as_str()]);
}

#[test]
fn a_real_server_keeps_the_vip_until_nobody_sends_to_it_any_more() {
    for (from, to) in [(Forwarding::DirectRouting, Forwarding::Masquerade), (Forwarding::Masquerade, IPIP)] {
        for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"]] {
            let mut world = World::new();
            world.forwarding = from;
            world.apply("web", &[40], &["c", "d"]);
            let mut world = with_routes(world);
            let holder = world.holder(40).unwrap();
            assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"], "{from}");
            edit(&mut world, |spec| spec.forwarding = to);
            settle_without_a_gap(&mut world, &holder, order, &format!("{from} to {to}"));
            let server = &world.agents[&NodeName::from("c")];
            let settings = world.agents[&NodeName::from(holder.as_str())]
                .settings(&"TCP 192.168.10.40:80".parse().unwrap(), server.rip());
            assert_eq!(settings.unwrap().method, to.settings().0);
            assert_eq!(server.bound(vip(40)), !to.rewrites(), "{from} to {to}");
            world.delete("web");
            world.settle();
            assert!(world.agents.values().all(super::agent::Agent::is_untouched));
        }
    }
}

#[test]
fn a_real_server_redirects_before_anybody_sends_to_its_other_port() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    edit(&mut world, |spec| spec.real_servers.get_mut("c").unwrap().port = Some(8080));
    for agent in world.agents.values_mut() {
        agent.forget(&"PortRedirection".into());
    }
    world.settle();
    let holder = world.holder(40).unwrap();
    let redirection = Redirection { protocol: Protocol::Tcp, vip: vip(40), port: 80, to: 8080 };
    assert_eq!(part(&world, "c").redirect, [redirection].into());
    assert!(part(&world, "c").requires.contains(&"PortRedirection".into()));
    assert!(part(&world, "d").redirect.is_empty());
    assert_eq!(world.destinations(&holder, "web", 40), ["d"]);
}

#[test]
fn a_redirected_port_comes_changes_and_goes_without_a_gap() {
    for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"]] {
        let mut world = world(Forwarding::DirectRouting);
        let holder = world.holder(40).unwrap();
        for to in [Some(8080), Some(9090), None] {
            edit(&mut world, |spec| spec.ports.values_mut().for_each(|port| port.target = to));
            for _ in 0..12 {
                world.operate();
                for node in order {
                    world.take(node);
                    world.report(node);
                    world.assert_safe();
                    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"], "{to:?}");
                }
            }
            let rules = &world.agents[&NodeName::from("c")].kernel.packet_rules;
            assert_eq!(
                rules.values().map(|rule| rule.value).collect::<Vec<_>>(),
                to.map_or(vec![], |to| vec![u32::from(to)])
            );
        }
        world.delete("web");
        world.settle();
        assert!(world.agents.values().all(super::agent::Agent::is_untouched));
    }
}

#[test]
fn a_holder_redirects_nothing_that_it_directs() {
    let mut world = World::new();
    world.apply("web", &[40], &["a", "c"]);
    edit(&mut world, |spec| spec.ports.values_mut().for_each(|port| port.target = Some(8080)));
    world.direct("b", false);
    world.settle();
    assert_eq!(world.holder(40).as_deref(), Some("a"));
    assert_eq!(world.destinations("a", "web", 40), ["c"]);
    let rows = &world.last.verdicts[&service_name("web")].real_servers;
    let row = rows.iter().find(|row| row.entry == "a").unwrap();
    assert_eq!((row.stage, row.reason), (StageName::Pending, Reason::RedirectionOnDirector));
}

#[test]
fn full_nat_needs_no_route_and_has_a_rule_for_each_real_server() {
    let mut world = World::new();
    world.forwarding = Forwarding::FullNat;
    world.apply("web", &[40], &["c", "d"]);
    edit(&mut world, |spec| spec.ports.values_mut().for_each(|port| port.target = Some(8080)));
    for agent in world.agents.values_mut() {
        agent.has_sysctl(Sysctl::Ipvs(IpvsSysctl::Conntrack), 0);
    }
    world.settle();
    let holder = world.holder(40).unwrap();
    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"]);
    let kernel = &world.agents[&NodeName::from(holder.as_str())].kernel;
    let rules: Vec<String> = kernel.packet_rules.keys().map(ToString::to_string).collect();
    assert_eq!(rules, ["SourceNat TCP 192.168.10.12:8080", "SourceNat TCP 192.168.10.13:8080"]);
    assert_eq!(kernel.sysctls[&Sysctl::Ipvs(IpvsSysctl::Conntrack)], 1);
    world.delete("web");
    world.settle();
    assert!(world.agents.values().all(super::agent::Agent::is_untouched));
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
        let entry = RealServerSpec { target, weight: 1, thresholds: None, forwarding: None, port: None };
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
