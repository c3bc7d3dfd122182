//! Services that are known by a firewall mark.

use super::world::{World, service_name, vip};
use crate::ipvs::VirtualServerKey;
use crate::marking::{Marking, RESERVED};
use crate::names::NodeName;
use crate::network::Family;
use crate::packet_rule::PacketRuleSettings;
use crate::reason::Reason;

fn mark(world: &mut World, service: &str, marking: Marking) {
    let spec = world.cluster.services.get_mut(&service_name(service)).unwrap().spec.as_mut().unwrap();
    spec.marking = marking;
    if let Marking::Own(_) = marking {
        spec.ports.clear();
    }
}

fn world(marking: Marking) -> World {
    let mut world = World::new();
    world.apply("web", &[40], &["c", "d"]);
    mark(&mut world, "web", marking);
    world.settle();
    world
}

/// The marks of a service on all nodes that direct.
fn planned(world: &World, service: &str) -> Vec<Option<u32>> {
    let parts = world.last.nodes.values().filter_map(|plan| plan.services.get(&service_name(service)));
    parts.filter_map(|part| Some(part.form.as_ref()?.mark)).collect()
}

fn only(marks: &[Option<u32>]) -> u32 {
    assert!(marks.len() > 1 && marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
    marks[0].unwrap()
}

fn server(mark: u32) -> VirtualServerKey {
    VirtualServerKey::Mark { family: Family::IPv4, mark }
}

#[test]
fn ports_that_are_scheduled_together_have_one_mark_on_every_director_for_ever() {
    let mut world = world(Marking::Together);
    let given = only(&planned(&world, "web"));
    assert!(RESERVED.contains(&given));
    let holder = NodeName::from(world.holder(40).unwrap().as_str());
    let kernel = &world.agents[&holder].kernel;
    let keys: Vec<VirtualServerKey> = kernel.virtual_servers.keys().copied().collect();
    assert_eq!(keys, [server(given)]);
    assert_eq!(kernel.virtual_servers[&server(given)].destinations.len(), 2);
    let rule = "Mark TCP 192.168.10.40:80".parse().unwrap();
    assert_eq!(kernel.packet_rules, [(rule, PacketRuleSettings::of(given))].into());
    // Others come, nobody remembers anything but the plans, and it stays.
    for (name, number) in [("shop", 41), ("other", 42)] {
        world.apply(name, &[number], &["c"]);
        mark(&mut world, name, Marking::Together);
    }
    world.settle();
    assert_eq!(only(&planned(&world, "web")), given);
    assert_ne!(only(&planned(&world, "shop")), given);
    for name in ["web", "shop", "other"] {
        world.delete(name);
    }
    world.settle();
    assert!(world.agents.values().all(super::agent::Agent::is_untouched));
}

#[test]
fn a_mark_is_nobody_elses_until_its_service_has_left() {
    let mut world = world(Marking::Together);
    let given = only(&planned(&world, "web"));
    world.delete("web");
    world.operate();
    // It is on its way out, and whoever wants the same mark gets another.
    assert!(planned(&world, "web").contains(&Some(given)));
    let mut marks = std::collections::BTreeSet::from([given]);
    for name in ["shop", "other"] {
        world.apply(name, &[41], &["c"]);
        world.cluster.services.get_mut(&service_name(name)).unwrap().spec.as_mut().unwrap().vips =
            [vip(if name == "shop" { 41 } else { 42 })].into();
        mark(&mut world, name, Marking::Together);
        world.operate();
        assert!(marks.insert(only(&planned(&world, name))), "{name}");
    }
}

#[test]
fn from_separate_to_together_and_back_the_vip_is_served_all_the_time() {
    let mut world = world(Marking::Absent);
    let holder = NodeName::from(world.holder(40).unwrap().as_str());
    for marking in [Marking::Together, Marking::Own(7), Marking::Together, Marking::Absent] {
        world.apply("web", &[40], &["c", "d"]);
        mark(&mut world, "web", marking);
        world.settle();
        let kernel = &world.agents[&holder].kernel;
        assert_eq!(kernel.virtual_servers.len(), 1, "{marking:?}");
        assert_eq!(kernel.virtual_servers.values().next().unwrap().destinations.len(), 2);
        assert_eq!(kernel.packet_rules.len(), usize::from(marking == Marking::Together));
        assert_eq!(world.holder(40).as_deref(), Some(holder.0.as_str()));
    }
}

#[test]
fn a_users_own_mark_is_of_one_service() {
    let mut world = world(Marking::Own(7));
    assert_eq!(only(&planned(&world, "web")), 7);
    world.apply("shop", &[41], &["c"]);
    mark(&mut world, "shop", Marking::Own(7));
    world.settle();
    let accepted = &world.last.verdicts[&service_name("shop")].accepted;
    assert_eq!((accepted.holds, accepted.reason), (false, Reason::MarkConflict));
    assert!(accepted.message.contains("web"), "{}", accepted.message);
    assert_eq!(planned(&world, "shop"), []);
    mark(&mut world, "shop", Marking::Own(8));
    world.settle();
    assert_eq!(only(&planned(&world, "shop")), 8);
}

#[test]
fn a_real_server_gets_what_has_a_mark_once_it_has_every_vip() {
    let mut world = world(Marking::Own(7));
    let holder = NodeName::from(world.holder(40).unwrap().as_str());
    world.apply("web", &[40, 41], &["c", "d"]);
    mark(&mut world, "web", Marking::Own(7));
    for _ in 0..8 {
        world.operate();
        for node in ["a", "b", "c", "d"] {
            world.take(node);
            world.report(node);
            for agent in world.agents.values() {
                let Some(there) = agent.kernel.virtual_servers.get(&server(7)) else { continue };
                for rip in there.destinations.keys().map(|key| key.address) {
                    let to = world.agents.values().find(|agent| agent.rip() == rip).unwrap();
                    let has_all = to.bound(vip(40)) && (to.bound(vip(41)) || !agent.bound(vip(41)));
                    assert!(has_all, "{rip} has not bound every VIP");
                }
            }
        }
    }
    assert_eq!(world.agents[&holder].kernel.virtual_servers[&server(7)].destinations.len(), 2);
}
