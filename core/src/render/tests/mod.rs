mod forwarding;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::example::{
    NOW, RIP, VIP, VIP6, address, clean, form, holder, in_use, link, local, name, part, plan,
};
use crate::ipvs::{DestinationKey, DestinationSettings};
use crate::kernel::ArpSettings;
use crate::local::{Path, Probe, ProbeOutcome};
use crate::names::Feature;
use crate::network::Prefix;
use crate::node_plan::{PlannedVip, ServiceForm, Stage, StageName};
use crate::scheduling::{FormPersistence, Scheduling, Thresholds};

const SERVER: &str = "TCP 192.168.10.40:80";
const ON_LO: &str = "lo 192.168.10.40/32";
const ON_UPLINK: &str = "eth0 192.168.10.40/32";

fn wanted(plan: &NodePlan, local: &Local) -> Wanted {
    render(plan, local, NOW).0
}

fn with_part(change: impl FnOnce(&mut PlannedService)) -> NodePlan {
    let mut plan = plan();
    change(plan.part_mut(&name()).unwrap());
    plan
}

fn with_duties(change: impl FnOnce(&mut PlannedVip)) -> NodePlan {
    with_part(|part| change(part.vips.get_mut(&address(VIP)).unwrap()))
}

fn add(local: &mut Local, on: &str, prefix: &str) {
    local.links.get_mut(&link(on)).unwrap().addresses.insert(prefix.parse().unwrap());
}

fn reasons(wanted: &Wanted) -> Vec<Reason> {
    wanted.troubles.values().flatten().map(|trouble| trouble.reason).collect()
}

fn message(wanted: &Wanted) -> &str {
    wanted.troubles.values().flatten().next().map_or("", |trouble| trouble.message.as_str())
}

fn wants(wanted: &Wanted, key: &str) -> bool {
    wanted.addresses.contains_key(&key.parse().unwrap())
}

fn keeps(wanted: &Wanted, key: &str) -> bool {
    wanted.keep.contains(&Item::Address(key.parse().unwrap()))
}

fn forwards(wanted: &Wanted) -> bool {
    wanted.virtual_servers.contains_key(&SERVER.parse().unwrap())
}

fn weights(plan: &NodePlan, local: &Local) -> BTreeMap<DestinationKey, u32> {
    let wanted = wanted(plan, local);
    let destinations = &wanted.virtual_servers[&SERVER.parse().unwrap()].destinations;
    destinations.iter().map(|(key, settings)| (*key, settings.weight)).collect()
}

#[test]
fn a_holder_accepts_attracts_and_forwards() {
    let (wanted, next) = render(&plan(), &local(), NOW);
    assert!(wants(&wanted, ON_LO) && wants(&wanted, ON_UPLINK) && forwards(&wanted));
    assert_eq!(wanted.hide, BTreeSet::from([link("eth0"), link("eth1")]));
    assert_eq!(wanted.answer, BTreeSet::from([link("eth0")]));
    assert_eq!(wanted.announce, BTreeMap::from([(address(VIP), link("eth0"))]));
    assert_eq!(wanted.owners.values().collect::<Vec<_>>(), [&name()]);
    assert_eq!(reasons(&wanted), []);
    // Until it is on the uplink, its probe must not grow old.
    assert_eq!(next, Some(NOW + 5000));
}

#[test]
fn each_duty_by_itself() {
    let accept = wanted(&with_duties(|vip| (vip.attract, vip.forward) = (false, false)), &local());
    assert!(wants(&accept, ON_LO) && !wants(&accept, ON_UPLINK) && !forwards(&accept));
    let forward = wanted(&with_duties(|vip| (vip.accept, vip.attract) = (false, false)), &local());
    assert!(!wants(&forward, ON_LO) && forwards(&forward) && forward.hide.is_empty());
    let none = with_duties(|vip| (vip.accept, vip.attract, vip.forward) = (false, false, false));
    let idle = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    assert_eq!(wanted(&none, &local()), idle);
}

#[test]
fn attracting_implies_accepting() {
    let wanted = wanted(&with_duties(|vip| vip.accept = false), &local());
    assert!(wants(&wanted, ON_LO) && wants(&wanted, ON_UPLINK));
}

#[test]
fn services_that_share_a_vip_have_their_duties_together() {
    let mut plan = plan();
    let other = ServiceName::new("web", "other");
    let mut second = part();
    second.vips.get_mut(&address(VIP)).unwrap().attract = false;
    second.form.as_mut().unwrap().ports = BTreeSet::from(["TCP 443".parse().unwrap()]);
    plan.services.insert(other, second.into());
    let wanted = wanted(&plan, &local());
    assert!(wants(&wanted, ON_UPLINK));
    assert_eq!(wanted.virtual_servers.len(), 2);
}

#[test]
fn ipv6_needs_nothing_hidden_and_is_deprecated() {
    let plan = with_part(|part| part.vips = [(address(VIP6), holder())].into());
    let mut local = local();
    local.probes.insert(address(VIP6), clean(NOW));
    // A setting that an IPv4 VIP could not be hidden with is nothing to IPv6.
    local.arp_all = ArpSettings { ignore: 3, announce: 0 };
    let wanted = wanted(&plan, &local);
    assert!(wanted.hide.is_empty() && wanted.answer.is_empty());
    let attributes = wanted.addresses[&"eth0 fd00::40/128".parse().unwrap()];
    assert!(attributes.no_dad && attributes.preferred_seconds == Some(0));
    let destinations = &wanted.virtual_servers[&"TCP [fd00::40]:80".parse().unwrap()].destinations;
    assert_eq!(destinations.keys().collect::<Vec<_>>(), [&"[fd00::10]:80".parse().unwrap()]);
}

