//! Random plans and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::addresses::Addresses;
use lvs_core::counters::ZeroToken;
use lvs_core::forwarding::{Encapsulation, Forwarding, GueChecksum};
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::names::{BootId, Feature, GroupName, NodeName, PoolName, RealServerKey, ServiceName};
use lvs_core::network::{Family, Protocol};
use lvs_core::node_plan::{
    NodePlan, NodeSettings, PlannedRealServer, PlannedService, PlannedVip, Revision, ServiceForm, Stage,
};
use lvs_core::node_report::{NodeFacts, NodeReport, ServiceReport, Trouble, VipReport};
use lvs_core::reason::Reason;
use lvs_core::redirection::Redirection;
use lvs_core::scheduling::{FormPersistence, Scheduling, Thresholds, UdpScheduling};
use lvs_core::sysctl::{IpvsSysctl, Sysctl};
use lvs_core::time::Time;
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn service_name() -> impl Strategy<Value = ServiceName> {
    ("[a-z]{1,3}", "[a-z0-9]{1,4}").prop_map(|(namespace, name)| ServiceName::new(&namespace, &name))
}

fn revision() -> impl Strategy<Value = Revision> {
    (any::<u32>(), any::<u64>()).prop_map(|(number, hash)| Revision { number, hash })
}

fn stage() -> impl Strategy<Value = Stage> {
    (0_i64..253_402_300_799_999).prop_map(|since| Stage::quiesced(Time(since)))
}

fn real_server() -> impl Strategy<Value = (RealServerKey, PlannedRealServer)> {
    (any::<bool>(), "[a-z0-9]{1,5}", btree_set(address(), 1..3), 0..65536_u32, stage()).prop_map(
        |(foreign, name, addresses, weight, stage)| {
            let node = NodeName(name.clone());
            let key = if foreign {
                RealServerKey::Foreign(name.clone())
            } else {
                RealServerKey::Node(node.clone())
            };
            let node = (!foreign).then_some(node);
            let addresses: Addresses = addresses.into_iter().collect();
            let admitted = addresses.clone();
            let thresholds = Thresholds { upper: weight, lower: weight / 2 };
            let others = [Forwarding::DirectRouting, Forwarding::Masquerade, Forwarding::FullNat];
            let forwarding = if foreign { others[weight as usize % 3] } else { tunnel(weight) };
            let server = PlannedRealServer {
                entry: name,
                node,
                addresses,
                weight,
                thresholds,
                forwarding,
                ports: BTreeMap::from([(PortKey { protocol: Protocol::Sctp, port: 80 }, 8080)]),
                stage,
                admitted,
            };
            (key, server)
        },
    )
}

fn tunnel(number: u32) -> Forwarding {
    let gue = |checksum| Encapsulation::Gue { port: 6080, checksum };
    Forwarding::Tunnel(match number % 4 {
        0 => Encapsulation::Ipip,
        1 => gue(GueChecksum::Absent),
        2 => gue(GueChecksum::Remote),
        _ => Encapsulation::Gre { checksum: true },
    })
}

fn redirections(vips: &[IpAddr]) -> BTreeSet<Redirection> {
    vips.iter().map(|vip| Redirection { protocol: Protocol::Udp, vip: *vip, port: 53, to: 5353 }).collect()
}

fn form() -> impl Strategy<Value = ServiceForm> {
    let persistence = (1..2_678_401_u32).prop_map(|timeout_seconds| FormPersistence {
        timeout_seconds,
        ipv4_prefix_length: 32,
        ipv6_prefix_length: 128,
        engine: (timeout_seconds % 2 == 0).then(|| "sip".parse().unwrap()),
    });
    let ports = btree_set((1..=u16::MAX).prop_map(|port| PortKey { protocol: Protocol::Udp, port }), 1..4);
    let real_servers = btree_map(0..9_u8, real_server(), 0..4);
    (ports, option::of(persistence), real_servers, any::<bool>()).prop_map(
        |(ports, persistence, real_servers, adopt)| ServiceForm {
            mark: adopt.then_some(7),
            ports,
            scheduling: Scheduling {
                persistence,
                udp_scheduling: if adopt { UdpScheduling::PerPacket } else { UdpScheduling::PerConnection },
                ..Scheduling::by("wlc".parse().unwrap())
            },
            real_servers: real_servers.into_values().collect(),
            adopt,
            zero_counters: adopt.then(|| ZeroToken("token".to_owned())),
        },
    )
}

