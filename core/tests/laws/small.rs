//! Small worlds, every one of them: a node on its way between the plans of a service's life, with every set of refused
//! operations and with every moment of being killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::kernel::{AddressAttributes, ArpSettings, Kernel};
use lvs_core::names::{RealServerKey, ServiceName};
use lvs_core::node_plan::{
    NodePlan, PlannedRealServer, PlannedService, PlannedVip, ServiceForm, Stage, StageName,
};

use lvs_core::scheduling::{Scheduling, Thresholds};

use crate::node::{Fault, Node};
use crate::world::{LINKS, OWN_MARKS, World, address, link};

const VIP: &str = "192.168.10.40";
/// A node that nobody has touched.
fn world() -> World {
    let plain = AddressAttributes { scope: 0, no_dad: false, preferred_seconds: None, valid_seconds: None };
    let kernel = Kernel {
        timeouts: Some(Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 }),
        addresses: BTreeMap::from([("eth0 192.168.10.21/24".parse().unwrap(), plain)]),
        arp: LINKS.iter().map(|name| (link(name), ArpSettings::default())).collect(),
        ..Kernel::default()
    };
    World { kernel, strangers: BTreeSet::new(), plans: Vec::new() }
}

/// A plan of one service: its duties, its port, its real servers, its uplink.
fn plan((accept, attract, forward): (bool, bool, bool), port: u16, rips: &[&str], uplink: &str) -> NodePlan {
    let vip = PlannedVip {
        accept,
        attract,
        forward,
        withdrawing: false,
        group: "edge".into(),
        pool: "public".into(),
        interface: Some(link(uplink)),
    };
    let server = |rip: &&str| {
        let server = PlannedRealServer {
            entry: (*rip).to_owned(),
            node: None,
            addresses: [address(rip)].into(),
            weight: 1,
            thresholds: Thresholds::NONE,
            forwarding: Forwarding::DirectRouting,
            ports: BTreeMap::new(),
            stage: Stage::of(StageName::Serving),
            admitted: [address(VIP)].into(),
        };
        (RealServerKey::Foreign((*rip).to_owned()), server)
    };
    let form = ServiceForm {
        mark: None,
        ports: BTreeSet::from([PortKey { protocol: lvs_core::network::Protocol::Tcp, port }]),
        scheduling: Scheduling::by("rr".parse().unwrap()),
        real_servers: rips.iter().map(server).collect(),
        adopt: false,
        zero_counters: None,
    };
    let service = PlannedService {
        vips: [(address(VIP), vip)].into(),
        form: Some(form),
        ..PlannedService::idle("uid")
    };
    let services = BTreeMap::from([(ServiceName::new("web", "shop"), service.into())]);
    NodePlan { services, ..NodePlan::empty(1, "lineage") }
}

/// The same plan by a mark: a user's own stands for ports.
fn marked(mut plan: NodePlan, mark: u32) -> NodePlan {
    for part in plan.services.values_mut().map(Arc::make_mut) {
        let form = part.form.as_mut().unwrap();
        form.mark = Some(mark);
        if OWN_MARKS.contains(&mark) {
            form.ports.clear();
        }
    }
    plan
}

/// The stations of a service's life on a node.
fn stations() -> [NodePlan; 9] {
    let rips = ["192.168.10.10", "192.168.10.11"];
    let (holder, standby, real_server) = ((true, true, true), (true, false, true), (true, false, false));
    [
        NodePlan::empty(1, "lineage"),
        plan(real_server, 80, &[], "eth0"),
        plan(standby, 80, &rips, "eth0"),
        plan(holder, 80, &rips, "eth0"),
        plan(holder, 80, &rips[1..], "eth0"),
        plan(holder, 443, &rips, "eth0"),
        plan(holder, 80, &rips, "eth1"),
        marked(plan(holder, 80, &rips, "eth0"), 100),
        marked(plan(holder, 80, &rips, "eth0"), OWN_MARKS[0]),
    ]
}

#[test]
fn any_set_of_refusals_between_two_stations_is_safe() {
    for_each_way(|start, to| {
        let mut whole = start.clone();
        whole.suffer(to, &Fault::default());
        // Further rounds only repeat what was refused, so that the first refusals are those that matter.
        for set in 0..1_usize << whole.tries.min(6) {
            let refused = (0..6).map(|place| set >> place & 1 == 1).collect();
            let mut node = start.clone();
            node.suffer(to, &Fault { stop_after: None, refused });
            node.settle(to);
        }
    });
}

#[test]
fn a_node_killed_at_any_moment_between_two_stations_can_be_emptied() {
    let nothing = NodePlan::empty(1, "lineage");
    for_each_way(|start, to| {
        for stop_after in 0.. {
            let mut node = start.clone();
            let killed = node.suffer(to, &Fault { stop_after: Some(stop_after), refused: Vec::new() });
            node.settle(&nothing);
            assert_eq!(node.kernel, node.initial);
            assert!(node.custody.is_clean());
            if !killed {
                break;
            }
        }
    });
}

/// From each station to each other.
fn for_each_way(check: impl Fn(&Node, &NodePlan)) {
    for from in &stations() {
        let mut start = Node::new(&world());
        start.settle(from);
        for to in &stations() {
            check(&start, to);
        }
    }
}
