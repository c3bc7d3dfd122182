//! What the planner refuses, and what it says.

use super::world::{World, service_name, vip};
use crate::cluster::{AllowedRealServers, PortSpec, RealServerSpec, RealServerTarget};
use crate::node_report::Trouble;
use crate::plan::{plan, settled, unseen};
use crate::reason::Reason;
use crate::sysctl::{IpvsSysctl, Sysctl};
use crate::time::Time;
use crate::verdict::{NodeSetting, SettingConflict, Verdict};

fn verdict(world: &World, name: &str) -> Verdict {
    plan(&world.cluster, Time(0)).0.verdicts[&service_name(name)].clone()
}

fn refused(world: &World, name: &str, reason: Reason, names: &str) {
    let accepted = verdict(world, name).accepted;
    assert!(!accepted.holds);
    assert_eq!(accepted.reason, reason);
    assert!(accepted.message.contains(names), "{:?} does not name {names}", accepted.message);
}

fn unresolved(world: &World, name: &str, reason: Reason, names: &str) {
    let verdict = verdict(world, name);
    assert!(verdict.accepted.holds, "{:?}", verdict.accepted);
    assert!(!verdict.resolved.holds);
    assert_eq!(verdict.resolved.reason, reason);
    assert!(verdict.resolved.message.contains(names), "{:?} does not name {names}", verdict.resolved.message);
}

/// Gives a service the port of `web`.
fn same_port(world: &mut World, name: &str) {
    let Ok(spec) = &mut world.cluster.services.get_mut(&service_name(name)).unwrap().spec else {
        panic!("no spec")
    };
    spec.ports = [("TCP 80".parse().unwrap(), PortSpec::default())].into();
}

fn foreign(world: &mut World, name: &str, address: [u8; 4]) {
    let Ok(spec) = &mut world.cluster.services.get_mut(&service_name(name)).unwrap().spec else {
        panic!("no spec")
    };
    let target = RealServerTarget::Foreign([address.into()].into());
    spec.real_servers.insert(
        "legacy".to_owned(),
        RealServerSpec { target, weight: 1, thresholds: None, forwarding: None, port: None },
    );
}

#[test]
fn a_vip_needs_exactly_one_pool() {
    let mut world = World::new();
    world.apply("web", &[99], &["c"]);
    refused(&world, "web", Reason::VipNotInPool, "192.168.10.99");
    let mut other = world.cluster.groups[&"edge".into()].clone();
    other.created = Time(5);
    world.cluster.groups.insert("second".into(), other);
    world.apply("web", &[40], &["c"]);
    refused(&world, "web", Reason::VipInSeveralPools, "second");
}

#[test]
fn a_vip_is_no_address_of_a_node() {
    let mut world = World::new();
    world.cluster.nodes.get_mut(&"d".into()).unwrap().internal_ips.insert(vip(40));
    world.apply("web", &[40], &["c"]);
    refused(&world, "web", Reason::AddressOfNode, "Node d");
}

#[test]
fn a_vip_is_no_gateway() {
    let mut world = World::new();
    world.settle();
    world.cluster.reports.get_mut(&"d".into()).unwrap().node.gateways.insert(vip(40));
    world.apply("web", &[40], &["c"]);
    refused(&world, "web", Reason::AddressOfNode, "gateway of Node d");
}

#[test]
fn two_services_do_not_share_a_port_of_a_vip() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.now = Time(1);
    world.apply("web-too", &[40], &["d"]);
    same_port(&mut world, "web-too");
    refused(&world, "web-too", Reason::PortConflict, "default/web");
    assert!(verdict(&world, "web").accepted.holds);
}

#[test]
fn a_conflict_goes_to_the_one_that_is_served_even_if_younger() {
    let mut world = World::new();
    world.apply("web", &[41], &["c"]);
    world.now = Time(1000);
    world.apply("shop", &[40], &["d"]);
    same_port(&mut world, "shop");
    world.settle();
    world.apply("web", &[40], &["c"]);
    refused(&world, "web", Reason::PortConflict, "default/shop");
    // The refused edit leaves the planned form in force.
    world.settle();
    assert!(world.holder(41).is_some());
    assert_eq!(verdict(&world, "web").vips.keys().copied().collect::<Vec<_>>(), vec![vip(41)]);
}

#[test]
fn a_service_that_cannot_be_read_stays_as_it_was() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    let before = world.cluster.previous.clone();
    world.cluster.services.get_mut(&service_name("web")).unwrap().spec =
        Err(Trouble::new(Reason::InvalidSpec, "spec.ports[0].port: 70000 is no port."));
    world.settle();
    assert_eq!(world.cluster.previous, before);
    refused(&world, "web", Reason::InvalidSpec, "70000");
}