#[test]
fn only_admitted_real_servers_have_an_entry() {
    let key: DestinationKey = "192.168.10.10:80".parse().unwrap();
    for (stage, weight) in [
        (StageName::Pending, None),
        (StageName::Serving, Some(3)),
        (StageName::Quiesced, Some(0)),
        (StageName::Removed, None),
    ] {
        let plan = with_part(|part| {
            let server = part.form.as_mut().unwrap().real_servers.values_mut().next().unwrap();
            (server.stage, server.weight) = (Stage::of(stage), 3);
        });
        assert_eq!(weights(&plan, &local()).get(&key).copied(), weight, "{stage:?}");
    }
    let elsewhere = with_part(|part| {
        let server = part.form.as_mut().unwrap().real_servers.values_mut().next().unwrap();
        server.admitted = [address(VIP6)].into();
    });
    assert!(weights(&elsewhere, &local()).is_empty());
}

#[test]
fn the_form_is_the_entrys() {
    let persistence = FormPersistence {
        timeout_seconds: 20,
        ipv4_prefix_length: 24,
        ipv6_prefix_length: 64,
        engine: Some("sip".parse().unwrap()),
    };
    let plan = with_part(|part| {
        let form = part.form.as_mut().unwrap();
        form.scheduling.persistence = Some(persistence);
        form.adopt = true;
        for server in form.real_servers.values_mut() {
            server.thresholds = Thresholds { upper: 9, lower: 5 };
        }
    });
    let wanted = wanted(&plan, &local());
    let settings = wanted.virtual_servers[&SERVER.parse().unwrap()].settings;
    assert_eq!((settings.scheduler.as_str(), settings.flags), ("rr", 0));
    assert_eq!(settings.persistence.map(|p| (p.timeout_seconds, p.prefix_length)), Some((20, 24)));
    assert_eq!(settings.persistence_engine.map(|engine| engine.to_string()), Some("sip".to_owned()));
    let destinations = &wanted.virtual_servers[&SERVER.parse().unwrap()].destinations;
    let thresholds = |settings: &DestinationSettings| (settings.upper_threshold, settings.lower_threshold);
    assert_eq!(destinations.values().map(thresholds).collect::<Vec<_>>(), [(9, 5)]);
    assert!(wanted.adopt.contains(&SERVER.parse().unwrap()));
}

#[test]
fn a_real_server_behind_a_gateway_is_left_out_and_named() {
    let mut local = local();
    let gateway = Some(address("192.168.10.1"));
    local.paths.insert(address(RIP), Path { link: link("eth0"), gateway });
    let behind = wanted(&plan(), &local);
    assert_eq!(reasons(&behind), [Reason::RealServerBehindGateway]);
    assert!(message(&behind).contains(RIP) && message(&behind).contains("192.168.10.1"));
    assert!(weights(&plan(), &local).is_empty());
    local.paths.insert(address(RIP), Path { link: link("eth0"), gateway: None });
    assert_eq!(weights(&plan(), &local).len(), 1);
}

#[test]
fn the_uplink_is_what_is_named_else_the_vips_network_else_the_default_route() {
    let uplink = |plan: &NodePlan, local: &Local| wanted(plan, local).announce.get(&address(VIP)).copied();
    let mut named = with_duties(|vip| vip.interface = Some(link("eth1")));
    assert_eq!(uplink(&named, &local()), Some(link("eth1")));
    named.settings.uplink = Some(link("eth0"));
    assert_eq!(uplink(&named, &local()), Some(link("eth0")));
    let mut elsewhere = local();
    elsewhere.links.get_mut(&link("eth0")).unwrap().addresses =
        BTreeSet::from(["192.168.11.21/24".parse().unwrap()]);
    assert_eq!(uplink(&plan(), &elsewhere), Some(link("eth1")));
    // The VIP itself, however it got there, says nothing of its network; the narrowest network wins.
    add(&mut elsewhere, "eth0", "192.168.0.1/16");
    add(&mut elsewhere, "eth1", "192.168.10.1/24");
    let mut plan = plan();
    plan.settings.allow_arp_silence.insert(address("192.168.10.1"));
    assert_eq!(uplink(&plan, &elsewhere), Some(link("eth1")));
}

#[test]
fn an_incomplete_plan_keeps_everything_and_says_so() {
    let wanted = wanted(&NodePlan { complete: false, ..plan() }, &local());
    assert!(wanted.keep_everything && forwards(&wanted));
    assert!(wanted.node_troubles.iter().any(|trouble| trouble.reason == Reason::IncompletePlan));
}

#[test]
fn a_vip_of_a_missing_part_stays_hidden_on_every_link() {
    let mut local = local();
    add(&mut local, "lo", "192.168.10.40/32");
    local.ours.insert(ON_LO.parse().unwrap());
    let missing = NodePlan { complete: false, services: BTreeMap::new(), ..plan() };
    assert_eq!(wanted(&missing, &local).hide.len(), 2);
}

#[test]
fn of_two_services_with_one_port_the_first_has_it() {
    let mut plan = plan();
    let mut second = part();
    second.form = Some(ServiceForm { scheduling: Scheduling::by("wlc".parse().unwrap()), ..form() });
    plan.services.insert(ServiceName::new("web", "zzz"), second.into());
    let wanted = wanted(&plan, &local());
    assert_eq!(wanted.owners[&SERVER.parse().unwrap()], name());
    assert_eq!(wanted.virtual_servers[&SERVER.parse().unwrap()].settings.scheduler.as_str(), "rr");
}