fn vip() -> impl Strategy<Value = PlannedVip> {
    (any::<[bool; 4]>(), option::of(Just("bond0.100"))).prop_map(
        |([accept, attract, forward, withdrawing], interface)| PlannedVip {
            accept,
            attract,
            forward,
            withdrawing,
            group: GroupName::from("edge"),
            pool: PoolName::from("public"),
            interface: interface.map(|name| name.parse().unwrap()),
        },
    )
}

fn planned() -> impl Strategy<Value = PlannedService> {
    let requires = btree_set("[A-Z][a-z]{2}".prop_map(Feature), 0..3);
    ("[a-f0-9]{8}", revision(), requires, btree_map(address(), vip(), 0..3), option::of(form())).prop_map(
        |(uid, revision, requires, vips, form)| {
            let addresses: Vec<_> = vips.keys().copied().collect();
            let receive = tunnel(revision.number).receptions(&addresses, [Family::IPv6]);
            let redirect = redirections(&addresses);
            let vips = vips.into_iter().collect();
            PlannedService { uid, revision, requires, vips, receive, redirect, form }
        },
    )
}

/// Plans of a few services.
pub(crate) fn plan() -> impl Strategy<Value = NodePlan> {
    let timeouts = option::of((1..99_u32).prop_map(|seconds| Timeouts {
        tcp_seconds: seconds,
        tcp_fin_seconds: seconds,
        udp_seconds: seconds,
    }));
    let sysctls = btree_map(select(IpvsSysctl::ALL).prop_map(Sysctl::Ipvs), any::<i32>(), 0..3);
    let settings =
        (timeouts, sysctls, btree_set(address(), 0..3)).prop_map(|(timeouts, sysctls, allow_arp_silence)| {
            NodeSettings { timeouts, sysctls, allow_arp_silence, uplink: None }
        });
    (any::<u32>(), "[a-f0-9]{0,6}", settings, btree_map(service_name(), planned(), 0..12)).prop_map(
        |(epoch, lineage, settings, services)| NodePlan {
            epoch: u64::from(epoch),
            lineage,
            complete: true,
            settings,
            services: services.into_iter().map(|(name, part)| (name, part.into())).collect(),
        },
    )
}

fn service_report() -> impl Strategy<Value = ServiceReport> {
    let vip = any::<[bool; 4]>().prop_map(|[bound, hidden, held, forwarding]| VipReport {
        bound,
        hidden,
        held,
        forwarding,
    });
    let trouble = "\\PC{0,20}".prop_map(|message| Trouble::new(Reason::AddressInUse, message));
    (revision(), any::<bool>(), btree_map(address(), vip, 0..3), btree_set(trouble, 0..2)).prop_map(
        |(revision, applied, vips, troubles)| {
            let addresses: Vec<_> = vips.keys().copied().collect();
            let receives = tunnel(revision.number).receptions(&addresses, [Family::IPv4]);
            let redirects = redirections(&addresses);
            let counters_zeroed = applied.then(|| ZeroToken("token".to_owned()));
            ServiceReport { revision, applied, vips, receives, redirects, counters_zeroed, troubles }
        },
    )
}

/// A plan and a report of the services in it.
pub(crate) fn plan_with_report() -> impl Strategy<Value = (NodePlan, NodeReport)> {
    let reports = proptest::collection::vec(option::of(service_report()), 12);
    (plan(), reports, any::<u32>(), any::<bool>()).prop_map(|(plan, reports, epoch, clean)| {
        let services = plan.services.keys().cloned().zip(reports);
        let services: BTreeMap<_, _> = services.filter_map(|(name, report)| Some((name, report?))).collect();
        let node = NodeFacts {
            epoch: u64::from(epoch),
            boot_id: BootId::from("6d1c2a5e"),
            agent_version: "0.1.0".to_owned(),
            clean,
            ..NodeFacts::default()
        };
        (plan, NodeReport { node, services })
    })
}

/// A plan of many services, each of about 300 bytes.
pub(crate) fn large_plan(services: u32) -> NodePlan {
    let mut plan = NodePlan::empty(1, "large");
    for number in 0..services {
        let mut service = PlannedService::idle("00000000-0000-0000-0000-000000000000");
        let vip = PlannedVip {
            accept: true,
            attract: true,
            forward: true,
            withdrawing: false,
            group: GroupName::from("edge"),
            pool: PoolName::from("public"),
            interface: None,
        };
        service.vips.insert(IpAddr::from(number.to_be_bytes()), vip);
        service.requires = BTreeSet::from([Feature::from("DirectRouting")]);
        service.revision = Revision::after(None, &service);
        plan.services.insert(ServiceName::new("load", &format!("service-{number}")), service.into());
    }
    plan
}