#[test]
fn an_incomplete_snapshot_removes_nothing() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    let before = world.cluster.previous.clone();
    world.delete("web");
    world.cluster.complete = false;
    world.settle();
    assert_eq!(world.cluster.previous, before);
    world.cluster.complete = true;
    world.settle();
    assert!(world.cluster.previous.values().all(|plan| plan.services.is_empty()));
}

#[test]
fn references_that_lead_nowhere_are_named_and_the_others_go_on() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "nowhere"]);
    unresolved(&world, "web", Reason::NodeNotFound, "nowhere");
    world.settle();
    assert_eq!(verdict(&world, "web").real_servers.len(), 1);
}

#[test]
fn a_group_without_directors_is_named() {
    let mut world = World::new();
    world.direct("a", false);
    world.direct("b", false);
    world.apply("web", &[40], &["c"]);
    unresolved(&world, "web", Reason::NoDirector, "edge");
}

#[test]
fn foreign_addresses_must_be_allowed_and_no_nodes() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    foreign(&mut world, "web", [192, 168, 10, 77]);
    unresolved(&world, "web", Reason::RealServerNotAllowed, "allowedRealServers.cidrs");
    let Ok(group) = &mut world.cluster.groups.get_mut(&"edge".into()).unwrap().spec else {
        panic!("no spec")
    };
    group.allowed_real_servers =
        Some(AllowedRealServers { node_selector: None, cidrs: vec!["192.168.10.0/24".parse().unwrap()] });
    assert!(verdict(&world, "web").resolved.holds);
    let unverified = verdict(&world, "web").real_servers.into_iter().find(|row| row.entry == "legacy");
    assert_eq!(unverified.map(|row| row.reason), Some(Reason::Unverified));
    foreign(&mut world, "web", [192, 168, 10, 13]);
    refused(&world, "web", Reason::ForeignAddressIsNode, "nodeName: d");
}

/// Lets the group take any real server without an agent.
fn allow_all(world: &mut World) {
    let Ok(group) = &mut world.cluster.groups.get_mut(&"edge".into()).unwrap().spec else {
        panic!("no spec")
    };
    let cidrs = vec!["0.0.0.0/0".parse().unwrap()];
    group.allowed_real_servers = Some(AllowedRealServers { node_selector: None, cidrs });
}

#[test]
fn a_vip_is_no_real_server() {
    let mut world = World::new();
    allow_all(&mut world);
    world.apply("web", &[40], &["c"]);
    foreign(&mut world, "web", [192, 168, 10, 40]);
    refused(&world, "web", Reason::RealServerIsVip, "realServers[legacy]: 192.168.10.40 is a VIP of this");

    world.apply("shop", &[41], &["c"]);
    world.apply("web", &[40], &["c"]);
    foreign(&mut world, "web", [192, 168, 10, 41]);
    refused(&world, "web", Reason::RealServerIsVip, "192.168.10.41 is a VIP of VirtualService default/shop");
}

#[test]
fn who_was_first_keeps_an_address_as_real_server_or_as_vip() {
    let mut world = World::new();
    allow_all(&mut world);
    world.apply("web", &[40], &["c"]);
    foreign(&mut world, "web", [192, 168, 10, 41]);
    world.settle();
    world.apply("a-later-one", &[41], &["d"]);
    refused(&world, "a-later-one", Reason::RealServerIsVip, "real server of VirtualService default/web");
    assert!(verdict(&world, "web").accepted.holds);
}

#[test]
fn a_foreign_host_without_an_address_of_a_vips_family_is_named() {
    let mut world = World::new();
    allow_all(&mut world);
    let six: std::net::IpAddr = "2001:db8::40".parse().unwrap();
    let Ok(group) = &mut world.cluster.groups.get_mut(&"edge".into()).unwrap().spec else {
        panic!("no spec")
    };
    group.pools.get_mut(&"public".into()).unwrap().addresses.push("2001:db8::40".parse().unwrap());
    world.apply("web", &[40], &[]);
    foreign(&mut world, "web", [192, 168, 10, 77]);
    let Ok(spec) = &mut world.cluster.services.get_mut(&service_name("web")).unwrap().spec else {
        panic!("no spec")
    };
    spec.vips.insert(six);
    let named = "realServers[legacy]: there is no IPv6 address for 2001:db8::40";
    unresolved(&world, "web", Reason::NoRealServerAddress, named);
}

