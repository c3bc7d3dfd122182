//! What keeps a VIP from being wanted as planned.

use super::*;

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
fn a_misspelt_uplink_takes_no_vip_from_where_it_is_held() {
    let mut local = local();
    add(&mut local, "eth0", "192.168.10.40/32");
    local.ours.insert(ON_UPLINK.parse().unwrap());
    let plan = with_duties(|vip| vip.interface = Some(link("eth9")));
    let wanted = wanted(&plan, &local);
    assert_eq!(reasons(&wanted), [Reason::UnknownInterface]);
    assert!(keeps(&wanted, ON_UPLINK) && !wants(&wanted, ON_UPLINK));
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
    let plan = with_part(|part| part.requires = BTreeSet::from([Feature::from("Later")]));
    let mut local = local();
    add(&mut local, "lo", "192.168.10.40/32");
    local.ours.insert(ON_LO.parse().unwrap());
    let wanted = wanted(&plan, &local);
    assert_eq!(reasons(&wanted), [Reason::FeatureMissing]);
    assert!(message(&wanted).contains("Later"));
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
