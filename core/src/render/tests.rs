use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::example::{
    NOW, RIP, VIP, VIP6, address, clean, form, holder, in_use, link, local, name, part, plan,
};
use crate::ipvs::DestinationKey;
use crate::kernel::ArpSettings;
use crate::local::{Path, Probe, ProbeOutcome};
use crate::names::Feature;
use crate::network::Prefix;
use crate::node_plan::{FormPersistence, PlannedVip, ServiceForm, Stage, StageName};

const SERVER: &str = "TCP 192.168.10.40:80";
const ON_LO: &str = "lo 192.168.10.40/32";
const ON_UPLINK: &str = "eth0 192.168.10.40/32";

fn wanted(plan: &NodePlan, local: &Local) -> Wanted {
    render(plan, local, NOW).0
}

fn with_part(change: impl FnOnce(&mut PlannedService)) -> NodePlan {
    let mut plan = plan();
    change(plan.services.get_mut(&name()).unwrap());
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
    plan.services.insert(other, second);
    let wanted = wanted(&plan, &local());
    assert!(wants(&wanted, ON_UPLINK));
    assert_eq!(wanted.virtual_servers.len(), 2);
}

#[test]
fn ipv6_needs_nothing_hidden_and_is_deprecated() {
    let plan = with_part(|part| part.vips = BTreeMap::from([(address(VIP6), holder())]));
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
        server.admitted = BTreeSet::from([address(VIP6)]);
    });
    assert!(weights(&elsewhere, &local()).is_empty());
}

