//! The form of a plan and of a report is kept from version to version: other versions' agents read it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::flat_map::FlatMap;
use lvs_core::forwarding::{Encapsulation, Forwarding, GueChecksum};
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::names::{BootId, Feature, GroupName, NodeName, PoolName, RealServerKey, ServiceName};
use lvs_core::network::{Family, Protocol};
use lvs_core::node_plan::{
    NodePlan, PlannedRealServer, PlannedService, PlannedVip, Revision, ServiceForm, Stage, StageName,
};
use lvs_core::node_report::{NodeFacts, NodeReport, ReportedLink, ServiceReport, Trouble, VipReport};
use lvs_core::reason::Reason;
use lvs_core::redirection::Redirection;
use lvs_core::scheduling::{FormPersistence, Scheduling, Thresholds};
use lvs_core::time::Time;
use lvs_crds::{NodePlanSlice, plan, report};

fn node() -> NodeName {
    NodeName::from("director-1")
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tunnel() -> Forwarding {
    Forwarding::Tunnel(Encapsulation::Gue { port: 6080, checksum: GueChecksum::Remote })
}

fn real_server(name: &str, rip: &str, stage: Stage) -> (RealServerKey, PlannedRealServer) {
    let node = NodeName::from(name);
    let real_server = PlannedRealServer {
        entry: name.to_owned(),
        node: Some(node.clone()),
        addresses: [address(rip)].into(),
        weight: 1,
        thresholds: Thresholds::NONE,
        forwarding: Forwarding::DirectRouting,
        ports: BTreeMap::new(),
        stage,
        admitted: [address("192.168.10.40")].into(),
    };
    (RealServerKey::Node(node), real_server)
}

fn redirect() -> BTreeSet<Redirection> {
    BTreeSet::from([Redirection {
        protocol: Protocol::Tcp,
        vip: address("192.168.10.40"),
        port: 80,
        to: 8080,
    }])
}

fn planned() -> PlannedService {
    let vip = PlannedVip {
        accept: true,
        attract: true,
        forward: true,
        withdrawing: false,
        group: GroupName::from("edge"),
        pool: PoolName::from("public"),
        interface: Some("eth0".parse().unwrap()),
    };
    let (by_tunnel, mut tunnelled) = real_server("rs-3", "10.9.0.7", Stage::of(StageName::Serving));
    tunnelled.forwarding = tunnel();
    tunnelled.ports = BTreeMap::from([(PortKey { protocol: Protocol::Tcp, port: 80 }, 8080)]);
    let form = ServiceForm {
        mark: None,
        ports: BTreeSet::from([PortKey { protocol: Protocol::Tcp, port: 80 }]),
        scheduling: Scheduling {
            persistence: Some(FormPersistence {
                timeout_seconds: 20,
                ipv4_prefix_length: 32,
                ipv6_prefix_length: 128,
                engine: None,
            }),
            ..Scheduling::by("rr".parse().unwrap())
        },
        real_servers: FlatMap::from([
            real_server("rs-1", "192.168.10.10", Stage::of(StageName::Serving)),
            real_server("rs-2", "192.168.10.11", Stage::quiesced(Time(1_795_503_600_000))),
            (by_tunnel, tunnelled),
        ]),
        adopt: true,
        zero_counters: None,
    };
    PlannedService {
        uid: "7f0b4c5d-9e58-4a1f-8c9b-7d426d1c2a5e".to_owned(),
        revision: Revision { number: 7, hash: 0xc0ff_ee00 },
        requires: BTreeSet::from([Feature::from("DirectRouting"), Feature::from("Persistence")]),
        vips: [(address("192.168.10.40"), vip)].into(),
        receive: tunnel().receptions(&[address("fd00::20")], [Family::IPv4]),
        redirect: redirect(),
        form: Some(form),
    }
}

fn plan_of_one() -> NodePlan {
    let mut plan = NodePlan::empty(3, "6d1c2a5e");
    plan.settings.timeouts = Some(Timeouts { tcp_seconds: 30, tcp_fin_seconds: 5, udp_seconds: 60 });
    plan.settings.allow_arp_silence = BTreeSet::from([address("192.168.10.1")]);
    plan.settings.uplink = Some("bond0".parse().unwrap());
    plan.services.insert(ServiceName::new("default", "web"), planned().into());
    plan
}

fn report_of_one() -> NodeReport {
    let link = ReportedLink {
        mac: Some("02:00:c0:a8:0a:14".parse().unwrap()),
        up: true,
        addresses: BTreeSet::from(["192.168.10.20/24".parse().unwrap()]),
    };
    let node = NodeFacts {
        epoch: 3,
        lineage: "6d1c2a5e".to_owned(),
        boot_id: BootId::from("6d1c2a5e-7f0b-4c5d-9e58-3a1f0c9b7d42"),
        agent_version: "0.1.0".to_owned(),
        features: BTreeSet::from([Feature::from("DirectRouting")]),
        kernel_release: "6.1.0".to_owned(),
        ipvs: true,
        schedulers: BTreeSet::from(["rr".parse().unwrap(), "wlc".parse().unwrap()]),
        links: BTreeMap::from([("eth0".parse().unwrap(), link)]),
        gateways: BTreeSet::from([address("192.168.10.1")]),
        clean: false,
        troubles: BTreeSet::from([Trouble::new(Reason::NotPermitted, "CAP_NET_RAW is missing")]),
    };
    let vip = VipReport { bound: true, hidden: true, held: false, forwarding: true };
    let service = ServiceReport {
        counters_zeroed: None,
        revision: Revision { number: 7, hash: 0xc0ff_ee00 },
        applied: false,
        vips: [(address("192.168.10.40"), vip)].into(),
        receives: tunnel().receptions(&[address("fd00::20")], [Family::IPv4]),
        redirects: redirect(),
        troubles: BTreeSet::from([Trouble::new(Reason::AddressInUse, "02:00:c0:a8:0a:63 answers")]),
    };
    NodeReport { node, services: BTreeMap::from([(ServiceName::new("default", "web"), service)]) }
}

fn documents(objects: &[String]) -> String {
    objects.join("---\n")
}

/// Compares with a golden file; with `UPDATE_GOLDEN=1` in the environment writes it instead.
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/plans/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{path} differs; where that is meant, UPDATE_GOLDEN=1 writes it anew. It is now:\n{text}"
    );
}

#[test]
fn a_plan_is_written_as_ever() {
    let (object, slices) = plan::split(&node(), &plan_of_one());
    let [slice] = &slices[..] else { panic!("one slice") };
    golden(
        "plan.yaml",
        &documents(&[serde_saphyr::to_string(&object).unwrap(), serde_saphyr::to_string(slice).unwrap()]),
    );
}

#[test]
fn a_written_plan_is_read_as_ever() {
    let text = include_str!("golden/plan.yaml");
    let (object, slice) = text.split_once("---\n").unwrap();
    let slice: NodePlanSlice = serde_saphyr::from_str(slice).unwrap();
    let (plan, faults) = plan::assemble(&serde_saphyr::from_str(object).unwrap(), [&slice]);
    assert_eq!(faults, []);
    assert_eq!(plan, plan_of_one());
}

#[test]
fn a_report_is_written_as_ever() {
    let (_, slices) = plan::split(&node(), &plan_of_one());
    let (of_node, of_slices) = report::split(&node(), &report_of_one(), &slices);
    let mut objects = vec![serde_saphyr::to_string(&of_node).unwrap()];
    objects.extend(of_slices.iter().map(|slice| serde_saphyr::to_string(slice).unwrap()));
    golden("report.yaml", &documents(&objects));
}
