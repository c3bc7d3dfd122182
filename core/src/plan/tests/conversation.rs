//! Stories and random histories: whatever happens in whatever order, every moment is safe and the end is right.

use proptest::prelude::*;

use super::world::{NODES, World, service_name, vip};
use crate::node_plan::StageName;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::status;
use crate::verdict::RealServerVerdict;

fn is_ready(world: &World, name: &str) -> bool {
    let name = service_name(name);
    let status = status::service(&name, &world.last.verdicts[&name], &world.cluster.reports, None, world.now);
    status.conditions.iter().all(|condition| condition.status != status::ConditionStatus::False)
}

#[test]
fn a_service_comes_in_order_and_leaves_nothing() {
    let mut world = World::new();
    world.settle();
    world.apply("web", &[40], &["c", "d"]);
    world.operate();
    // Before any report nothing is sent anywhere.
    for node in NODES {
        world.take(node);
        assert!(world.destinations(node, "web", 40).is_empty());
    }
    world.settle();
    assert!(is_ready(&world, "web"));
    let holder = world.holder(40).unwrap();
    assert_eq!(world.destinations(&holder, "web", 40), ["c", "d"]);
    world.delete("web");
    world.settle();
    assert!(world.last.nodes.values().all(|plan| plan.services.is_empty()));
    assert!(world.agents.values().all(super::agent::Agent::is_untouched));
}

#[test]
fn a_changed_weight_admits_nobody_anew() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    world.settle();
    let before = world.revision("web", "c");
    if let Ok(spec) = &mut world.cluster.services.get_mut(&service_name("web")).unwrap().spec {
        spec.real_servers.get_mut("c").unwrap().weight = 0;
    }
    world.operate();
    assert_eq!(world.revision("web", "c"), before, "the real server has nothing new to do");
    assert!(
        world.last.verdicts[&service_name("web")]
            .real_servers
            .iter()
            .all(|row| row.stage == StageName::Serving)
    );
}

#[test]
fn another_vip_does_not_interrupt_the_first() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    world.apply("web", &[40, 41], &["c"]);
    for _ in 0..4 {
        world.operate();
        let holder = world.holder(40).unwrap();
        world.take(&holder);
        assert_eq!(world.destinations(&holder, "web", 40), ["c"]);
    }
    world.settle();
    assert!(is_ready(&world, "web"));
}

#[test]
fn a_real_server_that_leaves_is_quiesced_and_removed_before_it_unbinds() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    world.settle();
    world.apply("web", &[40], &["c"]);
    world.operate();
    let stage = |world: &World| {
        let rows = &world.last.verdicts[&service_name("web")].real_servers;
        rows.iter().find(|row| row.entry == "d").map(|row| row.stage)
    };
    assert_eq!(stage(&world), Some(StageName::Quiesced));
    world.operate();
    assert_eq!(stage(&world), Some(StageName::Removed));
    for _ in 0..3 {
        world.operate();
        world.take("d");
        assert!(world.agents[&"d".into()].bound(vip(40)), "no director has reported yet");
    }
    world.settle();
    assert!(!world.agents[&"d".into()].bound(vip(40)));
}

#[test]
fn a_rebooted_real_server_is_removed_until_it_reports_again() {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    world.settle();
    world.reboot("d");
    world.operate();
    let holder = world.holder(40).unwrap();
    world.take(&holder);
    assert_eq!(world.destinations(&holder, "web", 40), ["c"]);
    let reason = |world: &World| {
        let of_d = |row: &&RealServerVerdict| row.node == Some("d".into());
        world.last.verdicts[&service_name("web")].real_servers.iter().find(of_d).unwrap().reason
    };
    assert_eq!(reason(&world), Reason::Rebooted);
    // It comes up with an agent that may not do its work.
    let mut report = world.cluster.reports[&"d".into()].clone();
    report.node.boot_id = world.agents[&"d".into()].boot();
    report.node.troubles.insert(Trouble::new(Reason::NotPermitted, "the agent lacks CAP_NET_ADMIN"));
    report.services.clear();
    world.cluster.reports.insert("d".into(), report);
    world.operate();
    assert_eq!(reason(&world), Reason::NotPermitted);
    world.settle();
    assert!(is_ready(&world, "web"));
}

#[test]
fn a_holder_that_is_no_director_any_more_hands_over() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    let old = world.holder(40).unwrap();
    world.direct(&old, false);
    world.settle();
    assert_ne!(world.holder(40), Some(old.clone()));
    assert!(is_ready(&world, "web"));
    assert!(!world.agents[&old.as_str().into()].bound(vip(40)), "the old one dropped the rest");
}

#[test]
fn a_silent_holder_keeps_the_vip_until_somebody_vouches() {
    let mut world = World::new();
    world.apply("web", &[40], &["c"]);
    world.settle();
    let old = world.holder(40).unwrap();
    world.direct(&old, false);
    world.cluster.nodes.get_mut(&old.as_str().into()).unwrap().ready = Some(false);
    for _ in 0..8 {
        world.operate();
        for node in NODES.iter().filter(|node| **node != old) {
            world.take(node);
            world.report(node);
        }
        world.assert_safe();
    }
    assert_eq!(world.holder(40), Some(old.clone()), "nobody else attracts");
    let group = world.cluster.groups.get_mut(&"edge".into()).unwrap();
    group.force_move.insert(old.as_str().into(), "0".into());
    world.reboot(&old);
    for _ in 0..8 {
        world.operate();
        for node in NODES.iter().filter(|node| **node != old) {
            world.take(node);
            world.report(node);
        }
        world.assert_safe();
    }
    assert!(world.holder(40).is_some_and(|holder| holder != old));
}

