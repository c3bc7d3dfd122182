//! Plans of any size for a director that forwards and holds nothing, so that only the table is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::PortKey;
use lvs_core::names::{RealServerKey, ServiceName};
use lvs_core::network::Protocol;
use lvs_core::node_plan::{
    NodePlan, PlannedRealServer, PlannedService, PlannedVip, Revision, ServiceForm, Stage, StageName,
};
use lvs_core::scheduling::{Scheduling, Thresholds};

/// So many services on a port each, with so many real servers of one weight.
pub(super) fn of(services: u16, real_servers: u8, weight: u32) -> NodePlan {
    let services = (0..services).map(|number| {
        let name = ServiceName::new("bench", &format!("s{number:05}"));
        (name, Arc::new(service(number, real_servers, weight)))
    });
    NodePlan { services: services.collect(), ..NodePlan::empty(1, "bench") }
}

/// The same plan with another weight at one real server of the service in the middle.
pub(super) fn with_one_weight(plan: &NodePlan, weight: u32) -> NodePlan {
    let mut plan = plan.clone();
    let name = ServiceName::new("bench", &format!("s{:05}", plan.services.len() / 2));
    if let Some(part) = plan.part_mut(&name) {
        part.revision = Revision { number: weight, hash: u64::from(weight) };
        let form = part.form.as_mut();
        if let Some(server) = form.and_then(|form| form.real_servers.values_mut().next()) {
            server.weight = weight;
        }
    }
    plan
}

fn service(number: u16, real_servers: u8, weight: u32) -> PlannedService {
    let vip = IpAddr::from([192, 168, 10, 40]);
    let duty = PlannedVip {
        accept: false,
        attract: false,
        forward: true,
        withdrawing: false,
        group: "edge".into(),
        pool: "public".into(),
        interface: None,
    };
    let server = |last: u8| {
        let rip = IpAddr::from([192, 168, 10, 100 + last]);
        let server = PlannedRealServer {
            entry: "r".to_owned(),
            node: None,
            addresses: [rip].into(),
            weight,
            thresholds: Thresholds::NONE,
            forwarding: Forwarding::DirectRouting,
            ports: BTreeMap::new(),
            stage: Stage::of(StageName::Serving),
            admitted: [vip].into(),
        };
        (RealServerKey::Foreign(format!("r{last:03}")), server)
    };
    // A name that the kernel has is no parse that can fail.
    let scheduler = "wlc".parse().unwrap_or_else(|_| unreachable!("wlc is a name"));
    let form = ServiceForm {
        mark: None,
        ports: BTreeSet::from([PortKey { protocol: Protocol::Tcp, port: 10_000 + number }]),
        scheduling: Scheduling::by(scheduler),
        real_servers: (0..real_servers).map(server).collect(),
        adopt: false,
        zero_counters: None,
    };
    PlannedService {
        vips: [(vip, duty)].into(),
        form: Some(form),
        revision: Revision { number: 1, hash: u64::from(number) },
        ..PlannedService::idle("bench")
    }
}