#[test]
fn the_form_is_the_entrys() {
    let persistence = FormPersistence { timeout_seconds: 20, ipv4_prefix_length: 24, ipv6_prefix_length: 64 };
    let plan = with_part(|part| {
        part.form.as_mut().unwrap().persistence = Some(persistence);
        part.form.as_mut().unwrap().adopt = true;
    });
    let wanted = wanted(&plan, &local());
    let settings = wanted.virtual_servers[&SERVER.parse().unwrap()].settings;
    assert_eq!((settings.scheduler.as_str(), settings.flags), ("rr", 0));
    assert_eq!(settings.persistence.map(|p| (p.timeout_seconds, p.prefix_length)), Some((20, 24)));
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
fn without_its_uplink_a_vip_is_bound_but_not_attracted() {
    for gone in ["eth9", "lo"] {
        let wanted = wanted(&with_duties(|vip| vip.interface = Some(link(gone))), &local());
        assert_eq!(reasons(&wanted), [Reason::UnknownInterface]);
        assert!(wants(&wanted, ON_LO) && wanted.announce.is_empty() && forwards(&wanted));
    }
    let mut lonely = local();
    lonely.links.remove(&link("eth0"));
    lonely.default_links.clear();
    let wanted = wanted(&plan(), &lonely);
    assert_eq!(reasons(&wanted), [Reason::NoUplink]);
    assert!(wants(&wanted, ON_LO) && wanted.announce.is_empty());
}

#[test]
fn a_vip_that_is_an_address_of_the_node_is_refused_whole() {
    let nothing = |local: &Local| {
        let wanted = wanted(&plan(), local);
        assert_eq!(reasons(&wanted), [Reason::AddressOfNode]);
        assert!(wanted.addresses.is_empty() && wanted.virtual_servers.is_empty() && wanted.hide.is_empty());
    };
    for (on, prefix) in
        [("eth0", "192.168.10.40/24"), ("eth1", "192.168.10.40/32"), ("lo", "192.168.10.40/8")]
    {
        let mut local = local();
        add(&mut local, on, prefix);
        nothing(&local);
        // The same once it is known to be ours.
        let Prefix { address, length: prefix_length } = prefix.parse().unwrap();
        local.ours.insert(AddressKey { link: link(on), address, prefix_length });
        assert_eq!(reasons(&wanted(&plan(), &local)), []);
    }
    let mut local = local();
    local.gateways.insert(address(VIP));
    nothing(&local);
    local.gateways.clear();
    local.api_servers.insert(address(VIP));
    nothing(&local);
}

#[test]
fn a_vip_by_hand_on_lo_or_the_uplink_is_no_address_of_the_node() {
    for on in ["lo", "eth0"] {
        let mut local = local();
        add(&mut local, on, "192.168.10.40/32");
        assert_eq!(reasons(&wanted(&plan(), &local)), []);
    }
}

#[test]
fn what_all_says_decides_whether_a_vip_can_be_hidden_and_answered_for() {
    for (ignore, bound, held) in [
        (0, true, true),
        (1, true, true),
        (2, true, false),
        (3, false, false),
        (7, false, false),
        (8, true, false),
        (9, false, false),
    ] {
        let mut local = local();
        local.arp_all.ignore = ignore;
        let wanted = wanted(&plan(), &local);
        assert_eq!((wants(&wanted, ON_LO), wants(&wanted, ON_UPLINK)), (bound, held), "{ignore}");
        let conflict = reasons(&wanted) == [Reason::ArpSettingConflict];
        assert_eq!(conflict, !held, "{ignore}");
        assert!(forwards(&wanted));
    }
}

#[test]
fn an_address_that_would_be_silenced_holds_the_vip_until_it_is_allowed() {
    let mut local = local();
    add(&mut local, "lo", "192.168.10.99/32");
    let held = wanted(&plan(), &local);
    assert_eq!(reasons(&held), [Reason::AddressSilenced]);
    assert!(message(&held).contains("192.168.10.99") && message(&held).contains("eth0"));
    assert!(!wants(&held, ON_LO) && keeps(&held, ON_LO) && keeps(&held, ON_UPLINK));
    assert!(held.hide.is_empty() && forwards(&held));
    // One that is bound already stays bound, and so hidden.
    let mut bound = local.clone();
    add(&mut bound, "lo", "192.168.10.40/32");
    bound.ours.insert(ON_LO.parse().unwrap());
    assert_eq!(wanted(&plan(), &bound).hide.len(), 2);
    let mut allowed = plan();
    allowed.settings.allow_arp_silence.insert(address("192.168.10.99"));
    assert!(wants(&wanted(&allowed, &local), ON_LO));
}

#[test]
fn what_hiding_does_not_silence_holds_nothing() {
    for (on, prefix) in [
        // In nobody's network, ours, on the link itself too, a network's number, IPv6, another planned VIP.
        ("lo", "172.16.0.1/32"),
        ("eth1", "10.0.0.99/32"),
        ("lo", "192.168.10.0/32"),
        ("lo", "fd00::99/128"),
        ("eth1", "192.168.11.1/24"),
    ] {
        let mut local = local();
        add(&mut local, on, prefix);
        assert_eq!(reasons(&wanted(&plan(), &local)), [], "{prefix} on {on}");
    }
    let mut silent = local();
    add(&mut silent, "lo", "192.168.10.99/32");
    let mut ours = silent.clone();
    ours.ours.insert("lo 192.168.10.99/32".parse().unwrap());
    assert_eq!(reasons(&wanted(&plan(), &ours)), []);
    // Whoever set `all` has silenced it already.
    silent.arp_all.ignore = 1;
    assert_eq!(reasons(&wanted(&plan(), &silent)), []);
    let mut both = local();
    add(&mut both, "lo", "192.168.10.99/32");
    add(&mut both, "eth0", "192.168.10.99/32");
    assert_eq!(reasons(&wanted(&plan(), &both)), []);
}

#[test]
fn without_ipvs_nothing_is_attracted_and_nothing_there_is_touched() {
    let mut local = local();
    local.ipvs = false;
    let wanted = wanted(&plan(), &local);
    assert_eq!(reasons(&wanted), [Reason::IpvsMissing]);
    assert!(wants(&wanted, ON_LO) && !forwards(&wanted) && wanted.announce.is_empty());
    assert!(!keeps(&wanted, ON_UPLINK));
    assert!(wanted.keep.contains(&Item::VirtualServer(SERVER.parse().unwrap())));
}

#[test]
fn without_its_scheduler_an_entry_stays_as_it_is_and_so_does_the_uplink() {
    let mut local = local();
    local.schedulers = BTreeSet::from(["wlc".parse().unwrap()]);
    let wanted = wanted(&plan(), &local);
    assert_eq!(reasons(&wanted), [Reason::SchedulerMissing]);
    assert!(wanted.keep.contains(&Item::VirtualServer(SERVER.parse().unwrap())));
    assert!(keeps(&wanted, ON_UPLINK) && wants(&wanted, ON_LO) && wanted.announce.is_empty());
    local.schedulers.clear();
    assert_eq!(reasons(&self::wanted(&plan(), &local)), [], "nobody knows which there are");
}

#[test]
fn a_service_that_needs_more_than_the_agent_can_stays_as_it_is() {
    let plan = with_part(|part| part.requires = BTreeSet::from([Feature::from("Tunnel")]));
    let mut local = local();
    add(&mut local, "lo", "192.168.10.40/32");
    local.ours.insert(ON_LO.parse().unwrap());
    let wanted = wanted(&plan, &local);
    assert_eq!(reasons(&wanted), [Reason::FeatureMissing]);
    assert!(message(&wanted).contains("Tunnel"));
    assert_eq!(wanted.keep_vips, BTreeSet::from([address(VIP)]));
    assert!(wanted.addresses.is_empty() && wanted.virtual_servers.is_empty());
    assert_eq!(wanted.hide.len(), 2, "what is bound stays hidden");
}

#[test]
fn a_probe_decides_whether_a_vip_is_attracted() {
    let failed = || ProbeOutcome::Failed { message: "the link is down".to_owned() };
    let refused = || ProbeOutcome::NotPermitted { message: "operation not permitted".to_owned() };
    let probe = |ago: u64, outcome| Probe { at: Monotonic(NOW.0 - ago), outcome };
    let (used, not_permitted) = (Reason::AddressInUse, Reason::NotPermitted);
    // The probe, whether the VIP is on the uplink; then: attracted, kept, probed now, asked again in, the reason.
    for (probe, there, attracted, kept, now, next, reason) in [
        (None, false, false, true, true, None, None),
        (None, true, false, true, true, None, None),
        (Some(clean(NOW)), false, true, false, false, Some(5000), None),
        (Some(probe(4999, ProbeOutcome::Clean)), false, true, false, false, Some(1), None),
        (Some(probe(5000, ProbeOutcome::Clean)), false, false, true, true, None, None),
        (Some(probe(90_000, ProbeOutcome::Clean)), true, true, false, false, None, None),
        (Some(in_use(NOW)), true, false, false, false, Some(5000), Some(used)),
        (Some(probe(5000, in_use(NOW).outcome)), true, false, false, true, None, Some(used)),
        (Some(probe(0, failed())), true, false, true, false, Some(5000), Some(Reason::KernelRefused)),
        (Some(probe(5000, refused())), true, false, true, true, None, Some(not_permitted)),
    ] {
        let mut local = local();
        let case = format!("{probe:?} {there}");
        local.probes = probe.map(|probe| (address(VIP), probe)).into_iter().collect();
        if there {
            add(&mut local, "eth0", "192.168.10.40/32");
        }
        let (wanted, asked) = render(&plan(), &local, NOW);
        assert_eq!((wants(&wanted, ON_UPLINK), keeps(&wanted, ON_UPLINK)), (attracted, kept), "{case}");
        assert_eq!(wanted.announce.contains_key(&address(VIP)), attracted, "{case}");
        assert_eq!(wanted.probes.contains_key(&address(VIP)), now, "{case}");
        assert_eq!(asked, next.map(|wait| NOW + wait), "{case}");
        assert_eq!(reasons(&wanted), reason.into_iter().collect::<Vec<_>>(), "{case}");
        assert!(wants(&wanted, ON_LO) && forwards(&wanted), "{case}");
    }
}

#[test]
fn a_stranger_is_named_by_its_mac_address() {
    let mut local = local();
    local.probes.insert(address(VIP), in_use(NOW));
    assert!(message(&wanted(&plan(), &local)).contains("02:00:00:00:00:09"));
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
    second.form = Some(ServiceForm { scheduler: "wlc".parse().unwrap(), ..form() });
    plan.services.insert(ServiceName::new("web", "zzz"), second);
    let wanted = wanted(&plan, &local());
    assert_eq!(wanted.owners[&SERVER.parse().unwrap()], name());
    assert_eq!(wanted.virtual_servers[&SERVER.parse().unwrap()].settings.scheduler.as_str(), "rr");
}