#[test]
fn no_trouble_is_hidden_behind_the_first() {
    let mut world = World::new();
    world.apply("web", &[40], &["n1", "n2"]);
    unresolved(&world, "web", Reason::NodeNotFound, "no Node n1. realServers[n2]: there is no Node n2.");
    world.apply("web", &[40], &["n1", "n2", "n3", "n4", "n5", "n6"]);
    unresolved(&world, "web", Reason::NodeNotFound, "no Node n4. And 2 more.");
    world.direct("a", false);
    world.direct("b", false);
    unresolved(&world, "web", Reason::NoDirector, "realServers[n1]: there is no Node n1.");
}

#[test]
fn a_group_that_is_not_accepted_is_named_where_its_pool_is_missed() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.cluster.groups.get_mut(&"edge".into()).unwrap().spec =
        Err(Trouble::new(Reason::InvalidSpec, "spec.pools: write 1 to 32 pools"));
    refused(&world, "web", Reason::VipNotInPool, "edge is not accepted");
}

#[test]
fn sentences_of_a_refusal_are_parted() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    for message in ["spec.vips: write 1 to 16 VIPs", "spec.vips: write 1 to 16 VIPs."] {
        world.cluster.services.get_mut(&service_name("web")).unwrap().spec =
            Err(Trouble::new(Reason::InvalidSpec, message));
        refused(
            &world,
            "web",
            Reason::InvalidSpec,
            "16 VIPs. The last accepted specification stays in force.",
        );
    }
}

#[test]
fn a_settled_plan_is_what_a_conversation_ends_with() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    let supposed = settled(&world.cluster, world.now);
    world.settle();
    let holds =
        |plan: &crate::node_plan::NodePlan| plan.services[&service_name("web")].vips[&vip(40)].attract;
    for node in ["a", "b"] {
        assert_eq!(holds(&supposed.nodes[&node.into()]), holds(&world.last.nodes[&node.into()]), "{node}");
    }
}

#[test]
fn everything_withdraws() {
    let mut world = World::new();
    world.apply("web", &[40], &["a", "c"]);
    world.settle();
    world.cluster.withdraw = true;
    world.settle();
    assert!(world.cluster.previous.is_empty(), "{:#?}", world.cluster.previous);
    assert!(world.agents.values().all(super::agent::Agent::is_untouched));
    assert_eq!(world.cluster.services.len(), 1, "the VirtualServices stay");
}

#[test]
fn what_an_incomplete_snapshot_may_hide_is_named() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    world.cluster.nodes.remove(&"c".into());
    world.cluster.groups.clear();
    assert_eq!(unseen(&world.cluster), None, "a complete snapshot hides nothing");
    world.cluster.complete = false;
    let hidden = unseen(&world.cluster).unwrap();
    assert_eq!((hidden.nodes, hidden.groups), (["c".into()].into(), ["edge".into()].into()));
}

#[test]
fn of_two_groups_on_one_node_the_older_ones_sysctl_counts() {
    let mut world = World::new();
    let group = |world: &World, created, vip: &str, sysctls: &[(IpvsSysctl, i32)]| {
        let mut group = world.cluster.groups[&"edge".into()].clone();
        let Ok(spec) = &mut group.spec else { panic!("no spec") };
        group.created = Time(created);
        spec.pools.get_mut(&"public".into()).unwrap().addresses = vec![vip.parse().unwrap()];
        spec.ipvs_sysctls = sysctls.iter().copied().collect();
        group
    };
    let (conntrack, sloppy) = (IpvsSysctl::Conntrack, IpvsSysctl::SloppyTcp);
    let older = group(&world, 0, "192.168.10.40", &[(conntrack, 1)]);
    let younger = group(&world, 9, "192.168.10.41", &[(conntrack, 0), (sloppy, 1)]);
    world.cluster.groups = [("z".into(), older), ("a".into(), younger)].into();
    world.direct("b", false);
    world.apply("web", &[40], &["c"]);
    world.apply("shop", &[41], &["c"]);
    let decided = plan(&world.cluster, Time(0)).0;
    let expected = [(Sysctl::Ipvs(conntrack), 1), (Sysctl::Ipvs(sloppy), 1)];
    assert_eq!(decided.nodes[&"a".into()].settings.sysctls, expected.into());
    let conflict =
        SettingConflict { group: "z".into(), setting: NodeSetting::Sysctl(Sysctl::Ipvs(conntrack)) };
    assert_eq!(decided.groups[&"a".into()].setting_conflicts, [("a".into(), conflict)].into());
    assert_eq!(decided.groups[&"z".into()].setting_conflicts, [].into());
}