#[test]
fn directors_that_are_real_servers_move_the_vip_too() {
    let mut world = World::new();
    world.apply("web", &[40], &["a", "b"]);
    world.settle();
    assert!(is_ready(&world, "web"));
    let old = world.holder(40).unwrap();
    world.direct(&old, false);
    world.settle();
    assert!(world.holder(40).is_some_and(|holder| holder != old));
    assert!(is_ready(&world, "web"));
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Operate,
    Take(usize),
    Report(usize),
    Reboot(usize),
    Direct(usize, bool),
    Apply(bool, Vec<u8>, Vec<usize>),
    Delete(bool),
    Recreate(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let name = any::<bool>();
    let vips = proptest::sample::subsequence(vec![40, 41, 42], 1..=2);
    let servers = proptest::sample::subsequence(vec![0, 1, 2, 3], 0..=4);
    prop_oneof![
        8 => Just(Event::Operate),
        8 => (0..4_usize).prop_map(Event::Take),
        8 => (0..4_usize).prop_map(Event::Report),
        1 => (0..4_usize).prop_map(Event::Reboot),
        1 => ((0..4_usize), any::<bool>()).prop_map(|(node, yes)| Event::Direct(node, yes)),
        3 => (name, vips, servers).prop_map(|(name, vips, servers)| Event::Apply(name, vips, servers)),
        1 => any::<bool>().prop_map(Event::Delete),
        1 => any::<bool>().prop_map(Event::Recreate),
    ]
}

fn name_of(shop: bool) -> &'static str {
    if shop { "shop" } else { "web" }
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Operate => {
            world.operate();
        }
        Event::Take(node) => world.take(NODES[*node]),
        Event::Report(node) => world.report(NODES[*node]),
        Event::Reboot(node) => world.reboot(NODES[*node]),
        Event::Direct(node, yes) => world.direct(NODES[*node], *yes),
        Event::Apply(shop, vips, servers) => {
            let servers: Vec<&str> = servers.iter().map(|node| NODES[*node]).collect();
            world.apply(name_of(*shop), vips, &servers);
        }
        Event::Delete(shop) => world.delete(name_of(*shop)),
        Event::Recreate(shop) => {
            if let Some(service) = world.cluster.services.get_mut(&service_name(name_of(*shop))) {
                service.uid.push('+');
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_moment_of_every_history_is_safe(events in proptest::collection::vec(event(), 1..80)) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event);
            world.assert_safe();
        }
        world.settle();
        for name in world.cluster.services.keys() {
            let verdict = &world.last.verdicts[name];
            let directed = verdict.vips.values().all(|vip| vip.holder.is_some());
            if verdict.accepted.holds && verdict.resolved.holds && directed && !verdict.real_servers.is_empty() {
                prop_assert!(is_ready(&world, &name.name), "{:#?}", verdict);
            }
        }
        world.delete("web");
        world.delete("shop");
        world.settle();
        prop_assert!(world.last.nodes.values().all(|plan| plan.services.is_empty()), "{:#?}", world.last.nodes);
        prop_assert!(world.agents.values().all(super::agent::Agent::is_untouched), "{:#?}", world.agents);
    }

    #[test]
    fn equal_inputs_give_equal_plans(events in proptest::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event);
        }
        prop_assert_eq!(crate::plan::plan(&world.cluster, world.now), crate::plan::plan(&world.cluster, world.now));
    }

    #[test]
    fn a_service_changes_only_plans_of_nodes_that_serve_it(events in proptest::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event);
        }
        let before = crate::plan::plan(&world.cluster, world.now).0;
        // Another service with VIPs and real servers of its own.
        world.apply("other", &[49], &["c"]);
        let after = crate::plan::plan(&world.cluster, world.now).0;
        for (node, plan) in &after.nodes {
            let mut rest = plan.clone();
            rest.services.remove(&service_name("other"));
            prop_assert_eq!(&rest.services, &before.nodes[node].services);
        }
        let serving: Vec<_> = after.nodes.iter().filter(|(_, plan)| plan.services.contains_key(&service_name("other"))).collect();
        let directing = |node: &crate::names::NodeName| world.cluster.nodes[node].labels.contains_key("director");
        prop_assert!(serving.iter().all(|(node, _)| directing(node) || **node == "c".into()));
    }

    #[test]
    fn a_refused_service_changes_nobodys_plan(events in proptest::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event);
        }
        let before = crate::plan::plan(&world.cluster, world.now).0;
        // A VIP in no pool.
        world.apply("refused", &[99], &["c"]);
        let after = crate::plan::plan(&world.cluster, world.now).0;
        prop_assert!(!after.verdicts[&service_name("refused")].accepted.holds);
        prop_assert_eq!(before.nodes, after.nodes);
    }
}
